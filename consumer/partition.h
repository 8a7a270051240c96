/* One partition in our hands: its offsets, how late it is, and whether records went missing before they were read.
 *
 * Pure: times are arguments. An epoch is one assignment, or one life of the topic: what was begun in another does not
 * count here any more.
 */
#ifndef ROOMCLAIM_PARTITION_H
#define ROOMCLAIM_PARTITION_H

#include "consumer/offsets.h"

enum { PARTITION_MARKS = 32 };

/* When a record was written, remembered for some of them: the oldest that isn't settled tells the lag. */
struct partition_mark {
    int64_t offset, written_ms;
};

struct partition {
    bool assigned;
    uint32_t epoch;
    struct offsets *offsets; /* owned; NULL unless assigned, or being revoked */
    int64_t committed;       /* what the group has, as far as we know; -1 unknown */
    uint32_t commit_epoch;   /* of the commit under way: its answer may come after the epoch is over */
    int64_t first, next;     /* the first offset delivered, and the one that should come now; -1 unknown */
    int64_t gap_from, gap_to, gap_until_ms; /* a jump of the offsets that is not explained yet; from -1: none */
    struct partition_mark marks[PARTITION_MARKS];
    unsigned mark_count;
    int64_t dropped_ms; /* the time of the last mark that was settled: nothing pending is older */
};

/* Begins another epoch with nothing known. */
void partition_start(struct partition *p);
/* Lets go of the offsets; the epoch stays. */
void partition_end(struct partition *p);

/* What the group had committed when the partition came to us. */
void partition_resumed(struct partition *p, int64_t offset, int64_t now_ms);
/* A record was delivered. Returns false if its offset has gone back: then the log is another, and partition_start is
 * due. written_ms: -1 unknown. */
bool partition_delivered(struct partition *p, int64_t offset, int64_t now_ms) MUST_CHECK;
void partition_mark(struct partition *p, int64_t offset, int64_t written_ms);
void partition_settle(struct partition *p, int64_t offset);

/* When the oldest record that isn't settled was written, or a little before; now_ms when nothing is pending. */
int64_t partition_oldest_ms(const struct partition *p, int64_t now_ms);

/* How many records, from *ret_from on, the topic lost before they were read: told once, as soon as its low watermark
 * explains a jump. Jumps that it doesn't explain (markers of transactions) are forgotten after a while. */
int64_t partition_lost(struct partition *p, int64_t low, int64_t now_ms, int64_t *ret_from);

#endif
