/* One webhook's life, from the end of its request to its answer, and the desk at which all of them are handled.
 *
 *     received -> verified -> publishing -> answered        publishing may turn into setting_aside (dead letter);
 *                                                           what Kafka does not take in time goes on to spooling
 *
 * One thread does everything: the HTTP server's loop, which also takes the publisher's reports. webhook_move is the
 * only writer of the state. An answer is given once: by the report, or by the deadline, whichever comes first; a
 * report that comes after it finds the webhook still there, since the publisher's hold keeps it.
 */
#ifndef ROOMCLAIM_WEBHOOK_H
#define ROOMCLAIM_WEBHOOK_H

#include "common/config.h"
#include "common/event.h"
#include "common/publisher.h"
#include "producer-shim/answers.h"
#include "producer-shim/refusals.h"
#include "producer-shim/token.h"

/* X(id, name, allowed next states, help) */
#define WEBHOOK_STATE_TABLE(X)                                                                                     \
    X(RECEIVED, "received", NEXT(VERIFIED) | NEXT(ANSWERED), "the request is here, whole")                         \
    X(VERIFIED, "verified", NEXT(PUBLISHING) | NEXT(SETTING_ASIDE) | NEXT(SPOOLING) | NEXT(ANSWERED), "authentic") \
    X(PUBLISHING, "publishing", NEXT(SETTING_ASIDE) | NEXT(SPOOLING) | NEXT(ANSWERED),                             \
      "Kafka has it; not yet acknowledged")                                                                        \
    X(SETTING_ASIDE, "setting_aside", NEXT(SETTING_ASIDE) | NEXT(SPOOLING) | NEXT(ANSWERED),                       \
      "unusable: on its way to the dead letters")                                                                  \
    X(SPOOLING, "spooling", NEXT(PUBLISHING) | NEXT(SETTING_ASIDE) | NEXT(ANSWERED),                               \
      "on its way to the disk; back when that fails while Kafka has it")                                           \
    X(ANSWERED, "answered", 0, "the answer is fixed")

enum webhook_state {
#define X(id, name, next, help) WEBHOOK_##id,
    WEBHOOK_STATE_TABLE(X)
#undef X
        WEBHOOK_STATE_COUNT
};

struct desk;

struct webhook {
    struct desk *desk;
    enum webhook_state state;
    enum answer answer;                       /* once ANSWERED */
    bool last;                                /* a room_finished: for Retry-After */
    bool withheld;                            /* the body does not go into the dead letter */
    bool sent;                                /* the publisher holds it */
    bool spooling;                            /* the spooler holds it */
    bool spool_tried;                         /* and has answered: it is not asked twice */
    const char *aside_reason, *aside_message; /* of a dead letter, static; NULL: it goes to the topic */
    bool dropped;                             /* the HTTP side is done with it */
    char *body;                               /* owned, until the answer */
    size_t body_len, body_size;
    struct slice authorization, content_type, traceparent, tracestate; /* borrowed from the request */
    struct token_result token;
    char key_name[129]; /* of the key that signed it */
    struct event event;
    enum event_fault fault;
    uint32_t key_hash;
    uint64_t random[3];               /* for a trace of its own; the same in both ways that it may go */
    int64_t received_us, deadline_ms; /* monotonic */
    int64_t due_ms;                   /* when its queue wants to see it */
    struct webhook_queue *queue;      /* where it waits for a report; NULL: nowhere */
    struct webhook *prev, *next;      /* in the queue, in the order of due_ms */
    void *arg;                        /* of desk->answered */
};

struct webhook_queue {
    struct webhook *first, *last;
};

/* What is said once in a while, with how often it was so. */
struct tally {
    int64_t told_ms;
    uint64_t untold;
};

struct desk {
    const struct config *config;
    struct publisher *publisher;
    struct spooler *spooler; /* NULL: there is none */
    struct token_checker *checker;
    void (*answered)(struct webhook *w); /* an answer that comes later: after webhook_publish has returned */
    struct webhook_queue fresh;          /* given to Kafka; due when they go to the spool instead */
    struct webhook_queue late;           /* due when they must be answered */
    size_t waiting;
    size_t body_bytes; /* in all webhooks */
    struct refusals refusals;
    struct tally outage, spooled;
    uint64_t random;
};

/* Borrows config, publisher and spooler (may be NULL); takes the checker. */
void desk_init(struct desk *desk, const struct config *config, struct publisher *publisher, struct spooler *spooler,
               struct token_checker *checker, void (*answered)(struct webhook *w));
/* No webhook may be waiting. */
void desk_fini(struct desk *desk);
/* Sends to the spool what Kafka has had for too long, and answers all whose deadline has passed. */
void desk_expire(struct desk *desk, int64_t now_ms);
/* Answers all that wait. */
void desk_give_up(struct desk *desk);
/* When desk_expire has something to do; INT64_MAX: nobody waits. */
int64_t desk_next_deadline_ms(const struct desk *desk);

/* Returns owned; webhook_drop ends it. */
struct webhook *webhook_new(struct desk *desk, int64_t now_us) MUST_CHECK;
/* Room for so many bytes in all; false when the desk holds too many already. */
bool webhook_reserve(struct webhook *w, size_t size);
void webhook_append(struct webhook *w, const char *bytes, size_t len);
/* The HTTP side is done; the memory goes when the publisher is done too. NULL is fine. */
void webhook_drop(struct webhook *w);

/* Checks the token, reads the event, asks the policy. Afterwards the state is ANSWERED, or VERIFIED: then call
 * webhook_publish, after which the answer comes through desk->answered. */
void webhook_verify(struct webhook *w);
void webhook_publish(struct webhook *w);

enum { DESK_BODY_BYTES_MAX = 24 << 20 };

const char *webhook_state_name(enum webhook_state state);

#endif
