/* The sweeper: every few seconds, in every consumer, without a leader: ends leases that are over, hands out rooms that
 * are due, finishes what is pending. What it hands out goes through the same jobs as the topic's records. */
#ifndef ROOMCLAIM_SWEEPER_H
#define ROOMCLAIM_SWEEPER_H

#include "consumer/service.h"

struct sweeper;

/* The first pass runs at once. Returns owned. */
struct sweeper *sweeper_new(struct service *service) MUST_CHECK;
/* No pass starts any more. */
void sweeper_stop(struct sweeper *sweeper);
/* The memory goes when the loop has run on. */
void sweeper_close(struct sweeper *sweeper);

/* Something is due in delay_ms: a pass comes then, if the next regular one would be later. */
void sweeper_wake_in(struct sweeper *sweeper, int64_t delay_ms);
/* Slots are free again: if the last pass had filled all that there were, the next one comes at once. */
void sweeper_feed(struct sweeper *sweeper);
/* Milliseconds since a pass was last finished (or since the start). */
int64_t sweeper_age_ms(const struct sweeper *sweeper);

#endif
