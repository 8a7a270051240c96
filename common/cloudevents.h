/* A webhook's record headers: CloudEvents (Kafka binding, binary mode), W3C trace context, and three of our own.
 *
 * Pure: what the request and the event said in, headers out. The headers borrow from the event, from what was passed
 * in, and from the struct itself: it must stay where it is, and live as long as they are used.
 */
#ifndef ROOMCLAIM_CLOUDEVENTS_H
#define ROOMCLAIM_CLOUDEVENTS_H

#include "clock.h"
#include "event.h"
#include "publisher.h"

enum {
    CLOUDEVENTS_TRACEPARENT_SIZE = sizeof "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
    CLOUDEVENTS_TRACESTATE_MAX = 512,
};

struct cloudevents {
    struct record_header headers[RECORD_HEADERS_MAX];
    size_t count;
    char source[160], type[64], time[CLOCK_ISO_SIZE], received_at[CLOCK_ISO_SIZE];
    char traceparent[CLOUDEVENTS_TRACEPARENT_SIZE];
};

struct cloudevents_origin {
    const char *api_key;      /* whose token it was: ce_source */
    const char *content_type; /* of the request */
    const char *key_source;   /* what the record's key was taken from */
    const char *origin;       /* webhook, spool, reconcile, redrive */
    struct slice fallback_id; /* ce_id when the event has none */
    struct slice traceparent; /* as received; made anew when it is not a valid one */
    struct slice tracestate;  /* passed on only with a valid traceparent */
    uint64_t random[3];       /* for a new traceparent */
    int64_t received_at_ms;
};

void cloudevents_fill(struct cloudevents *ret, const struct event *event, const struct cloudevents_origin *origin);

/* version 00, lower-case hexadecimal, neither id all zeros. */
bool cloudevents_traceparent_valid(struct slice text);

#endif
