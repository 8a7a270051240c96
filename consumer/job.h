/* A job: one room_finished in this process's hands, or one room that the sweep handed out. And the table of its states.
 *
 * job_move is the only writer of a job's state: it asserts the edge, logs, counts, stamps the time, and is the one
 * place where test builds inject faults. Nothing in a job is needed after a crash: rows and offsets carry what matters.
 */
#ifndef ROOMCLAIM_JOB_H
#define ROOMCLAIM_JOB_H

#include "common/base.h"
#include "common/event.h"
#include "common/publisher.h"
#include "consumer/call.h"
#include "consumer/intake.h"
#include "consumer/store.h"

#include <stdio.h>

#define NEXT(id) (1u << JOB_##id)

/* X(id, name, allowed next states, what it means) */
#define JOB_STATE_TABLE(X)                                                                                            \
    X(RECEIVED, "received", NEXT(CLAIMING) | NEXT(FOLLOWER) | NEXT(DEAD_LETTERING) | NEXT(SETTLED),                   \
      "waits for a free slot")                                                                                        \
    X(FOLLOWER, "follower", NEXT(RECEIVED) | NEXT(SETTLED), "a duplicate: waits for the same room's job")             \
    X(CLAIMING, "claiming", NEXT(ANALYSING) | NEXT(RELEASING) | NEXT(PARKING) | NEXT(DEAD_LETTERING) | NEXT(SETTLED), \
      "asks Postgres for the room")                                                                                   \
    X(ANALYSING, "analysing", NEXT(STORING) | NEXT(RELEASING) | NEXT(PARKING), "the model is asked")                  \
    X(STORING, "storing", NEXT(PARKING) | NEXT(SETTLED), "the reply is paid for and is being written")                \
    X(RELEASING, "releasing", NEXT(DEAD_LETTERING) | NEXT(SETTLED), "goes back, to be tried again later")             \
    X(PARKING, "parking", NEXT(DEAD_LETTERING) | NEXT(SETTLED), "is set aside for an operator")                       \
    X(DEAD_LETTERING, "dead_lettering", NEXT(SETTLED), "its dead letter is on the way")                               \
    X(SETTLED, "settled", 0, "has a durable disposition, or is somebody else's")

enum job_state {
#define X(id, name, next, help) JOB_##id,
    JOB_STATE_TABLE(X)
#undef X
        JOB_STATE_COUNT
};

/* What a job waits for; set by the step that starts it, cleared by the one that finishes it. */
enum job_io { JOB_IO_NONE, JOB_IO_STARTED, JOB_IO_FINISHED };

/* How far a dead letter is. */
enum letter_phase { LETTER_UNSENT, LETTER_SENT, LETTER_PUT, LETTER_CLOSING };

struct service;
struct job;

/* What a job needs once something is done for it: most of those that wait never get so far, and thousands wait. */
struct job_work {
    struct store_item store;
    struct call call;
    char *url, *body;
    enum call_verdict verdict;
    char reason[32];             /* of parking */
    char error[ERROR_TEXT_SIZE]; /* words for the ledger and the log */
    enum letter_phase letter;
    void (*letter_finished)(struct job *job);
    enum publish_outcome published; /* what became of the dead letter last sent */
    bool letter_without_value;      /* it was refused whole: second try */
    unsigned letter_tries;          /* sent in vain */
};

struct job {
    struct job *next; /* in the queue that holds it: waiting jobs, followers */
    struct service *service;
    enum job_state state;
    enum job_io io;
    int64_t made_us, moved_us; /* clock_mono_us: when it was made, when it came into its state */

    /* whose it is */
    char *room;           /* "" for a poison record: there is none */
    const char *event_id; /* behind room, in its block; "" when unknown */
    const char *origin;   /* static: webhook, spool, ... or sweep */
    bool from_topic;      /* place settles a record; false: the sweep's */
    struct record_place place;
    bool slot;  /* counts in max_in_flight */
    bool probe; /* the breaker's one call, until it is answered */
    bool was_probe;
    bool lead; /* the room's flight is this job's */

    /* the record, for a dead letter: owned copies; NULL when not in hand */
    char *key, *value;
    size_t key_len, value_len, bytes;
    size_t held;                   /* of bytes, as counted by the service now */
    struct record_header *headers; /* names and values owned, in one block with the array */
    size_t header_count;

    struct job_work *work; /* owned; NULL until job_begin */
    struct job *again;     /* owned: accepted once this one is settled; NULL when none */
};

/* Moves job to the next state. */
void job_move(struct job *job, enum job_state next);
const char *job_state_name(enum job_state state);

/* Returns an owned job in state RECEIVED. Copies room and event_id; origin is static. */
struct job *job_new(struct service *service, const char *room, const char *event_id, const char *origin) MUST_CHECK;
void job_free(struct job *job);
/* Gives the job its work, once: before it is claimed or dead-lettered. */
void job_begin(struct job *job);
/* Copies key, value and headers of the record into the job. */
void job_keep_record(struct job *job, const rd_kafka_message_t *message);

/* Makes the job's record another job's, again, that begins from the start: this one settles nothing any more. */
void job_start_over(struct job *job);

/* Lets go of the record's bytes: of a follower, whose leader has the same. */
void job_drop_record(struct job *job);
/* Moves the record from one job, which may have none, to another that has none. */
void job_hand_over_record(struct job *from, struct job *to);
bool job_has_record(const struct job *job);

/* False also while an id is unknown. */
bool job_same_event(const struct job *a, const struct job *b);

/* Prints the states and edges as a Mermaid diagram: the README's. */
void job_print_diagram(FILE *out);

#endif
