/* roomclaim migrate. */
#include "migrate.h"

#include "cli/application.h"
#include "cli/database.h"
#include "cli/plan.h"
#include "cli/schema.h"
#include "common/alloc.h"

#include <inttypes.h>
#include <stdio.h>

/* The enum's value, the table, everything else, and repetitions of what met another session. */
enum { ROUNDS_MAX = 12 };

#define DENIED_ENUM "Only the type's owner may add the value: let it run what `roomclaim migrate` prints first"
#define DENIED_BOOTSTRAP "The role needs CREATE on the database, and on the schema of the table"
#define DENIED_SCHEMA \
    "Nothing was changed. The role needs CREATE on the database, and must own what is in the schema roomclaim"
#define DENIED_ROLES \
    "Nothing was changed. Run it with --no-roles, and the SQL that it prints as a role that may create roles"

struct migrate {
    const struct config *config;
    const struct migrate_options *options;
    struct database *db;
    struct application app;
    PGresult *recorded; /* roomclaim.migration: number, checksum, name; NULL when there is no such table */
    struct plan plan;
};

/* ---- what is recorded ---- */

static int read_recorded(struct migrate *m, struct error *ret_err)
{
    AUTO(database_clear) PGresult *rows = NULL;
    const int code =
        database_ask(m->db, "SELECT to_regclass('roomclaim.migration') IS NOT NULL", NULL, 0, &rows, ret_err);
    if (code != EXIT_DONE || strcmp(PQgetvalue(rows, 0, 0), "t") != 0)
        return code;
    return database_ask(m->db, "SELECT number, checksum, name FROM roomclaim.migration ORDER BY number", NULL, 0,
                        &m->recorded, ret_err);
}

/* The recorded checksum, or NULL. */
static const char *find_recorded(const struct migrate *m, int number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    for (int i = 0; m->recorded != NULL && i < PQntuples(m->recorded); i++) {
        if (strcmp(PQgetvalue(m->recorded, i, 0), text) == 0)
            return PQgetvalue(m->recorded, i, 1);
    }
    return NULL;
}

/* What ran once must be what this program carries, and nothing may have run that it does not know. */
static int check_recorded(const struct migrate *m, struct error *ret_err)
{
    for (size_t i = 0; i < schema_migration_count; i++) {
        const struct schema_migration *migration = &schema_migrations[i];
        char checksum[SCHEMA_CHECKSUM_SIZE];
        schema_checksum(migration->sql, "", checksum);
        const char *recorded = find_recorded(m, migration->number);
        if (recorded == NULL || strcmp(recorded, checksum) == 0)
            continue;
        error_set(ret_err, ERROR_OPERATOR,
                  "the migration %s is not the one that was run in this database (checksum %.12s, recorded %.12s). A "
                  "migration never changes once it is run: use the program that belongs to this database",
                  migration->file, checksum, recorded);
        return EXIT_CONFIG;
    }
    const int last = m->recorded != NULL ? PQntuples(m->recorded) - 1 : -1;
    if (last < 0 || strtol(PQgetvalue(m->recorded, last, 0), NULL, 10) <= (long)schema_migration_count)
        return EXIT_DONE;
    error_set(ret_err, ERROR_OPERATOR,
              "this database was migrated by a newer roomclaim (%s is unknown here, %s): use that version",
              PQgetvalue(m->recorded, last, 2), ROOMCLAIM_VERSION);
    return EXIT_CONFIG;
}

/* ---- the plan ---- */

/* Appends the statement that records what was run. */
static void put_record(int number, const char *name, const char *checksum, struct text *sql)
{
    text_printf(sql,
                "INSERT INTO roomclaim.migration AS m (number, name, checksum) VALUES (%d, '%s', '%s')\n"
                "ON CONFLICT (number) DO UPDATE SET checksum = excluded.checksum, applied_at = clock_timestamp();\n",
                number, name, checksum);
}

