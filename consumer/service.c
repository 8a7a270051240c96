#include "consumer/service.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/notify.h"
#include "consumer/meters.h"
#include "consumer/parts.h"
#include "consumer/steps.h"
#include "consumer/sweeper.h"

#include <unistd.h>

enum {
    TICK_MS = 1000,
    ASLEEP_MS = 5 * TICK_MS, /* a tick that is so late says that the process was stopped */
    WATCH_TICKS = 10,        /* between two looks at all jobs */
    STUCK_LEASES = 2,
    STUCK_MARGIN_MS = 60000, /* three times what the store waits for an answer before it connects again */
    LEAVE_WITHIN_MS = 10000, /* leaving the group, at the end: then the process ends all the same */
    END_WITHIN_MS = 20000,   /* what ends after that, libraries among it, as the service manager is told */
};

void job_list_init(struct job_list *list)
{
    *list = (struct job_list){.head = NULL};
    list->tail = &list->head;
}

void job_list_add(struct job_list *list, struct job *job)
{
    job->next = NULL;
    *list->tail = job;
    list->tail = &job->next;
    list->count++;
}

struct job *job_list_take(struct job_list *list)
{
    struct job *job = list->head;
    if (job == NULL)
        return NULL;
    list->head = job->next;
    list->count--;
    if (list->head == NULL)
        list->tail = &list->head;
    return job;
}

/* jobs that wait */

static size_t waiting_count(const struct service *service)
{
    return service->waiting[WORK_TOPIC].count + flights_follower_count(service->flights) + service->lettering +
           service->letters.count;
}

/* Pauses at the bounds, resumes at three quarters of them: librdkafka takes up to a second to fetch again, and what is
 * left must last for so long. */
static void press_back(struct service *service)
{
    const struct config *config = service->config;
    const int64_t count = (int64_t)waiting_count(service), bytes = (int64_t)service->waiting_bytes;
    metric_set(M_WAITING, 0, count);
    metric_set(M_WAITING_BYTES, 0, bytes);
    metric_set(M_FOLLOWERS, 0, (int64_t)flights_follower_count(service->flights));
    if (count >= config->consumer_max_waiting || bytes >= config->consumer_max_waiting_size_bytes)
        intake_pause(service->intake, true);
    else if (!service->stopping && count <= config->consumer_max_waiting * 3 / 4 &&
             bytes <= config->consumer_max_waiting_size_bytes * 3 / 4)
        intake_pause(service->intake, false);
}

static void enqueue(struct service *service, struct job *job)
{
    job_list_add(&service->waiting[job->from_topic ? WORK_TOPIC : WORK_SWEEP], job);
}

void service_hold_bytes(struct service *service, struct job *job)
{
    job->held = job->bytes;
    service->waiting_bytes += job->held;
}

void service_let_go_bytes(struct service *service, struct job *job)
{
    service->waiting_bytes -= job->held;
    job->held = 0;
}

/* A follower that let go of its record, because its leader had the same, gets the leader's. */
static void pass_record_on(struct service *service, struct job *leader, struct job *follower)
{
    if (job_has_record(follower) || !job_has_record(leader) || !job_same_event(leader, follower))
        return;
    service_let_go_bytes(service, follower);
    job_hand_over_record(leader, follower);
    service_hold_bytes(service, follower);
}

/* Work that an operator or the sweep asked for is never answered from memory. */
static bool recently_completed(const struct service *service, const struct job *job)
{
    return strcmp(job->origin, "webhook") == 0 &&
           recent_has(service->recent, job->room, job->event_id, clock_mono_ms());
}

/* Of a leader with the same event only the place is needed: it has the same record, but for its own headers. */
static void follow(struct service *service, struct job *job)
{
    const struct job *leader = flights_leader(service->flights, job->room);
    job_move(job, JOB_FOLLOWER);
    if (!job_has_record(leader) || !job_same_event(job, leader))
        return;
    service_let_go_bytes(service, job);
    job_drop_record(job);
    job->bytes = sizeof *job;
    service_hold_bytes(service, job);
}

void service_accept(struct service *service, struct job *job)
{
    if (recently_completed(service, job)) {
        metric_inc(M_SUPPRESSED, GUARD_RECENT);
        job_move(job, JOB_SETTLED);
        steps_run(job);
        return;
    }
    if (flights_join(service->flights, job))
        enqueue(service, job);
    else
        follow(service, job);
    service_dispatch(service);
}

/* jobs that start */

