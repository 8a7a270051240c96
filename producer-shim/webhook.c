/* The steps of a webhook. */
#include "producer-shim/webhook.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/cloudevents.h"
#include "common/deadletter.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mutant.h"
#include "common/random.h"
#include "producer-shim/metrics_table.h"
#include "producer-shim/policy.h"
#include "producer-shim/spooler.h"

#include <assert.h>
#include <stdio.h>
#include <strings.h>

enum {
    ANSWER_MARGIN_MS = 250,
    SYNC_WITHIN_MS = 500, /* what is left for the disk, however late it is */
    OUTAGE_EVERY_MS = 1000,
    SPOOLED_EVERY_MS = 10000,
};

#define NEXT(id) (1U << WEBHOOK_##id)
static const struct {
    const char *name, *fault_point;
    unsigned next;
} states[] = {
#define X(id, text, edges, help) [WEBHOOK_##id] = {.name = text, .fault_point = "webhook_" text, .next = edges},
    WEBHOOK_STATE_TABLE(X)
#undef X
};

const char *webhook_state_name(enum webhook_state state)
{
    return states[state].name;
}

/* --- the desk */

void desk_init(struct desk *desk, const struct config *config, struct publisher *publisher, struct spooler *spooler,
               struct token_checker *checker, void (*answered)(struct webhook *w))
{
    *desk = (struct desk){
        .config = config, .publisher = publisher, .spooler = spooler, .checker = checker, .answered = answered};
    random_fill(&desk->random, sizeof desk->random);
    metric_set(METRIC_IN_FLIGHT_LIMIT, 0, config->shim_max_in_flight);
    metric_set(METRIC_BODY_BYTES_LIMIT, 0, DESK_BODY_BYTES_MAX);
}

void desk_fini(struct desk *desk)
{
    assert(desk->waiting == 0);
    token_checker_free(TAKE(desk->checker));
}

