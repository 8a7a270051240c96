/* Which offset may be committed: for one partition, one past the lowest contiguous run of settled records.
 *
 * Pure. Offsets come in increasing order but may be sparse (transactions, compaction leave gaps); they settle in any
 * order. Memory is proportional to the span between the watermark and the newest record that is not settled.
 */
#ifndef ROOMCLAIM_OFFSETS_H
#define ROOMCLAIM_OFFSETS_H

#include "common/base.h"

struct offsets;

struct offsets *offsets_new(void) MUST_CHECK;
void offsets_free(struct offsets *o); /* NULL is fine */

/* A record was read. Returns false (and changes nothing) when offset is not above every earlier one. */
bool offsets_add(struct offsets *o, int64_t offset);
/* A record reached a durable disposition. Returns false when it is unknown or settled already. */
bool offsets_settle(struct offsets *o, int64_t offset);
/* The offset to commit: every record below it is settled. -1 before the first record. Never goes down. */
int64_t offsets_watermark(const struct offsets *o);
/* Records read and not settled. */
size_t offsets_pending(const struct offsets *o);
/* Highest offset read, -1 before the first. */
int64_t offsets_newest(const struct offsets *o);

#endif
