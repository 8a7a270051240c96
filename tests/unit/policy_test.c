/* What is published, and under which key. */
#include "producer-shim/policy.h"

#include "check.h"

static char started[] = "room_started", finished[] = "room_finished", feedback[] = "feedback-*", demo[] = "demo?";

static void publishes(void)
{
    char *both[] = {started, finished}, *patterns[] = {feedback, demo};
    static const struct {
        const char *label, *name, *room;
        bool by_event, by_room, want;
    } cases[] = {
        {"everything", "whatever", "x", false, false, true},
        {"listed", "room_finished", "x", true, false, true},
        {"not listed", "track_published", "x", true, false, false},
        {"no event", "", "x", true, false, false},
        {"part of a name", "room_fin", "x", true, false, false},
        {"room matches", "whatever", "feedback-1", false, true, true},
        {"room matches the second", "whatever", "demo7", false, true, true},
        {"room does not match", "whatever", "call-1", false, true, false},
        {"pattern is the whole name", "whatever", "my feedback-1", false, true, false},
        {"room not named", "egress_ended", "", false, true, true},
        {"both", "room_started", "feedback-1", true, true, true},
        {"both, one fails", "room_started", "call-1", true, true, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config config = {0};
        struct event event = {.type = event_type_of(slice_of(cases[i].name))};
        if (cases[i].by_event)
            config.shim_events = (struct config_list){.items = both, .count = 2};
        if (cases[i].by_room)
            config.shim_room_names = (struct config_list){.items = patterns, .count = 2};
        snprintf(event.name, sizeof event.name, "%s", cases[i].name);
        snprintf(event.room_name, sizeof event.room_name, "%s", cases[i].room);
        CHECK_LABEL(cases[i].label);
        CHECK_INT(policy_publishes(&config, &event), cases[i].want);
    }
}

static void keys(void)
{
    static const struct {
        const char *body, *source, *key;
    } cases[] = {
        {"{\"room\":{\"sid\":\"RM_a\"},\"id\":\"EV_1\"}", "room", "RM_a"},
        {"{\"egressInfo\":{\"roomId\":\"RM_b\"},\"id\":\"EV_1\"}", "egress", "RM_b"},
        {"{\"ingressInfo\":{\"state\":{\"roomId\":\"RM_c\"}},\"id\":\"EV_1\"}", "ingress", "RM_c"},
        {"{\"id\":\"EV_1\"}", "event_id", "EV_1"},
        {"{\"id\":\"\"}", "body_hash", "0001020304050607000102030405060700010203040506070001020304050607"},
        {"{}", "body_hash", "0001020304050607000102030405060700010203040506070001020304050607"},
    };
    unsigned char hash[32];
    for (unsigned i = 0; i < 32; i++)
        hash[i] = (unsigned char)(i % 8);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct event event;
        struct policy_key key;
        CHECK_LABEL(cases[i].body);
        CHECK_INT(event_parse(slice_of(cases[i].body), &event), EVENT_FAULT_NONE);
        policy_key(&event, hash, &key);
        CHECK_STR(policy_key_source_word(key.source), cases[i].source);
        CHECK(slice_equal(key.key, slice_of(cases[i].key)));
    }
}

CHECK_MAIN({"publishes", publishes}, {"keys", keys})
