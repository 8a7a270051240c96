#include "consumer/pg.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/mutant.h"
#include "consumer/loop.h"

#include <stdio.h>

enum {
    CONNECT_TIMEOUT_S = 5,
    RECONNECT_FIRST_MS = 100,
    RECONNECT_MAX_MS = 5000,
    /* A pipeline unanswered for so long is on a dead connection; the server's statement_timeout (5 s) is shorter. */
    ANSWER_WITHIN_MS = 20000,
};

struct pg {
    uv_loop_t *loop;
    const char *url;
    char *application_name;
    struct pg_hooks hooks;
    PGconn *conn;       /* NULL while there is none */
    PGconn *connecting; /* made by the worker thread */
    uv_work_t work;
    uv_poll_t *poll;  /* NULL while there is no connection */
    uv_timer_t timer; /* reconnect while down, deadline of a pipeline while up */
    bool closing, working;
    int64_t reconnect_ms, connected_since_ms;
    /* the pipeline under way */
    pg_done *done;
    void *done_arg;
    size_t query_count, answered;
    struct pg_answer answers[PG_QUERIES_MAX];
    PGresult *results[PG_QUERIES_MAX];
};

static void connect_start(struct pg *pg);

/* By the first characters: the first row that fits counts. A class that Postgres does not know is a code that
 * somebody's trigger has raised, and so is P0, plpgsql's own: that row's fault. schema/functions/common.sql has the
 * same rule. */
static const struct {
    const char *prefix;
    enum error_class class;
} sqlstate_classes[] = {
    {"08", ERROR_RETRY}, /* connection */
    {"40", ERROR_RETRY}, /* deadlock, serialization */
    {"53", ERROR_RETRY}, /* resources */
    {"55", ERROR_RETRY}, /* locks */
    {"57", ERROR_RETRY}, /* cancelled, shutting down */
    {"58", ERROR_RETRY}, /* I/O */
    /* rights, missing tables, a read-only server, a defect: somebody must act. RC is ours. */
    {"RC", ERROR_OPERATOR},
    {"0", ERROR_OPERATOR},
    {"20", ERROR_OPERATOR},
    {"24", ERROR_OPERATOR},
    {"25", ERROR_OPERATOR},
    {"26", ERROR_OPERATOR},
    {"27", ERROR_OPERATOR},
    {"28", ERROR_OPERATOR},
    {"2B", ERROR_OPERATOR},
    {"2D", ERROR_OPERATOR},
    {"2F", ERROR_OPERATOR},
    {"34", ERROR_OPERATOR},
    {"38", ERROR_OPERATOR},
    {"39", ERROR_OPERATOR},
    {"3B", ERROR_OPERATOR},
    {"3D", ERROR_OPERATOR},
    {"3F", ERROR_OPERATOR},
    {"42", ERROR_OPERATOR},
    {"44", ERROR_OPERATOR},
    {"72", ERROR_OPERATOR},
    {"F0", ERROR_OPERATOR},
    {"HV", ERROR_OPERATOR},
    {"XX", ERROR_OPERATOR},
    {"", ERROR_REJECT}, /* 21, 22, 23, 54: the data's; P0 and what nobody knows: a trigger's */
};

enum error_class pg_error_class(const char *sqlstate)
{
    size_t i = 0;
    if (sqlstate[0] == '\0')
        return ERROR_OPERATOR; /* an answer without a code */
    if (MUTANT(12) && strncmp(sqlstate, "22", 2) == 0)
        return ERROR_RETRY;
    while (strncmp(sqlstate, sqlstate_classes[i].prefix, strlen(sqlstate_classes[i].prefix)) != 0)
        i++;
    return sqlstate_classes[i].class;
}

bool pg_url_readable(const char *url)
{
    PQconninfoOption *parts = url[0] == '\0' ? PQconndefaults() : PQconninfoParse(url, NULL);
    const bool readable = parts != NULL || (url[0] != '\0' && strpbrk(url, "=:/") == NULL); /* the name of a database */
    PQconninfoFree(parts);
    return readable;
}

bool pg_connected(const struct pg *pg)
{
    return pg->conn != NULL;
}

bool pg_idle(const struct pg *pg)
{
    return pg->conn != NULL && pg->done == NULL;
}

int64_t pg_connected_since_ms(const struct pg *pg)
{
    return pg->conn != NULL ? pg->connected_since_ms : 0;
}

/* The first line of libpq's words: the rest may be a DETAIL that quotes data. */
static void set_words(struct error *err, enum error_class class, const char *prefix, const char *words)
{
    error_set(err, class, "%s: %.*s", prefix, (int)strcspn(words, "\n"), words);
}

