/* The steps of a webhook. */
#include "producer-shim/webhook.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/cloudevents.h"
#include "common/deadletter.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/random.h"
#include "producer-shim/metrics_table.h"
#include "producer-shim/policy.h"

#include <assert.h>
#include <stdio.h>
#include <strings.h>

enum { ANSWER_MARGIN_MS = 250, OUTAGE_EVERY_MS = 1000 };

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

void desk_init(struct desk *desk, const struct config *config, struct publisher *publisher,
               struct token_checker *checker, void (*answered)(struct webhook *w))
{
    *desk = (struct desk){.config = config, .publisher = publisher, .checker = checker, .answered = answered};
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

/* All deadlines are the same time away from the request, so a queue is sorted, but for a slow body now and then. */
static void join_queue(struct desk *desk, struct webhook *w)
{
    struct webhook *before = desk->last;
    while (before && before->deadline_ms > w->deadline_ms)
        before = before->prev;
    w->prev = before;
    w->next = before ? before->next : desk->first;
    *(w->prev ? &w->prev->next : &desk->first) = w;
    *(w->next ? &w->next->prev : &desk->last) = w;
    desk->waiting++;
    metric_set(METRIC_IN_FLIGHT, 0, (int64_t)desk->waiting);
}

static void leave_queue(struct desk *desk, struct webhook *w)
{
    *(w->prev ? &w->prev->next : &desk->first) = w->next;
    *(w->next ? &w->next->prev : &desk->last) = w->prev;
    w->prev = w->next = NULL;
    desk->waiting--;
    metric_set(METRIC_IN_FLIGHT, 0, (int64_t)desk->waiting);
}

/* --- memory */

struct webhook *webhook_new(struct desk *desk, int64_t now_us)
{
    struct webhook *w = xcalloc(1, sizeof *w);
    w->desk = desk;
    w->received_us = now_us;
    w->deadline_ms = now_us / 1000 + desk->config->shim_answer_within_ms - ANSWER_MARGIN_MS;
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
    if (w->sent || !w->dropped)
        return;
    free_body(w);
    free(w);
}

void webhook_drop(struct webhook *w)
{
    if (!w)
        return;
    assert(w->state != WEBHOOK_PUBLISHING && w->state != WEBHOOK_SETTING_ASIDE);
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

/* A 503 is Kafka's or our own trouble: said once a second, with how many. */
static void note_outage(struct desk *desk, enum answer answer, const char *why)
{
    const int64_t now_ms = clock_mono_ms();
    desk->outage.untold++;
    if (now_ms - desk->outage.told_ms < OUTAGE_EVERY_MS)
        return;
    log_warn("webhooks answered 503: LiveKit tries again after Retry-After", LOG_STR("reason", answer_word(answer)),
             LOG_INT("count", desk->outage.untold), LOG_IF(why != NULL, LOG_STR("detail", why)));
    desk->outage.told_ms = now_ms;
    desk->outage.untold = 0;
}

static void answer(struct webhook *w, enum answer answer, const char *why)
{
    if (w->state == WEBHOOK_PUBLISHING || w->state == WEBHOOK_SETTING_ASIDE)
        leave_queue(w->desk, w);
    w->answer = answer;
    move(w, WEBHOOK_ANSWERED);
    free_body(w);
    metric_inc(METRIC_WEBHOOKS, answer);
    metric_observe_us(METRIC_SECONDS, 0, clock_mono_us() - w->received_us);
    if (answer_status(answer) == 503 && answer != ANSWER_NOT_YET)
        note_outage(w->desk, answer, why);
}

static void answer_later(struct webhook *w, enum answer how, const char *why)
{
    answer(w, how, why);
    w->desk->answered(w);
}

void desk_expire(struct desk *desk, int64_t now_ms)
{
    while (desk->first && desk->first->deadline_ms <= now_ms)
        answer_later(desk->first, ANSWER_NOT_ACKED, "the time for an answer is over");
}

int64_t desk_next_deadline_ms(const struct desk *desk)
{
    return desk->first ? desk->first->deadline_ms : INT64_MAX;
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
    if (!publisher_connected(desk->publisher))
        answer(w, ANSWER_KAFKA_AWAY, "no broker answers");
    else if ((int64_t)desk->waiting >= desk->config->shim_max_in_flight)
        answer(w, ANSWER_BUSY, "shim.max_in_flight is reached");
    return w->state == WEBHOOK_ANSWERED;
}

void webhook_verify(struct webhook *w)
{
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

/* The record's key and headers, for the topic and for the dead letters alike. */
struct record {
    struct policy_key key;
    struct cloudevents events;
};

/* Admission let two media types in. */
static bool is_plain_json(struct slice content_type)
{
    static const struct slice plain = {.ptr = "application/json", .len = sizeof "application/json" - 1};
    return content_type.len >= plain.len && strncasecmp(content_type.ptr, plain.ptr, plain.len) == 0;
}

static void describe(struct webhook *w, struct record *ret)
{
    struct desk *desk = w->desk;
    policy_key(&w->event, w->token.body_hash, &ret->key);
    const struct cloudevents_origin origin = {
        .api_key = w->key_name,
        .content_type = is_plain_json(w->content_type) ? "application/json" : "application/webhook+json",
        .key_source = policy_key_source_word(ret->key.source),
        .origin = "webhook",
        .fallback_id = ret->key.key,
        .traceparent = w->traceparent,
        .tracestate = w->tracestate,
        .random = {next_random(desk), next_random(desk), next_random(desk)},
        .received_at_ms = clock_wall_ms() - (clock_mono_us() - w->received_us) / 1000,
    };
    cloudevents_fill(&ret->events, &w->event, &origin);
}

static void on_set_aside(void *arg, const struct publish_report *report);
static void on_published(void *arg, const struct publish_report *report);

/* Sends the dead letter, without the body when that may not or cannot be stored. */
static void set_aside(struct webhook *w, const char *reason, const char *message)
{
    struct record record;
    describe(w, &record);
    if (w->state == WEBHOOK_VERIFIED)
        join_queue(w->desk, w);
    move(w, WEBHOOK_SETTING_ASIDE);
    log_warn("webhook set aside: authentic but unusable", LOG_STR("reason", reason), LOG_STR("room", w->event.room_sid),
             LOG_STR("event_id", w->event.id), LOG_STR("event", w->event.name), LOG_INT("bytes", w->body_len),
             LOG_BOOL("body_withheld", w->withheld));
    const struct deadletter letter = {
        .source_topic = w->desk->config->kafka_topic,
        .partition = -1,
        .offset = -1,
        .reason = reason,
        .message = message,
        .key = record.key.key,
        .value = body_of(w),
        .value_missing = w->withheld,
        .headers = record.events.headers,
        .header_count = record.events.count,
    };
    w->sent = true;
    deadletter_send(w->desk->publisher, w->desk->config, &letter, on_set_aside, w);
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

static void send(struct webhook *w)
{
    struct record record;
    cut_turn_password(w);
    describe(w, &record);
    join_queue(w->desk, w);
    move(w, WEBHOOK_PUBLISHING);
    w->sent = true;
    publisher_send(w->desk->publisher, w->desk->config->kafka_topic, record.key.key, record.events.headers,
                   record.events.count, body_of(w), on_published, w);
    fault_point("webhook_sent");
}

void webhook_publish(struct webhook *w)
{
    assert(w->state == WEBHOOK_VERIFIED);
    if (w->fault == EVENT_FAULT_NONE)
        send(w);
    else
        set_aside_unusable(w);
}

/* --- publishing */

/* True when the webhook has been answered before its report came. */
static bool too_late(struct webhook *w, const struct publish_report *report)
{
    w->sent = false;
    if (w->state != WEBHOOK_ANSWERED)
        return false;
    metric_inc(METRIC_LATE, report->outcome);
    free_unheld(w);
    return true;
}

static void on_published(void *arg, const struct publish_report *report)
{
    struct webhook *w = arg;
    metric_inc(METRIC_PUBLISHED, report->outcome);
    if (too_late(w, report))
        return;
    switch (report->outcome) {
    case PUBLISH_ACKED:
        answer_later(w, ANSWER_PUBLISHED, NULL);
        break;
    case PUBLISH_UNKNOWN:
        answer_later(w, ANSWER_NOT_ACKED, report->reason);
        break;
    case PUBLISH_REFUSED:
    case PUBLISH_OUTCOME_COUNT:
        set_aside(w, "refused", report->reason);
        break;
    }
}

/* A dead letter that Kafka refuses for good is tried once more without its body: better a trace than nothing. */
static void on_set_aside(void *arg, const struct publish_report *report)
{
    struct webhook *w = arg;
    metric_inc(METRIC_DEAD_LETTERS, report->outcome);
    if (too_late(w, report))
        return;
    if (report->outcome == PUBLISH_ACKED) {
        answer_later(w, ANSWER_DEAD_LETTERED, NULL);
    } else if (report->outcome == PUBLISH_REFUSED && !w->withheld) {
        w->withheld = true;
        set_aside(w, "refused", report->reason);
    } else {
        answer_later(w, ANSWER_NOT_ACKED, report->reason);
    }
}
