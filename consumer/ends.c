#include "consumer/ends.h"

#include "common/alloc.h"

#include <stdlib.h>

enum { EVERY_MS = 3000, ANSWER_WITHIN_MS = 1000 };

struct end {
    int32_t id;
    struct ends_offsets offsets;
};

static const struct ends_offsets unknown = {.low = -1, .high = -1};

struct ends {
    uv_work_t work;
    rd_kafka_t *rk;
    const char *topic;
    bool asking;
    int64_t asked_ms;
    struct end *question; /* the worker's while asking */
    size_t question_count;
    struct ends_offsets *known; /* by partition */
    size_t known_count;
};

struct ends *ends_new(uv_loop_t *loop, rd_kafka_t *rk, const char *topic)
{
    struct ends *ends = xcalloc(1, sizeof *ends);
    ends->work.data = ends;
    ends->work.loop = loop;
    ends->rk = rk;
    ends->topic = topic;
    return ends;
}

/* On a thread of libuv's pool. A broker that is away ends it early. */
static void ask(uv_work_t *work)
{
    const struct ends *ends = work->data;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (size_t i = 0; i < ends->question_count && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        int64_t low = -1, high = -1;
        code = rd_kafka_query_watermark_offsets(ends->rk, ends->topic, ends->question[i].id, &low, &high,
                                                ANSWER_WITHIN_MS);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            ends->question[i].offsets = (struct ends_offsets){.low = low, .high = high};
    }
}

static void note(struct ends *ends, const struct end *end)
{
    const size_t at = (size_t)end->id;
    if (at >= ends->known_count) {
        ends->known = xgrow(ends->known, at + 1, sizeof *ends->known);
        while (ends->known_count <= at)
            ends->known[ends->known_count++] = unknown;
    }
    if (end->offsets.high >= 0)
        ends->known[at] = end->offsets;
}

static void on_answer(uv_work_t *work, int status)
{
    struct ends *ends = work->data;
    for (size_t i = 0; status == 0 && i < ends->question_count; i++)
        note(ends, &ends->question[i]);
    free(TAKE(ends->question));
    ends->asking = false;
}

void ends_ask(struct ends *ends, int32_t *ids, size_t count, int64_t now_ms)
{
    AUTO(free_ptr) int32_t *owned = ids;
    if (ends->asking || count == 0 || (ends->asked_ms != 0 && now_ms - ends->asked_ms < EVERY_MS))
        return;
    ends->asked_ms = now_ms;
    ends->question = xcalloc(count, sizeof *ends->question);
    ends->question_count = count;
    for (size_t i = 0; i < count; i++)
        ends->question[i] = (struct end){.id = owned[i], .offsets = unknown};
    ends->asking = uv_queue_work(ends->work.loop, &ends->work, ask, on_answer) == 0;
    if (!ends->asking)
        free(TAKE(ends->question));
}

struct ends_offsets ends_of(const struct ends *ends, int32_t id)
{
    return (size_t)id < ends->known_count ? ends->known[id] : unknown;
}

void ends_free(struct ends *ends)
{
    if (ends == NULL)
        return;
    while (ends->asking)
        uv_run(ends->work.loop, UV_RUN_ONCE);
    free(ends->known);
    free(ends);
}
