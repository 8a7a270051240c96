#include "consumer/store.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "consumer/pg.h"
#include "consumer/store_sql.h"

#include <stdio.h>

enum {
    BATCH_MAX = 500, /* items: beyond it a batch gains nothing and one guilty room costs more halvings */
    BLOCK_FIRST_MS = 200,
    BLOCK_MAX_MS = 5000,
};

#define LANE_TABLE(X)   \
    X(CLAIMS, "claims") \
    X(WRITES, "writes") \
    X(UPKEEP, "upkeep")
enum lane_id {
#define X(id, name) LANE_##id,
    LANE_TABLE(X)
#undef X
        LANE_COUNT
};
static const char *const lane_names[] = {
#define X(id, name) name,
    LANE_TABLE(X)
#undef X
};
static const enum lane_id op_lanes[] = {
#define X(id, name, lane) LANE_##lane,
    STORE_OP_TABLE(X)
#undef X
};

static const char *const sent_points[] = {
#define X(id, name, lane) name "_sent",
    STORE_OP_TABLE(X)
#undef X
};

const char *const store_outcome_names[STORE_OUTCOME_COUNT] = {
#define X(id, name, help) name,
    STORE_OUTCOME_TABLE(X)
#undef X
};

/* The items of one function: those that wait, and those of the batch under way. */
struct queue {
    struct store_item *head, **tail;
    size_t waiting;
    size_t cap; /* most items of the next batch: halved around a guilty one, doubled when all is well */
    struct store_item *batch[BATCH_MAX];
    size_t batch_count;
    struct batch_sql sql;
};

struct lane {
    struct store *store;
    enum lane_id id;
    struct pg *pg;
    bool healthy;
    bool refused;      /* Postgres has answered, and not done it: only another answer makes the lane healthy */
    struct error told; /* the words logged last */
    int64_t blocked_until_ms, block_ms;
    uv_timer_t timer;
    enum store_op sent[PG_QUERIES_MAX]; /* the op of each batch of the pipeline under way */
    size_t sent_count;
};

struct store {
    uv_loop_t *loop;
    const struct config *config;
    struct store_hooks hooks;
    struct lane lanes[LANE_COUNT];
    struct queue queues[STORE_OP_COUNT];
    uv_prepare_t prepare; /* flushes what one round of the loop has gathered */
    char *policy;
    bool healthy, closing;
    bool interrupted; /* the writes were, and what they had in hand is not stored yet */
    unsigned open_handles;
    /* upkeep under way */
    upkeep_done *upkeep_done;
    void *upkeep_arg;
    char slots_text[24];
};

static size_t total_waiting(const struct store *store)
{
    size_t n = 0;
    for (size_t i = 0; i < STORE_OP_COUNT; i++)
        n += store->queues[i].waiting + store->queues[i].batch_count;
    return n;
}

size_t store_pending(const struct store *store)
{
    return total_waiting(store);
}

bool store_healthy(const struct store *store)
{
    return store->healthy;
}

static void set_health(struct store *store, const struct error *err)
{
    bool healthy = true;
    for (size_t i = 0; i < LANE_COUNT; i++)
        healthy = healthy && store->lanes[i].healthy && pg_connected(store->lanes[i].pg);
    if (healthy == store->healthy)
        return;
    store->healthy = healthy;
    store->hooks.health(store->hooks.arg, healthy, err);
}

/* Nothing is sent on the lane for a while, doubling; the timer only wakes the loop. */
static void wake(uv_timer_t *timer)
{
    (void)timer;
}

static void lane_block(struct lane *lane, const struct error *err)
{
    if ((lane->healthy || strcmp(err->text, lane->told.text) != 0) && !lane->store->closing)
        log_warn("Postgres does not do its work; waiting and trying again", LOG_STR("lane", lane_names[lane->id]),
                 LOG_STR("error", err->text));
    lane->told = *err;
    lane->healthy = false;
    if (lane->id == LANE_WRITES)
        lane->store->interrupted = true;
    lane->block_ms = MIN(MAX(2 * lane->block_ms, BLOCK_FIRST_MS), BLOCK_MAX_MS);
    lane->blocked_until_ms = clock_mono_ms() + lane->block_ms;
    if (!lane->store->closing)
        uv_timer_start(&lane->timer, wake, (uint64_t)lane->block_ms, 0);
    set_health(lane->store, err);
}

