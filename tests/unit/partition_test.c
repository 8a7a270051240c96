#include "tests/unit/check.h"

#include "consumer/partition.h"

static struct partition fresh(void)
{
    struct partition p = {.epoch = 6};
    partition_start(&p);
    return p;
}

/* Delivers and takes into the offsets, as the intake does. */
static bool deliver(struct partition *p, int64_t offset, int64_t now_ms)
{
    return partition_delivered(p, offset, now_ms) && offsets_add(p->offsets, offset);
}

static void starts_an_epoch_with_nothing_known(void)
{
    struct partition p = fresh();
    CHECK(p.assigned && p.epoch == 7 && p.committed == -1 && p.next == -1);
    CHECK(deliver(&p, 5, 0));
    partition_start(&p);
    CHECK(p.epoch == 8 && offsets_pending(p.offsets) == 0 && p.next == -1);
    CHECK(deliver(&p, 0, 0));
    partition_end(&p);
    CHECK(p.offsets == NULL && p.epoch == 8);
}

static void sees_offsets_go_back(void)
{
    struct partition p = fresh();
    CHECK(deliver(&p, 10, 0) && deliver(&p, 11, 0) && deliver(&p, 20, 0));
    CHECK(!partition_delivered(&p, 20, 0));
    CHECK(!partition_delivered(&p, 15, 0)); /* above the watermark, but delivered before: another log */
    CHECK(partition_delivered(&p, 21, 0));
    partition_end(&p);
}

static void tells_lost_records_once(void)
{
    static const struct {
        const char *label;
        int64_t resumed, delivered, low, lost;
        bool resumed_late; /* the group's answer comes after the first record */
    } cases[] = {
        {"no jump", 3, 3, 0, 0, false},
        {"retention took two", 3, 5, 5, 2, false},
        {"the same, told late", 3, 5, 5, 2, true},
        {"retention took some of a jump", 3, 9, 5, 2, false},
        {"markers only", 3, 5, 0, 0, false},
        {"nothing was committed", -1, 5, 5, 0, false},
        {"the low mark is beyond what was read next", 3, 5, 8, 2, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].label);
        struct partition p = fresh();
        int64_t from = -1;
        if (cases[i].resumed >= 0 && !cases[i].resumed_late)
            partition_resumed(&p, cases[i].resumed, 0);
        CHECK(deliver(&p, cases[i].delivered, 0));
        if (cases[i].resumed >= 0 && cases[i].resumed_late)
            partition_resumed(&p, cases[i].resumed, 0);
        CHECK_INT(partition_lost(&p, -1, 1, &from), 0); /* the low watermark is not known yet */
        CHECK_INT(partition_lost(&p, cases[i].low, 1, &from), cases[i].lost);
        CHECK(cases[i].lost == 0 || from == cases[i].resumed);
        CHECK_INT(partition_lost(&p, cases[i].low, 1, &from), 0);
        partition_end(&p);
    }
}

static void forgets_an_unexplained_jump(void)
{
    struct partition p = fresh();
    int64_t from = -1;
    CHECK(deliver(&p, 3, 0) && deliver(&p, 9, 0));
    CHECK_INT(partition_lost(&p, 0, 60001, &from), 0);
    CHECK_INT(partition_lost(&p, 9, 60002, &from), 0);
    partition_end(&p);
}

static void knows_the_oldest(void)
{
    struct partition p = fresh();
    CHECK_INT(partition_oldest_ms(&p, 500), 500);
    CHECK(deliver(&p, 0, 0) && deliver(&p, 1, 0) && deliver(&p, 2, 0));
    partition_mark(&p, 0, 100);
    partition_mark(&p, 1, 110); /* too near to be kept */
    partition_mark(&p, 2, 200);
    CHECK_INT(partition_oldest_ms(&p, 500), 100);
    partition_settle(&p, 0);
    CHECK_INT(partition_oldest_ms(&p, 500), 100); /* a little before */
    partition_settle(&p, 1);
    CHECK_INT(partition_oldest_ms(&p, 500), 200);
    partition_settle(&p, 2);
    CHECK_INT(partition_oldest_ms(&p, 500), 500);
    partition_end(&p);
}

CHECK_MAIN({"starts an epoch with nothing known", starts_an_epoch_with_nothing_known},
           {"sees offsets go back", sees_offsets_go_back}, {"tells lost records once", tells_lost_records_once},
           {"forgets an unexplained jump", forgets_an_unexplained_jump}, {"knows the oldest", knows_the_oldest})