static bool may_start(const struct service *service)
{
    return !service->stopping && !service->stop_button && store_healthy(service->store) &&
           (int64_t)service->in_flight < service->config->consumer_max_in_flight &&
           breaker_allows(&service->breaker, clock_mono_ms());
}

/* Topic and sweep take turns while both have work. */
static struct job *take_next(struct service *service)
{
    service->turn = service->turn == WORK_TOPIC ? WORK_SWEEP : WORK_TOPIC;
    struct job *job = job_list_take(&service->waiting[service->turn]);
    if (job == NULL)
        job = job_list_take(&service->waiting[service->turn == WORK_TOPIC ? WORK_SWEEP : WORK_TOPIC]);
    return job;
}

static void start(struct service *service, struct job *job)
{
    service_let_go_bytes(service, job);
    job_begin(job);
    job->slot = true;
    service->in_flight++;
    job->probe = breaker_take(&service->breaker, clock_mono_ms());
    job_move(job, JOB_CLAIMING);
    steps_run(job);
}

static void leave_when_idle(struct service *service);

void service_dispatch(struct service *service)
{
    struct job *job;
    while (may_start(service) && (job = take_next(service)) != NULL)
        start(service, job);
    metric_set(M_IN_FLIGHT, 0, (int64_t)service->in_flight);
    press_back(service);
    sweeper_feed(service->sweeper);
    leave_when_idle(service);
}

size_t service_slots_for_sweep(const struct service *service)
{
    const size_t used = service->in_flight + service->waiting[WORK_SWEEP].count;
    const size_t limit = (size_t)service->config->consumer_max_in_flight;
    const size_t free_slots = used < limit ? limit - used : 0;
    if (service->stopping || service->stop_button || !breaker_allows(&service->breaker, clock_mono_ms()))
        return 0;
    if (service->breaker.state != BREAKER_CLOSED)
        return MIN(free_slots, 1);
    return service->waiting[WORK_TOPIC].count > 0 ? free_slots / 2 : free_slots;
}

/* jobs that are given up */

/* A leader goes without a disposition: the first of its followers leads, the rest follow that one. */
static void forget(struct service *service, struct job *job)
{
    struct job *followers = job->lead ? flights_leave(service->flights, job) : NULL;
    service_let_go_bytes(service, job);
    while (followers != NULL) {
        struct job *follower = followers;
        followers = follower->next;
        pass_record_on(service, job, follower);
        if (flights_join(service->flights, follower)) {
            job_move(follower, JOB_RECEIVED);
            enqueue(service, follower);
        }
    }
    job_free(job);
}

static void forget_list(struct service *service, struct job *list)
{
    while (list != NULL) {
        struct job *job = list;
        list = job->next;
        forget(service, job);
    }
}

void service_drop_unclaimed(struct service *service, int32_t partition)
{
    forget_list(service, flights_take_followers(service->flights, partition));
    struct job_list keep;
    struct job *dropped = NULL, *job;
    job_list_init(&keep);
    while ((job = job_list_take(&service->waiting[WORK_TOPIC])) != NULL) {
        if (partition >= 0 && job->place.partition != partition) {
            job_list_add(&keep, job);
            continue;
        }
        job->next = dropped;
        dropped = job;
    }
    service->waiting[WORK_TOPIC] = keep;
    if (keep.head == NULL)
        job_list_init(&service->waiting[WORK_TOPIC]);
    forget_list(service, dropped);
}

static void drop_all_waiting(struct service *service)
{
    struct job *job;
    while ((job = job_list_take(&service->waiting[WORK_SWEEP])) != NULL)
        forget(service, job); /* due again when the sweep's mark runs out */
    service_drop_unclaimed(service, -1);
    while ((job = job_list_take(&service->letters)) != NULL) {
        forget(service, job); /* a poison record is read again; a parked room's letter is sent by the sweep */
    }
}

/* hooks of the parts */

void service_on_assigned(void *arg)
{
    struct service *service = arg;
    recent_clear(service->recent); /* others may have worked meanwhile */
}

void service_on_revoked(void *arg, int32_t partition)
{
    struct service *service = arg;
    service_drop_unclaimed(service, partition);
    press_back(service);
}

void service_on_fatal(void *arg, const struct error *err)
{
    log_error("stopping", LOG_STR("error", err->text));
    service_stop(arg, EXIT_FAILED);
}

void service_on_left(void *arg)
{
    struct service *service = arg;
    service->kafka_left = true;
    uv_stop(service->loop);
}

void service_on_store_health(void *arg, bool healthy, const struct error *err)
{
    (void)err; /* the store has logged it */
    struct service *service = arg;
    atomic_store(&service->database_up, healthy);
    metric_set(M_DATABASE, 0, healthy);
}

