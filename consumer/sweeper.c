#include "consumer/sweeper.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/random.h"
#include "consumer/meters.h"
#include "consumer/steps.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FULL_PASS_MS = 10 * 60 * 1000, /* without the low mark that keeps the others cheap */
    SUMMARY_MS = 10000,
    BLOCKED_RETRY_MS = 200, /* Postgres is away, or a pass is under way */
    WAKE_STEP_MS = 100,     /* rooms that become due together are taken by one pass */
    WAKE_STEPS = 4096,      /* how far ahead is remembered; what is due later waits for a regular pass */
};

struct sweeper {
    struct service *service;
    uv_timer_t timer;
    int64_t started_ms, next_ms, last_done_ms, last_full_ms, last_summary_ms;
    bool running, full, summary, stopped;
    size_t slots;           /* that the pass under way may fill */
    bool hungry;            /* it filled them all: more may be due */
    int64_t from_step;      /* when it began: what became due since is still to be looked at */
    bool wakes[WAKE_STEPS]; /* a ring of coming steps: something is due then */
};

static void on_timer(uv_timer_t *timer);

static void schedule(struct sweeper *sweeper, int64_t delay_ms)
{
    if (sweeper->stopped)
        return;
    delay_ms = MAX(delay_ms, 0);
    sweeper->next_ms = clock_mono_ms() + delay_ms;
    uv_timer_start(&sweeper->timer, on_timer, (uint64_t)delay_ms, 0);
}

/* The interval with up to a tenth of jitter either way, so that replicas don't sweep in step. */
static int64_t next_interval_ms(const struct sweeper *sweeper)
{
    const int64_t interval_ms = sweeper->service->config->sweep_interval_ms;
    return interval_ms - interval_ms / 10 + (int64_t)(random_u32() % (uint32_t)(interval_ms / 5 + 1));
}

/* When the next pass is: the regular one, or before it the first step in which something is due. */
static int64_t next_delay_ms(struct sweeper *sweeper, int64_t now_ms)
{
    const int64_t interval_ms = next_interval_ms(sweeper);
    const int64_t first = sweeper->from_step;
    for (int64_t step = first + 1; step * WAKE_STEP_MS < now_ms + interval_ms && step < first + WAKE_STEPS; step++) {
        if (sweeper->wakes[step % WAKE_STEPS]) {
            sweeper->wakes[step % WAKE_STEPS] = false;
            return MAX(step * WAKE_STEP_MS - now_ms, 0);
        }
    }
    return interval_ms;
}

void sweeper_wake_in(struct sweeper *sweeper, int64_t delay_ms)
{
    const int64_t step = (clock_mono_ms() + delay_ms) / WAKE_STEP_MS + 1;
    if (delay_ms >= (int64_t)(WAKE_STEPS - 2) * WAKE_STEP_MS)
        return;
    sweeper->wakes[step % WAKE_STEPS] = true;
    if (!sweeper->running && step * WAKE_STEP_MS < sweeper->next_ms)
        schedule(sweeper, step * WAKE_STEP_MS - clock_mono_ms());
}

void sweeper_feed(struct sweeper *sweeper)
{
    if (!sweeper->hungry || sweeper->running || service_slots_for_sweep(sweeper->service) == 0)
        return;
    sweeper->hungry = false;
    sweeper_wake_in(sweeper, 0);
}

static const char *known_origin(const char *word)
{
    static const char *const words[] = {"webhook", "retry", "redrive", "reconcile", "replay", "reanalyse"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(word, words[i]) == 0)
            return words[i];
    }
    return "webhook";
}

static struct job *make_job(struct sweeper *sweeper, const struct sweep_row *row, const char *origin)
{
    struct job *job = job_new(sweeper->service, row->room, row->event_id, origin);
    job->place = (struct record_place){.partition = row->partition, .offset = row->offset};
    return job;
}

/* A room that is due: it goes the way of every job. */
static void take_due(struct sweeper *sweeper, const struct sweep_row *row)
{
    if (!flights_has(sweeper->service->flights, row->room))
        service_accept(sweeper->service, make_job(sweeper, row, "sweep"));
}

/* A parked room whose dead letter is pending: sent without a value, for the record is not in hand. */
static void take_letter(struct sweeper *sweeper, const struct sweep_row *row)
{
    if (flights_has(sweeper->service->flights, row->room))
        return;
    struct job *job = make_job(sweeper, row, known_origin(row->origin));
    job_begin(job);
    snprintf(job->work->reason, sizeof job->work->reason, "%s", row->reason);
    snprintf(job->work->error, sizeof job->work->error, "the room is parked; its record is at the place named here");
    if (!flights_join(sweeper->service->flights, job)) {
        job_free(job);
        return;
    }
    job_move(job, JOB_DEAD_LETTERING);
    steps_run(job);
}

static void log_row(const struct sweep_row *row)
{
    log_info("sweep", LOG_STR("room", row->room), LOG_STR("found", row->kind), LOG_STR("reason", row->reason),
             LOG_INT("attempt", row->attempt));
}

static enum SWEEP kind_of(const char *word)
{
    enum SWEEP kind = 0;
    while (kind < SWEEP_COUNT && strcmp(sweep_kind_names[kind], word) != 0)
        kind++;
    return kind;
}

