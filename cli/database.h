/* One blocking connection to Postgres for a command of the tool.
 *
 * Functions that talk to Postgres return EXIT_DONE, or the exit code of the process with *ret_err filled: what the
 * server said, without its DETAIL (it quotes rows), and without the connection's text (it may hold a password).
 */
#ifndef ROOMCLAIM_DATABASE_H
#define ROOMCLAIM_DATABASE_H

#include "common/base.h"
#include "common/config.h"
#include "common/error.h"

#include <libpq-fe.h>

struct database;

/* A server's error, and none. */
#define DATABASE_DENIED "42501"

/* url: libpq URI, conninfo, a name, or "" for libpq's own environment. Refuses a server that is too old, has another
 * encoding than UTF8, or only reads. *ret_db is owned. */
int database_open(const char *url, struct database **ret_db, struct error *ret_err) MUST_CHECK;
void database_close(struct database *db); /* rolls back what is open; NULL is fine */

/* Runs SQL of any number of statements; their rows are thrown away. */
int database_run(struct database *db, const char *sql, struct error *ret_err) MUST_CHECK;

/* Asks one statement with $1 .. $count (text form, NULL for SQL NULL). *ret_rows is owned: PQclear. */
int database_ask(struct database *db, const char *sql, const char *const *params, size_t count, PGresult **ret_rows,
                 struct error *ret_err) MUST_CHECK;

/* Lets the server parse and analyse one statement, without running it. */
int database_probe(struct database *db, const char *sql, struct error *ret_err) MUST_CHECK;

/* The SQLSTATE of the last failure; "" when the connection broke. */
const char *database_sqlstate(const struct database *db);

/* Whether the last failure may be gone when the transaction is run again: a deadlock, two that change one role. */
bool database_may_repeat(const struct database *db);

/* For AUTO(database_clear) locals. */
static inline void database_clear(PGresult **rows)
{
    PQclear(*rows);
}

#endif
