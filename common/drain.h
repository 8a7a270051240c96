/* Emptying a spool into Kafka: batch by batch, in pipelines, in order for each key.
 *
 * A batch is read and its keys are sent at once, the records of one key one after the other: each when the one before
 * it is reported. When all of it is reported, what Kafka has is removed, what it refuses for good is buried, and the
 * rest stays. A key of which a record stayed is left alone until the pass over the spool is over, so that no later
 * record of it goes before. After a crash a batch may be in Kafka twice.
 *
 * All functions are called by the spool's thread; reports come on the publisher's, which may be another, and which then
 * sends what waited for them.
 */
#ifndef ROOMCLAIM_DRAIN_H
#define ROOMCLAIM_DRAIN_H

#include "publisher.h"
#include "spool.h"

struct drain;

enum { DRAIN_BATCH_RECORDS = 4000 };

struct drain_hooks {
    void *arg;
    void (*reported)(void *arg);               /* the batch is reported whole; on the publisher's thread */
    void (*gone)(void *arg, struct slice key); /* a record of this key is no longer in the spool; in drain_settle */
};

struct drain_tally {
    int64_t sent, buried, kept;
};

/* Borrows both. max_age_ms: older records are buried, not sent; 0: none is too old. Returns owned. */
struct drain *drain_new(struct publisher *publisher, const struct drain_hooks *hooks, int64_t max_age_ms);
/* Only while no batch is under way. NULL is fine. */
void drain_free(struct drain *drain);

/* Reads on, not for long, and sends the batch that it found, if any. *ret_pass_over: nothing is left in this pass, the
 * next call begins another. */
enum spool_result drain_start(struct drain *drain, struct spool *spool, int64_t now_ms, bool *ret_pass_over);
/* From now on nothing that waits for a report is sent any more: it stays. From any thread. */
void drain_end(struct drain *drain);
bool drain_under_way(const struct drain *drain); /* a batch is sent and not settled */
bool drain_is_reported(const struct drain *drain);
/* In a transaction of the spool, once the batch is reported. Can be done again when the transaction failed. */
enum spool_result drain_settle(struct drain *drain, struct spool *spool, int64_t now_ms, struct drain_tally *ret_tally);
/* The transaction is committed: the batch is done with. Tells hooks.gone. */
void drain_finish(struct drain *drain);

#endif
