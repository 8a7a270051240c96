/* Counters, and the consumer's metrics as further ones. */
#include "cover.h"

#include "consumer/job.h"
#include "consumer/meters.h"
#include "consumer/models/provider.h"
#include "world.h"

enum { CELLS = 32 };

static unsigned long faults[FAULT_COUNT], branches[BRANCH_COUNT], cells[METER_COUNT][CELLS];

static const char *const fault_words[] = {
#define X(id, words, permille) words,
    FAULT_TABLE(X)
#undef X
};

static const char *const branch_words[] = {
#define X(id, words) words,
    BRANCH_TABLE(X)
#undef X
};

/* What must be seen of the consumer's metrics, cell by cell. */
#define NEED(meter, label, words)   \
    {                               \
        M_##meter, (label), (words) \
    }
static const struct {
    enum meter meter;
    unsigned label;
    const char *words;
} needed[] = {
#define X(id, name, next, help) NEED(TRANSITIONS, JOB_##id, "a job was " name),
    JOB_STATE_TABLE(X)
#undef X
#define X(id, name, then, counted, failure, help) NEED(VERDICTS, CALL_##id, "the model: " name),
        CALL_VERDICT_TABLE(X)
#undef X
#define X(id, name) NEED(SUPPRESSED, GUARD_##id, "a duplicate was told by guard " name),
            GUARD_TABLE(X)
#undef X
#define X(id, name, help) NEED(DEAD_LETTERS, PUBLISH_##id, "a dead letter was " name),
                PUBLISH_OUTCOME_TABLE(X)
#undef X
                    NEED(CLAIMS, STORE_WON, "a claim was won"),
    NEED(CLAIMS, STORE_HELD, "a claim met a lease"),
    NEED(CLAIMS, STORE_WAITING, "a claim met a room that waits"),
    NEED(CLAIMS, STORE_BUSY, "a claim met a held row"),
    NEED(CLAIMS, STORE_UNMATCHED, "a claim found no row"),
    NEED(CLAIMS, STORE_FOREIGN, "a claim met another handler"),
    NEED(CLAIMS, STORE_ANALYSED, "a claim met a stored result"),
    NEED(CLAIMS, STORE_GONE, "a claim met a deleted row"),
    NEED(CLAIMS, STORE_DONE, "a claim met a finished room"),
    NEED(CLAIMS, STORE_PARKED, "a claim met a parked room"),
    NEED(CLAIMS, STORE_GUILTY, "a claim was guilty"),
    NEED(FINISHED, STORE_COMPLETED, "a row was completed"),
    NEED(FINISHED, STORE_DROPPED, "a result met a dropped row"),
    NEED(FINISHED, STORE_GONE, "a result met a deleted row"),
    NEED(FINISHED, STORE_BUSY, "a result met a held row"),
    NEED(FINISHED, STORE_REFUSED, "a result was refused by a trigger"),
    NEED(FENCED, 0, "a late write was fenced"),
    NEED(CALLS, CALL_OUTCOME_DISCARDED, "a paid result came too late"),
    NEED(SWEPT, SWEEP_DUE, "the sweep handed out a room"),
    NEED(SWEPT, SWEEP_EXPIRED, "the sweep ended a lease"),
    NEED(SWEPT, SWEEP_PARKED, "the sweep parked a room"),
    NEED(SWEPT, SWEEP_FINISHED, "the sweep finished a room"),
    NEED(SWEPT, SWEEP_DLQ, "the sweep handed out a dead letter"),
    NEED(SWEPT, SWEEP_UNMATCHED_EXPIRED, "the sweep gave up a room without a row"),
    NEED(SWEPT, SWEEP_FOLLOWED, "the sweep moved a row"),
    NEED(RECORDS, RECORD_TOMBSTONE, "a tombstone"),
    NEED(RECORDS, RECORD_POISON, "poison"),
    NEED(RECORDS, RECORD_OTHER_EVENT, "another event"),
    NEED(RECORDS, RECORD_KEY_MISMATCH, "a record under another key"),
    NEED(COMMITS, COMMIT_FAILED, "a commit failed"),
};

void cover_fault(enum fault fault)
{
    faults[fault]++;
    trace("fault: %s", fault_words[fault]);
}

void cover_branch(enum branch branch)
{
    branches[branch]++;
}

static bool is_needed(size_t i)
{
    return !(needed[i].meter == M_VERDICTS && needed[i].label == CALL_NOT_SENT); /* it is no call */
}

void cover_print(FILE *out)
{
    for (size_t i = 0; i < FAULT_COUNT; i++)
        fprintf(out, "%10lu  fault: %s\n", faults[i], fault_words[i]);
    for (size_t i = 0; i < BRANCH_COUNT; i++)
        fprintf(out, "%10lu  %s\n", branches[i], branch_words[i]);
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        if (is_needed(i))
            fprintf(out, "%10lu  %s\n", cells[needed[i].meter][needed[i].label], needed[i].words);
    }
}

static unsigned report(FILE *out, unsigned long count, const char *words)
{
    if (count == 0)
        fprintf(out, "never seen: %s\n", words);
    return count == 0;
}

unsigned cover_missing(FILE *out)
{
    unsigned missing = 0;
    for (size_t i = 0; i < FAULT_COUNT; i++)
        missing += report(out, faults[i], fault_words[i]);
    for (size_t i = 0; i < BRANCH_COUNT; i++)
        missing += report(out, branches[i], branch_words[i]);
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        if (is_needed(i))
            missing += report(out, cells[needed[i].meter][needed[i].label], needed[i].words);
    }
    return missing;
}

/* common/metrics.h: only the counters are kept. */

void metrics_init(const struct metric_def *defs, size_t count)
{
    (void)defs, (void)count;
}

void metric_add(unsigned id, unsigned label, int64_t n)
{
    if (label < CELLS && n > 0)
        cells[id][label] += (unsigned long)n;
}

void metric_set(unsigned id, unsigned label, int64_t n)
{
    (void)id, (void)label, (void)n;
}

void metric_unset(unsigned id, unsigned label)
{
    (void)id, (void)label;
}

void metric_observe_us(unsigned id, unsigned label, int64_t us)
{
    (void)id, (void)label, (void)us;
}
