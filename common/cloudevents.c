/* The names of the headers stand here once, in the order in which they are written. */
#include "cloudevents.h"

#include <inttypes.h>
#include <stdio.h>

static void put(struct cloudevents *c, const char *name, struct slice value)
{
    c->headers[c->count++] = (struct record_header){.name = name, .value = value};
}

/* An event's word can be anything that a JSON string can hold: only a plain one becomes part of a type. */
static bool is_plain(const char *word)
{
    return *word && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == strlen(word) &&
           strlen(word) <= 48;
}

static bool all_zero(const char *text, size_t len)
{
    return strspn(text, "0") >= len;
}

bool cloudevents_traceparent_valid(struct slice text)
{
    if (text.len != CLOUDEVENTS_TRACEPARENT_SIZE - 1 || memcmp(text.ptr, "00-", 3) != 0)
        return false;
    for (size_t i = 3; i < text.len; i++) {
        const char c = text.ptr[i];
        const bool dash = i == 35 || i == 52;
        if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return !all_zero(text.ptr + 3, 32) && !all_zero(text.ptr + 36, 16);
}

static void put_trace(struct cloudevents *c, const struct cloudevents_origin *origin)
{
    if (cloudevents_traceparent_valid(origin->traceparent)) {
        memcpy(c->traceparent, origin->traceparent.ptr, origin->traceparent.len);
        c->traceparent[origin->traceparent.len] = '\0';
        put(c, "traceparent", slice_of(c->traceparent));
        if (origin->tracestate.len > 0 && origin->tracestate.len <= CLOUDEVENTS_TRACESTATE_MAX)
            put(c, "tracestate", origin->tracestate);
        return;
    }
    snprintf(c->traceparent, sizeof c->traceparent, "00-%016" PRIx64 "%016" PRIx64 "-%016" PRIx64 "-01",
             origin->random[0] | 1, origin->random[1], origin->random[2] | 1);
    put(c, "traceparent", slice_of(c->traceparent));
}

void cloudevents_fill(struct cloudevents *ret, const struct event *event, const struct cloudevents_origin *origin)
{
    ret->count = 0;
    snprintf(ret->source, sizeof ret->source, "/livekit/%s", origin->api_key);
    snprintf(ret->type, sizeof ret->type, "io.livekit.%.48s", is_plain(event->name) ? event->name : "unknown");
    clock_format_iso(event->created_at_s > 0 && event->created_at_s < INT64_MAX / 1000 ? event->created_at_s * 1000
                                                                                       : origin->received_at_ms,
                     ret->time);
    clock_format_iso(origin->received_at_ms, ret->received_at);
    put(ret, "ce_specversion", SLICE("1.0"));
    put(ret, "ce_id", event->id[0] ? slice_of(event->id) : origin->fallback_id);
    put(ret, "ce_source", slice_of(ret->source));
    put(ret, "ce_type", slice_of(ret->type));
    put(ret, "ce_time", slice_of(ret->time));
    if (event->room_sid[0])
        put(ret, "ce_subject", slice_of(event->room_sid));
    put(ret, "content-type", slice_of(origin->content_type));
    put_trace(ret, origin);
    put(ret, "roomclaim-received-at", slice_of(ret->received_at));
    put(ret, "roomclaim-key-source", slice_of(origin->key_source));
    put(ret, "roomclaim-origin", slice_of(origin->origin));
}