/* A server that ends is none that refuses: the next one may do it. */
static void lane_block_by_answer(struct lane *lane, const struct pg_answer *answer)
{
    lane->refused = answer->sqlstate[0] != '\0' && strncmp(answer->sqlstate, "57P", 3) != 0;
    lane_block(lane, &answer->err);
}

static void lane_unblock(struct lane *lane)
{
    if (!lane->healthy)
        log_info("Postgres works again", LOG_STR("lane", lane_names[lane->id]));
    lane->healthy = true;
    lane->refused = false;
    lane->block_ms = 0;
    lane->blocked_until_ms = 0;
    set_health(lane->store, NULL);
}

void store_submit(struct store *store, struct store_item *item)
{
    struct queue *queue = &store->queues[item->op];
    item->next = NULL;
    *queue->tail = item;
    queue->tail = &item->next;
    queue->waiting++;
}

static void queue_take_batch(struct queue *queue)
{
    while (queue->head != NULL && queue->batch_count < queue->cap) {
        struct store_item *item = queue->head;
        queue->head = item->next;
        queue->batch[queue->batch_count++] = item;
    }
    queue->waiting -= queue->batch_count;
    if (queue->head == NULL)
        queue->tail = &queue->head;
}

/* What was not answered goes back to the front, in its order. */
static void queue_put_back(struct queue *queue)
{
    for (size_t i = queue->batch_count; i-- > 0;) {
        struct store_item *item = queue->batch[i];
        item->next = queue->head;
        queue->head = item;
        if (item->next == NULL)
            queue->tail = &item->next;
    }
    queue->waiting += queue->batch_count;
    queue->batch_count = 0;
}

static void batch_done(struct queue *queue)
{
    struct store_item *items[BATCH_MAX];
    const size_t count = queue->batch_count;
    memcpy(items, queue->batch, count * sizeof(struct store_item *));
    queue->batch_count = 0;
    queue->cap = MIN(2 * queue->cap, BATCH_MAX);
    for (size_t i = 0; i < count; i++)
        items[i]->done(items[i]);
}

/* One item of the batch is at fault: alone it is answered, among others the batch is halved until it is alone. */
static void batch_guilty(struct queue *queue, const struct pg_answer *answer)
{
    if (queue->batch_count > 1) {
        queue->cap = queue->batch_count / 2;
        queue_put_back(queue);
        return;
    }
    queue->batch[0]->outcome = STORE_GUILTY;
    queue->batch[0]->err = answer->err;
    batch_done(queue);
}

static void batch_failed(struct lane *lane, struct queue *queue, const struct pg_answer *answer)
{
    if (answer->err.class == ERROR_REJECT) {
        lane_unblock(lane); /* Postgres does its work */
        batch_guilty(queue, answer);
        return;
    }
    if (strcmp(answer->sqlstate, "57014") == 0) /* statement_timeout */
        queue->cap = MAX(queue->batch_count / 2, (size_t)1);
    queue_put_back(queue);
    lane_block_by_answer(lane, answer);
}

/* Reads finish's answer beside store's. Without one the rooms stay analysed, and the sweep finishes them. */
static void read_finish(struct queue *queue, const struct pg_answer *answer)
{
    if (answer->err.class == ERROR_NONE)
        batch_sql_read_finish(answer->rows, queue->batch, queue->batch_count);
    else
        log_warn("results are stored, but not shown in the application's rows yet; the sweep will do it",
                 LOG_INT("rooms", queue->batch_count), LOG_STR("error", answer->err.text));
}

/* Returns the number of answers that belong to the batch. */
static size_t read_batch(struct lane *lane, enum store_op op, const struct pg_answer *answers, size_t left)
{
    struct queue *queue = &lane->store->queues[op];
    const size_t used = op == STORE_OP_STORE && left > 1 ? 2 : 1;
    if (answers[0].err.class != ERROR_NONE) {
        batch_failed(lane, queue, &answers[0]);
        return used;
    }
    struct error err;
    if (!batch_sql_read(op, answers[0].rows, queue->batch, queue->batch_count, &err)) {
        queue_put_back(queue);
        lane_block(lane, &err);
        return used;
    }
    if (used == 2)
        read_finish(queue, &answers[1]);
    lane_unblock(lane);
    batch_done(queue);
    return used;
}

