#include "consumer/steps.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/random.h"
#include "consumer/backoff.h"
#include "consumer/letter.h"
#include "consumer/meters.h"
#include "consumer/service.h"
#include "consumer/sweeper.h"

#include <stdio.h>
#include <stdlib.h>

enum step_result { STEP_NEXT, STEP_WAIT, STEP_DONE };

static enum step_result go(struct job *job, enum job_state next)
{
    job_move(job, next);
    return STEP_NEXT;
}

static enum step_result wait_for_io(struct job *job)
{
    job->io = JOB_IO_STARTED;
    return STEP_WAIT;
}

static void io_finished(struct job *job)
{
    job->io = JOB_IO_FINISHED;
    steps_run(job);
}

static void on_store(struct store_item *item)
{
    io_finished(item->arg);
}

static void on_call(struct call *call)
{
    io_finished(call->arg);
}

/* A random UUID (version 4) as text. */
static void make_token(char ret_token[STORE_TOKEN_SIZE])
{
    unsigned char b[16];
    random_fill(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    snprintf(ret_token, STORE_TOKEN_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* Asks the store to do op with what the job holds. */
static enum step_result submit(struct job *job, enum store_op op)
{
    struct store_item *item = &job->work->store;
    item->op = op;
    item->done = on_store;
    item->arg = job;
    item->room = job->room;
    item->origin = job->origin;
    item->event_id = job->event_id[0] ? job->event_id : NULL;
    item->topic = job->from_topic || op == STORE_OP_DEAD_PUT ? job->service->config->kafka_topic : NULL;
    item->partition = job->place.partition;
    item->offset = job->place.offset;
    item->verdict = call_verdicts[job->work->verdict].name;
    item->error = job->work->error;
    item->reason = job->work->reason;
    item->model = job->work->call.reply.model;
    store_submit(job->service->store, item);
    return wait_for_io(job);
}

static enum step_result park(struct job *job, const char *reason, const char *words)
{
    snprintf(job->work->reason, sizeof job->work->reason, "%s", reason);
    if (words != job->work->error)
        snprintf(job->work->error, sizeof job->work->error, "%s", words);
    return go(job, JOB_PARKING);
}

static enum step_result give_back(struct job *job, enum call_verdict verdict, const char *words)
{
    job->work->verdict = verdict;
    if (words != job->work->error)
        snprintf(job->work->error, sizeof job->work->error, "%s", words);
    return go(job, JOB_RELEASING);
}

/* claiming */

/* When a call must be over, by a clock that counts suspended time: surely before the lease is. */
static int64_t call_ends_by_boot_ms(const struct job *job)
{
    const struct config *config = job->service->config;
    return job->work->store.first_sent_boot_ms + config->claim_lease_ms - config->claim_margin_ms / 2;
}

static bool lease_long_enough(const struct job *job)
{
    return clock_boot_ms() < call_ends_by_boot_ms(job) - job->service->config->llm_timeout_ms;
}

/* No call will come of this job: the breaker may send another probe. */
static void drop_probe(struct job *job)
{
    if (job->probe)
        breaker_untake(&job->service->breaker, clock_mono_ms());
    job->probe = false;
}

static enum step_result call_not_sent(struct job *job, const char *words)
{
    drop_probe(job);
    return give_back(job, CALL_NOT_SENT, words);
}

static enum step_result claim_won(struct job *job)
{
    const char *why_not = job->service->stopping    ? "the service is stopping"
                          : !lease_long_enough(job) ? "too little of the lease was left when the claim was answered"
                                                    : NULL;
    return why_not == NULL ? go(job, JOB_ANALYSING) : call_not_sent(job, why_not);
}

/* Answers that tell that the room needed no call from this record. */
static bool is_duplicate(const struct store_item *answer)
{
    switch (answer->outcome) {
    case STORE_HELD:
    case STORE_ANALYSED:
    case STORE_DONE:
        return true;
    case STORE_WAITING: /* after a call, or for its input: then no call was saved yet */
        return answer->calls > 0;
    case STORE_PARKED: /* before, or by this very claim: only that one looks at the room closely */
        return answer->run < 0;
    case STORE_WON:
    case STORE_BUSY:
    case STORE_UNMATCHED:
    case STORE_FOREIGN:
    case STORE_GONE:
    case STORE_AMBIGUOUS:
    case STORE_STORED:
    case STORE_FENCED:
    case STORE_COMPLETED:
    case STORE_DROPPED:
    case STORE_REFUSED:
    case STORE_RELEASED:
    case STORE_ACKNOWLEDGED:
    case STORE_GUILTY:
    case STORE_OUTCOME_COUNT:
        break;
    }
    return false;
}

/* The sweep would send a letter too, but without the record, which is in hand here. */
static enum step_result parked_by_claim(struct job *job)
{
    snprintf(job->work->reason, sizeof job->work->reason, "%s", job->work->store.parked_reason);
    snprintf(job->work->error, sizeof job->work->error, "the claim found that the room can't be done: %s",
             job->work->store.parked_reason);
    log_warn("room parked for an operator", LOG_STR("room", job->room), LOG_STR("reason", job->work->reason));
    return go(job, JOB_DEAD_LETTERING);
}

static enum step_result claim_not_won(struct job *job)
{
    const enum store_outcome outcome = job->work->store.outcome;
    drop_probe(job);
    if (outcome == STORE_UNMATCHED)
        fault_point("inbox_written");
    if (job->from_topic && is_duplicate(&job->work->store))
        metric_inc(M_SUPPRESSED, GUARD_CLAIM);
    log_debug("claim not won", LOG_STR("room", job->room), LOG_STR("outcome", store_outcome_names[outcome]));
    if (job->from_topic && job->work->store.parked_reason[0] != '\0')
        return parked_by_claim(job);
    if (outcome != STORE_GUILTY)
        return go(job, JOB_SETTLED);
    job->work->store.token[0] = '\0'; /* it was never claimed */
    return park(job, "refused", job->work->store.err.text);
}

static enum step_result step_claiming(struct job *job)
{
    if (job->io == JOB_IO_NONE) {
        make_token(job->work->store.token);
        return submit(job, STORE_OP_CLAIM);
    }
    metric_inc(M_CLAIMS, job->work->store.outcome);
    return job->work->store.outcome == STORE_WON ? claim_won(job) : claim_not_won(job);
}

/* analysing */

static enum step_result start_call(struct job *job)
{
    struct service *service = job->service;
    char nonce[17];
    snprintf(nonce, sizeof nonce, "%08x%08x", random_u32(), random_u32());
    size_t text_len = 0;
    bool cut = false;
    char *instructions AUTO(free_ptr) = prompt_instructions(service->instructions, job->room);
    char *text AUTO(free_ptr) = prompt_fence((const char *const *)job->work->store.input, job->work->store.input_count,
                                             nonce, (size_t)service->config->llm_max_input_bytes, &text_len, &cut);
    if (cut)
        log_info("the room's text is longer than llm.max_input and was cut", LOG_STR("room", job->room));
    const struct provider_request request = {.base_url = service->base_url,
                                             .model = service->config->llm_model,
                                             .instructions = instructions,
                                             .text = {.ptr = text, .len = text_len},
                                             .schema_json = reply_schema_json(service->schema),
                                             .max_output_tokens = service->config->llm_max_output_tokens,
                                             .thinking = service->config->llm_thinking};
    job->work->url = service->provider->url(&request);
    size_t body_len = 0;
    job->work->body = service->provider->body(&request, &body_len);
    free(TAKE(job->work->store.input));
    job->work->call.url = job->work->url;
    job->work->call.body = (struct slice){.ptr = job->work->body, .len = body_len};
    job->work->call.done = on_call;
    job->work->call.arg = job;
    job->work->call.ends_by_boot_ms = call_ends_by_boot_ms(job);
    caller_start(service->caller, &job->work->call);
    return wait_for_io(job);
}

/* A reply that does not fit the schema is a bad reply, whatever the provider said of it. */
static void check_reply(struct job *job)
{
    struct provider_reply *reply = &job->work->call.reply;
    struct error err;
    job->work->verdict = reply->verdict;
    snprintf(job->work->error, sizeof job->work->error, "%s", reply->reason);
    if (reply->verdict != CALL_OK)
        return;
    if (reply_schema_check(job->service->schema, (struct slice){.ptr = reply->text, .len = reply->text_len}, &err))
        return;
    job->work->verdict = CALL_BAD_REPLY;
    snprintf(job->work->error, sizeof job->work->error, "%s", err.text);
}

/* Counts what the call cost. */
static void account(struct job *job)
{
    const struct service *service = job->service;
    const struct call_usage *usage = &job->work->call.reply.usage;
    const double micros = (double)MAX(usage->prompt_tokens - usage->cached_tokens, 0) * service->price_input +
                          (double)usage->cached_tokens * service->price_cached +
                          (double)(usage->output_tokens + usage->thinking_tokens) * service->price_output;
    job->work->store.usage = *usage;
    job->work->store.cost_micros = (int64_t)(micros + 0.5);
    metric_add(M_COST, 0, job->work->store.cost_micros);
    metric_add(M_TOKENS, TOKEN_PROMPT, usage->prompt_tokens);
    metric_add(M_TOKENS, TOKEN_CACHED, usage->cached_tokens);
    metric_add(M_TOKENS, TOKEN_OUTPUT, usage->output_tokens);
    metric_add(M_TOKENS, TOKEN_THINKING, usage->thinking_tokens);
    metric_observe_us(M_CALL_SECONDS, 0, job->work->call.elapsed_us);
    metric_inc(M_VERDICTS, job->work->verdict);
}

static void log_breaker(const struct job *job)
{
    const struct breaker *breaker = &job->service->breaker;
    metric_set(M_BREAKER, 0, breaker->state);
    if (breaker->state == BREAKER_OPEN)
        log_error("the model's provider fails; no more claims until a probe is answered",
                  LOG_STR("verdict", call_verdicts[job->work->verdict].name), LOG_STR("error", job->work->error),
                  LOG_MS("probe_in", MAX(breaker->probe_due_ms - clock_mono_ms(), 0)));
    else if (breaker->state == BREAKER_CLOSED)
        log_info("the model's provider answers again");
}

static void teach_breaker(struct job *job)
{
    struct breaker *breaker = &job->service->breaker;
    const int64_t now_ms = clock_mono_ms();
    bool changed = false;
    switch (call_verdicts[job->work->verdict].failure) {
    case CALL_FAILURE_GOOD:
        changed = breaker_good(breaker, now_ms);
        atomic_store(&job->service->operator_fault, false);
        break;
    case CALL_FAILURE_FAILED:
        changed = breaker_failed(breaker, now_ms, job->probe, job->work->call.reply.retry_after_ms);
        break;
    case CALL_FAILURE_OPERATOR:
        changed = breaker_operator_fault(breaker, now_ms, job->probe);
        atomic_store(&job->service->operator_fault, true);
        break;
    case CALL_FAILURE_NOTHING:
        if (job->probe)
            breaker_untake(breaker, now_ms);
        break;
    }
    job->was_probe = job->probe;
    job->probe = false;
    if (changed)
        log_breaker(job);
}

static enum step_result finish_call(struct job *job)
{
    free(TAKE(job->work->body));
    free(TAKE(job->work->url));
    check_reply(job);
    if (job->work->verdict == CALL_NOT_SENT)
        return call_not_sent(job, "the process was stopped for too long on its way to the model");
    account(job);
    teach_breaker(job);
    if (job->work->verdict != CALL_OK)
        metric_inc(M_CALLS, CALL_OUTCOME_FAILED);
    switch (call_verdicts[job->work->verdict].then) {
    case CALL_THEN_STORE:
        return go(job, JOB_STORING);
    case CALL_THEN_PARK:
        return park(job, call_verdicts[job->work->verdict].name, job->work->error);
    case CALL_THEN_RETRY:
        break;
    }
    return go(job, JOB_RELEASING);
}

static enum step_result step_analysing(struct job *job)
{
    if (job->io != JOB_IO_NONE)
        return finish_call(job);
    return lease_long_enough(job) ? start_call(job) : call_not_sent(job, "too little of the lease is left for a call");
}

/* storing */

/* The claim is another worker's by now, or Postgres has forgotten it: a standby that took over may lack it. Which of
 * the two, another claim tells. What the sweep handed out is on record. */
static enum step_result fenced(struct job *job)
{
    metric_inc(M_FENCED, 0);
    log_warn("late: the claim is no longer ours; what stands in Postgres stays", LOG_STR("room", job->room),
             LOG_STR("state", job_state_name(job->state)), LOG_INT("attempt", job->work->store.attempt));
    if (job->from_topic)
        job_start_over(job);
    return go(job, JOB_SETTLED);
}

static enum step_result result_stored(struct job *job)
{
    const enum store_outcome finished = job->work->store.finished;
    metric_inc(M_CALLS, CALL_OUTCOME_STORED);
    metric_inc(M_FINISHED, finished);
    if (finished == STORE_COMPLETED)
        recent_add(job->service->recent, job->room, job->event_id, clock_mono_ms());
    log_info(finished == STORE_COMPLETED ? "room completed" : "result stored", LOG_STR("room", job->room),
             LOG_IF(job->event_id[0] != '\0', LOG_STR("event_id", job->event_id)),
             LOG_IF(job->from_topic, LOG_INT("partition", job->place.partition)),
             LOG_IF(job->from_topic, LOG_INT("offset", job->place.offset)),
             LOG_INT("attempt", job->work->store.attempt),
             LOG_IF(finished != STORE_COMPLETED, LOG_STR("row", store_outcome_names[finished])),
             LOG_MS("call", job->work->call.elapsed_us / 1000));
    return go(job, JOB_SETTLED);
}

static enum step_result step_storing(struct job *job)
{
    if (job->io == JOB_IO_NONE) {
        job->work->store.result =
            (struct slice){.ptr = job->work->call.reply.text, .len = job->work->call.reply.text_len};
        return submit(job, STORE_OP_STORE);
    }
    if (job->work->store.outcome == STORE_STORED)
        return result_stored(job);
    if (job->work->store.outcome == STORE_GUILTY) {
        metric_inc(M_CALLS, CALL_OUTCOME_FAILED);
        return park(job, "refused", job->work->store.err.text);
    }
    metric_inc(M_CALLS, CALL_OUTCOME_DISCARDED);
    return fenced(job);
}

/* releasing */

static bool failure_counts(const struct job *job)
{
    switch (call_verdicts[job->work->verdict].counted) {
    case CALL_COUNTED_ALWAYS:
        return true;
    case CALL_COUNTED_IF_ALIVE:
        return !job->was_probe && job->service->breaker.last_good_ms > job->work->call.started_ms;
    case CALL_COUNTED_NEVER:
        break;
    }
    return false;
}

static enum step_result start_release(struct job *job)
{
    const struct config *config = job->service->config;
    const struct backoff_policy policy = {.initial_ms = config->retry_initial_ms, .max_ms = config->retry_max_ms};
    job->work->store.counted = failure_counts(job);
    job->work->store.delay_ms = job->work->verdict == CALL_NOT_SENT
                                    ? 0
                                    : backoff_delay_ms(&policy, (unsigned)MAX(job->work->store.calls, 1), random_u32(),
                                                       job->work->call.reply.retry_after_ms);
    return submit(job, STORE_OP_RELEASE);
}

static enum step_result released(struct job *job)
{
    log_info("room goes back to be tried again", LOG_STR("room", job->room),
             LOG_INT("attempt", job->work->store.attempt), LOG_STR("verdict", call_verdicts[job->work->verdict].name),
             LOG_STR("error", job->work->error), LOG_BOOL("counted", job->work->store.counted),
             LOG_MS("due_in", job->work->store.delay_ms));
    sweeper_wake_in(job->service->sweeper, job->work->store.delay_ms);
    return go(job, JOB_SETTLED);
}

static enum step_result step_releasing(struct job *job)
{
    if (job->io == JOB_IO_NONE)
        return start_release(job);
    if (job->work->store.outcome == STORE_RELEASED)
        return released(job);
    if (job->work->store.outcome == STORE_PARKED) {
        log_warn("room parked: its tries are used up", LOG_STR("room", job->room),
                 LOG_STR("reason", job->work->store.parked_reason),
                 LOG_STR("verdict", call_verdicts[job->work->verdict].name), LOG_STR("error", job->work->error));
        snprintf(job->work->reason, sizeof job->work->reason, "%s", job->work->store.parked_reason);
        return go(job, JOB_DEAD_LETTERING);
    }
    if (job->work->store.outcome != STORE_GUILTY)
        return fenced(job);
    /* its lease ends, and the sweep takes over */
    log_warn("room could not be given back; its lease will end", LOG_STR("room", job->room),
             LOG_STR("error", job->work->store.err.text));
    return go(job, JOB_SETTLED);
}

/* parking */

static enum step_result step_parking(struct job *job)
{
    if (job->io == JOB_IO_NONE)
        return submit(job, STORE_OP_PARK);
    if (job->work->store.outcome == STORE_PARKED) {
        log_warn("room parked for an operator", LOG_STR("room", job->room), LOG_STR("reason", job->work->reason),
                 LOG_STR("error", job->work->error));
        return go(job, JOB_DEAD_LETTERING);
    }
    if (job->work->store.outcome !=
        STORE_GUILTY) /* without a claim of ours, park_v1 has seen that the room is on record */
        return job->work->store.token[0] != '\0' ? fenced(job) : go(job, JOB_SETTLED);
    log_error("room could not be parked in Postgres", LOG_STR("room", job->room),
              LOG_STR("error", job->work->store.err.text));
    /* A room that was claimed is found by the sweep when its lease ends. One that was not is nowhere but here. */
    return go(job, job->work->store.token[0] == '\0' ? JOB_DEAD_LETTERING : JOB_SETTLED);
}

/* dead_lettering */

static void give_up_slot(struct job *job)
{
    if (job->slot)
        job->service->in_flight--;
    job->slot = false;
}

/* At the end of the service nobody waits for a letter: that of a parked room is sent by another consumer's sweep, and a
 * poison record stays unsettled, so that its next owner reads it again. */
static enum step_result send_later(struct job *job)
{
    if (!job->service->stopping) {
        job_list_add(&job->service->letters, job);
        return STEP_WAIT;
    }
    job->from_topic = job->from_topic && job->room[0] != '\0';
    return go(job, JOB_SETTLED);
}

static enum step_result step_dead_lettering(struct job *job)
{
    give_up_slot(job); /* what is parked is so in Postgres: others may work while the letter travels */
    switch (letter_next(job)) {
    case LETTER_SEND:
        letter_send(job, io_finished);
        return wait_for_io(job);
    case LETTER_SEND_LATER:
        return send_later(job);
    case LETTER_PUT_DEAD:
        job->work->store.key =
            job->key != NULL ? (struct slice){.ptr = job->key, .len = job->key_len} : slice_of(job->room);
        return submit(job, STORE_OP_DEAD_PUT);
    case LETTER_ACKNOWLEDGE:
        return submit(job, STORE_OP_DLQ_ACKED);
    case LETTER_DONE:
        break;
    }
    return go(job, JOB_SETTLED);
}

/* settled */

/* Another event of the room asks for itself: the application may have opened its row again after the leader's result
 * was stored. So does the same event when the leader was fenced, for nothing durable came of it. A room without a
 * feedback row needs no call from anybody: its duplicates are no calls saved. */
static void settle_follower(struct job *job, const struct job *leader)
{
    if (!job_same_event(job, leader) || leader->work->store.outcome == STORE_FENCED) {
        job_move(job, JOB_RECEIVED);
        service_accept(job->service, job);
        return;
    }
    job_move(job, JOB_SETTLED);
    if (leader->work->store.outcome != STORE_UNMATCHED)
        metric_inc(M_SUPPRESSED, GUARD_PARTITION);
    steps_run(job);
}

/* At the end of the service the record's next owner reads it again. */
static void accept_again(struct service *service, struct job *job)
{
    if (service->stopping) {
        job_free(job);
        return;
    }
    service_hold_bytes(service, job);
    service_accept(service, job);
}

static enum step_result step_settled(struct job *job)
{
    struct service *service = job->service;
    struct job *followers = job->lead ? flights_leave(service->flights, job) : NULL;
    if (job->from_topic) {
        intake_settle(service->intake, &job->place);
        fault_point("record_settled");
    }
    metric_inc(M_SETTLED, 0);
    metric_observe_us(M_ROOM_SECONDS, 0, clock_mono_us() - job->made_us);
    if (job->again != NULL) /* before its followers, which may have let go of their records */
        accept_again(service, TAKE(job->again));
    while (followers != NULL) {
        struct job *follower = followers;
        followers = follower->next;
        settle_follower(follower, job);
    }
    return STEP_DONE;
}

static enum step_result (*const steps[JOB_STATE_COUNT])(struct job *) = {
    [JOB_CLAIMING] = step_claiming,   [JOB_ANALYSING] = step_analysing, [JOB_STORING] = step_storing,
    [JOB_RELEASING] = step_releasing, [JOB_PARKING] = step_parking,     [JOB_DEAD_LETTERING] = step_dead_lettering,
    [JOB_SETTLED] = step_settled,
};

void steps_run(struct job *job)
{
    struct service *service = job->service;
    enum step_result result = STEP_NEXT;
    while (result == STEP_NEXT)
        result = steps[job->state](job);
    if (result == STEP_WAIT)
        return;
    const bool had_slot = job->slot;
    give_up_slot(job);
    service_let_go_bytes(service, job);
    job_free(job);
    if (had_slot)
        service_dispatch(service);
}
