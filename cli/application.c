/* The application's table as the database has it. */
#include "application.h"

#include <stdio.h>
#include <stdlib.h>

/* The name of the type that --bootstrap makes. */
#define STATUS_TYPE "feedback_status"

static const char *shown(const struct application *app)
{
    return binding_get(&app->binding, BINDING_BOUND);
}

static void copy(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text);
}

static bool is_true(const PGresult *rows, int column)
{
    return strcmp(PQgetvalue(rows, 0, column), "t") == 0;
}

/* ---- the table ---- */

static int find_table(struct application *app, struct database *db, struct error *ret_err)
{
    static const char sql[] = "SELECT c.oid, n.nspname, c.relkind IN ('r', 'p') FROM pg_class c JOIN pg_namespace n ON "
                              "n.oid = c.relnamespace "
                              "WHERE c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') "
                              "AND CASE WHEN $1 = '' THEN pg_table_is_visible(c.oid) ELSE n.nspname = $1 END";
    const char *const params[] = {app->table.schema, app->table.name};
    AUTO(database_clear) PGresult *rows = NULL;
    const int code = database_ask(db, sql, params, ARRAY_LEN(params), &rows, ret_err);
    if (code != EXIT_DONE || PQntuples(rows) == 0)
        return code;
    if (!is_true(rows, 2)) {
        error_set(ret_err, ERROR_OPERATOR, "database.table: %s is a view or a foreign table; name the table itself",
                  app->config->database_table);
        return EXIT_UNAVAILABLE;
    }
    app->exists = true;
    app->has_schema = true;
    copy(app->oid, sizeof app->oid, PQgetvalue(rows, 0, 0));
    copy(app->table.schema, sizeof app->table.schema, PQgetvalue(rows, 0, 1));
    return EXIT_DONE;
}

/* Says where was looked, and what is there that differs only by upper and lower case. */
static int refuse_missing(const struct application *app, struct database *db, struct error *ret_err)
{
    static const char sql[] =
        "SELECT current_setting('search_path'), (SELECT string_agg(format('%I.%I', n.nspname, c.relname), ', ') "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE lower(c.relname) = lower($1) AND c.relkind IN ('r', 'p')), current_database()";
    const char *const params[] = {app->table.name};
    AUTO(database_clear) PGresult *rows = NULL;
    const int code = database_ask(db, sql, params, ARRAY_LEN(params), &rows, ret_err);
    if (code != EXIT_DONE)
        return code;
    AUTO(text_free) struct text name = {0};
    identifier_quote(app->table.name, &name);
    const char *other = PQgetvalue(rows, 0, 1);
    error_set(ret_err, ERROR_OPERATOR,
              "no table %s (database.table = %s) in the database %s, search_path %s. Names are case-sensitive: one "
              "without quotes means lower case. %s%s",
              name.ptr, app->config->database_table, PQgetvalue(rows, 0, 2), PQgetvalue(rows, 0, 0),
              *other ? "There is " : "--bootstrap would create it", other);
    return EXIT_UNAVAILABLE;
}

/* ---- its columns ---- */

static int refuse_column(const struct application *app, const char *key, const char *column, struct database *db,
                         struct error *ret_err)
{
    static const char sql[] = "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute "
                              "WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped";
    const char *const params[] = {app->oid};
    AUTO(database_clear) PGresult *rows = NULL;
    const int code = database_ask(db, sql, params, ARRAY_LEN(params), &rows, ret_err);
    if (code != EXIT_DONE)
        return code;
    error_set(ret_err, ERROR_OPERATOR, "%s has no column %s (%s, case-sensitive, without quotes); its columns: %s",
              shown(app), column, key, PQgetvalue(rows, 0, 0));
    return EXIT_UNAVAILABLE;
}

