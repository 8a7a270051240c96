#include "link.h"

#include "check.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "consumer/pg.h"
#include "consumer/store_sql.h"
#include "cover.h"
#include "database.h"
#include "model.h"
#include "plan.h"

#include <stdio.h>

enum { RECONNECT_FIRST_MS = 100, RECONNECT_MAX_MS = 5000, ANSWER_WITHIN_MS = 20000, CONNECTIONS_MAX = 512 };

/* One query of a pipeline, and its answer. */
struct query {
    enum { QUERY_BATCH, QUERY_FINISH, QUERY_SETTINGS, QUERY_SWEEP, QUERY_SUMMARY } kind;
    struct process *process;
    const char *worker;
    enum store_op op;
    size_t count;
    struct asked *asked;
    bool orphan; /* nobody waits for the answer any more */
    unsigned slots;
    bool expire;
    /* the answer */
    struct answered *answered;
    struct swept *swept;
    size_t swept_count;
    bool paused;
    const char *sqlstate; /* NULL: it was carried out */
};

struct pg {
    struct process *process;
    unsigned incarnation;
    struct pg_hooks hooks;
    bool connected, closing;
    bool bad;            /* the pipeline under way is not answered as it should be */
    unsigned connection; /* counted up whenever it breaks */
    unsigned pipelines;  /* sent so far */
    int64_t reconnect_ms, connected_since_ms;
    pg_done *done;
    void *done_arg;
    struct query *queries[PG_QUERIES_MAX];
    size_t count;
};

/* A pipeline on its way: it may outlive connection and process. */
struct pipeline {
    struct pg *pg;
    unsigned connection;
    struct query *queries[PG_QUERIES_MAX];
    size_t count, lost_from; /* queries from there on are not carried out */
    bool reply_lost;
};

static struct pg *connections[CONNECTIONS_MAX];
static size_t connection_count;

void link_begin(void)
{
    connection_count = 0;
}

static void note_trouble(struct process *p)
{
    p->trouble_ms = world.now_ms;
}

bool link_troubled(const struct process *p)
{
    for (size_t i = 0; i < connection_count; i++) {
        const struct pg *pg = connections[i];
        if (pg->process == p && pg->incarnation == p->incarnation && (pg->bad || !pg->connected))
            return true;
    }
    return false;
}

/* connecting */

static void try_connect(void *arg, int64_t connection);

static void break_connection(void *arg, int64_t connection)
{
    struct pg *pg = arg;
    if (pg->connection != (unsigned)connection || pg->closing)
        return;
    trace("its connection to Postgres breaks");
    note_trouble(pg->process);
    struct error err;
    error_set(&err, ERROR_RETRY, "connection to Postgres lost");
    pg->connection++;
    pg->connected = pg->bad = false;
    world_after(pg->reconnect_ms, pg->process, try_connect, pg, pg->connection);
    pg->reconnect_ms = MIN(2 * pg->reconnect_ms, RECONNECT_MAX_MS);
    pg->hooks.down(pg->hooks.arg, &err);
    if (pg->done == NULL)
        return;
    struct pg_answer answers[PG_QUERIES_MAX];
    for (size_t i = 0; i < pg->count; i++)
        answers[i] = (struct pg_answer){.err = err};
    pg_done *done = TAKE(pg->done);
    done(pg->done_arg, answers, pg->count);
}

static void try_connect(void *arg, int64_t connection)
{
    struct pg *pg = arg;
    if (pg->connection != (unsigned)connection || pg->connected || pg->closing)
        return;
    if (plan_database_away()) {
        break_connection(pg, connection);
        return;
    }
    pg->connected = true;
    note_trouble(pg->process);
    pg->reconnect_ms = RECONNECT_FIRST_MS;
    pg->connected_since_ms = clock_mono_ms();
    pg->hooks.up(pg->hooks.arg);
}

struct pg *pg_new(uv_loop_t *loop, const char *url, const char *application_name, const struct pg_hooks *hooks)
{
    (void)loop, (void)url, (void)application_name;
    struct pg *pg = world_alloc(sizeof *pg);
    *pg = (struct pg){.process = process_current,
                      .incarnation = process_current->incarnation,
                      .hooks = *hooks,
                      .reconnect_ms = RECONNECT_FIRST_MS};
    if (connection_count < CONNECTIONS_MAX)
        connections[connection_count++] = pg;
    world_after(world_between(1, 30), pg->process, try_connect, pg, 0);
    return pg;
}

void pg_close(struct pg *pg)
{
    pg->closing = true;
    pg->connected = false;
}

