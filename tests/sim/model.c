#include "model.h"

#include "check.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "consumer/job.h"
#include "database.h"
#include "plan.h"

#include <stdio.h>
#include <stdlib.h>

struct model model;

void model_begin(void)
{
    model.count = 0;
    model.good_ms = 0;
}

int model_call_of(struct slice text)
{
    return text.len > 3 && memcmp(text.ptr, "ok ", 3) == 0 ? (int)strtol(text.ptr + 3, NULL, 10) : -1;
}

/* consumer/call.h */

struct caller {
    size_t in_flight;
};

struct caller *caller_new(uv_loop_t *loop, const struct config *config, const struct provider *provider,
                          struct error *ret_err)
{
    (void)loop, (void)config, (void)provider, (void)ret_err;
    return xcalloc(1, sizeof(struct caller));
}

void caller_close(struct caller *caller)
{
    free(caller);
}

size_t caller_in_flight(const struct caller *caller)
{
    return caller->in_flight;
}

static void fill_reply(struct provider_reply *reply, const struct model_call *made, unsigned number)
{
    char text[32];
    reply->verdict = made->verdict;
    snprintf(reply->reason, sizeof reply->reason, "as planned");
    if (made->verdict == CALL_RATE_LIMITED || made->verdict == CALL_OVERLOADED)
        reply->retry_after_ms = world_chance(300) ? world_between(1, 20) * 1000 : 0;
    if (made->verdict != CALL_OK && made->verdict != CALL_BAD_REPLY)
        return;
    snprintf(text, sizeof text, made->verdict == CALL_OK ? "ok %u" : "misfit %u", number);
    reply->verdict = CALL_OK; /* whether it fits is for the schema to say */
    reply->text = xstrdup(text);
    reply->text_len = strlen(text);
}

static void answer(void *arg, int64_t number)
{
    struct call *call = arg;
    struct model_call *made = &model.calls[number];
    made->ended_ms = world.now_ms;
    if (call_verdicts[made->verdict].failure == CALL_FAILURE_GOOD)
        model.good_ms = world.now_ms;
    check_call_ended(made);
    trace("model: call %d of room %d ends: %s", (int)number, made->room, call_verdicts[made->verdict].name);
    call->caller->in_flight--;
    call->elapsed_us = (clock_mono_ms() - call->started_ms) * 1000;
    fill_reply(&call->reply, made, (unsigned)number);
    call->done(call);
}

static int line_of(const char *token)
{
    for (unsigned i = database.lines; i-- > 0;) {
        if (strcmp(database.ledger[i].token, token) == 0)
            return (int)i;
    }
    return -1;
}

void caller_start(struct caller *caller, struct call *call)
{
    const struct job *job = call->arg;
    if (model.count == MODEL_CALLS_MAX) {
        violate("more calls than the model's ledger holds");
        return;
    }
    const unsigned number = model.count++;
    struct model_call *made = &model.calls[number];
    char room[16] = "";
    snprintf(room, sizeof room, "%.*s", (int)call->body.len, call->body.ptr);
    *made = (struct model_call){.process = process_current,
                                .incarnation = process_current->incarnation,
                                .room = (int)strtol(room, NULL, 10),
                                .line = line_of(job->work->store.token),
                                .verdict = plan_verdict(),
                                .started_ms = world.now_ms};
    trace("model: call %u of room %d begins", number, made->room);
    check_call_starts(made, job);
    call->caller = caller;
    call->started_ms = clock_mono_ms();
    call->sent = true;
    caller->in_flight++;
    world_after(plan_call_ms(made->verdict), process_current, answer, call, number);
}

/* The provider's module: the body is the room's input, and nothing else. */

static char *url_of(const struct provider_request *request)
{
    return xstrdup(request->base_url);
}

static char *body_of(const struct provider_request *request, size_t *ret_len)
{
    *ret_len = request->text.len;
    return xmemdup0(request->text.ptr, request->text.len);
}

const struct provider provider_gemini = {.name = "gemini", .base_url = "", .url = url_of, .body = body_of};
