/* What the SQL templates are bound to. */
#include "binding.h"

#include <stdlib.h>

/* Plans are made while tables may be empty and are kept: the sessions that keep them must never scan a large one. A
 * scan that nothing can avoid has a huge cost then, and would be compiled at each call (50 ms): no JIT. Small batches
 * would be planned at each call, which costs more than the rest of the work. */
static const char api[] =
    "SECURITY DEFINER SET search_path = roomclaim, pg_catalog, pg_temp SET enable_seqscan = off SET jit = off "
    "SET enable_hashjoin = off SET enable_mergejoin = off "
    "SET plan_cache_mode = force_generic_plan";

static const char *const names[] = {
#define X(id, help) #id,
    BINDING_TABLE(X)
#undef X
};

/* f."column" */
static void put_column(const char *column, struct text *out)
{
    text_puts(out, "f.");
    identifier_quote(column, out);
}

static void put_table(const struct table_name *table, struct text *out)
{
    identifier_quote(table->schema, out);
    text_puts(out, ".");
    identifier_quote(table->name, out);
}

static void put_bound(const struct table_name *table, struct text *out)
{
    AUTO(text_free) struct text shown = {0};
    identifier_show(table->schema, &shown);
    text_puts(&shown, ".");
    identifier_show(table->name, &shown);
    identifier_escape(shown.ptr, out);
}

static void put_input(const struct config *config, struct text *out)
{
    for (size_t i = 0; i < config->database_input_columns.count; i++) {
        text_puts(out, i > 0 ? ", " : "");
        put_column(config->database_input_columns.items[i], out);
        text_puts(out, "::text");
    }
}

/* The bracket is closed on a line of its own: the operator's condition may end in a comment. */
static void put_ready(const struct config *config, struct text *out)
{
    if (*config->database_input_ready != '\0') {
        text_printf(out, "(%s\n)", config->database_input_ready);
        return;
    }
    const char *first = config->database_input_columns.items[0];
    text_puts(out, "(");
    put_column(first, out);
    text_puts(out, " IS NOT NULL AND ");
    put_column(first, out);
    text_puts(out, "::text <> '')");
}

static void put_set_result(const struct config *config, struct text *out)
{
    if (*config->database_result_column == '\0')
        return;
    text_puts(out, ", ");
    identifier_quote(config->database_result_column, out);
    text_puts(out, " = p.result");
}

static void put_values(const struct config *config, const struct table_name *table, struct text out[])
{
    put_table(table, &out[BINDING_TABLE]);
    identifier_quote(table->schema, &out[BINDING_SCHEMA]);
    put_bound(table, &out[BINDING_BOUND]);
    identifier_quote(config->database_id_column, &out[BINDING_ID]);
    identifier_quote(config->database_room_column, &out[BINDING_ROOM]);
    identifier_quote(config->database_status_column, &out[BINDING_STATUS]);
    put_input(config, &out[BINDING_INPUT]);
    put_ready(config, &out[BINDING_READY]);
    put_set_result(config, &out[BINDING_SET_RESULT]);
    text_puts(&out[BINDING_API], api);
}

bool binding_init(struct binding *binding, const struct config *config, const struct table_name *table,
                  struct error *ret_err)
{
    bool ok = true;
    struct text values[BINDING_COUNT] = {0};
    put_values(config, table, values);
    for (enum binding_id id = 0; id < BINDING_COUNT; id++) {
        binding->values[id] = (struct template_value){.name = names[id], .text = text_take(&values[id])};
        ok = ok && strstr(binding->values[id].text, "$$") == NULL;
    }
    if (ok)
        return true;
    error_set(ret_err, ERROR_OPERATOR,
              "database.table, its columns and database.input_ready may not contain $$, which ends the text of a "
              "function");
    binding_fini(binding);
    return false;
}

void binding_fini(struct binding *binding)
{
    for (size_t i = 0; i < BINDING_COUNT; i++)
        free((char *)binding->values[i].text);
    *binding = (struct binding){0};
}
