/* Records of the topic become jobs, or are settled at once when they can't be a room_finished. */
#include "common/alloc.h"
#include "common/log.h"
#include "common/mutant.h"
#include "consumer/meters.h"
#include "consumer/service.h"
#include "consumer/steps.h"

#include <stdio.h>

#define CE_ROOM_FINISHED "io.livekit.room_finished"

/* The last header of that name; ptr NULL when there is none. */
static struct slice header_of(const rd_kafka_message_t *message, const char *name)
{
    rd_kafka_headers_t *headers = NULL;
    const void *value = NULL;
    size_t len = 0;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, name, &value, &len) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return (struct slice){.ptr = NULL};
    return (struct slice){.ptr = value, .len = len};
}

/* Begins and ends as a JSON object does. What doesn't is junk, and goes to the dead letters. */
static bool looks_like_object(struct slice body)
{
    static const char space[] = " \t\r\n";
    while (body.len > 0 && memchr(space, body.ptr[body.len - 1], sizeof space - 1) != NULL)
        body.len--;
    while (body.len > 0 && memchr(space, body.ptr[0], sizeof space - 1) != NULL) {
        body.ptr++;
        body.len--;
    }
    return body.len >= 2 && body.ptr[0] == '{' && body.ptr[body.len - 1] == '}';
}

static bool surely_another_event(const rd_kafka_message_t *message, struct slice body)
{
    const struct slice type = header_of(message, "ce_type");
    if (type.ptr != NULL)
        return !slice_equal(type, SLICE(CE_ROOM_FINISHED));
    return looks_like_object(body) && !event_may_be_room_finished(body);
}

/* Where a record came from: the words that a header may say, as the claim knows them. */
static const struct {
    const char *header, *origin;
} origins[] = {
    {"webhook", "webhook"}, /* also what has no header */
    {"spool", "webhook"},   {"reconcile", "reconcile"}, {"redrive", "redrive"}, {"retry", "retry"},
};

static void set_origin(struct job *job, const rd_kafka_message_t *message)
{
    const struct slice word = header_of(message, "roomclaim-origin");
    size_t i = ARRAY_LEN(origins) - 1;
    while (i > 0 && !slice_equal(word, slice_of(origins[i].header)))
        i--;
    job->origin = origins[i].origin;
}

static struct job *make_job(struct service *service, const struct record_place *place,
                            const rd_kafka_message_t *message, const char *room, const char *event_id)
{
    struct job *job = job_new(service, room, event_id, "webhook");
    job->from_topic = true;
    job->place = *place;
    job_keep_record(job, message);
    service_hold_bytes(service, job);
    set_origin(job, message);
    return job;
}

/* Never usable: its dead letter is acknowledged before the offset is settled, and the partition goes on. */
static void set_aside(struct service *service, const struct record_place *place, const rd_kafka_message_t *message,
                      enum event_fault fault)
{
    struct job *job = make_job(service, place, message, "", "");
    job_begin(job);
    snprintf(job->work->reason, sizeof job->work->reason, "%s", event_fault_name(fault));
    snprintf(job->work->error, sizeof job->work->error, "the record is no usable webhook: %s", event_fault_name(fault));
    log_warn("poison record goes to the dead letters", LOG_STR("reason", job->work->reason),
             LOG_INT("partition", place->partition), LOG_INT("offset", place->offset));
    metric_inc(M_RECORDS, RECORD_POISON);
    if (MUTANT(10))
        intake_settle(service->intake, place);
    job_move(job, JOB_DEAD_LETTERING);
    steps_run(job);
}

static void settle_at_once(struct service *service, const struct record_place *place, enum RECORD kind)
{
    metric_inc(M_RECORDS, kind);
    intake_settle(service->intake, place);
}

static void accept_room(struct service *service, const struct record_place *place, const rd_kafka_message_t *message,
                        const struct event *event)
{
    struct job *job = make_job(service, place, message, event->room_sid, event->id);
    metric_inc(M_RECORDS, RECORD_ROOM_FINISHED);
    if (!slice_equal((struct slice){.ptr = message->key, .len = message->key_len}, slice_of(event->room_sid)))
        metric_inc(M_RECORDS, RECORD_KEY_MISMATCH);
    service_accept(service, job);
}

void service_on_record(void *arg, const struct record_place *place, const rd_kafka_message_t *message)
{
    struct service *service = arg;
    const struct slice body = {.ptr = message->payload, .len = message->len};
    if (service->stopping)
        return; /* not ours any more: the next owner reads it again */
    if (body.ptr == NULL) {
        settle_at_once(service, place, RECORD_TOMBSTONE);
        return;
    }
    if (body.len > 0 && surely_another_event(message, body)) {
        settle_at_once(service, place, RECORD_OTHER_EVENT);
        return;
    }
    struct event event;
    const enum event_fault fault = event_parse(body, &event);
    if (fault != EVENT_FAULT_NONE)
        set_aside(service, place, message, fault);
    else if (event.type == EVENT_ROOM_FINISHED)
        accept_room(service, place, message, &event);
    else
        settle_at_once(service, place, RECORD_OTHER_EVENT);
}
