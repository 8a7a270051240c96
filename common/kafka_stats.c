/* What librdkafka's statistics tell about the brokers. */
#include "kafka.h"

#include "scan.h"

/* One broker's object: a real one (not the client's inner one) whose connection is up. */
static bool broker_up(struct scan *s)
{
    struct scan_text key, text;
    bool up = false, inner = false;
    if (!scan_enter_object(s))
        return false;
    while (scan_member(s, &key)) {
        if (scan_is(key, "state") && scan_string(s, &text))
            up = scan_is(text, "UP");
        else if (scan_is(key, "source") && scan_string(s, &text))
            inner = scan_is(text, "internal");
        else
            scan_skip(s);
    }
    return up && !inner && s->fault == SCAN_OK;
}

bool kafka_any_broker_up(struct slice statistics)
{
    struct scan s;
    struct scan_text key;
    scan_init(&s, statistics);
    if (!scan_enter_object(&s))
        return false;
    while (scan_member(&s, &key)) {
        if (!scan_is(key, "brokers") || !scan_enter_object(&s)) {
            scan_skip(&s);
            continue;
        }
        while (scan_member(&s, &key))
            if (broker_up(&s))
                return true;
    }
    return false;
}
