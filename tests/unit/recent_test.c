#include "tests/unit/check.h"

#include "consumer/recent.h"

#include <stdio.h>

static void remembers_for_a_while(void)
{
    struct recent *recent = recent_new(10, 1000);
    recent_add(recent, "RM_a", "EV_1", 5000);
    CHECK(recent_has(recent, "RM_a", "EV_1", 5999));
    CHECK(!recent_has(recent, "RM_a", "EV_1", 6000));
    CHECK(!recent_has(recent, "RM_b", "EV_1", 5000));
    CHECK(!recent_has(recent, "RM_a", "EV_2", 5999));
    recent_add(recent, "RM_a", "EV_1", 6500);
    CHECK(recent_has(recent, "RM_a", "EV_1", 7000));
    recent_free(recent);
}

static void forgets_the_oldest_first(void)
{
    struct recent *recent = recent_new(3, 1000);
    char room[24];
    for (int i = 0; i < 5; i++) {
        snprintf(room, sizeof room, "RM_%d", i);
        recent_add(recent, room, "EV_1", i);
    }
    CHECK(!recent_has(recent, "RM_1", "EV_1", 10));
    CHECK(recent_has(recent, "RM_2", "EV_1", 10));
    CHECK(recent_has(recent, "RM_4", "EV_1", 10));
    recent_free(recent);
}

static void can_be_emptied_and_switched_off(void)
{
    struct recent *recent = recent_new(3, 1000);
    recent_add(recent, "RM_a", "EV_1", 0);
    recent_clear(recent);
    CHECK(!recent_has(recent, "RM_a", "EV_1", 1));
    recent_add(recent, "RM_b", "", 0);
    CHECK(!recent_has(recent, "RM_b", "", 1));
    recent_free(recent);
    recent = recent_new(0, 1000);
    recent_add(recent, "RM_a", "EV_1", 0);
    CHECK(!recent_has(recent, "RM_a", "EV_1", 1));
    recent_free(recent);
}

CHECK_MAIN({"remembers for a while", remembers_for_a_while}, {"forgets the oldest first", forgets_the_oldest_first},
           {"can be emptied and switched off", can_be_emptied_and_switched_off})