bool pg_connected(const struct pg *pg)
{
    return pg->connected;
}

bool pg_idle(const struct pg *pg)
{
    return pg->connected && pg->done == NULL;
}

int64_t pg_connected_since_ms(const struct pg *pg)
{
    return pg->connected ? pg->connected_since_ms : 0;
}

bool pg_url_readable(const char *url)
{
    (void)url;
    return true;
}

void link_database_away(void)
{
    for (size_t i = 0; i < connection_count; i++) {
        struct pg *pg = connections[i];
        if (!pg->process->alive || pg->process->incarnation != pg->incarnation)
            continue;
        note_trouble(pg->process);
        if (pg->connected && world_chance(700))
            world_after(world_between(0, 20), pg->process, break_connection, pg, pg->connection);
    }
}

/* the work */

static bool is_guilty(const struct query *query)
{
    const enum fault fault = query->op == STORE_OP_CLAIM ? FAULT_GUILTY_CLAIM : FAULT_GUILTY_STORE;
    if (query->kind != QUERY_BATCH || (query->op != STORE_OP_CLAIM && query->op != STORE_OP_STORE))
        return false;
    for (size_t i = 0; i < query->count; i++) {
        if (query->asked[i].room == plan_guilty_room(fault)) {
            cover_fault(fault);
            if (query->count > 1)
                cover_branch(BRANCH_HALVED);
            return true;
        }
    }
    return false;
}

static struct answered carry_out_one(const struct query *query, const struct asked *asked)
{
    switch (query->op) {
    case STORE_OP_CLAIM:
        return database_claim(asked);
    case STORE_OP_STORE:
        return database_store(asked);
    case STORE_OP_PARK:
        return database_park(asked);
    case STORE_OP_RELEASE:
        return database_release(asked);
    case STORE_OP_DLQ_ACKED:
        database_dlq_acked(asked->room);
        break;
    case STORE_OP_DEAD_PUT:
        check_dead_put(asked);
        break;
    case STORE_OP_COUNT:
        break;
    }
    return (struct answered){.outcome = STORE_ACKNOWLEDGED};
}

static void carry_out(struct query *query)
{
    static const char *const passing[] = {"40P01", "53300", "57014", "55P03", "42501"};
    if (plan_fault(FAULT_DATABASE_ERROR, 30)) {
        note_trouble(query->process);
        query->sqlstate = passing[world_below(ARRAY_LEN(passing))];
        return;
    }
    if (is_guilty(query)) {
        query->sqlstate = "22P05";
        return;
    }
    switch (query->kind) {
    case QUERY_BATCH:
        if (query->count > 1)
            cover_branch(BRANCH_BATCH);
        for (size_t i = 0; i < query->count; i++) {
            query->asked[i].orphan = query->orphan;
            query->answered[i] = carry_out_one(query, &query->asked[i]);
            trace("Postgres: %s asked %d for room %d: %s", query->worker, (int)query->op, query->asked[i].room,
                  store_outcome_names[query->answered[i].outcome]);
        }
        break;
    case QUERY_FINISH:
        for (size_t i = 0; i < query->count; i++) {
            query->answered[i].outcome = database_finish(query->asked[i].room);
            trace("Postgres: finish room %d: %s", query->asked[i].room,
                  store_outcome_names[query->answered[i].outcome]);
        }
        break;
    case QUERY_SETTINGS:
        query->paused = database.paused;
        break;
    case QUERY_SWEEP:
        query->swept_count = database_sweep(query->worker, query->slots, query->expire, query->swept);
        for (size_t i = 0; i < query->swept_count; i++)
            trace("Postgres: sweep by %s: room %d %s", query->worker, query->swept[i].room,
                  sweep_kind_names[query->swept[i].kind]);
        break;
    case QUERY_SUMMARY:
        break;
    }
}

static void answer(void *arg, int64_t number)
{
    (void)number;
    struct pipeline *pipeline = arg;
    struct pg *pg = pipeline->pg;
    if (pg->connection != pipeline->connection || pg->closing)
        return;
    if (pg->bad)
        note_trouble(pg->process);
    pg->bad = false;
    struct pg_answer answers[PG_QUERIES_MAX];
    for (size_t i = 0; i < pipeline->count; i++) {
        const struct query *query = pipeline->queries[i];
        answers[i] = (struct pg_answer){.rows = (const PGresult *)(const void *)query};
        if (query->sqlstate == NULL)
            continue;
        const enum error_class class = strcmp(query->sqlstate, "22P05") == 0   ? ERROR_REJECT
                                       : strcmp(query->sqlstate, "42501") == 0 ? ERROR_OPERATOR
                                                                               : ERROR_RETRY;
        snprintf(answers[i].sqlstate, sizeof answers[i].sqlstate, "%s", query->sqlstate);
        error_set(&answers[i].err, class, "Postgres %s", query->sqlstate);
    }
    pg_done *done = TAKE(pg->done);
    done(pg->done_arg, answers, pipeline->count);
}