/* splitmix64: ids of traces must differ, not be secret. */
static uint64_t next_random(struct desk *desk)
{
    uint64_t z = desk->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void join_behind(struct webhook *w, struct webhook_queue *queue, struct webhook *before, int64_t due_ms)
{
    w->queue = queue;
    w->due_ms = due_ms;
    w->prev = before;
    w->next = before ? before->next : queue->first;
    *(w->prev ? &w->prev->next : &queue->first) = w;
    *(w->next ? &w->next->prev : &queue->last) = w;
    w->desk->waiting++;
    metric_set(METRIC_IN_FLIGHT, 0, (int64_t)w->desk->waiting);
}

/* What is due is the same time away for all of a queue, so it is sorted, but for a slow body now and then. */
static void join_late(struct webhook *w)
{
    struct webhook_queue *queue = &w->desk->late;
    struct webhook *before = queue->last;
    while (before && before->due_ms > w->deadline_ms)
        before = before->prev;
    join_behind(w, queue, before, w->deadline_ms);
}

/* In the order in which they were sent: nobody before it may wait longer. */
static void join_fresh(struct webhook *w, int64_t due_ms)
{
    struct webhook_queue *queue = &w->desk->fresh;
    join_behind(w, queue, queue->last, due_ms);
    for (struct webhook *before = w->prev; before && before->due_ms > due_ms; before = before->prev)
        before->due_ms = due_ms;
}

static void leave_queue(struct webhook *w)
{
    struct webhook_queue *queue = TAKE(w->queue);
    if (!queue)
        return;
    *(w->prev ? &w->prev->next : &queue->first) = w->next;
    *(w->next ? &w->next->prev : &queue->last) = w->prev;
    w->prev = w->next = NULL;
    w->desk->waiting--;
    metric_set(METRIC_IN_FLIGHT, 0, (int64_t)w->desk->waiting);
}

/* --- memory */

struct webhook *webhook_new(struct desk *desk, int64_t now_us)
{
    struct webhook *w = xcalloc(1, sizeof *w);
    w->desk = desk;
    w->received_us = now_us;
    w->deadline_ms = now_us / 1000 + desk->config->shim_answer_within_ms - ANSWER_MARGIN_MS;
    for (size_t i = 0; i < ARRAY_LEN(w->random); i++)
        w->random[i] = next_random(desk);
    return w;
}

static void hold_bytes(struct desk *desk, size_t more, size_t less)
{
    desk->body_bytes += more - less;
    metric_set(METRIC_BODY_BYTES, 0, (int64_t)desk->body_bytes);
}

bool webhook_reserve(struct webhook *w, size_t size)
{
    if (size <= w->body_size)
        return true;
    if (w->desk->body_bytes + (size - w->body_size) > DESK_BODY_BYTES_MAX)
        return false;
    hold_bytes(w->desk, size - w->body_size, 0);
    w->body = xgrow(w->body, size, 1);
    w->body_size = size;
    return true;
}

void webhook_append(struct webhook *w, const char *bytes, size_t len)
{
    assert(w->body_size - w->body_len >= len);
    if (len > 0)
        memcpy(w->body + w->body_len, bytes, len);
    w->body_len += len;
}

static void free_body(struct webhook *w)
{
    hold_bytes(w->desk, 0, w->body_size);
    free(TAKE(w->body));
    w->body_len = w->body_size = 0;
}

static void free_unheld(struct webhook *w)
{
    if (w->sent || w->spooling || !w->dropped)
        return;
    free_body(w);
    free(w);
}

void webhook_drop(struct webhook *w)
{
    if (!w)
        return;
    assert(!w->queue);
    w->dropped = true;
    free_unheld(w);
}

/* --- states */

static void move(struct webhook *w, enum webhook_state to)
{
    assert(states[w->state].next & (1U << to));
    log_debug("webhook", LOG_STR("state", states[to].name), LOG_STR("room", w->event.room_sid),
              LOG_STR("event_id", w->event.id));
    w->state = to;
    fault_point(states[to].fault_point);
}

/* Counts, and returns how many are to be told now; 0: none. */
static uint64_t tally_up(struct tally *tally, int64_t every_ms)
{
    const int64_t now_ms = clock_mono_ms();
    const uint64_t count = ++tally->untold;
    if (tally->told_ms != 0 && now_ms - tally->told_ms < every_ms)
        return 0;
    tally->told_ms = now_ms;
    tally->untold = 0;
    return count;
}

/* A 503 is Kafka's or our own trouble. */
static void note_outage(struct desk *desk, enum answer answer, const char *why)
{
    const uint64_t count = tally_up(&desk->outage, OUTAGE_EVERY_MS);
    if (count > 0)
        log_warn("webhooks answered 503: LiveKit tries again after Retry-After", LOG_STR("reason", answer_word(answer)),
                 LOG_INT("count", count), LOG_IF(why != NULL, LOG_STR("detail", why)));
}

static void note_spooled(struct desk *desk)
{
    const uint64_t count = tally_up(&desk->spooled, SPOOLED_EVERY_MS);
    if (count > 0)
        log_warn("Kafka does not take webhooks: they are kept in the spool", LOG_INT("count", count));
}

static void answer(struct webhook *w, enum answer answer, const char *why)
{
    leave_queue(w);
    w->answer = answer;
    move(w, WEBHOOK_ANSWERED);
    free_body(w);
    metric_inc(METRIC_WEBHOOKS, answer);
    metric_observe_us(METRIC_SECONDS, 0, clock_mono_us() - w->received_us);
    if (answer == ANSWER_SPOOLED)
        note_spooled(w->desk);
    else if (answer_status(answer) == 503 && answer != ANSWER_NOT_YET)
        note_outage(w->desk, answer, why);
}

static void answer_later(struct webhook *w, enum answer how, const char *why)
{
    answer(w, how, why);
    w->desk->answered(w);
}

static void keep_in_spool(struct webhook *w);

void desk_expire(struct desk *desk, int64_t now_ms)
{
    while (desk->fresh.first && desk->fresh.first->due_ms <= now_ms)
        keep_in_spool(desk->fresh.first);
    while (desk->late.first && desk->late.first->due_ms <= now_ms)
        answer_later(desk->late.first, MUTANT(3) ? ANSWER_PUBLISHED : ANSWER_NOT_ACKED,
                     "the time for an answer is over");
}

void desk_give_up(struct desk *desk)
{
    struct webhook *w;
    while ((w = desk->fresh.first ? desk->fresh.first : desk->late.first) != NULL)
        answer_later(w, ANSWER_NOT_ACKED, "the shim is stopping");
}

int64_t desk_next_deadline_ms(const struct desk *desk)
{
    const int64_t fresh_ms = desk->fresh.first ? desk->fresh.first->due_ms : INT64_MAX;
    const int64_t late_ms = desk->late.first ? desk->late.first->due_ms : INT64_MAX;
    return MIN(fresh_ms, late_ms);
}

/* --- received */

static struct slice body_of(const struct webhook *w)
{
    return (struct slice){.ptr = w->body ? w->body : "", .len = w->body_len};
}

/* True when the token is good; else the webhook is answered. A token that is good but for the clock is read on, since
 * Retry-After depends on the event. */
static bool check_token(struct webhook *w)
{
    w->token = token_check(w->desk->checker, w->authorization, body_of(w), clock_wall_ms() / 1000);
    refusals_note(&w->desk->refusals, w->desk->checker, &w->token, clock_mono_ms());
    if (w->token.verdict == TOKEN_OK || w->token.verdict == TOKEN_NOT_YET) {
        /* copied: the checker may be replaced before the webhook is done */
        snprintf(w->key_name, sizeof w->key_name, "%s", token_key_name(w->desk->checker, w->token.key));
        return true;
    }
    answer(w, answer_of_verdict(w->token.verdict), NULL);
    return false;
}

static void read_event(struct webhook *w)
{
    w->fault = event_parse(body_of(w), &w->event);
    w->last = w->event.type == EVENT_ROOM_FINISHED;
}

/* Whether now is no time to send anything: then the sender is told at once. */
static bool refuse_now(struct webhook *w)
{
    struct desk *desk = w->desk;
    if (!desk->spooler && !publisher_connected(desk->publisher))
        answer(w, ANSWER_KAFKA_AWAY, "no broker answers");
    else if ((int64_t)desk->waiting >= desk->config->shim_max_in_flight)
        answer(w, ANSWER_BUSY, "shim.max_in_flight is reached");
    return w->state == WEBHOOK_ANSWERED;
}

void webhook_verify(struct webhook *w)
{
    fault_point(states[WEBHOOK_RECEIVED].fault_point);
    if (!check_token(w))
        return;
    if (w->body_len == 0) {
        answer(w, ANSWER_EMPTY, NULL);
        return;
    }
    read_event(w);
    if (w->token.verdict == TOKEN_NOT_YET) {
        answer(w, ANSWER_NOT_YET, NULL);
        return;
    }
    metric_inc(METRIC_EVENTS, w->event.type);
    move(w, WEBHOOK_VERIFIED);
    if (w->fault == EVENT_FAULT_NONE && !policy_publishes(w->desk->config, &w->event))
        answer(w, ANSWER_IGNORED, NULL);
    else
        refuse_now(w);
}

/* --- verified */

/* Moves the rest of the body over the secret. */
static void cut_turn_password(struct webhook *w)
{
    const struct slice cut = w->event.turn_password;
    if (cut.len == 0 || !w->desk->config->shim_cut_turn_password)
        return;
    const size_t start = (size_t)(cut.ptr - w->body), end = start + cut.len;
    memmove(w->body + start, w->body + end, w->body_len - end);
    w->body_len -= cut.len;
    w->event.turn_password = (struct slice){0};
    metric_inc(METRIC_CUTS, 0);
}

/* What is sent, to the topic or to the dead letters. It borrows from the webhook and from itself. */
struct record {
    struct policy_key key;
    struct cloudevents events;
    struct deadletter_record letter;
    struct spool_record sent; /* as the spool wants it, and the publisher too */
};

/* Admission let two media types in. */
static bool is_plain_json(struct slice content_type)
{
    static const struct slice plain = {.ptr = "application/json", .len = sizeof "application/json" - 1};
    return content_type.len >= plain.len && strncasecmp(content_type.ptr, plain.ptr, plain.len) == 0;
}

static void describe(const struct webhook *w, const char *way, struct record *ret)
{
    policy_key(&w->event, w->token.body_hash, &ret->key);
    const struct cloudevents_origin origin = {
        .api_key = w->key_name,
        .content_type = is_plain_json(w->content_type) ? "application/json" : "application/webhook+json",
        .key_source = policy_key_source_word(ret->key.source),
        .origin = way,
        .fallback_id = ret->key.key,
        .traceparent = w->traceparent,
        .tracestate = w->tracestate,
        .random = {w->random[0], w->random[1], w->random[2]},
        .received_at_ms = clock_wall_ms() - (clock_mono_us() - w->received_us) / 1000,
    };
    cloudevents_fill(&ret->events, &w->event, &origin);
}

static void write_letter(const struct webhook *w, struct record *record)
{
    const struct deadletter letter = {
        .source_topic = w->desk->config->kafka_topic,
        .partition = -1,
        .offset = -1,
        .reason = w->aside_reason,
        .message = w->aside_message,
        .key = record->key.key,
        .value = body_of(w),
        .value_missing = w->withheld,
        .headers = record->events.headers,
        .header_count = record->events.count,
    };
    deadletter_fill(&record->letter, w->desk->config, &letter);
    record->sent = (struct spool_record){.topic = record->letter.topic,
                                         .key = record->letter.key,
                                         .headers = record->letter.headers,
                                         .header_count = record->letter.header_count,
                                         .value = record->letter.value};
}

/* way: webhook or spool, a header of the record. */
static void compose(const struct webhook *w, const char *way, struct record *ret)
{
    describe(w, way, ret);
    if (w->aside_reason)
        write_letter(w, ret);
    else
        ret->sent = (struct spool_record){.topic = w->desk->config->kafka_topic,
                                          .key = ret->key.key,
                                          .headers = ret->events.headers,
                                          .header_count = ret->events.count,
                                          .value = body_of(w)};
    ret->sent.put_ms = clock_wall_ms();
}

/* --- the two ways */

static void on_report(void *arg, const struct publish_report *report);
static void on_spooled(void *arg, enum spool_result result);

static enum webhook_state direct_state(const struct webhook *w)
{
    return w->aside_reason ? WEBHOOK_SETTING_ASIDE : WEBHOOK_PUBLISHING;
}

static void give_to_kafka(struct webhook *w)
{
    struct desk *desk = w->desk;
    struct record record;
    compose(w, "webhook", &record);
    leave_queue(w);
    if (desk->spooler && !w->spool_tried && !MUTANT(3))
        join_fresh(w, MIN(clock_mono_ms() + desk->config->shim_spool_after_ms, w->deadline_ms - SYNC_WITHIN_MS));
    else
        join_late(w);
    move(w, direct_state(w));
    w->sent = true;
    if (MUTANT(3) && w->queue == &desk->late)
        w->due_ms = 0;
    publisher_send(desk->publisher, record.sent.topic, record.sent.key, record.sent.headers, record.sent.header_count,
                   record.sent.value, on_report, w);
    fault_point("webhook_sent");
}

static void keep_in_spool(struct webhook *w)
{
    struct record record;
    compose(w, "spool", &record);
    leave_queue(w);
    join_late(w);
    move(w, WEBHOOK_SPOOLING);
    w->spooling = w->spool_tried = true;
    spooler_put(w->desk->spooler, &record.sent, on_spooled, w);
}

static bool kafka_is_away(const struct desk *desk)
{
    return !publisher_connected(desk->publisher) || spooler_is_stalled(desk->spooler);
}

/* What was given to Kafka before w goes to the spool before it, or w might overtake a record of its room there. */
static void keep_in_spool_behind(struct webhook *w, bool all)
{
    struct webhook *before = w->desk->fresh.first;
    while (before && before != w) {
        struct webhook *const next = before->next;
        if (all || before->key_hash == w->key_hash)
            keep_in_spool(before);
        before = next;
    }
    keep_in_spool(w);
}

/* A record behind one of its room goes the same way. */
static void send(struct webhook *w)
{
    const struct desk *desk = w->desk;
    if (!desk->spooler || w->spool_tried) {
        give_to_kafka(w);
        return;
    }
    struct policy_key key;
    policy_key(&w->event, w->token.body_hash, &key);
    w->key_hash = slice_hash(key.key);
    const bool away = kafka_is_away(desk);
    if (away || spooler_holds(desk->spooler, key.key))
        keep_in_spool_behind(w, away);
    else
        give_to_kafka(w);
}

/* Sends a dead letter, without the body when that may not or cannot be stored. */
static void set_aside(struct webhook *w, const char *reason, const char *message)
{
    log_warn("webhook set aside: authentic but unusable", LOG_STR("reason", reason), LOG_STR("room", w->event.room_sid),
             LOG_STR("event_id", w->event.id), LOG_STR("event", w->event.name), LOG_INT("bytes", w->body_len),
             LOG_BOOL("body_withheld", w->withheld));
    w->aside_reason = reason;
    w->aside_message = message;
    send(w);
}

static const char *fault_help(enum event_fault fault)
{
    static const char *const helps[] = {
#define X(id, name, help) [EVENT_FAULT_##id] = help,
        EVENT_FAULT_TABLE(X)
#undef X
    };
    return helps[fault];
}

/* A body that could not be read to its end may hold the secret where nobody can find it: it is withheld then. */
static void set_aside_unusable(struct webhook *w)
{
    const bool unread =
        w->fault != EVENT_FAULT_NUL && w->fault != EVENT_FAULT_NO_SID && w->fault != EVENT_FAULT_BAD_SID;
    metric_inc(METRIC_UNUSABLE, w->fault);
    if (!unread)
        cut_turn_password(w);
    w->withheld = unread && w->desk->config->shim_cut_turn_password && event_may_hold_turn_password(body_of(w));
    set_aside(w, event_fault_name(w->fault), fault_help(w->fault));
}

void webhook_publish(struct webhook *w)
{
    assert(w->state == WEBHOOK_VERIFIED);
    if (w->fault != EVENT_FAULT_NONE) {
        set_aside_unusable(w);
        return;
    }
    cut_turn_password(w);
    send(w);
}

/* --- reports */

/* Kafka may or may not have it. */
static void on_unknown(struct webhook *w, const char *why)
{
    if (w->spooling)
        return; /* the disk's answer counts */
    if (w->desk->spooler && !w->spool_tried)
        keep_in_spool_behind(w, false);
    else
        answer_later(w, ANSWER_NOT_ACKED, why);
}

/* A dead letter that Kafka refuses for good is tried once more without its body: better a trace than nothing. */
static void on_refused(struct webhook *w, const char *why)
{
    if (w->spooling)
        return; /* the spool will bury it */
    if (w->aside_reason && w->withheld) {
        answer_later(w, ANSWER_NOT_ACKED, why);
        return;
    }
    w->withheld = w->aside_reason != NULL;
    set_aside(w, "refused", why);
}

static void on_report(void *arg, const struct publish_report *report)
{
    struct webhook *w = arg;
    w->sent = false;
    metric_inc(w->aside_reason ? METRIC_DEAD_LETTERS : METRIC_PUBLISHED, report->outcome);
    if (w->state == WEBHOOK_ANSWERED) {
        metric_inc(METRIC_LATE, report->outcome);
        free_unheld(w);
        return;
    }
    switch (report->outcome) {
    case PUBLISH_ACKED:
        answer_later(w, w->aside_reason ? ANSWER_DEAD_LETTERED : ANSWER_PUBLISHED, NULL);
        break;
    case PUBLISH_UNKNOWN:
        on_unknown(w, report->reason);
        break;
    case PUBLISH_REFUSED:
    case PUBLISH_OUTCOME_COUNT:
        on_refused(w, report->reason);
        break;
    }
}

/* The disk's answer. When it failed, Kafka may still come with its own, if it was asked. */
static void on_spooled(void *arg, enum spool_result result)
{
    struct webhook *w = arg;
    w->spooling = false;
    if (w->state == WEBHOOK_ANSWERED)
        free_unheld(w);
    else if (result == SPOOL_OK)
        answer_later(w, ANSWER_SPOOLED, NULL);
    else if (w->sent)
        move(w, direct_state(w));
    else
        answer_later(w, ANSWER_SPOOL_FAILED, spool_result_name(result));
}
