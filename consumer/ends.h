/* Where the partitions end, asked of the broker off the loop: what librdkafka knows by itself comes with what it
 * fetches, and while partitions are paused nothing is fetched. So that the lag tells the truth in an outage too.
 */
#ifndef ROOMCLAIM_ENDS_H
#define ROOMCLAIM_ENDS_H

#include "common/base.h"

#include <librdkafka/rdkafka.h>
#include <uv.h>

struct ends;

/* Borrows all. Returns owned. */
struct ends *ends_new(uv_loop_t *loop, rd_kafka_t *rk, const char *topic) MUST_CHECK;
/* Waits for a question under way, so that rk may be destroyed. The loop must run on for the rest. */
void ends_free(struct ends *ends);

/* Asks for these partitions, unless a question is under way or the last is younger than a few seconds. Takes the ids.
 */
void ends_ask(struct ends *ends, int32_t *ids, size_t count, int64_t now_ms);
/* The last answer for the partition: its first offset, and the one after its last; both -1: none yet. */
struct ends_offsets {
    int64_t low, high;
};
struct ends_offsets ends_of(const struct ends *ends, int32_t id);

#endif