/* Every query of the pipeline has its answer: hand them over. The connection is idle before done runs. */
static void finish_pipeline(struct pg *pg)
{
    pg_done *done = TAKE(pg->done);
    if (pg->conn != NULL)
        uv_timer_stop(&pg->timer);
    PGresult *results[PG_QUERIES_MAX];
    struct pg_answer answers[PG_QUERIES_MAX];
    const size_t count = pg->query_count;
    memcpy(results, pg->results, sizeof results);
    memcpy(answers, pg->answers, count * sizeof *answers);
    memset(pg->results, 0, sizeof pg->results);
    done(pg->done_arg, answers, count);
    for (size_t i = 0; i < count; i++)
        PQclear(results[i]);
}

static void free_poll(uv_handle_t *handle)
{
    free(handle);
}

static void on_timer(uv_timer_t *timer);

/* The connection is gone: answer what is under way as unknown, tell, and try again later. */
static void disconnect(struct pg *pg, const struct error *err)
{
    if (pg->poll != NULL) {
        uv_poll_stop(pg->poll);
        uv_close((uv_handle_t *)TAKE(pg->poll), free_poll);
    }
    PQfinish(TAKE(pg->conn));
    uv_timer_stop(&pg->timer);
    if (!pg->closing)
        uv_timer_start(&pg->timer, on_timer, (uint64_t)pg->reconnect_ms, 0);
    pg->reconnect_ms = MIN(2 * pg->reconnect_ms, RECONNECT_MAX_MS);
    pg->hooks.down(pg->hooks.arg, err);
    if (pg->done == NULL)
        return;
    for (; pg->answered < pg->query_count; pg->answered++)
        pg->answers[pg->answered] = (struct pg_answer){.err = *err};
    finish_pipeline(pg);
}

static void disconnect_with_words(struct pg *pg)
{
    struct error err;
    set_words(&err, ERROR_RETRY, "connection to Postgres lost", PQerrorMessage(pg->conn));
    disconnect(pg, &err);
}

/* Takes result. */
static void take_answer(struct pg *pg, PGresult *result)
{
    struct pg_answer *answer = &pg->answers[pg->answered];
    *answer = (struct pg_answer){.rows = result};
    pg->results[pg->answered] = result;
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return;
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    snprintf(answer->sqlstate, sizeof answer->sqlstate, "%s", sqlstate ? sqlstate : "");
    error_set(&answer->err, pg_error_class(answer->sqlstate), "Postgres %s: %s", answer->sqlstate,
              words ? words : "no words given");
}

/* A server that only reads, or that is going down: another connection may lead to the new primary. */
static bool wants_reconnect(const struct pg *pg)
{
    bool wants = false;
    for (size_t i = 0; i < pg->query_count; i++) {
        const char *sqlstate = pg->answers[i].sqlstate;
        wants = wants || strcmp(sqlstate, "25006") == 0 || strncmp(sqlstate, "57P0", 4) == 0;
    }
    return wants;
}

/* Takes in what has arrived. Each query gives its result, then NULL; each Sync one result without a NULL behind it. */
static void read_results(struct pg *pg)
{
    while (pg->done != NULL && !PQisBusy(pg->conn)) {
        PGresult *result = PQgetResult(pg->conn);
        if (result == NULL)
            continue;
        if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            if (++pg->answered < pg->query_count)
                continue;
            const bool reconnect = wants_reconnect(pg);
            finish_pipeline(pg);
            if (reconnect && pg->conn != NULL)
                disconnect_with_words(pg);
            return;
        }
        if (pg->results[pg->answered] != NULL)
            PQclear(result);
        else
            take_answer(pg, result);
    }
}

static void on_socket(uv_poll_t *poll, int status, int events);

static void watch_socket(struct pg *pg, bool writing)
{
    uv_poll_start(pg->poll, UV_READABLE | (writing ? UV_WRITABLE : 0), on_socket);
}

/* Returns false when the connection broke (and is dealt with). */
static bool flush(struct pg *pg)
{
    const int left = PQflush(pg->conn);
    if (left < 0) {
        disconnect_with_words(pg);
        return false;
    }
    watch_socket(pg, left > 0);
    return true;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct pg *pg = poll->data;
    if (status < 0 || ((events & UV_READABLE) && !PQconsumeInput(pg->conn))) {
        disconnect_with_words(pg);
        return;
    }
    if ((events & UV_WRITABLE) && !flush(pg))
        return;
    read_results(pg);
    if (pg->conn != NULL && PQstatus(pg->conn) == CONNECTION_BAD)
        disconnect_with_words(pg);
}