/* time */

static void send_letters_again(struct service *service)
{
    struct job_list again = service->letters;
    if (again.head == NULL)
        return;
    job_list_init(&service->letters);
    for (struct job *job = again.head; job != NULL;) {
        struct job *next = job->next;
        steps_run(job);
        job = next;
    }
}

static void report_stuck(const struct service *service, const struct job *job)
{
    log_error("a job does not end: this is a fault of the program, and only a restart mends it; /livez says so",
              LOG_STR("room", job->room), LOG_STR("state", job_state_name(job->state)),
              LOG_INT("partition", job->from_topic ? job->place.partition : -1),
              LOG_INT("seconds", (clock_mono_us() - job->moved_us) / 1000000),
              LOG_INT("in_flight", service->in_flight));
}

/* No call may take as long as a lease, and no answer of Postgres as long as the margin: what stands still for longer
 * than both will do so for ever, and its partition's offset with it. Time without Postgres, and time that this process
 * slept, don't count. */
static void watch_jobs(struct service *service, int64_t now_us, int64_t since_tick_ms)
{
    if (!store_healthy(service->store) || since_tick_ms > ASLEEP_MS)
        service->excused_us = now_us;
    if (service->ticks++ % WATCH_TICKS != 0)
        return;
    const struct job *job = flights_slowest(service->flights);
    const int64_t limit_ms = STUCK_LEASES * service->config->claim_lease_ms + STUCK_MARGIN_MS;
    const bool stuck = job != NULL && (now_us - MAX(job->moved_us, service->excused_us)) / 1000 > limit_ms;
    if (stuck && !atomic_load(&service->stuck))
        report_stuck(service, job);
    atomic_store(&service->stuck, stuck);
}

static void on_tick(uv_timer_t *timer)
{
    struct service *service = timer->data;
    const int64_t now_ms = clock_mono_ms();
    watch_jobs(service, clock_mono_us(), now_ms - atomic_load(&service->beat_ms));
    atomic_store(&service->beat_ms, now_ms);
    if (!atomic_load(&service->stuck))
        notify_watchdog();
    intake_report(service->intake, clock_wall_ms());
    atomic_store(&service->kafka_up, intake_connected(service->intake));
    metric_set(M_SWEEP_AGE, 0, sweeper_age_ms(service->sweeper));
    send_letters_again(service);
    service_dispatch(service); /* a probe may be due, Postgres may be back */
}

/* the end */

static void leave_group(struct service *service)
{
    if (service->leaving)
        return;
    service->leaving = true;
    intake_stop(service->intake);
}

static void on_deadline(uv_timer_t *timer)
{
    struct service *service = timer->data;
    if (service->leaving) {
        log_error("the consumer group could not be left in time; ending all the same");
        _exit(service->exit_code == EXIT_DONE ? EXIT_FORCED : service->exit_code);
    }
    log_warn("shutdown_grace is over with calls unanswered: their leases will end, and the sweep of another "
             "consumer takes them up",
             LOG_INT("calls", service->in_flight));
    service->exit_code = EXIT_FORCED;
    uv_timer_start(timer, on_deadline, LEAVE_WITHIN_MS, 0);
    leave_group(service);
}

static void leave_when_idle(struct service *service)
{
    if (!service->stopping || service->leaving || service->in_flight > 0 || service->lettering > 0 ||
        store_pending(service->store) > 0)
        return;
    uv_timer_start(&service->deadline, on_deadline, LEAVE_WITHIN_MS, 0);
    leave_group(service);
}

void service_stop(struct service *service, int code)
{
    if (service->stopping)
        return;
    log_info("stopping: nothing new is claimed", LOG_INT("in_flight", service->in_flight));
    notify_stopping();
    notify_extend_timeout(service->config->consumer_shutdown_grace_ms + LEAVE_WITHIN_MS + END_WITHIN_MS);
    service->stopping = true;
    service->exit_code = code;
    sweeper_stop(service->sweeper);
    drop_all_waiting(service);
    uv_timer_start(&service->deadline, on_deadline, (uint64_t)service->config->consumer_shutdown_grace_ms, 0);
    leave_when_idle(service);
}

int service_run(struct service *service)
{
    uv_timer_start(&service->tick, on_tick, 0, TICK_MS);
    uv_run(service->loop, UV_RUN_DEFAULT);
    if (service->in_flight > 0 || service->lettering > 0 || store_pending(service->store) > 0)
        _exit(service->exit_code); /* a forced stop: nothing in memory matters, and I/O is still under way */
    return service->exit_code;
}
