/* What the consumer writes to Postgres: the functions of schema/, called in batches that grow with the load.
 *
 * A caller fills a store_item and submits it; what came meanwhile goes into the next batch, so that batches are large
 * under load and nobody waits when idle. An item stays here until the database has answered it: outages, reconnects and
 * time-outs are dealt with here (every function is idempotent by its token). A batch that fails by the data's own fault
 * is halved until the guilty item is alone; that one is answered STORE_GUILTY.
 */
#ifndef ROOMCLAIM_STORE_H
#define ROOMCLAIM_STORE_H

#include "common/base.h"
#include "common/config.h"
#include "common/error.h"
#include "consumer/models/provider.h"

#include <uv.h>

struct store;

/* X(id, name, lane): the batch functions. Lanes are connections: a claim never waits behind a slow write. */
#define STORE_OP_TABLE(X)             \
    X(CLAIM, "claim", CLAIMS)         \
    X(STORE, "store", WRITES)         \
    X(PARK, "park", WRITES)           \
    X(RELEASE, "release", WRITES)     \
    X(DLQ_ACKED, "dlq_acked", WRITES) \
    X(DEAD_PUT, "dead_put", WRITES)

enum store_op {
#define X(id, name, lane) STORE_OP_##id,
    STORE_OP_TABLE(X)
#undef X
        STORE_OP_COUNT
};

/* Every word that a function answers, and our own. */
#define STORE_OUTCOME_TABLE(X)                                         \
    X(WON, "won", "claimed: make the call")                            \
    X(HELD, "held", "somebody holds a live lease")                     \
    X(WAITING, "waiting", "the room waits for its time")               \
    X(BUSY, "busy", "the application holds the row")                   \
    X(UNMATCHED, "unmatched", "no feedback row yet")                   \
    X(FOREIGN, "foreign", "another handler's row")                     \
    X(ANALYSED, "analysed", "the result is stored, the row follows")   \
    X(GONE, "gone", "the row was deleted")                             \
    X(DONE, "done", "finished before")                                 \
    X(PARKED, "parked", "set aside for an operator")                   \
    X(AMBIGUOUS, "ambiguous", "two rows for one room: parked")         \
    X(STORED, "stored", "the result is safe")                          \
    X(FENCED, "fenced", "the claim is somebody else's now")            \
    X(COMPLETED, "completed", "the row shows completed")               \
    X(DROPPED, "dropped", "the application dropped the row meanwhile") \
    X(REFUSED, "refused", "the application's table refuses the write") \
    X(RELEASED, "released", "given back")                              \
    X(ACKNOWLEDGED, "acknowledged", "taken down")                      \
    X(GUILTY, "guilty", "the data's own fault: see the error")

enum store_outcome {
#define X(id, name, help) STORE_##id,
    STORE_OUTCOME_TABLE(X)
#undef X
        STORE_OUTCOME_COUNT
};

extern const char *const store_outcome_names[STORE_OUTCOME_COUNT];

enum { STORE_TOKEN_SIZE = 37 }; /* a UUID as text */

struct store_item;
typedef void store_done(struct store_item *item);

/* One element of a batch. All pointers are borrowed until done. */
struct store_item {
    struct store_item *next; /* store.c's */
    enum store_op op;
    store_done *done;
    void *arg;

    const char *room;
    char token[STORE_TOKEN_SIZE]; /* "" = NULL */
    /* where the record was: CLAIM, PARK, DEAD_PUT; topic NULL when it is not in hand */
    const char *origin, *event_id, *topic;
    int32_t partition;
    int64_t offset;
    /* how the call ended: STORE, RELEASE, PARK */
    struct slice result;
    const char *verdict, *error, *reason, *model;
    struct call_usage usage;
    int64_t cost_micros;
    bool counted;
    int64_t delay_ms;
    struct slice key; /* DEAD_PUT */

    /* the answer */
    enum store_outcome outcome;
    enum store_outcome
        finished; /* STORE: what finish said of the application's row; DONE when it did not come to that */
    int64_t first_sent_boot_ms;  /* CLAIM: before it was first sent: the lease can't have begun earlier */
    int64_t run, attempt, calls; /* CLAIM, RELEASE (attempt) */
    char parked_reason[32];      /* CLAIM, RELEASE: why that very call parked the room; "" if it did not */
    char **input;                /* CLAIM, WON: owned by the item's owner: free(input) */
    size_t input_count;
    struct error err; /* GUILTY */
};

/* A row of sweep_v1, borrowed for the call. Text is "" for NULL, numbers -1. */
struct sweep_row {
    const char *kind, *room, *origin, *reason, *event_id, *topic;
    int32_t partition;
    int64_t offset, attempt;
};

/* A row of summary_v1. age_ms: of the oldest room of that kind. */
struct summary_row {
    const char *state, *reason;
    int64_t rooms, age_ms;
};

/* What one pass of upkeep found out; borrowed for the call. err.class NONE when all of it was answered. */
struct upkeep {
    struct error err;
    bool schema_missing; /* err says so: nothing will work before `roomclaim migrate --execute` */
    const struct sweep_row *rows;
    size_t row_count;
    const struct summary_row *states; /* NULL: not asked for, or not answered */
    size_t state_count;
    bool paused; /* the stop button: no model calls */
};

typedef void upkeep_done(void *arg, const struct upkeep *upkeep);

struct store_hooks {
    void *arg;
    void (*health)(void *arg, bool healthy, const struct error *err); /* on each change; err when not healthy */
};

/* Borrows config and prompt_version for its life. Starts connecting. Returns owned. */
struct store *store_new(uv_loop_t *loop, const struct config *config, const char *prompt_version,
                        const struct store_hooks *hooks) MUST_CHECK;
/* Connections end, unanswered items are never answered. The memory goes when the loop has run on. */
void store_close(struct store *store);

/* Borrows item until item->done, which comes later, from the loop. */
void store_submit(struct store *store, struct store_item *item);

/* True while every connection stands and its last word was good: else claims would only wait. */
bool store_healthy(const struct store *store);

/* One pass of upkeep in one round trip: settings, sweep, and the summary when asked for. One at a time: returns false
 * while one is under way or Postgres is away. Leases are not expired within one sweep interval of a reconnect: what
 * others hold in hand must be stored first. everything: the full pass, without the low mark. */
bool store_upkeep(struct store *store, int64_t slots, bool everything, bool summary, upkeep_done *done, void *arg);

/* How many items wait or are under way. */
size_t store_pending(const struct store *store);

#endif
