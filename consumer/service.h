/* The consumer as a whole: the parts, the jobs that wait and those in flight, and the rules by which they start.
 *
 * One thread, one loop. A job is claimed only when a slot for its call is free, Postgres works, the breaker allows it
 * and nobody has pressed the stop button; until then it waits here, and when too many wait, the partitions pause. Work
 * from the topic and work from the sweep take turns.
 */
#ifndef ROOMCLAIM_SERVICE_H
#define ROOMCLAIM_SERVICE_H

#include "common/config.h"
#include "consumer/breaker.h"
#include "consumer/flights.h"
#include "consumer/job.h"
#include "consumer/prompt.h"
#include "consumer/recent.h"
#include "consumer/reply_schema.h"

#include <stdatomic.h>
#include <uv.h>

struct sweeper;

/* Jobs in order of arrival. */
struct job_list {
    struct job *head, **tail;
    size_t count;
};

enum work_source { WORK_TOPIC, WORK_SWEEP, WORK_SOURCE_COUNT };

struct service {
    uv_loop_t *loop;
    const struct config *config;
    const struct provider *provider;
    const char *base_url; /* llm.base_url or the provider's own */
    char *instructions;   /* the prompt's template */
    struct reply_schema *schema;
    char prompt_version[PROMPT_VERSION_SIZE];
    double price_input, price_cached, price_output; /* micro-USD a token */

    struct intake *intake;
    struct store *store;
    struct caller *caller;
    struct publisher *publisher;
    struct sweeper *sweeper;
    struct breaker breaker;
    struct flights *flights;
    struct recent *recent;

    struct job_list waiting[WORK_SOURCE_COUNT];
    size_t waiting_bytes;
    enum work_source turn;
    struct job_list letters; /* dead letters to be sent again at the next tick */
    size_t in_flight;        /* jobs that hold a slot */
    size_t lettering;        /* jobs whose dead letter is on its way */

    uv_timer_t tick, deadline;
    uv_poll_t reports; /* of the publisher */
    bool stop_button, stopping, leaving, kafka_left;
    int exit_code;
    unsigned ticks;
    int64_t excused_us; /* clock_mono_us until which a job may have stood still without any fault of its own */

    /* read by the admin server's thread */
    _Atomic int64_t beat_ms;
    atomic_bool database_up, kafka_up, operator_fault;
    atomic_bool stuck; /* a job does not end, and with it its partition does not go on */
};

/* Builds the parts. Returns owned, or NULL with *ret_err and the exit code in *ret_exit. Borrows config. */
struct service *service_new(uv_loop_t *loop, const struct config *config, struct error *ret_err,
                            int *ret_exit) MUST_CHECK;
/* After service_run. */
void service_free(struct service *service);
/* Runs until service_stop has done its work. Returns the exit code. */
int service_run(struct service *service);

/* Stops: nothing new is claimed, calls in flight are finished within consumer.shutdown_grace, offsets are committed,
 * the group is left. Idempotent. code: the exit code if nothing worse happens. */
void service_stop(struct service *service, int code);

/* A job from the topic or the sweep enters: a duplicate follows or is settled, any other waits for its slot. Takes job.
 */
void service_accept(struct service *service, struct job *job);
/* Starts as many waiting jobs as may start now. */
void service_dispatch(struct service *service);
/* Slots that the sweep may fill now. */
size_t service_slots_for_sweep(const struct service *service);

/* The bytes of a record in hand count against consumer.max_waiting_size until its room is claimed, or the job ends. */
void service_hold_bytes(struct service *service, struct job *job);
void service_let_go_bytes(struct service *service, struct job *job);

/* Jobs whose records are no longer ours (partition -1: all of the topic) and that nothing was done for yet: forgotten.
 */
void service_drop_unclaimed(struct service *service, int32_t partition);

/* The hook of intake: records become jobs, or are settled at once (records.c). */
void service_on_record(void *arg, const struct record_place *place, const rd_kafka_message_t *message);

void job_list_init(struct job_list *list);
void job_list_add(struct job_list *list, struct job *job);
struct job *job_list_take(struct job_list *list); /* NULL when empty */

#endif