/* The functions run with the rights of the role that makes them. */
static int check_column(const struct application *app, const char *key, const char *column, const char *right,
                        struct database *db, struct error *ret_err)
{
    static const char sql[] =
        "SELECT has_column_privilege(a.attrelid, a.attnum, $3), "
        "format('GRANT %s (%I) ON %I.%I TO %I', $3::text, a.attname, $4::text, $5::text, current_user) "
        "FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped";
    const char *const params[] = {app->oid, column, right, app->table.schema, app->table.name};
    AUTO(database_clear) PGresult *rows = NULL;
    const int code = database_ask(db, sql, params, ARRAY_LEN(params), &rows, ret_err);
    if (code != EXIT_DONE)
        return code;
    if (PQntuples(rows) == 0)
        return refuse_column(app, key, column, db, ret_err);
    if (is_true(rows, 0))
        return EXIT_DONE;
    error_set(ret_err, ERROR_OPERATOR, "a right is missing that the functions need; let the owner run: %s",
              PQgetvalue(rows, 0, 1));
    return EXIT_UNAVAILABLE;
}

static int check_columns(const struct application *app, struct database *db, struct error *ret_err)
{
    const struct config *config = app->config;
    const struct {
        const char *key, *column, *right;
    } columns[] = {{"database.id_column", config->database_id_column, "SELECT"},
                   {"database.room_column", config->database_room_column, "SELECT"},
                   {"database.status_column", config->database_status_column, "SELECT"},
                   {"database.status_column", config->database_status_column, "UPDATE"},
                   {"database.result_column", config->database_result_column, "UPDATE"}};
    int code = EXIT_DONE;
    for (size_t i = 0; i < ARRAY_LEN(columns) && code == EXIT_DONE; i++) {
        if (*columns[i].column != '\0')
            code = check_column(app, columns[i].key, columns[i].column, columns[i].right, db, ret_err);
    }
    const struct config_list *inputs = &config->database_input_columns;
    for (size_t i = 0; i < inputs->count && code == EXIT_DONE; i++)
        code = check_column(app, "database.input_columns", inputs->items[i], "SELECT", db, ret_err);
    return code;
}

/* ---- the type of the status ---- */

/* Of one type t: is it an enum, is it text; its full name; its labels; which of ours it has. */
#define TYPE_FACTS                                                                                                  \
    "SELECT t.typtype = 'e', t.typcategory = 'S', format('%I.%I', n.nspname, t.typname), "                          \
    "array_to_string(l.labels, ', '), l.labels @> ARRAY['initiated', 'completed'], 'processing' = ANY (l.labels), " \
    "'dropped' = ANY (l.labels) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace, "                     \
    "LATERAL (SELECT coalesce(array_agg(e.enumlabel::text ORDER BY e.enumsortorder), '{}') AS labels "              \
    "FROM pg_enum e WHERE e.enumtypid = t.oid) AS l "

enum { TYPE_IS_ENUM, TYPE_IS_TEXT, TYPE_NAME, TYPE_LABELS, TYPE_HAS_ENDS, TYPE_HAS_PROCESSING, TYPE_HAS_DROPPED };

static int take_type(struct application *app, const PGresult *rows, struct error *ret_err)
{
    const char *name = PQgetvalue(rows, 0, TYPE_NAME);
    if (!is_true(rows, TYPE_IS_ENUM)) {
        if (app->exists && is_true(rows, TYPE_IS_TEXT))
            return EXIT_DONE;
        error_set(ret_err, ERROR_OPERATOR, "the status of %s would have the type %s: an enum or text is needed",
                  shown(app), name);
        return EXIT_UNAVAILABLE;
    }
    if (!is_true(rows, TYPE_HAS_ENDS)) {
        error_set(ret_err, ERROR_OPERATOR,
                  "the enum %s (status of %s) needs the labels initiated and completed; it has: %s", name, shown(app),
                  PQgetvalue(rows, 0, TYPE_LABELS));
        return EXIT_UNAVAILABLE;
    }
    copy(app->status_type, sizeof app->status_type, name);
    app->has_type = true;
    app->lacks_processing = !is_true(rows, TYPE_HAS_PROCESSING);
    app->has_dropped = is_true(rows, TYPE_HAS_DROPPED);
    return EXIT_DONE;
}

static int look_at_status(struct application *app, struct database *db, struct error *ret_err)
{
    static const char sql[] = TYPE_FACTS "JOIN pg_attribute a ON a.attrelid = $1::oid AND a.attname = $2 "
                                         "JOIN pg_type d ON d.oid = a.atttypid "
                                         "WHERE t.oid = coalesce(nullif(d.typbasetype, 0), d.oid)";
    const char *const params[] = {app->oid, app->config->database_status_column};
    AUTO(database_clear) PGresult *rows = NULL;
    const int code = database_ask(db, sql, params, ARRAY_LEN(params), &rows, ret_err);
    return code == EXIT_DONE ? take_type(app, rows, ret_err) : code;
}