/* Returns true if the row says that there is more. */
static bool take_row(struct sweeper *sweeper, const struct sweep_row *row)
{
    const enum SWEEP kind = kind_of(row->kind);
    if (kind == SWEEP_COUNT)
        return false;
    metric_inc(M_SWEPT, kind);
    switch (kind) {
    case SWEEP_DUE:
        take_due(sweeper, row);
        break;
    case SWEEP_DLQ:
        take_letter(sweeper, row);
        break;
    case SWEEP_MORE:
        return true;
    case SWEEP_EXPIRED:
    case SWEEP_PARKED:
    case SWEEP_FINISHED:
    case SWEEP_UNMATCHED_EXPIRED:
    case SWEEP_FOLLOWED:
    case SWEEP_COUNT:
        log_row(row);
        break;
    }
    return false;
}

static void report_states(const struct upkeep *upkeep)
{
    int64_t rooms[ROOM_COUNT] = {0};
    int64_t oldest_ms = 0;
    for (size_t i = 0; i < upkeep->state_count; i++) {
        const struct summary_row *row = &upkeep->states[i];
        unsigned state = 0;
        while (state < ROOM_COUNT && strcmp(room_state_names[state], row->state) != 0)
            state++;
        if (state == ROOM_COUNT)
            continue;
        rooms[state] += row->rooms;
        if (state == ROOM_WAITING || state == ROOM_PROCESSING || state == ROOM_ANALYSED)
            oldest_ms = MAX(oldest_ms, row->age_ms);
    }
    for (unsigned state = 0; state < ROOM_COUNT; state++)
        metric_set(M_ROOMS, state, rooms[state]);
    metric_set(M_OLDEST, 0, oldest_ms);
}

static void set_stop_button(struct service *service, bool pressed)
{
    if (pressed != service->stop_button)
        log_warn(pressed ? "paused by an operator: no model calls until the setting is taken back"
                         : "resumed by an operator");
    service->stop_button = pressed;
    metric_set(M_STOP_BUTTON, 0, pressed);
}

/* The schema has never been seen: nothing will work before somebody migrates. */
static void give_up(struct sweeper *sweeper, const struct upkeep *upkeep)
{
    log_error("the database has no roomclaim schema; run `roomclaim migrate --execute`",
              LOG_STR("error", upkeep->err.text));
    service_stop(sweeper->service, EXIT_UNAVAILABLE);
}

static void on_upkeep(void *arg, const struct upkeep *upkeep)
{
    struct sweeper *sweeper = arg;
    sweeper->running = false;
    if (sweeper->stopped)
        return;
    if (upkeep->err.class != ERROR_NONE) {
        schedule(sweeper, BLOCKED_RETRY_MS);
        if (upkeep->schema_missing && sweeper->last_done_ms == 0)
            give_up(sweeper, upkeep);
        return;
    }
    if (upkeep->row_count > 0)
        fault_point("sweep_answered");
    const int64_t now_ms = clock_mono_ms();
    sweeper->last_done_ms = now_ms;
    if (sweeper->full)
        sweeper->last_full_ms = now_ms;
    set_stop_button(sweeper->service, upkeep->paused);
    if (sweeper->summary) {
        sweeper->last_summary_ms = now_ms;
        if (upkeep->states != NULL)
            report_states(upkeep);
    }
    bool more = false;
    size_t handed = 0;
    for (size_t i = 0; i < upkeep->row_count; i++) {
        handed += strcmp(upkeep->rows[i].kind, sweep_kind_names[SWEEP_DUE]) == 0;
        more = take_row(sweeper, &upkeep->rows[i]) || more;
    }
    sweeper->hungry = handed > 0 && handed >= sweeper->slots;
    schedule(sweeper, more ? 0 : next_delay_ms(sweeper, now_ms));
    service_dispatch(sweeper->service);
}

static void on_timer(uv_timer_t *timer)
{
    struct sweeper *sweeper = timer->data;
    const int64_t now_ms = clock_mono_ms();
    if (sweeper->running)
        return; /* its end schedules the next */
    sweeper->full = sweeper->last_full_ms == 0 || now_ms - sweeper->last_full_ms >= FULL_PASS_MS;
    sweeper->summary = sweeper->last_summary_ms == 0 || now_ms - sweeper->last_summary_ms >= SUMMARY_MS;
    sweeper->slots = service_slots_for_sweep(sweeper->service);
    sweeper->from_step = now_ms / WAKE_STEP_MS;
    sweeper->running = true; /* before the call: a connection that breaks in it is answered in it */
    if (store_upkeep(sweeper->service->store, (int64_t)sweeper->slots, sweeper->full, sweeper->summary, on_upkeep,
                     sweeper))
        return;
    sweeper->running = false;
    schedule(sweeper, BLOCKED_RETRY_MS);
}

struct sweeper *sweeper_new(struct service *service)
{
    struct sweeper *sweeper = xcalloc(1, sizeof *sweeper);
    sweeper->service = service;
    uv_timer_init(service->loop, &sweeper->timer);
    sweeper->timer.data = sweeper;
    sweeper->started_ms = clock_mono_ms();
    schedule(sweeper, 0);
    return sweeper;
}

void sweeper_stop(struct sweeper *sweeper)
{
    sweeper->stopped = true;
    uv_timer_stop(&sweeper->timer);
}

static void free_sweeper(uv_handle_t *handle)
{
    free(handle->data);
}

void sweeper_close(struct sweeper *sweeper)
{
    sweeper_stop(sweeper);
    uv_close((uv_handle_t *)&sweeper->timer, free_sweeper);
}

int64_t sweeper_age_ms(const struct sweeper *sweeper)
{
    return clock_mono_ms() - MAX(sweeper->last_done_ms, sweeper->started_ms);
}
