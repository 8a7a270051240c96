#include "consumer/job.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "consumer/meters.h"

#include <assert.h>

static const struct {
    const char *name;
    unsigned next;
    const char *help;
} states[JOB_STATE_COUNT] = {
#define X(id, name, next, help) {name, next, help},
    JOB_STATE_TABLE(X)
#undef X
};

_Static_assert(JOB_STATE_COUNT <= 32, "the edges are bits of an unsigned");

const char *job_state_name(enum job_state state)
{
    return states[state].name;
}

void job_move(struct job *job, enum job_state next)
{
    assert(states[job->state].next & (1u << next));
    const int64_t now_us = clock_mono_us();
    log_debug("job", LOG_STR("room", job->room), LOG_STR("event_id", job->event_id),
              LOG_STR("from", states[job->state].name), LOG_STR("to", states[next].name),
              LOG_MS("after", (now_us - job->moved_us) / 1000));
    job->moved_us = now_us;
    job->state = next;
    job->io = JOB_IO_NONE;
    metric_inc(M_TRANSITIONS, next);
    fault_point(states[next].name);
}

struct job *job_new(struct service *service, const char *room, const char *event_id, const char *origin)
{
    struct job *job = xcalloc(1, sizeof *job);
    job->service = service;
    job->origin = origin;
    job->made_us = job->moved_us = clock_mono_us();
    const size_t room_size = strlen(room) + 1, id_size = strlen(event_id) + 1;
    job->room = xmalloc(room_size + id_size);
    memcpy(job->room, room, room_size);
    job->event_id = memcpy(job->room + room_size, event_id, id_size);
    metric_inc(M_TRANSITIONS, JOB_RECEIVED);
    return job;
}

void job_free(struct job *job)
{
    if (job == NULL)
        return;
    if (job->work != NULL) {
        provider_reply_fini(&job->work->call.reply);
        free(job->work->store.input);
        free(job->work->url);
        free(job->work->body);
        free(job->work);
    }
    job_free(job->again);
    job_drop_record(job);
    free(job->room);
    free(job);
}

void job_begin(struct job *job)
{
    job->work = xcalloc(1, sizeof *job->work);
}

bool job_has_record(const struct job *job)
{
    return job->value != NULL;
}

bool job_same_event(const struct job *a, const struct job *b)
{
    return a->event_id[0] != '\0' && strcmp(a->event_id, b->event_id) == 0;
}

void job_hand_over_record(struct job *from, struct job *to)
{
    to->key = TAKE(from->key);
    to->value = TAKE(from->value);
    to->headers = TAKE(from->headers);
    to->key_len = from->key_len;
    to->value_len = from->value_len;
    to->header_count = from->header_count;
    to->bytes = from->bytes;
    from->key_len = from->value_len = from->header_count = 0;
}

void job_start_over(struct job *job)
{
    struct job *again = job_new(job->service, job->room, job->event_id, job->origin);
    again->from_topic = job->from_topic;
    again->place = job->place;
    job_hand_over_record(job, again);
    job->from_topic = false;
    job->again = again;
}

void job_drop_record(struct job *job)
{
    free(TAKE(job->key));
    free(TAKE(job->value));
    free(TAKE(job->headers));
    job->header_count = job->key_len = job->value_len = 0;
}

/* One block: the array, then each name and value, so that one free() releases all. */
static struct record_header *copy_headers(rd_kafka_headers_t *headers, size_t *ret_count)
{
    const size_t count = MIN(rd_kafka_header_cnt(headers), (size_t)RECORD_HEADERS_MAX);
    const char *name;
    const void *value;
    size_t len, bytes = count * sizeof(struct record_header);
    for (size_t i = 0; i < count && rd_kafka_header_get_all(headers, i, &name, &value, &len) == 0; i++)
        bytes += strlen(name) + 1 + len;
    struct record_header *copy = xmalloc(bytes + 1);
    char *to = (char *)(copy + count);
    for (size_t i = 0; i < count && rd_kafka_header_get_all(headers, i, &name, &value, &len) == 0; i++) {
        const size_t name_size = strlen(name) + 1;
        memcpy(to, name, name_size);
        if (len > 0)
            memcpy(to + name_size, value, len);
        copy[i] = (struct record_header){.name = to, .value = {.ptr = to + name_size, .len = len}};
        to += name_size + len;
    }
    *ret_count = count;
    return copy;
}

void job_keep_record(struct job *job, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    if (message->key != NULL)
        job->key = xmemdup0(message->key, message->key_len);
    if (message->payload != NULL)
        job->value = xmemdup0(message->payload, message->len);
    job->key_len = message->key_len;
    job->value_len = message->len;
    job->bytes = sizeof *job + message->key_len + message->len;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
        job->headers = copy_headers(headers, &job->header_count);
}

void job_print_diagram(FILE *out)
{
    fprintf(out, "stateDiagram-v2\n    [*] --> %s\n", states[JOB_RECEIVED].name);
    for (unsigned from = 0; from < JOB_STATE_COUNT; from++) {
        fprintf(out, "    %s : %s\n", states[from].name, states[from].help);
        for (unsigned to = 0; to < JOB_STATE_COUNT; to++) {
            if (states[from].next & (1u << to))
                fprintf(out, "    %s --> %s\n", states[from].name, states[to].name);
        }
    }
    fprintf(out, "    %s --> [*]\n", states[JOB_SETTLED].name);
}