static void on_batches(void *arg, const struct pg_answer *answers, size_t count)
{
    struct lane *lane = arg;
    if (lane->store->closing)
        return;
    const size_t batches = lane->sent_count;
    lane->sent_count = 0;
    size_t at = 0;
    for (size_t i = 0; i < batches; i++)
        at += read_batch(lane, lane->sent[i], answers + at, count - at);
}

/* Fills in the query of op's next batch, and finish's behind store's. Returns how many queries. */
static size_t build_batch(struct store *store, enum store_op op, struct pg_query *queries)
{
    struct queue *queue = &store->queues[op];
    queue_take_batch(queue);
    const int64_t now_ms = clock_boot_ms();
    for (size_t i = 0; i < queue->batch_count; i++) {
        if (queue->batch[i]->first_sent_boot_ms == 0)
            queue->batch[i]->first_sent_boot_ms = now_ms;
    }
    batch_sql_build(&queue->sql, op, queue->batch, queue->batch_count, store->config->consumer_instance_id,
                    store->policy, &queries[0]);
    if (op != STORE_OP_STORE)
        return 1;
    batch_sql_build_finish(&queue->sql, store->policy, &queries[1]);
    return 2;
}

/* Behind a time without Postgres, what is paid for is stored before anything new is claimed: leases run out. */
static bool results_wait(struct store *store)
{
    const struct queue *results = &store->queues[STORE_OP_STORE];
    const bool some = results->waiting + results->batch_count > 0;
    if (!some && store->lanes[LANE_WRITES].healthy)
        store->interrupted = false;
    return some && store->interrupted;
}

static void lane_flush(struct lane *lane)
{
    struct store *store = lane->store;
    if (!pg_idle(lane->pg) || lane->blocked_until_ms > clock_mono_ms() ||
        (lane->id == LANE_CLAIMS && results_wait(store)))
        return;
    struct pg_query queries[PG_QUERIES_MAX];
    size_t count = 0;
    for (enum store_op op = 0; op < STORE_OP_COUNT; op++) {
        if (op_lanes[op] != lane->id || store->queues[op].head == NULL)
            continue;
        count += build_batch(store, op, queries + count);
        lane->sent[lane->sent_count++] = op;
    }
    if (count == 0)
        return;
    pg_run(lane->pg, queries, count, on_batches, lane);
    for (size_t i = 0; i < lane->sent_count; i++)
        fault_point(sent_points[lane->sent[i]]);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct store *store = prepare->data;
    for (size_t i = 0; i < LANE_COUNT; i++)
        lane_flush(&store->lanes[i]);
}

/* upkeep: settings, sweep, maybe the summary */

/* The first question is settings_v1: if that is not there, nothing is. */
static bool lacks_schema(const struct pg_answer *first)
{
    return strncmp(first->sqlstate, "3F", 2) == 0 || strcmp(first->sqlstate, "42883") == 0;
}

/* A summary that fails (too slow over millions of rooms that wait) must not cost the sweep its answer. */
static bool has_summary(const struct pg_answer *answers, size_t count)
{
    if (count > 2 && answers[2].err.class != ERROR_NONE)
        log_warn("the rooms could not be counted; the figures stay as they were",
                 LOG_STR("error", answers[2].err.text));
    return count > 2 && answers[2].err.class == ERROR_NONE;
}

