#include "tests/unit/check.h"

#include "consumer/pg_array.h"

#include <stdlib.h>

static void builds_literals(void)
{
    static const struct {
        const char *label, *values[4];
        size_t count;
        const char *want;
    } cases[] = {
        {"none", {NULL}, 0, "{}"},
        {"one", {"a"}, 1, "{\"a\"}"},
        {"empty text is no null", {""}, 1, "{\"\"}"},
        {"null", {NULL}, 1, "{NULL}"},
        {"the word NULL is text", {"NULL"}, 1, "{\"NULL\"}"},
        {"quotes and backslashes", {"a\"b\\c"}, 1, "{\"a\\\"b\\\\c\"}"},
        {"braces and commas", {"{a,b}", "c"}, 2, "{\"{a,b}\",\"c\"}"},
        {"line ends", {"a\nb"}, 1, "{\"a\nb\"}"},
    };
    struct pg_array array = {.text = NULL};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].label);
        pg_array_clear(&array);
        for (size_t v = 0; v < cases[i].count; v++)
            pg_array_add_text(&array, slice_of(cases[i].values[v]));
        CHECK_STR(pg_array_text(&array), cases[i].want);
    }
    pg_array_fini(&array);
}

static void builds_numbers(void)
{
    struct pg_array array = {.text = NULL};
    pg_array_add_int(&array, INT64_MIN);
    pg_array_add_int(&array, 0);
    pg_array_add_null(&array);
    CHECK_STR(pg_array_text(&array), "{-9223372036854775808,0,NULL}");
    pg_array_clear(&array);
    pg_array_add_bool(&array, true);
    pg_array_add_bool(&array, false);
    CHECK_STR(pg_array_text(&array), "{t,f}");
    pg_array_fini(&array);
}

static void grows(void)
{
    struct pg_array array = {.text = NULL};
    for (int i = 0; i < 10000; i++)
        pg_array_add_int(&array, 7);
    CHECK_INT(strlen(pg_array_text(&array)), 20001);
    pg_array_fini(&array);
}

static void reads_literals(void)
{
    static const struct {
        const char *label, *text;
        size_t count;
        const char *values[3];
    } cases[] = {
        {"none", "{}", 0, {NULL}},
        {"words", "{a,b}", 2, {"a", "b"}},
        {"null and the word", "{NULL,\"NULL\",\"\"}", 3, {NULL, "NULL", ""}},
        {"escapes", "{\"a\\\"b\\\\c\",\"{x,y}\"}", 2, {"a\"b\\c", "{x,y}"}},
        {"line ends", "{\"a\nb\"}", 1, {"a\nb"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].label);
        size_t count = 99;
        char **items = pg_array_parse(cases[i].text, &count);
        CHECK(items != NULL);
        CHECK_INT(count, cases[i].count);
        for (size_t v = 0; items != NULL && v < count; v++) {
            if (cases[i].values[v] == NULL)
                CHECK(items[v] == NULL);
            else
                CHECK_STR(items[v], cases[i].values[v]);
        }
        free(items);
    }
}

static void refuses_what_is_no_array(void)
{
    static const char *const texts[] = {"", "a", "{", "{a", "{\"a}", "{\"a\"b}", "{a,\"b\\\"", "{\\"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        CHECK_LABEL(texts[i]);
        size_t count = 0;
        char **items = pg_array_parse(texts[i], &count);
        CHECK(items == NULL);
        free(items);
    }
}

static void reads_back_what_it_builds(void)
{
    static const char *const values[] = {"plain", "", "a,b", "{}", "\"", "\\", "\\\"", " spaced ", "null", "\x01\x7f"};
    struct pg_array array = {.text = NULL};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        pg_array_add_text(&array, slice_of(values[i]));
    size_t count = 0;
    char **items = pg_array_parse(pg_array_text(&array), &count);
    CHECK_INT(count, sizeof values / sizeof values[0]);
    for (size_t i = 0; i < count; i++)
        CHECK_STR(items[i], values[i]);
    free(items);
    pg_array_fini(&array);
}

CHECK_MAIN({"builds literals", builds_literals}, {"builds numbers", builds_numbers}, {"grows", grows},
           {"reads literals", reads_literals}, {"refuses what is no array", refuses_what_is_no_array},
           {"reads back what it builds", reads_back_what_it_builds})