static void arrive(void *arg, int64_t number)
{
    (void)number;
    struct pipeline *pipeline = arg;
    struct pg *pg = pipeline->pg;
    if (plan_database_away())
        pipeline->lost_from = 0;
    for (size_t i = 0; i < MIN(pipeline->count, pipeline->lost_from); i++) {
        pipeline->queries[i]->orphan = pg->connection != pipeline->connection;
        carry_out(pipeline->queries[i]);
    }
    if (pg->incarnation != pg->process->incarnation)
        return;
    const bool heard = pipeline->lost_from >= pipeline->count && !pipeline->reply_lost;
    const int64_t back_ms = plan_database_delay_ms();
    pg->bad = pg->bad || !heard || back_ms > 100;
    if (heard)
        world_after(back_ms, pg->process, answer, pipeline, 0);
    else if (world_chance(500))
        world_after(world_between(0, 50), pg->process, break_connection, pg, pipeline->connection);
    /* else nothing is heard any more, until the consumer's own deadline */
}

/* It has waited for an answer for long enough. */
static void give_up(void *arg, int64_t pipeline)
{
    struct pg *pg = arg;
    if (pg->done != NULL && pg->pipelines == (unsigned)pipeline)
        break_connection(pg, pg->connection);
}

void pg_run(struct pg *pg, const struct pg_query *queries, size_t count, pg_done *done, void *arg)
{
    struct pipeline *pipeline = world_alloc(sizeof *pipeline);
    *pipeline = (struct pipeline){.pg = pg, .connection = pg->connection, .count = count, .lost_from = count};
    for (size_t i = 0; i < count; i++)
        pipeline->queries[i] = (struct query *)(uintptr_t)queries[i].sql;
    pg->done = done;
    pg->done_arg = arg;
    pg->count = count;
    int64_t delay_ms = plan_database_delay_ms();
    if (plan_fault(FAULT_REQUEST_LOST, 15))
        pipeline->lost_from = world_below((unsigned)count);
    else if (plan_fault(FAULT_REPLY_LOST, 15))
        pipeline->reply_lost = true;
    else if (plan_fault(FAULT_REQUEST_LATE, 10))
        delay_ms = world_between(1000, 30000);
    pg->bad = delay_ms > 100 || pipeline->lost_from < count || pipeline->reply_lost;
    pg->pipelines++;
    world_after(delay_ms, NULL, arrive, pipeline, 0);
    world_after(ANSWER_WITHIN_MS, pg->process, give_up, pg, pg->pipelines);
}

/* consumer/store_sql.h */

static enum reason reason_of(const char *word)
{
    for (size_t i = 0; word != NULL && i < REASON_REFUSED + 1; i++) {
        if (strcmp(reason_names[i], word) == 0)
            return (enum reason)i;
    }
    return REASON_OTHER;
}

static enum call_verdict verdict_of(const char *word)
{
    for (size_t i = 0; i < CALL_VERDICT_COUNT; i++) {
        if (call_verdicts[i].name == word)
            return (enum call_verdict)i;
    }
    return CALL_OK;
}

static struct asked asked_of(const struct store_item *item, const char *worker)
{
    struct asked asked = {.process = process_current,
                          .incarnation = process_current->incarnation,
                          .worker = worker,
                          .op = item->op,
                          .room = room_number(item->room),
                          .counted = item->counted,
                          .from_topic = item->topic != NULL,
                          .delay_ms = item->delay_ms,
                          .verdict = verdict_of(item->verdict),
                          .reason = reason_of(item->reason),
                          .partition = item->partition,
                          .offset = item->offset,
                          .result = item->op == STORE_OP_STORE ? model_call_of(item->result) : -1};
    memcpy(asked.token, item->token, sizeof asked.token);
    return asked;
}

/* The batch that was built last: finish is for the same rooms. */
static struct query *last_store;