/* ---- what could be wrong only when a function runs is asked now ---- */

static int probe(struct database *db, char *sql, struct error *ret_err)
{
    const int code = database_probe(db, sql, ret_err);
    free(sql);
    return code;
}

static int probe_columns(const struct application *app, struct database *db, struct error *ret_err)
{
    const struct binding *b = &app->binding;
    struct text sql = {0};
    text_printf(&sql, "SELECT ARRAY[%s]::text[] FROM %s f WHERE f.%s = 'x'::text AND f.%s::text = 'x'",
                binding_get(b, BINDING_INPUT), binding_get(b, BINDING_TABLE), binding_get(b, BINDING_ROOM),
                binding_get(b, BINDING_ID));
    const int code = probe(db, text_take(&sql), ret_err);
    if (code != EXIT_DONE)
        return EXIT_UNAVAILABLE;
    text_printf(&sql, "UPDATE %s f SET %s = f.%s%s FROM (SELECT NULL::jsonb AS result) AS p WHERE false",
                binding_get(b, BINDING_TABLE), binding_get(b, BINDING_STATUS), binding_get(b, BINDING_STATUS),
                binding_get(b, BINDING_SET_RESULT));
    return probe(db, text_take(&sql), ret_err) == EXIT_DONE ? EXIT_DONE : EXIT_UNAVAILABLE;
}

static int probe_ready(const struct application *app, struct database *db, struct error *ret_err)
{
    struct text sql = {0};
    text_printf(&sql, "SELECT 1 FROM %s f WHERE %s", binding_get(&app->binding, BINDING_TABLE),
                binding_get(&app->binding, BINDING_READY));
    struct error err;
    const int code = probe(db, text_take(&sql), &err);
    if (code == EXIT_DONE)
        return EXIT_DONE;
    error_set(ret_err, err.class, "database.input_ready is no condition on %s f (functions need their schema): %s",
              shown(app), err.text);
    return code == EXIT_FAILED ? EXIT_CONFIG : code;
}

static int probe_all(const struct application *app, struct database *db, struct error *ret_err)
{
    int code = database_run(db, "SET LOCAL search_path = roomclaim, pg_catalog, pg_temp", ret_err);
    if (code == EXIT_DONE)
        code = probe_columns(app, db, ret_err);
    if (code == EXIT_DONE)
        code = probe_ready(app, db, ret_err);
    return code;
}

/* ---- what --bootstrap would find ---- */

/* Where the table is to be made, and whether its schema and the type are there. */
static int look_for_bootstrap(struct application *app, struct database *db, struct error *ret_err)
{
    static const char schema_sql[] =
        "SELECT coalesce(nullif($1, ''), current_schema()), EXISTS (SELECT 1 FROM pg_namespace "
        "WHERE nspname = coalesce(nullif($1, ''), current_schema()))";
    const char *const params[] = {app->table.schema, STATUS_TYPE};
    AUTO(database_clear) PGresult *rows = NULL;
    int code = database_ask(db, schema_sql, params, 1, &rows, ret_err);
    if (code != EXIT_DONE)
        return code;
    if (PQgetisnull(rows, 0, 0)) {
        error_set(ret_err, ERROR_OPERATOR,
                  "search_path names no schema that exists: write database.table as schema.table");
        return EXIT_UNAVAILABLE;
    }
    copy(app->table.schema, sizeof app->table.schema, PQgetvalue(rows, 0, 0));
    app->has_schema = is_true(rows, 1);
    AUTO(text_free) struct text type = {0};
    identifier_quote(app->table.schema, &type);
    copy(app->status_type, sizeof app->status_type, type.ptr);
    const size_t len = strlen(app->status_type);
    copy(app->status_type + len, sizeof app->status_type - len, "." STATUS_TYPE);
    return EXIT_DONE;
}

