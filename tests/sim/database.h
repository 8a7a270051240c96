/* Postgres: the application's rows, and rooms, ledger and results as the functions of schema/ keep them.
 *
 * Each function is atomic and runs at one moment; it is what the contract (schema/README.md) says, written down a
 * second time and kept simple: one application row a room, no reanalysis, no sids that change. Rooms are numbers here.
 */
#ifndef ROOMCLAIM_SIM_DATABASE_H
#define ROOMCLAIM_SIM_DATABASE_H

#include "consumer/meters.h"
#include "consumer/store.h"
#include "world.h"

enum { ROOMS_MAX = 12, LEDGER_MAX = 512, RUNS_MAX = 16 };

enum row_status { ROW_INITIATED, ROW_PROCESSING, ROW_COMPLETED, ROW_DROPPED };

/* The application's row of a room. */
struct row {
    bool exists, locked, ready, refuses;
    bool foreign; /* another handler works on it */
    enum row_status status;
    unsigned id;      /* another one when it was deleted and made anew; 0 never made */
    unsigned edition; /* counted up by whatever makes a new webhook necessary */
};

#define REASON_TABLE(X)       \
    X(NONE, "")               \
    X(NEW, "new")             \
    X(UNMATCHED, "unmatched") \
    X(FOREIGN, "foreign")     \
    X(BUSY, "busy")           \
    X(INPUT, "input")         \
    X(BACKOFF, "backoff")     \
    X(MATCHED, "matched")     \
    X(RETRY, "retry")         \
    X(EMPTY, "empty")         \
    X(EXHAUSTED, "exhausted") \
    X(PROVIDER, "provider")   \
    X(OTHER, "other")         \
    X(GONE, "gone")           \
    X(DROPPED, "dropped")     \
    X(REFUSED, "refused")
enum reason {
#define X(id, name) REASON_##id,
    REASON_TABLE(X)
#undef X
};

struct room {
    bool exists;
    enum ROOM state;
    enum reason reason;
    int64_t reason_since, due_at, row_due_at, run_started; /* due_at 0: never */
    unsigned feedback, run, attempt, calls, tries;
    char token[STORE_TOKEN_SIZE];
    int line; /* of its last claim in the ledger; -1 none */
    char worker[16];
    bool row_pending, dlq_pending;
    bool result[RUNS_MAX];
    unsigned letters; /* dead letters of it that stand in their topic */
};

/* A line of the ledger: a claim that was won. */
struct line {
    int room;
    unsigned run;
    char token[STORE_TOKEN_SIZE];
    const struct process *process;
    unsigned incarnation;
    int64_t started_ms, ended_ms; /* ended 0: open */
    bool lost, orphan;
    int call; /* in the model's ledger; -1: none was made */
};

struct database {
    struct row rows[ROOMS_MAX];
    struct room rooms[ROOMS_MAX];
    struct line ledger[LEDGER_MAX];
    unsigned lines;
    bool paused; /* the stop button */
};

extern struct database database;

/* What a consumer asks: an item of a batch. */
struct asked {
    const struct process *process;
    unsigned incarnation;
    const char *worker;
    bool orphan; /* nobody waits for the answer any more */
    enum store_op op;
    int room; /* -1 none: poison */
    char token[STORE_TOKEN_SIZE];
    bool counted, from_topic;
    int64_t delay_ms;
    enum call_verdict verdict;
    enum reason reason;
    int result; /* STORE: the call whose reply this is */
    int partition;
    int64_t offset;
};

struct answered {
    enum store_outcome outcome, finished;
    unsigned run, attempt, calls;
    enum reason reason;
};

struct swept {
    enum SWEEP kind;
    int room;
    enum reason reason;
    unsigned attempt;
};

enum { SWEPT_MAX = 8 * ROOMS_MAX };

extern const char *const reason_names[];

void database_begin(void);

struct answered database_claim(const struct asked *asked);
struct answered database_store(const struct asked *asked);
enum store_outcome database_finish(int room);
struct answered database_release(const struct asked *asked);
struct answered database_park(const struct asked *asked);
void database_dlq_acked(int room);
/* Returns the number of rows. */
size_t database_sweep(const char *worker, unsigned slots, bool expire, struct swept ret_rows[SWEPT_MAX]);
/* An operator asks for parked rooms again. */
void database_retry(int room);

/* What the functions share. */
void database_follow(int room); /* the row follows what was decided (row_pending) */
void database_reopen(int room); /* a row that came while its room ended */
void database_close_line(struct room *room, bool lost);
int64_t database_backoff_ms(unsigned tries, int64_t most_ms);
void database_set_reason(struct room *room, enum reason reason);

#endif