/* A schema that an administrator made and gave to the role is enough: CREATE on the database is not asked for then. */
static void plan_record_table(struct migrate *m)
{
    if (m->recorded != NULL)
        return;
    static const char sql[] =
        "DO $$ BEGIN\n"
        "    IF to_regnamespace('roomclaim') IS NULL THEN\n"
        "        CREATE SCHEMA roomclaim;\n"
        "    END IF;\n"
        "END $$;\n"
        "CREATE TABLE roomclaim.migration (\n"
        "    number     int PRIMARY KEY, -- 0 and below: what is run again when its text changes\n"
        "    name       text NOT NULL,\n"
        "    checksum   text NOT NULL,\n"
        "    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()\n"
        ");\n";
    plan_add(&m->plan, xstrdup("schema roomclaim"), xstrdup(sql), DENIED_SCHEMA);
}

static bool plan_migrations(struct migrate *m, struct error *ret_err)
{
    for (size_t i = 0; i < schema_migration_count; i++) {
        const struct schema_migration *migration = &schema_migrations[i];
        if (find_recorded(m, migration->number) != NULL)
            continue;
        struct text sql = {0};
        if (!schema_render(migration->sql, &m->app.binding, &sql, ret_err)) {
            text_free(&sql);
            return false;
        }
        char checksum[SCHEMA_CHECKSUM_SIZE];
        schema_checksum(migration->sql, "", checksum);
        put_record(migration->number, migration->file, checksum, &sql);
        plan_add(&m->plan, xasprintf("migration %s", migration->file), text_take(&sql), DENIED_SCHEMA);
    }
    return true;
}

static bool is_recorded(const struct migrate *m, int number, const char *checksum)
{
    const char *recorded = find_recorded(m, number);
    return recorded != NULL && strcmp(recorded, checksum) == 0;
}

/* A function that is new, or takes other arguments now, lacks the roles' grants, so they are run again with them. */
static void plan_functions(struct migrate *m, const char *functions, const char *roles)
{
    char checksum[SCHEMA_CHECKSUM_SIZE];
    schema_checksum(functions, "", checksum);
    struct text sql = {0};
    if (!is_recorded(m, SCHEMA_NUMBER_FUNCTIONS, checksum)) {
        text_puts(&sql, functions);
        put_record(SCHEMA_NUMBER_FUNCTIONS, "functions", checksum, &sql);
        plan_add(&m->plan, xasprintf("functions, bound to %s", binding_get(&m->app.binding, BINDING_BOUND)),
                 text_take(&sql), DENIED_SCHEMA);
        plan_add(&m->plan, xstrdup("partitions of the ledger"), xstrdup("SELECT roomclaim.make_partitions();\n"),
                 DENIED_SCHEMA);
    }
    schema_checksum(functions, roles, checksum);
    if (m->options->no_roles || is_recorded(m, SCHEMA_NUMBER_ROLES, checksum))
        return;
    text_puts(&sql, roles);
    put_record(SCHEMA_NUMBER_ROLES, "roles", checksum, &sql);
    plan_add(&m->plan, xstrdup("roles"), text_take(&sql), DENIED_ROLES);
}

static bool plan_schema(struct migrate *m, struct error *ret_err)
{
    AUTO(text_free) struct text functions = {0};
    AUTO(text_free) struct text roles = {0};
    if (!schema_render_functions(&m->app.binding, &functions, ret_err) ||
        !schema_render_roles(&m->app.binding, &roles, ret_err))
        return false;
    plan_begin(&m->plan);
    plan_record_table(m);
    if (!plan_migrations(m, ret_err))
        return false;
    plan_functions(m, functions.ptr, roles.ptr);
    return true;
}

/* What must be committed before the rest can be made: a new value of an enum can't be used where it was added. */
static void plan_application(struct migrate *m)
{
    const struct application *app = &m->app;
    if (app->lacks_processing) {
        plan_begin(&m->plan);
        plan_add(&m->plan, xasprintf("value processing of the enum %s", app->status_type), application_enum_sql(app),
                 DENIED_ENUM);
    }
    if (!app->exists) {
        plan_begin(&m->plan);
        plan_add(&m->plan, xasprintf("table %s", binding_get(&app->binding, BINDING_BOUND)),
                 application_bootstrap_sql(app), DENIED_BOOTSTRAP);
    }
}

