/* Names of tables: what SQL would read, and nothing else. */
#include "cli/identifier.h"
#include "tests/unit/check.h"

#define N8 "abcdefgh"
#define N63 N8 N8 N8 N8 N8 N8 N8 "abcdefg"

static void reads_names_as_sql_does(void)
{
    static const struct {
        const char *label, *text, *schema, *name; /* name NULL: refused, schema is then a word of the reason */
    } cases[] = {
        {"the default", "public.\"UserFeedback\"", "public", "UserFeedback"},
        {"no schema", "\"UserFeedback\"", "", "UserFeedback"},
        {"folded", "Public.UserFeedback", "public", "userfeedback"},
        {"both quoted", "\"My App\".\"t\"", "My App", "t"},
        {"a dot inside", "\"a.b\"", "", "a.b"},
        {"a quote inside", "s.\"a\"\"b\"", "s", "a\"b"},
        {"only a quote", "\"\"\"\"", "", "\""},
        {"digits and dollar", "t1$", "", "t1$"},
        {"other letters are not folded", "\xc3\x84x", "", "\xc3\x84x"},
        {"63 bytes", N63, "", N63},
        {"63 bytes quoted", "\"" N63 "\"", "", N63},
        {"64 bytes", N63 "x", "longer than 63", NULL},
        {"64 bytes quoted", "\"" N63 "x\"", "longer than 63", NULL},
        {"a long schema", N63 "x.t", "longer than 63", NULL},
        {"empty", "", "must be table", NULL},
        {"empty quotes", "\"\"", "must be table", NULL},
        {"a dot only", ".", "must be table", NULL},
        {"no table", "public.", "must be table", NULL},
        {"no schema before the dot", ".t", "must be table", NULL},
        {"three parts", "a.b.c", "must be table", NULL},
        {"not closed", "\"abc", "must be table", NULL},
        {"a lone quote", "\"", "must be table", NULL},
        {"not closed behind a doubled one", "\"abc\"\"", "must be table", NULL},
        {"a quote in the middle", "ab\"c\"", "must be table", NULL},
        {"a digit first", "1t", "must be table", NULL},
        {"a dollar first", "$t", "must be table", NULL},
        {"a blank", "user feedback", "must be table", NULL},
        {"a statement behind it", "t; DROP TABLE t", "must be table", NULL},
        {"a comment behind it", "\"t\"--", "must be table", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct table_name got = {.schema = "untouched"};
        struct error err = {0};
        CHECK_LABEL(cases[i].label);
        const bool ok = identifier_parse(cases[i].text, &got, &err);
        CHECK_INT(ok, cases[i].name != NULL);
        CHECK_STR(got.schema, cases[i].name ? cases[i].schema : "untouched");
        if (cases[i].name)
            CHECK_STR(got.name, cases[i].name);
        else
            CHECK(strstr(err.text, cases[i].schema) != NULL);
    }
}

static void writes_them_safely(void)
{
    static const struct {
        const char *name, *quoted, *shown, *escaped;
    } cases[] = {
        {"status", "\"status\"", "status", "status"},
        {"roomSid", "\"roomSid\"", "\"roomSid\"", "roomSid"},
        {"a\"b", "\"a\"\"b\"", "\"a\"\"b\"", "a\"b"},
        {"it's", "\"it's\"", "\"it's\"", "it''s"},
        {"1t", "\"1t\"", "\"1t\"", "1t"},
        {"t1$", "\"t1$\"", "t1$", "t1$"},
        {"", "\"\"", "\"\"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(text_free) struct text quoted = {0}, shown = {0}, escaped = {0};
        CHECK_LABEL(cases[i].name);
        identifier_quote(cases[i].name, &quoted);
        identifier_show(cases[i].name, &shown);
        text_puts(&escaped, "");
        identifier_escape(cases[i].name, &escaped);
        CHECK_STR(quoted.ptr, cases[i].quoted);
        CHECK_STR(shown.ptr, cases[i].shown);
        CHECK_STR(escaped.ptr, cases[i].escaped);
    }
}

CHECK_MAIN({"reads names as SQL does", reads_names_as_sql_does}, {"writes them safely", writes_them_safely})
