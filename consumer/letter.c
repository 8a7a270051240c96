#include "consumer/letter.h"

#include "common/deadletter.h"
#include "common/fault.h"
#include "common/log.h"
#include "consumer/meters.h"
#include "consumer/service.h"

enum { WARN_EVERY = 30 }; /* tries, of a few seconds each */

/* A parked room must hear that its letter is sent; a poison record has none. */
static enum letter_step close_letter(struct job *job)
{
    if (job->room[0] == '\0')
        return LETTER_DONE;
    job->work->letter = LETTER_CLOSING;
    return LETTER_ACKNOWLEDGE;
}

static enum letter_step letter_refused(struct job *job)
{
    log_error(
        "Kafka refuses a dead letter for good", LOG_STR("room", job->room), LOG_STR("reason", job->work->reason),
        LOG_INT("partition", job->place.partition), LOG_INT("offset", job->place.offset),
        LOG_STR("next", job->work->letter_without_value ? "it goes into roomclaim.dead" : "again without its value"));
    if (!job->work->letter_without_value) {
        job->work->letter_without_value = true;
        return LETTER_SEND;
    }
    job->work->letter = LETTER_PUT;
    return LETTER_PUT_DEAD;
}

static enum letter_step letter_reported(struct job *job)
{
    metric_inc(M_DEAD_LETTERS, job->work->published);
    switch (job->work->published) {
    case PUBLISH_ACKED:
        return close_letter(job);
    case PUBLISH_REFUSED:
        return letter_refused(job);
    case PUBLISH_UNKNOWN:
    case PUBLISH_OUTCOME_COUNT:
        break;
    }
    if (job->work->letter_tries++ % WARN_EVERY == 0)
        log_warn("a dead letter is not acknowledged; sending it again until it is",
                 LOG_STR("topic", config_dead_letter_topic(job->service->config)), LOG_STR("reason", job->work->reason),
                 LOG_INT("partition", job->place.partition), LOG_INT("offset", job->place.offset));
    job->work->letter = LETTER_UNSENT;
    return LETTER_SEND_LATER;
}

enum letter_step letter_next(struct job *job)
{
    switch (job->work->letter) {
    case LETTER_UNSENT:
        job->work->letter = LETTER_SENT;
        return LETTER_SEND;
    case LETTER_SENT:
        return letter_reported(job);
    case LETTER_PUT:
        if (job->work->store.outcome == STORE_GUILTY)
            log_error("a dead letter fits neither Kafka nor roomclaim.dead; this line is all that is left of it",
                      LOG_STR("room", job->room), LOG_STR("reason", job->work->reason),
                      LOG_INT("partition", job->place.partition), LOG_INT("offset", job->place.offset),
                      LOG_STR("error", job->work->store.err.text));
        return close_letter(job);
    case LETTER_CLOSING:
        break;
    }
    return LETTER_DONE;
}

static void on_report(void *arg, const struct publish_report *report)
{
    struct job *job = arg;
    job->service->lettering--;
    if (report->outcome == PUBLISH_ACKED)
        fault_point("letter_acked");
    job->work->published = report->outcome;
    job->work->letter_finished(job);
}

void letter_send(struct job *job, void (*finished)(struct job *job))
{
    struct service *service = job->service;
    const bool bare = job->value == NULL || job->work->letter_without_value;
    const struct deadletter letter = {
        .source_topic = service->config->kafka_topic,
        .partition = job->place.offset >= 0 ? job->place.partition : -1,
        .offset = job->place.offset,
        .group = service->config->kafka_group,
        .reason = job->work->reason,
        .message = job->work->error,
        .key = job->key != NULL ? (struct slice){.ptr = job->key, .len = job->key_len} : slice_of(job->room),
        .value = {.ptr = bare ? NULL : job->value, .len = bare ? 0 : job->value_len},
        .value_missing = bare,
        .delivery_count = job->work->store.calls,
        .headers = job->headers,
        .header_count = job->header_count,
    };
    job->work->letter_finished = finished;
    service->lettering++;
    deadletter_send(service->publisher, service->config, &letter, on_report, job);
}