static int look_for_type(struct application *app, struct database *db, struct error *ret_err)
{
    static const char sql[] = TYPE_FACTS "WHERE n.nspname = $1 AND t.typname = $2";
    const char *const params[] = {app->table.schema, STATUS_TYPE};
    AUTO(database_clear) PGresult *rows = NULL;
    const int code = database_ask(db, sql, params, ARRAY_LEN(params), &rows, ret_err);
    if (code != EXIT_DONE || PQntuples(rows) == 0)
        return code;
    return take_type(app, rows, ret_err);
}

/* ---- all of it ---- */

static int bind_names(struct application *app, struct error *ret_err)
{
    return binding_init(&app->binding, app->config, &app->table, ret_err) ? EXIT_DONE : EXIT_CONFIG;
}

static int look_at_existing(struct application *app, struct database *db, struct error *ret_err)
{
    int code = bind_names(app, ret_err);
    if (code == EXIT_DONE)
        code = check_columns(app, db, ret_err);
    if (code == EXIT_DONE)
        code = look_at_status(app, db, ret_err);
    if (code == EXIT_DONE)
        code = probe_all(app, db, ret_err);
    return code;
}

static int look_at_missing(struct application *app, bool bootstrap, struct database *db, struct error *ret_err)
{
    if (!bootstrap)
        return refuse_missing(app, db, ret_err);
    int code = look_for_bootstrap(app, db, ret_err);
    if (code == EXIT_DONE)
        code = bind_names(app, ret_err);
    if (code == EXIT_DONE)
        code = look_for_type(app, db, ret_err);
    return code;
}

int application_look(struct application *app, const struct config *config, bool bootstrap, struct database *db,
                     struct error *ret_err)
{
    *app = (struct application){.config = config};
    struct error err;
    if (!identifier_parse(config->database_table, &app->table, &err)) {
        error_set(ret_err, err.class, "database.table %s", err.text);
        return EXIT_CONFIG;
    }
    const int code = find_table(app, db, ret_err);
    if (code != EXIT_DONE)
        return code;
    return app->exists ? look_at_existing(app, db, ret_err) : look_at_missing(app, bootstrap, db, ret_err);
}

void application_fini(struct application *app)
{
    binding_fini(&app->binding);
}

/* ---- what is to be done ---- */

char *application_enum_sql(const struct application *app)
{
    struct text sql = {0};
    text_printf(&sql, "ALTER TYPE %s ADD VALUE IF NOT EXISTS 'processing'%s;\n", app->status_type,
                app->has_dropped ? " BEFORE 'dropped'" : "");
    return text_take(&sql);
}

/* A line of the column list, unless the name is one of those that stand there already. */
static void put_column(const struct application *app, const char *name, const char *type, struct text *out)
{
    const struct config *config = app->config;
    if (*name == '\0' || strcmp(name, config->database_id_column) == 0 ||
        strcmp(name, config->database_room_column) == 0 || strcmp(name, config->database_status_column) == 0)
        return;
    text_puts(out, ",\n    ");
    identifier_quote(name, out);
    text_printf(out, " %s", type);
}

char *application_bootstrap_sql(const struct application *app)
{
    const struct config *config = app->config;
    struct text sql = {0};
    if (!app->has_schema) {
        text_puts(&sql, "CREATE SCHEMA ");
        identifier_quote(app->table.schema, &sql);
        text_puts(&sql, ";\n");
    }
    if (!app->has_type)
        text_printf(&sql, "CREATE TYPE %s AS ENUM ('initiated', 'processing', 'dropped', 'completed');\n",
                    app->status_type);
    text_printf(&sql,
                "CREATE TABLE %s (\n    %s uuid PRIMARY KEY DEFAULT gen_random_uuid(),\n    %s text UNIQUE,\n"
                "    %s %s NOT NULL DEFAULT 'initiated'",
                binding_get(&app->binding, BINDING_TABLE), binding_get(&app->binding, BINDING_ID),
                binding_get(&app->binding, BINDING_ROOM), binding_get(&app->binding, BINDING_STATUS), app->status_type);
    for (size_t i = 0; i < config->database_input_columns.count; i++)
        put_column(app, config->database_input_columns.items[i], "text", &sql);
    put_column(app, config->database_result_column, "jsonb", &sql);
    put_column(app, "createdAt", "timestamptz DEFAULT now()", &sql);
    put_column(app, "updatedAt", "timestamptz DEFAULT now()", &sql);
    text_puts(&sql, "\n);\n");
    return text_take(&sql);
}

