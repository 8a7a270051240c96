/* How long a webhook's body takes: event_parse, and the look that spares it.
 *
 * Prints nanoseconds a body and MB/s. Measures for a fixed number of rounds; says nothing about anything else.
 */
#include "common/clock.h"
#include "common/event.h"

#include <stdio.h>

enum { ROUNDS = 200000 };

#define ROOM                                                                                                       \
    "\"room\":{\"sid\":\"RM_CqWozgD3nefQ\", \"name\":\"call-0\", \"emptyTimeout\":3, \"departureTimeout\":2, "     \
    "\"creationTime\":\"1795458580\", \"creationTimeMs\":\"1795458580214\", \"turnPassword\":\"not-a-real-one\", " \
    "\"enabledCodecs\":[{\"mime\":\"audio/PCMU\"}, {\"mime\":\"audio/opus\"}, {\"mime\":\"audio/red\"}, "          \
    "{\"mime\":\"video/VP8\"}, {\"mime\":\"video/H264\"}, {\"mime\":\"video/VP9\"}, {\"mime\":\"video/AV1\"}]}"
#define TAIL ", \"id\":\"EV_7VNdsK6UNcdi\", \"createdAt\":\"1795458583\"}"

static const struct slice finished = {"{\"event\":\"room_finished\", " ROOM TAIL,
                                      sizeof "{\"event\":\"room_finished\", " ROOM TAIL - 1};
static const struct slice joined = {"{\"event\":\"participant_joined\", " ROOM TAIL,
                                    sizeof "{\"event\":\"participant_joined\", " ROOM TAIL - 1};

static unsigned parse(struct slice body)
{
    struct event event;
    return event_parse(body, &event) == EVENT_FAULT_NONE;
}

static unsigned look(struct slice body)
{
    return event_may_be_room_finished(body);
}

static void measure(const char *title, unsigned (*one)(struct slice body), struct slice body, unsigned want)
{
    unsigned got = 0;
    const int64_t begun = clock_mono_us();
    for (int i = 0; i < ROUNDS; i++)
        got += one(body);
    const double us = (double)(clock_mono_us() - begun);
    printf("%-44s %8.0f ns a body %8.0f MB/s%s\n", title, us * 1000 / ROUNDS, (double)body.len * ROUNDS / us,
           got == want * ROUNDS ? "" : "   WRONG ANSWER");
}

int main(void)
{
    measure("event_parse, room_finished", parse, finished, 1);
    measure("event_parse, participant_joined", parse, joined, 1);
    measure("event_may_be_room_finished, no", look, joined, 0);
    return 0;
}
