/* The watermark: cases by hand, and long random schedules beside a model that looks at every record each time. */
#include "consumer/offsets.h"

#include "check.h"

#include "common/alloc.h"
#include <sys/resource.h>

static void starts_unknown(void)
{
    struct offsets *o = offsets_new();
    CHECK_INT(offsets_watermark(o), -1);
    CHECK_INT(offsets_newest(o), -1);
    CHECK_INT(offsets_pending(o), 0);
    CHECK(!offsets_settle(o, 0));
    offsets_free(o);
    offsets_free(NULL);
}

static void waits_for_the_lowest(void)
{
    static const struct {
        const char *label;
        int64_t settle, watermark;
    } cases[] = {
        {"a later record settles first", 12, 10},
        {"the lowest: up to the next pending", 10, 11},
        {"joins the run settled before", 11, 13},
        {"all of it: one past the newest", 13, 14},
    };
    struct offsets *o = offsets_new();
    for (int64_t offset = 10; offset < 14; offset++)
        CHECK(offsets_add(o, offset));
    CHECK_INT(offsets_watermark(o), 10);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].label);
        CHECK(offsets_settle(o, cases[i].settle));
        CHECK_INT(offsets_watermark(o), cases[i].watermark);
    }
    offsets_free(o);
}

static void refuses_what_it_must(void)
{
    struct offsets *o = offsets_new();
    CHECK(!offsets_add(o, -1));
    CHECK(!offsets_add(o, INT64_MIN));
    CHECK(!offsets_add(o, INT64_MAX));
    CHECK_INT(offsets_watermark(o), -1);
    CHECK(offsets_add(o, 100));
    CHECK(!offsets_add(o, 100));
    CHECK(!offsets_add(o, 99));
    CHECK(offsets_add(o, 105));
    CHECK(!offsets_settle(o, 103));
    CHECK(!offsets_settle(o, 99));
    CHECK(!offsets_settle(o, 106));
    CHECK(!offsets_settle(o, -5));
    CHECK(!offsets_settle(o, INT64_MAX));
    CHECK(offsets_settle(o, 105));
    CHECK(!offsets_settle(o, 105));
    CHECK_INT(offsets_pending(o), 1);
    CHECK(offsets_settle(o, 100));
    CHECK(!offsets_settle(o, 100));
    CHECK_INT(offsets_watermark(o), 106);
    offsets_free(o);
}

static void takes_the_highest_offset(void)
{
    struct offsets *o = offsets_new();
    CHECK(offsets_add(o, 0));
    CHECK(offsets_add(o, INT64_MAX - 1));
    CHECK_INT(offsets_watermark(o), 0);
    CHECK(offsets_settle(o, 0));
    CHECK_INT(offsets_watermark(o), INT64_MAX - 1);
    CHECK(offsets_settle(o, INT64_MAX - 1));
    CHECK_INT(offsets_watermark(o), INT64_MAX);
    offsets_free(o);
}

/* The most memory that the process ever had. */
static int64_t peak_kib(void)
{
    struct rusage usage;
    CHECK_INT(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* One room waits for its model while ten million records with gaps of a million pass by: neither gaps nor settled
 * records may cost anything. */
static void gaps_and_settled_records_are_cheap(void)
{
    struct offsets *o = offsets_new();
    const int64_t before_kib = peak_kib();
    CHECK(offsets_add(o, 7));
    int64_t offset = 7;
    for (int i = 0; i < 10000000; i++) {
        offset += i % 2 ? 1000000 : 1;
        if (!offsets_add(o, offset) || !offsets_settle(o, offset)) {
            CHECK_FAIL("offset %" PRId64, offset);
            break;
        }
    }
    CHECK(peak_kib() - before_kib < 8192);
    CHECK_INT(offsets_watermark(o), 7);
    CHECK(offsets_settle(o, 7));
    CHECK_INT(offsets_watermark(o), offset + 1);
    offsets_free(o);
}

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % limit;
}

enum { STEPS = 100000 };

/* The model: every record ever read, and no idea of how to be quick but that all below done is settled. */
struct model {
    int64_t *offsets;
    bool *settled;
    size_t count, done;
    size_t pending;
};

static int64_t model_watermark(struct model *m)
{
    while (m->done < m->count && m->settled[m->done])
        m->done++;
    if (m->count == 0)
        return -1;
    return m->done < m->count ? m->offsets[m->done] : m->offsets[m->count - 1] + 1;
}

static void step_add(struct model *m, struct offsets *o, uint32_t gap)
{
    const int64_t last = m->count ? m->offsets[m->count - 1] : 1000;
    const int64_t offset = last + 1 + (random_below(3) == 0 ? random_below(gap) : 0);
    CHECK(offsets_add(o, offset));
    CHECK(!offsets_add(o, offset - random_below(5)));
    m->offsets[m->count++] = offset;
    m->pending++;
}

static void step_settle(struct model *m, struct offsets *o)
{
    if (m->count == 0)
        return;
    const size_t i = m->done + random_below((uint32_t)(m->count - m->done + 1));
    if (i == m->count) {
        CHECK(!offsets_settle(o, m->offsets[m->count - 1] + 1 + random_below(1000)));
        return;
    }
    CHECK_INT(offsets_settle(o, m->offsets[i]), !m->settled[i]);
    m->pending -= !m->settled[i];
    m->settled[i] = true;
    if (i + 1 < m->count && m->offsets[i + 1] > m->offsets[i] + 1)
        CHECK(!offsets_settle(o, m->offsets[i] + 1));
}

static void run_schedule(uint64_t seed, uint32_t gap, uint32_t backlog)
{
    AUTO(free_ptr) int64_t *read = xcalloc(STEPS, sizeof(int64_t));
    AUTO(free_ptr) bool *settled = xcalloc(STEPS, sizeof(bool));
    struct model m = {.offsets = read, .settled = settled};
    struct offsets *o = offsets_new();
    random_state = seed;
    int64_t before = -1;
    for (int i = 0; i < STEPS && !check_failures; i++) {
        if (random_below(backlog) >= m.pending)
            step_add(&m, o, gap);
        else
            step_settle(&m, o);
        CHECK_INT(offsets_watermark(o), model_watermark(&m));
        CHECK_INT(offsets_pending(o), m.pending);
        CHECK_INT(offsets_newest(o), m.count ? m.offsets[m.count - 1] : -1);
        CHECK(offsets_watermark(o) >= before);
        before = offsets_watermark(o);
    }
    offsets_free(o);
}

static void agrees_with_the_model(void)
{
    static const struct {
        const char *label;
        uint32_t gap, backlog;
    } cases[] = {
        {"dense, few pending", 1, 10},          {"dense, many pending", 1, 5000},      {"small gaps", 100, 200},
        {"gaps of a million", 1000000, 50},     {"gaps, many pending", 1000000, 5000}, {"gaps of a chunk", 64, 64},
        {"gaps around a chunk's edge", 130, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (uint64_t seed = 1; seed <= 3; seed++) {
            CHECK_LABEL(cases[i].label);
            run_schedule(seed * 0x9E3779B97F4A7C15U, cases[i].gap, cases[i].backlog);
        }
    }
}

CHECK_MAIN({"starts unknown", starts_unknown}, {"waits for the lowest", waits_for_the_lowest},
           {"refuses what it must", refuses_what_it_must}, {"takes the highest offset", takes_the_highest_offset},
           {"gaps and settled records are cheap", gaps_and_settled_records_are_cheap},
           {"agrees with the model", agrees_with_the_model})
