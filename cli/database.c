/* One blocking connection to Postgres. */
#include "database.h"

#include "common/alloc.h"

#include <stdio.h>

enum { VERSION_LEAST = 140000 };

struct database {
    PGconn *conn;
    char sqlstate[6];
};

/* X(beginning of the SQLSTATE, may the transaction be repeated): failures for which a dependency is to blame, not this
 * program. */
#define UNAVAILABLE_TABLE(X) \
    X("08", false)           \
    X("25006", false)        \
    X("28", false)           \
    X("40", true)            \
    X("42501", false)        \
    X("53", false)           \
    X("55", false)           \
    X("57", false)           \
    X("58", false)           \
    X("XX000", true)

static const struct {
    const char *prefix;
    bool repeats;
} unavailable[] = {
#define X(prefix, repeats) {prefix, repeats},
    UNAVAILABLE_TABLE(X)
#undef X
};

static int exit_code(const char *sqlstate)
{
    for (size_t i = 0; i < ARRAY_LEN(unavailable); i++) {
        if (strncmp(sqlstate, unavailable[i].prefix, strlen(unavailable[i].prefix)) == 0)
            return EXIT_UNAVAILABLE;
    }
    return *sqlstate == '\0' ? EXIT_UNAVAILABLE : EXIT_FAILED;
}

/* libpq's lines as one. */
static void set_words(struct error *ret_err, const char *prefix, const char *words, const char *advice)
{
    char line[ERROR_TEXT_SIZE];
    snprintf(line, sizeof line, "%s", words);
    line[strcspn(line, "\n")] = '\0';
    error_set(ret_err, ERROR_OPERATOR, "%s: %s%s", prefix, line, advice);
}

/* Takes rows, which may be NULL. */
static int fail(struct database *db, PGresult *rows, struct error *ret_err)
{
    const char *sqlstate = PQresultErrorField(rows, PG_DIAG_SQLSTATE);
    const char *words = PQresultErrorField(rows, PG_DIAG_MESSAGE_PRIMARY);
    snprintf(db->sqlstate, sizeof db->sqlstate, "%s", sqlstate ? sqlstate : "");
    if (sqlstate != NULL)
        error_set(ret_err, ERROR_OPERATOR, "Postgres says: %s (SQLSTATE %s)", words ? words : "nothing", sqlstate);
    else
        set_words(ret_err, "lost the connection to Postgres", PQerrorMessage(db->conn),
                  "; run the command again: what was committed is not done twice");
    PQclear(rows);
    return exit_code(db->sqlstate);
}

/* Notices are of no use to an operator, a warning is. */
static void on_notice(void *arg UNUSED, const PGresult *notice)
{
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *words = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
    if (severity != NULL && strcmp(severity, "WARNING") == 0)
        (void)fprintf(stderr, "roomclaim: warning: Postgres says: %s\n", words ? words : "nothing");
}

/* libpq would quote a text that it can't read, with the password in it. */
static bool is_readable(const char *url)
{
    const bool is_uri = strncmp(url, "postgresql:", 11) == 0 || strncmp(url, "postgres:", 9) == 0;
    if (!is_uri && strchr(url, '=') == NULL)
        return true; /* the name of a database */
    char *words = NULL;
    PQconninfoOption *parts = PQconninfoParse(url, &words);
    PQfreemem(words);
    PQconninfoFree(parts);
    return parts != NULL;
}

