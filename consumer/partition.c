#include "consumer/partition.h"

enum {
    EXPLAINED_WITHIN_MS = 60000,
    MARK_APART_MS = 16, /* so that the marks span the time that records wait here */
};

void partition_start(struct partition *p)
{
    offsets_free(p->offsets);
    *p = (struct partition){.assigned = true,
                            .epoch = p->epoch + 1,
                            .offsets = offsets_new(),
                            .committed = -1,
                            .first = -1,
                            .next = -1,
                            .gap_from = -1};
}

void partition_end(struct partition *p)
{
    offsets_free(TAKE(p->offsets));
}

static void suspect(struct partition *p, int64_t from, int64_t to, int64_t now_ms)
{
    if (from < 0 || to <= from)
        return;
    p->gap_from = from;
    p->gap_to = to;
    p->gap_until_ms = now_ms + EXPLAINED_WITHIN_MS;
}

void partition_resumed(struct partition *p, int64_t offset, int64_t now_ms)
{
    p->committed = MAX(p->committed, offset);
    if (p->first >= 0)
        suspect(p, offset, p->first, now_ms);
    else
        p->next = offset;
}

bool partition_delivered(struct partition *p, int64_t offset, int64_t now_ms)
{
    if (offset < p->next)
        return false;
    suspect(p, p->next, offset, now_ms);
    p->next = offset + 1;
    p->first = p->first < 0 ? offset : p->first;
    return true;
}

void partition_mark(struct partition *p, int64_t offset, int64_t written_ms)
{
    if (p->mark_count == PARTITION_MARKS)
        return;
    if (p->mark_count > 0 && written_ms < p->marks[p->mark_count - 1].written_ms + MARK_APART_MS)
        return;
    p->marks[p->mark_count++] = (struct partition_mark){.offset = offset, .written_ms = written_ms};
}

static void drop_settled_marks(struct partition *p)
{
    const int64_t watermark = offsets_watermark(p->offsets);
    unsigned settled = 0;
    while (settled < p->mark_count && p->marks[settled].offset < watermark)
        settled++;
    if (settled > 0)
        p->dropped_ms = p->marks[settled - 1].written_ms;
    memmove(p->marks, p->marks + settled, (p->mark_count - settled) * sizeof *p->marks);
    p->mark_count -= settled;
}

void partition_settle(struct partition *p, int64_t offset)
{
    offsets_settle(p->offsets, offset);
    drop_settled_marks(p);
}

/* Between two marks the earlier one tells. */
int64_t partition_oldest_ms(const struct partition *p, int64_t now_ms)
{
    if (offsets_pending(p->offsets) == 0)
        return now_ms;
    const bool marked =
        p->mark_count > 0 && (p->dropped_ms == 0 || p->marks[0].offset <= offsets_watermark(p->offsets));
    if (marked)
        return p->marks[0].written_ms;
    return p->dropped_ms != 0 ? p->dropped_ms : now_ms;
}

int64_t partition_lost(struct partition *p, int64_t low, int64_t now_ms, int64_t *ret_from)
{
    if (p->gap_from < 0)
        return 0;
    *ret_from = p->gap_from;
    const int64_t lost = MAX(MIN(low, p->gap_to) - p->gap_from, 0);
    if (lost > 0 || now_ms > p->gap_until_ms)
        p->gap_from = -1;
    return lost;
}