/* Looks and plans, in the open transaction. */
static int make_plan(struct migrate *m, struct error *ret_err)
{
    int code = application_look(&m->app, m->config, m->options->bootstrap, m->db, ret_err);
    if (code == EXIT_DONE)
        code = read_recorded(m, ret_err);
    if (code == EXIT_DONE)
        code = check_recorded(m, ret_err);
    if (code != EXIT_DONE)
        return code;
    plan_application(m);
    return plan_schema(m, ret_err) ? EXIT_DONE : EXIT_FAILED;
}

static void forget(struct migrate *m)
{
    application_fini(&m->app);
    PQclear(TAKE(m->recorded));
    plan_clear(&m->plan);
}

/* ---- output ---- */

/* What an operator runs elsewhere; comments carry the rest, so that the whole output is SQL. */
static int print_roles(const struct migrate *m, struct error *ret_err)
{
    AUTO(text_free) struct text roles = {0};
    if (!schema_render_roles(&m->app.binding, &roles, ret_err))
        return EXIT_FAILED;
    (void)printf(
        "\n-- The roles and their grants, left out by --no-roles: to be run in this database after the rest, by a "
        "role\n"
        "-- that may create roles and is the owner of the schema roomclaim or a member of its owner. Run it again\n"
        "-- whenever the functions were made anew: until then those that are new, or take other arguments, are "
        "closed.\n"
        "BEGIN;\n%sCOMMIT;\n",
        roles.ptr);
    return EXIT_DONE;
}

static const char *line_prefix(const struct migrate *m)
{
    return m->options->no_roles ? "-- " : "";
}

/* ---- dry run ---- */

static int print_plan(struct migrate *m, struct error *ret_err)
{
    int code = database_run(m->db, "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", ret_err);
    if (code == EXIT_DONE)
        code = make_plan(m, ret_err);
    if (code == EXIT_DONE && m->app.exists)
        code = application_warn(&m->app, m->db, ret_err);
    if (code != EXIT_DONE)
        return code;
    plan_print(&m->plan, stdout);
    if (m->options->no_roles)
        code = print_roles(m, ret_err);
    if (m->plan.count == 0)
        (void)fputs("roomclaim: nothing to do\n", stderr);
    else
        (void)fprintf(stderr, "roomclaim: %zu steps would be done; nothing is changed without --execute\n",
                      m->plan.count);
    return code;
}

/* ---- execution ---- */

/* *ret_done counts the steps of the round; 0: nothing is left. */
static int run_round(struct migrate *m, size_t *ret_done, struct error *ret_err)
{
    *ret_done = 0;
    int code = plan_lock(m->db, ret_err);
    if (code == EXIT_DONE)
        code = make_plan(m, ret_err);
    if (code != EXIT_DONE)
        return code;
    *ret_done = m->plan.count;
    if (m->plan.count > 0)
        return plan_run_first(&m->plan, m->db, line_prefix(m), ret_err);
    code = application_warn(&m->app, m->db, ret_err);
    return code == EXIT_DONE ? database_run(m->db, "COMMIT", ret_err) : code;
}

static int execute(struct migrate *m, struct error *ret_err)
{
    size_t done = 1, total = 0;
    int code = EXIT_DONE;
    for (int round = 0; round < ROUNDS_MAX && done > 0; round++) {
        forget(m);
        code = run_round(m, &done, ret_err);
        if (code == EXIT_DONE) {
            total += done;
            continue;
        }
        struct error ignored;
        if (!database_may_repeat(m->db) || database_run(m->db, "ROLLBACK", &ignored) != EXIT_DONE)
            return code;
        done = 1;
    }
    if (code == EXIT_DONE && total == 0)
        (void)printf("%snothing to do\n", line_prefix(m));
    return code == EXIT_DONE && m->options->no_roles ? print_roles(m, ret_err) : code;
}

int migrate_run(const struct config *config, const struct migrate_options *options, struct error *ret_err)
{
    struct migrate m = {.config = config, .options = options};
    int code = database_open(config->database_url, &m.db, ret_err);
    if (code != EXIT_DONE)
        return code;
    code = options->execute ? execute(&m, ret_err) : print_plan(&m, ret_err);
    forget(&m);
    database_close(m.db);
    return code;
}
