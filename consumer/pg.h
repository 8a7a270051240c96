/* One asynchronous connection to Postgres on the loop: connect, run a pipeline, reconnect. It knows no tables.
 *
 * Connecting (name look-up, TLS, authentication) happens on a worker thread of libuv, so the loop never blocks. One
 * pipeline is under way at a time; each of its queries is a transaction of its own (a Sync behind each). When the
 * connection breaks, what was not answered has an unknown outcome: callers re-send what is idempotent.
 */
#ifndef ROOMCLAIM_PG_H
#define ROOMCLAIM_PG_H

#include "common/base.h"
#include "common/error.h"

#include <libpq-fe.h>
#include <uv.h>

struct pg;

enum { PG_PARAMS_MAX = 20, PG_QUERIES_MAX = 12, PG_SQLSTATE_SIZE = 6 };

struct pg_query {
    const char *sql; /* one statement, $1 .. $n */
    int param_count;
    const char *params[PG_PARAMS_MAX]; /* text form, NULL for SQL NULL; borrowed until the answer */
};

struct pg_answer {
    const PGresult *rows;            /* when err.class is NONE; borrowed for the call of done */
    struct error err;                /* REJECT: the data's own fault; RETRY, OPERATOR: wait. Words without DETAIL */
    char sqlstate[PG_SQLSTATE_SIZE]; /* "" when the connection broke */
};

struct pg_hooks {
    void *arg;
    void (*up)(void *arg);                            /* connected: pg_run may be called */
    void (*down)(void *arg, const struct error *err); /* broken, or could not connect; it goes on trying */
};

/* answers: one for each query, in order. */
typedef void pg_done(void *arg, const struct pg_answer *answers, size_t count);

/* Borrows url for the life of the connection ("" = libpq's own environment). Starts connecting. Returns owned. */
struct pg *pg_new(uv_loop_t *loop, const char *url, const char *application_name, const struct pg_hooks *hooks);
/* Closes; a pipeline under way is answered as broken first. The memory goes when the loop has run on. */
void pg_close(struct pg *pg);

bool pg_idle(const struct pg *pg); /* connected and nothing under way */
bool pg_connected(const struct pg *pg);
/* When the connection was last made, by clock_mono_ms; 0 while there is none. */
int64_t pg_connected_since_ms(const struct pg *pg);

/* Sends the queries as one pipeline. Only when pg_idle. done is called exactly once: later, or in this very call when
 * the connection turns out to be broken. */
void pg_run(struct pg *pg, const struct pg_query *queries, size_t count, pg_done *done, void *arg);

/* False when libpq can't make sense of url. Its own words must not be shown then: they quote the whole text, password
 * included. */
bool pg_url_readable(const char *url);

/* Whose fault an SQLSTATE is: REJECT for classes 21, 22, 23, 54 and P0001 (the data's own), RETRY or OPERATOR
 * otherwise. */
enum error_class pg_error_class(const char *sqlstate);

#endif