static void on_upkeep(void *arg, const struct pg_answer *answers, size_t count)
{
    struct store *store = arg;
    struct lane *lane = &store->lanes[LANE_UPKEEP];
    upkeep_done *done = TAKE(store->upkeep_done);
    if (store->closing)
        return;
    struct upkeep upkeep = {.err = answers[0].err, .schema_missing = lacks_schema(&answers[0])};
    const struct pg_answer *failed = &answers[answers[0].err.class == ERROR_NONE ? 1 : 0];
    upkeep.err = failed->err;
    if (upkeep.err.class != ERROR_NONE) {
        lane_block_by_answer(lane, failed);
        done(store->upkeep_arg, &upkeep);
        return;
    }
    lane_unblock(lane);
    upkeep.paused = upkeep_sql_read_paused(answers[0].rows);
    struct sweep_row *rows = upkeep_sql_read_sweep(answers[1].rows, &upkeep.row_count);
    struct summary_row *states =
        has_summary(answers, count) ? upkeep_sql_read_summary(answers[2].rows, &upkeep.state_count) : NULL;
    upkeep.rows = rows;
    upkeep.states = states;
    done(store->upkeep_arg, &upkeep);
    free(rows);
    free(states);
}

bool store_upkeep(struct store *store, int64_t slots, bool everything, bool summary, upkeep_done *done, void *arg)
{
    struct lane *lane = &store->lanes[LANE_UPKEEP];
    const int64_t now_ms = clock_mono_ms();
    if (!pg_idle(lane->pg) || lane->blocked_until_ms > now_ms)
        return false;
    store->upkeep_done = done;
    store->upkeep_arg = arg;
    snprintf(store->slots_text, sizeof store->slots_text, "%lld", (long long)slots);
    const bool expire = now_ms - pg_connected_since_ms(lane->pg) >= store->config->sweep_interval_ms;
    struct pg_query queries[3];
    upkeep_sql_build(store->config->consumer_instance_id, store->slots_text, expire, everything, store->policy,
                     queries);
    pg_run(lane->pg, queries, summary ? 3 : 2, on_upkeep, store);
    return true;
}

/* life */

static void on_up(void *arg)
{
    struct lane *lane = arg;
    log_debug("connected to Postgres", LOG_STR("lane", lane_names[lane->id]));
    if (!lane->refused)
        lane_unblock(lane);
}

static void on_down(void *arg, const struct error *err)
{
    struct lane *lane = arg;
    if (!lane->refused || lane->blocked_until_ms == 0)
        lane_block(lane, err);
    else
        set_health(lane->store, err); /* the refusal holds for as long as it did */
}

static void lane_init(struct store *store, enum lane_id id)
{
    static const char *const suffixes[] = {"claims", "writes", "upkeep"};
    struct lane *lane = &store->lanes[id];
    *lane = (struct lane){.store = store, .id = id, .healthy = true};
    uv_timer_init(store->loop, &lane->timer);
    lane->timer.data = store;
    char name[64];
    snprintf(name, sizeof name, "roomclaim-consumer %s", suffixes[id]);
    lane->pg = pg_new(store->loop, store->config->database_url, name,
                      &(struct pg_hooks){.arg = lane, .up = on_up, .down = on_down});
}

struct store *store_new(uv_loop_t *loop, const struct config *config, const char *prompt_version,
                        const struct store_hooks *hooks)
{
    struct store *store = xcalloc(1, sizeof *store);
    store->loop = loop;
    store->config = config;
    store->hooks = *hooks;
    store->policy = policy_json(config, prompt_version);
    for (size_t i = 0; i < STORE_OP_COUNT; i++) {
        store->queues[i].tail = &store->queues[i].head;
        store->queues[i].cap = BATCH_MAX;
    }
    for (enum lane_id id = 0; id < LANE_COUNT; id++)
        lane_init(store, id);
    uv_prepare_init(loop, &store->prepare);
    store->prepare.data = store;
    uv_prepare_start(&store->prepare, on_prepare);
    return store;
}

static void handle_closed(uv_handle_t *handle)
{
    struct store *store = handle->data;
    if (--store->open_handles > 0)
        return;
    for (size_t i = 0; i < STORE_OP_COUNT; i++)
        batch_sql_fini(&store->queues[i].sql);
    free(store->policy);
    free(store);
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    store->closing = true;
    store->open_handles = LANE_COUNT + 1;
    for (size_t i = 0; i < LANE_COUNT; i++) {
        pg_close(store->lanes[i].pg);
        uv_close((uv_handle_t *)&store->lanes[i].timer, handle_closed);
    }
    uv_close((uv_handle_t *)&store->prepare, handle_closed);
}