static int check_server(struct database *db, struct error *ret_err)
{
    if (PQserverVersion(db->conn) < VERSION_LEAST) {
        error_set(ret_err, ERROR_OPERATOR, "Postgres %s is too old: 14 or newer is needed",
                  PQparameterStatus(db->conn, "server_version"));
        return EXIT_UNAVAILABLE;
    }
    static const char facts[] = "SELECT getdatabaseencoding(), current_database(), "
                                "pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean";
    AUTO(database_clear) PGresult *rows = NULL;
    const int code = database_ask(db, facts, NULL, 0, &rows, ret_err);
    if (code != EXIT_DONE)
        return code;
    if (strcmp(PQgetvalue(rows, 0, 0), "UTF8") != 0) {
        error_set(ret_err, ERROR_OPERATOR,
                  "the database %s has the encoding %s: UTF8 is needed; make it anew with ENCODING 'UTF8' "
                  "TEMPLATE template0",
                  PQgetvalue(rows, 0, 1), PQgetvalue(rows, 0, 0));
        return EXIT_UNAVAILABLE;
    }
    if (strcmp(PQgetvalue(rows, 0, 2), "t") == 0) {
        error_set(ret_err, ERROR_OPERATOR,
                  "this server or session is read-only (a replica?): let database.url name the primary server");
        return EXIT_UNAVAILABLE;
    }
    return EXIT_DONE;
}

static PGconn *connect_to(const char *url)
{
    /* What stands behind wins: the operator's url overrides the defaults before it. Of several hosts the one that can
     * write is meant. */
    const char *const names[] = {"connect_timeout",
                                 "target_session_attrs",
                                 "tcp_user_timeout",
                                 "fallback_application_name",
                                 "client_encoding",
                                 "dbname",
                                 NULL};
    const bool several = strchr(url, ',') != NULL;
    const char *const values[] = {"10", several ? "read-write" : "any", "60000", "roomclaim", "UTF8", url, NULL};
    return PQconnectdbParams(names, values, 1);
}

int database_open(const char *url, struct database **ret_db, struct error *ret_err)
{
    if (!is_readable(url)) {
        error_set(ret_err, ERROR_OPERATOR,
                  "database.url: libpq can't read it; write postgresql://user@host:port/database (a password's special "
                  "characters as %%40 and the like) or host=... dbname=...");
        return EXIT_CONFIG;
    }
    struct database *db = xcalloc(1, sizeof *db);
    db->conn = connect_to(url);
    int code = EXIT_UNAVAILABLE;
    if (PQstatus(db->conn) != CONNECTION_OK) {
        set_words(ret_err, "cannot connect to Postgres (database.url)", PQerrorMessage(db->conn), "");
    } else {
        PQsetNoticeReceiver(db->conn, on_notice, NULL);
        code = check_server(db, ret_err);
    }
    if (code == EXIT_DONE)
        *ret_db = db;
    else
        database_close(db);
    return code;
}

void database_close(struct database *db)
{
    if (db == NULL)
        return;
    PQfinish(db->conn);
    free(db);
}

int database_run(struct database *db, const char *sql, struct error *ret_err)
{
    PGresult *rows = PQexec(db->conn, sql);
    const ExecStatusType status = PQresultStatus(rows);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        return fail(db, rows, ret_err);
    PQclear(rows);
    return EXIT_DONE;
}

int database_ask(struct database *db, const char *sql, const char *const *params, size_t count, PGresult **ret_rows,
                 struct error *ret_err)
{
    PGresult *rows = PQexecParams(db->conn, sql, (int)count, NULL, params, NULL, NULL, 0);
    if (PQresultStatus(rows) != PGRES_TUPLES_OK)
        return fail(db, rows, ret_err);
    *ret_rows = rows;
    return EXIT_DONE;
}

int database_probe(struct database *db, const char *sql, struct error *ret_err)
{
    PGresult *rows = PQprepare(db->conn, "", sql, 0, NULL);
    if (PQresultStatus(rows) != PGRES_COMMAND_OK)
        return fail(db, rows, ret_err);
    PQclear(rows);
    return EXIT_DONE;
}

const char *database_sqlstate(const struct database *db)
{
    return db->sqlstate;
}

bool database_may_repeat(const struct database *db)
{
    for (size_t i = 0; i < ARRAY_LEN(unavailable); i++) {
        if (strncmp(db->sqlstate, unavailable[i].prefix, strlen(unavailable[i].prefix)) == 0)
            return unavailable[i].repeats;
    }
    return false;
}
