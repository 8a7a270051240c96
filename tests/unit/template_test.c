/* SQL templates: placeholders, what they are bound to, and the ones that this program carries. */
#include "cli/binding.h"
#include "cli/schema.h"
#include "cli/template.h"
#include "common/alloc.h"
#include "tests/unit/check.h"

static void replaces_placeholders(void)
{
    static const struct template_value values[] = {{"TABLE", "t"}, {"SET_RESULT", ""}, {"LOOP", "@TABLE@"}};
    static const struct {
        const char *label, *source, *want; /* want NULL: refused */
    } cases[] = {
        {"nothing", "", ""},
        {"no placeholder", "SELECT 1", "SELECT 1"},
        {"one", "FROM @TABLE@ f", "FROM t f"},
        {"first and last", "@TABLE@ @TABLE@", "t t"},
        {"side by side", "@TABLE@@TABLE@", "tt"},
        {"empty value", "a@SET_RESULT@b", "ab"},
        {"values are not read again", "@LOOP@", "@TABLE@"},
        {"an operator", "a @> b AND c <@ d", "a @> b AND c <@ d"},
        {"two signs", "x @@ y", "x @@ y"},
        {"no sign at the end", "@TABLE", "@TABLE"},
        {"a sign at the end", "a@", "a@"},
        {"a sign before one", "@@TABLE@", "@t"},
        {"small letters", "@table@", "@table@"},
        {"an address", "a@example.com", "a@example.com"},
        {"unknown", "@TABEL@", NULL},
        {"the beginning of a known one", "@TAB@", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(text_free) struct text got = {0};
        struct error err = {0};
        CHECK_LABEL(cases[i].label);
        const bool ok = template_render(cases[i].source, values, ARRAY_LEN(values), &got, &err);
        CHECK_INT(ok, cases[i].want != NULL);
        if (cases[i].want)
            CHECK_STR(got.ptr, cases[i].want);
        else
            CHECK_INT(err.class, ERROR_FATAL);
    }
}

static void set(char **field, const char *text)
{
    free(*field);
    *field = xstrdup(text);
}

/* A configuration whose names try to end what they stand in. */
static struct config *hostile_config(void)
{
    struct config *config = config_new_default();
    set(&config->database_id_column, "id\"; DROP TABLE x; --");
    set(&config->database_room_column, "room");
    set(&config->database_result_column, "Result");
    set(&config->database_input_ready, "f.done -- at last");
    return config;
}

static void binds_names(void)
{
    const struct table_name table = {.schema = "public", .name = "It's"};
    struct config *plain = config_new_default(), *hostile = hostile_config();
    const struct {
        const struct config *config;
        enum binding_id id;
        const char *want;
    } cases[] = {
        {plain, BINDING_TABLE, "\"public\".\"It's\""},
        {plain, BINDING_SCHEMA, "\"public\""},
        {plain, BINDING_BOUND, "public.\"It''s\""},
        {plain, BINDING_ROOM, "\"roomSid\""},
        {plain, BINDING_STATUS, "\"status\""},
        {plain, BINDING_INPUT, "f.\"transcript\"::text"},
        {plain, BINDING_READY, "(f.\"transcript\" IS NOT NULL AND f.\"transcript\"::text <> '')"},
        {plain, BINDING_SET_RESULT, ""},
        {hostile, BINDING_ID, "\"id\"\"; DROP TABLE x; --\""},
        {hostile, BINDING_READY, "(f.done -- at last\n)"},
        {hostile, BINDING_SET_RESULT, ", \"Result\" = p.result"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct binding binding;
        struct error err;
        CHECK_LABEL(cases[i].want);
        if (!binding_init(&binding, cases[i].config, &table, &err)) {
            CHECK_FAIL("refused: %s", err.text);
            continue;
        }
        CHECK_STR(binding_get(&binding, cases[i].id), cases[i].want);
        binding_fini(&binding);
    }
    config_free(plain);
    config_free(hostile);
}

static void refuses_what_would_end_a_function(void)
{
    struct table_name table = {.schema = "public", .name = "a$$b"};
    struct config *config = config_new_default();
    struct binding binding;
    struct error err;
    CHECK(!binding_init(&binding, config, &table, &err));
    CHECK_INT(err.class, ERROR_OPERATOR);
    table.name[1] = '\0';
    set(&config->database_input_ready, "true $$; DROP TABLE x; --");
    CHECK(!binding_init(&binding, config, &table, &err));
    config_free(config);
}

static void renders_all_that_it_carries(void)
{
    const struct table_name table = {.schema = "public", .name = "UserFeedback"};
    struct config *config = config_new_default();
    struct binding binding;
    struct error err = {0};
    AUTO(text_free) struct text sql = {0};
    if (!binding_init(&binding, config, &table, &err))
        CHECK_FAIL("%s", err.text);
    CHECK(schema_render_functions(&binding, &sql, &err) && schema_render_roles(&binding, &sql, &err));
    for (size_t i = 0; i < schema_migration_count; i++) {
        CHECK_LABEL(schema_migrations[i].file);
        CHECK(schema_render(schema_migrations[i].sql, &binding, &sql, &err));
        CHECK_INT(schema_migrations[i].number, i + 1);
        CHECK_INT(strtol(schema_migrations[i].file, NULL, 10), i + 1);
    }
    CHECK_STR(err.text, "");
    CHECK(strstr(sql.ptr, "\"public\".\"UserFeedback\"") != NULL);
    binding_fini(&binding);
    config_free(config);
}

static void sums_up_text(void)
{
    char sum[SCHEMA_CHECKSUM_SIZE], parts[SCHEMA_CHECKSUM_SIZE];
    schema_checksum("abc", "", sum);
    CHECK_STR(sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    schema_checksum("a", "bc", parts);
    CHECK_STR(parts, sum);
    schema_checksum("abd", "", parts);
    CHECK(strcmp(parts, sum) != 0);
}

CHECK_MAIN({"replaces placeholders", replaces_placeholders}, {"binds names", binds_names},
           {"refuses what would end a function", refuses_what_would_end_a_function},
           {"renders all that it carries", renders_all_that_it_carries}, {"sums up text", sums_up_text})
