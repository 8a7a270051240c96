/* The consumer group: records in, offsets out. It knows partitions and offsets, not rooms.
 *
 * Records come one by one through librdkafka's event queue and an eventfd on the loop. Each carries its partition's
 * assignment epoch; intake_settle ignores a settlement whose epoch is over, so a late completion can't move a new
 * owner's watermark. Commits are explicit: per partition the lowest contiguous settled offset + 1, never more than one
 * commit outstanding. On revoke the watermark is committed through the queue with a deadline, then the partitions are
 * given up; what is in flight elsewhere goes on and settles into nothing.
 */
#ifndef ROOMCLAIM_INTAKE_H
#define ROOMCLAIM_INTAKE_H

#include "common/base.h"
#include "common/config.h"
#include "common/error.h"

#include <librdkafka/rdkafka.h>
#include <uv.h>

struct intake;

/* Where a record was read: what settles it. */
struct record_place {
    int32_t partition;
    uint32_t epoch;
    int64_t offset;
};

struct intake_hooks {
    void *arg;
    /* Everything borrowed for the call. The record must be settled some day, or given up by a revoke. */
    void (*record)(void *arg, const struct record_place *place, const rd_kafka_message_t *message);
    void (*assigned)(void *arg);
    /* After this, places of the partition's old epoch settle into nothing. partition -1: all. */
    void (*revoked)(void *arg, int32_t partition);
    void (*fatal)(void *arg, const struct error *err); /* the group can't go on: fenced, not authorised */
    void (*closed)(void *arg);                         /* after intake_stop: the group is left */
};

/* Refuses a topic that does not exist or is compacted, when a broker can tell: blocks up to 5 s, before the loop runs.
 * Returns owned, or NULL with *ret_err. */
struct intake *intake_new(uv_loop_t *loop, const struct config *config, const struct intake_hooks *hooks,
                          struct error *ret_err) MUST_CHECK;
/* Commits, leaves the group, then calls closed(). */
void intake_stop(struct intake *intake);
/* After closed(). Ends librdkafka: blocks for at most a second or two. The memory goes when the loop has run on. */
void intake_free(struct intake *intake);

void intake_settle(struct intake *intake, const struct record_place *place);

/* Back-pressure: no further records, polling goes on. Idempotent; holds over rebalances. */
void intake_pause(struct intake *intake, bool paused);
bool intake_paused(const struct intake *intake);

/* Once a second or so: lag metrics. now_ms: wall clock. */
void intake_report(struct intake *intake, int64_t now_ms);
/* True while a broker connection stands and the group has taken us in (with partitions or without): readiness. */
bool intake_connected(const struct intake *intake);

#endif
