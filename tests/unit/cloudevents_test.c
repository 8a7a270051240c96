/* A record's headers. */
#include "common/cloudevents.h"

#include "check.h"

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const char *value_of(const struct cloudevents *c, const char *name)
{
    static char text[600];
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->headers[i].name, name) != 0)
            continue;
        snprintf(text, sizeof text, "%.*s", (int)c->headers[i].value.len, c->headers[i].value.ptr);
        return text;
    }
    return "(none)";
}

static struct cloudevents_origin origin_of(const char *traceparent, const char *tracestate)
{
    return (struct cloudevents_origin){.api_key = "devkey",
                                       .content_type = "application/webhook+json",
                                       .key_source = "room",
                                       .origin = "webhook",
                                       .fallback_id = SLICE("fallback"),
                                       .traceparent = slice_of(traceparent),
                                       .tracestate = slice_of(tracestate),
                                       .random = {1, 2, 3},
                                       .received_at_ms = 1795458580123};
}

static void a_full_event(void)
{
    struct event event;
    struct cloudevents c;
    const struct cloudevents_origin origin = origin_of(TRACE, "vendor=1");
    CHECK_INT(event_parse(SLICE("{\"event\":\"room_finished\",\"room\":{\"sid\":\"RM_a\"},\"id\":\"EV_1\","
                                "\"createdAt\":\"1795458583\"}"),
                          &event),
              EVENT_FAULT_NONE);
    cloudevents_fill(&c, &event, &origin);
    CHECK_STR(value_of(&c, "ce_specversion"), "1.0");
    CHECK_STR(value_of(&c, "ce_id"), "EV_1");
    CHECK_STR(value_of(&c, "ce_source"), "/livekit/devkey");
    CHECK_STR(value_of(&c, "ce_type"), "io.livekit.room_finished");
    CHECK_STR(value_of(&c, "ce_time"), "2026-11-23T18:29:43.000Z");
    CHECK_STR(value_of(&c, "ce_subject"), "RM_a");
    CHECK_STR(value_of(&c, "content-type"), "application/webhook+json");
    CHECK_STR(value_of(&c, "traceparent"), TRACE);
    CHECK_STR(value_of(&c, "tracestate"), "vendor=1");
    CHECK_STR(value_of(&c, "roomclaim-received-at"), "2026-11-23T18:29:40.123Z");
    CHECK_STR(value_of(&c, "roomclaim-key-source"), "room");
    CHECK_STR(value_of(&c, "roomclaim-origin"), "webhook");
}

static void what_is_missing_is_made(void)
{
    struct event event;
    struct cloudevents c;
    const struct cloudevents_origin origin = origin_of("", "vendor=1");
    CHECK_INT(event_parse(SLICE("{\"event\":\"odd\\nname\"}"), &event), EVENT_FAULT_NONE);
    cloudevents_fill(&c, &event, &origin);
    CHECK_STR(value_of(&c, "ce_id"), "fallback");
    CHECK_STR(value_of(&c, "ce_type"), "io.livekit.unknown");
    CHECK_STR(value_of(&c, "ce_time"), "2026-11-23T18:29:40.123Z");
    CHECK_STR(value_of(&c, "ce_subject"), "(none)");
    CHECK_STR(value_of(&c, "traceparent"), "00-00000000000000010000000000000002-0000000000000003-01");
    CHECK_STR(value_of(&c, "tracestate"), "(none)");
}

static void absurd_times_are_not_believed(void)
{
    struct event event;
    struct cloudevents c;
    const struct cloudevents_origin origin = origin_of("", "");
    CHECK_INT(event_parse(SLICE("{\"event\":\"new_event\",\"createdAt\":9223372036854775807}"), &event),
              EVENT_FAULT_NONE);
    cloudevents_fill(&c, &event, &origin);
    CHECK_STR(value_of(&c, "ce_time"), "2026-11-23T18:29:40.123Z");
    CHECK_STR(value_of(&c, "ce_type"), "io.livekit.new_event");
}

static void traceparents(void)
{
    static const struct {
        const char *text;
        bool want;
    } cases[] = {
        {TRACE, true},
        {"", false},
        {TRACE "0", false},
        {"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
        {"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false},
        {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\n", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].text);
        CHECK_INT(cloudevents_traceparent_valid(slice_of(cases[i].text)), cases[i].want);
    }
}

CHECK_MAIN({"a full event", a_full_event}, {"what is missing is made", what_is_missing_is_made},
           {"absurd times are not believed", absurd_times_are_not_believed}, {"traceparents", traceparents})