void batch_sql_build(struct batch_sql *sql, enum store_op op, struct store_item *const *items, size_t count,
                     const char *worker, const char *policy, struct pg_query *ret_query)
{
    (void)sql, (void)policy;
    struct query *query = world_alloc(sizeof *query);
    *query = (struct query){.kind = QUERY_BATCH, .process = process_current, .op = op, .count = count};
    query->worker = worker;
    query->asked = world_alloc(count * sizeof *query->asked);
    query->answered = world_alloc(count * sizeof *query->answered);
    for (size_t i = 0; i < count; i++) {
        query->asked[i] = asked_of(items[i], worker);
        if (op == STORE_OP_CLAIM)
            check_claim_sent(items[i]->arg);
    }
    *ret_query = (struct pg_query){.sql = (const char *)query};
    last_store = query;
}

void batch_sql_build_finish(struct batch_sql *sql, const char *policy, struct pg_query *ret_query)
{
    (void)sql, (void)policy;
    struct query *query = world_alloc(sizeof *query);
    *query = *last_store;
    query->kind = QUERY_FINISH;
    query->answered = world_alloc(query->count * sizeof *query->answered);
    *ret_query = (struct pg_query){.sql = (const char *)query};
}

void batch_sql_fini(struct batch_sql *sql)
{
    (void)sql;
}

static char **input_of(int room)
{
    char **input = xmalloc(2 * sizeof *input + 16);
    input[0] = (char *)(input + 2);
    snprintf(input[0], 16, "%d", room);
    return input;
}

bool batch_sql_read(enum store_op op, const PGresult *rows, struct store_item *const *items, size_t count,
                    struct error *ret_err)
{
    (void)ret_err;
    const struct query *query = (const void *)rows;
    for (size_t i = 0; i < count; i++) {
        const struct answered *answered = &query->answered[i];
        items[i]->outcome = answered->outcome;
        items[i]->finished = STORE_DONE;
        if (op == STORE_OP_CLAIM) {
            items[i]->run = answered->run == UINT32_MAX ? -1 : (int64_t)answered->run;
            items[i]->attempt = answered->attempt;
            items[i]->calls = answered->calls;
            free(TAKE(items[i]->input));
            if (answered->outcome == STORE_WON) {
                items[i]->input = input_of(query->asked[i].room);
                items[i]->input_count = 1;
            }
        } else if (op == STORE_OP_RELEASE) {
            items[i]->attempt = answered->attempt;
            snprintf(items[i]->parked_reason, sizeof items[i]->parked_reason, "%s", reason_names[answered->reason]);
        }
    }
    return true;
}

void batch_sql_read_finish(const PGresult *rows, struct store_item *const *items, size_t count)
{
    const struct query *query = (const void *)rows;
    for (size_t i = 0; i < count; i++) {
        if (items[i]->outcome == STORE_STORED)
            items[i]->finished = query->answered[i].outcome;
    }
}

void upkeep_sql_build(const char *worker, const char *slots, bool expire, bool everything, const char *policy,
                      struct pg_query ret_queries[3])
{
    (void)everything, (void)policy;
    struct query *queries = world_alloc(3 * sizeof *queries);
    for (size_t i = 0; i < 3; i++) {
        queries[i] = (struct query){.process = process_current, .worker = worker};
        ret_queries[i] = (struct pg_query){.sql = (const char *)&queries[i]};
    }
    queries[0].kind = QUERY_SETTINGS;
    queries[1].kind = QUERY_SWEEP;
    queries[1].slots = (unsigned)strtoul(slots, NULL, 10);
    queries[1].expire = expire;
    queries[1].swept = world_alloc(SWEPT_MAX * sizeof *queries[1].swept);
    queries[2].kind = QUERY_SUMMARY;
}

bool upkeep_sql_read_paused(const PGresult *rows)
{
    return ((const struct query *)(const void *)rows)->paused;
}

struct sweep_row *upkeep_sql_read_sweep(const PGresult *rows, size_t *ret_count)
{
    const struct query *query = (const void *)rows;
    struct sweep_row *out = xcalloc(query->swept_count + 1, sizeof *out);
    for (size_t i = 0; i < query->swept_count; i++) {
        const struct swept *swept = &query->swept[i];
        out[i] = (struct sweep_row){.kind = sweep_kind_names[swept->kind],
                                    .room = room_name(swept->room),
                                    .origin = "webhook",
                                    .reason = reason_names[swept->reason],
                                    .event_id = "",
                                    .topic = "",
                                    .partition = -1,
                                    .offset = -1,
                                    .attempt = swept->attempt};
    }
    *ret_count = query->swept_count;
    return out;
}

struct summary_row *upkeep_sql_read_summary(const PGresult *rows, size_t *ret_count)
{
    (void)rows;
    *ret_count = 0;
    return xcalloc(1, sizeof(struct summary_row));
}

char *policy_json(const struct config *config, const char *prompt_version)
{
    (void)config, (void)prompt_version;
    return xstrdup("");
}