static void on_deadline(struct pg *pg)
{
    struct error err;
    error_set(&err, ERROR_RETRY, "Postgres has not answered for %d s: connection given up", ANSWER_WITHIN_MS / 1000);
    disconnect(pg, &err);
}

static void on_timer(uv_timer_t *timer)
{
    struct pg *pg = timer->data;
    if (pg->conn != NULL)
        on_deadline(pg);
    else
        connect_start(pg);
}

/* On a worker thread: may block for CONNECT_TIMEOUT_S a host. */
static void connect_work(uv_work_t *work)
{
    struct pg *pg = work->data;
    char timeout[16];
    snprintf(timeout, sizeof timeout, "%d", CONNECT_TIMEOUT_S);
    /* What stands behind wins: the operator's url overrides the defaults before it. */
    const char *const names[] = {"connect_timeout",
                                 "tcp_user_timeout",
                                 "keepalives_idle",
                                 "fallback_application_name",
                                 "client_encoding",
                                 "dbname",
                                 NULL};
    const char *const values[] = {timeout, "15000", "30", pg->application_name, "UTF8", pg->url, NULL};
    pg->connecting = PQconnectdbParams(names, values, 1);
}

static void connected(struct pg *pg)
{
    pg->poll = xcalloc(1, sizeof *pg->poll);
    pg->poll->data = pg;
    loop_must(uv_poll_init(pg->loop, pg->poll, PQsocket(pg->conn)), "a connection to Postgres");
    watch_socket(pg, false);
    pg->reconnect_ms = RECONNECT_FIRST_MS;
    pg->connected_since_ms = clock_mono_ms();
    pg->hooks.up(pg->hooks.arg);
}

static void free_pg(uv_handle_t *timer)
{
    struct pg *pg = timer->data;
    free(pg->application_name);
    free(pg);
}

static void connect_done(uv_work_t *work, int status)
{
    struct pg *pg = work->data;
    pg->working = false;
    pg->conn = TAKE(pg->connecting);
    if (pg->closing) {
        PQfinish(TAKE(pg->conn));
        uv_close((uv_handle_t *)&pg->timer, free_pg);
        return;
    }
    if (status == 0 && PQstatus(pg->conn) == CONNECTION_OK && PQsetnonblocking(pg->conn, 1) == 0 &&
        PQenterPipelineMode(pg->conn) == 1) {
        connected(pg);
        return;
    }
    struct error err;
    set_words(&err, ERROR_RETRY, "cannot connect to Postgres", PQerrorMessage(pg->conn));
    disconnect(pg, &err);
}

static void connect_start(struct pg *pg)
{
    pg->working = true;
    pg->work.data = pg;
    if (uv_queue_work(pg->loop, &pg->work, connect_work, connect_done) != 0)
        connect_done(&pg->work, UV_ENOMEM);
}

struct pg *pg_new(uv_loop_t *loop, const char *url, const char *application_name, const struct pg_hooks *hooks)
{
    struct pg *pg = xcalloc(1, sizeof *pg);
    pg->loop = loop;
    pg->url = url;
    pg->application_name = xstrdup(application_name);
    pg->hooks = *hooks;
    pg->reconnect_ms = RECONNECT_FIRST_MS;
    uv_timer_init(loop, &pg->timer);
    pg->timer.data = pg;
    connect_start(pg);
    return pg;
}

void pg_close(struct pg *pg)
{
    pg->closing = true;
    if (pg->conn != NULL) {
        struct error err;
        error_set(&err, ERROR_RETRY, "the connection to Postgres is being closed");
        disconnect(pg, &err);
    }
    if (!pg->working)
        uv_close((uv_handle_t *)&pg->timer, free_pg);
}

/* Queues one query and its Sync. False: the connection is unusable. */
static bool send_query(struct pg *pg, const struct pg_query *query)
{
    return PQsendQueryParams(pg->conn, query->sql, query->param_count, NULL, query->params, NULL, NULL, 0) == 1 &&
           PQpipelineSync(pg->conn) == 1;
}

void pg_run(struct pg *pg, const struct pg_query *queries, size_t count, pg_done *done, void *arg)
{
    pg->done = done;
    pg->done_arg = arg;
    pg->query_count = MIN(count, (size_t)PG_QUERIES_MAX);
    pg->answered = 0;
    uv_timer_start(&pg->timer, on_timer, ANSWER_WITHIN_MS, 0);
    for (size_t i = 0; i < pg->query_count; i++) {
        if (!send_query(pg, &queries[i])) {
            disconnect_with_words(pg);
            return;
        }
    }
    flush(pg);
}