/* ---- warnings ---- */

enum { ROWS_TO_GROUP = 5000000 }; /* in a larger table rooms are not counted: it takes minutes */

/* Whether a look-up of a text by the room's column can use an index, whether the column is unique, whether row-level
 * security applies to the role that will own the functions, whether the table is small enough to be read. */
static const char health_sql[] =
    "SELECT coalesce(bool_or(i.usable), false) AND a.atttypid IN ('text'::regtype, 'varchar'::regtype), "
    "coalesce(bool_or(i.is_unique), false), row_security_active(c.oid), c.reltuples < $3::float8, current_user "
    "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 "
    "LEFT JOIN (SELECT x.indrelid, x.indkey[0] AS attnum, m.amname IN ('btree', 'hash') AS usable, "
    "           x.indisunique AND x.indnkeyatts = 1 AS is_unique "
    "           FROM pg_index x JOIN pg_class k ON k.oid = x.indexrelid JOIN pg_am m ON m.oid = k.relam "
    "           WHERE x.indisvalid AND x.indpred IS NULL) AS i ON i.indrelid = c.oid AND i.attnum = a.attnum "
    "WHERE c.oid = $1::oid GROUP BY c.oid, c.reltuples, a.atttypid";

enum { HEALTH_INDEX, HEALTH_UNIQUE, HEALTH_ROW_SECURITY, HEALTH_SMALL, HEALTH_USER };

static int warn_doubles(const struct application *app, struct database *db, struct error *ret_err)
{
    struct text sql = {0};
    const char *room = binding_get(&app->binding, BINDING_ROOM);
    text_printf(&sql,
                "SELECT count(*), min(r) FROM (SELECT f.%s AS r FROM %s f WHERE f.%s IS NOT NULL "
                "GROUP BY f.%s HAVING count(*) > 1 LIMIT 1000) AS doubles",
                room, binding_get(&app->binding, BINDING_TABLE), room, room);
    AUTO(database_clear) PGresult *rows = NULL;
    const int code = database_ask(db, sql.ptr, NULL, 0, &rows, ret_err);
    text_free(&sql);
    if (code == EXIT_DONE && strcmp(PQgetvalue(rows, 0, 0), "0") != 0)
        (void)fprintf(stderr,
                      "roomclaim: warning: %s rooms have two or more rows in %s (%s is one): such rooms are parked as "
                      "ambiguous. Delete the rows that are too many, then make the column unique\n",
                      PQgetvalue(rows, 0, 0), shown(app), PQgetvalue(rows, 0, 1));
    return code;
}

int application_warn(const struct application *app, struct database *db, struct error *ret_err)
{
    const struct config *config = app->config;
    char limit[16];
    snprintf(limit, sizeof limit, "%d", ROWS_TO_GROUP);
    const char *const params[] = {app->oid, config->database_room_column, limit};
    AUTO(database_clear) PGresult *rows = NULL;
    const int code = database_ask(db, health_sql, params, ARRAY_LEN(params), &rows, ret_err);
    if (code != EXIT_DONE)
        return code;
    if (!is_true(rows, HEALTH_INDEX))
        (void)fprintf(
            stderr,
            "roomclaim: warning: no index serves look-ups by %s in %s: every claim would read the whole table. "
            "CREATE UNIQUE INDEX CONCURRENTLY ON %s (%s), of type text\n",
            config->database_room_column, shown(app), binding_get(&app->binding, BINDING_TABLE),
            binding_get(&app->binding, BINDING_ROOM));
    if (is_true(rows, HEALTH_ROW_SECURITY))
        (void)fprintf(stderr,
                      "roomclaim: warning: row-level security of %s applies to the role %s, which owns the functions: "
                      "rooms whose rows it hides are never found. ALTER ROLE ... BYPASSRLS, or a policy for it\n",
                      shown(app), PQgetvalue(rows, 0, HEALTH_USER));
    if (is_true(rows, HEALTH_UNIQUE) || !is_true(rows, HEALTH_SMALL))
        return EXIT_DONE;
    return warn_doubles(app, db, ret_err);
}
