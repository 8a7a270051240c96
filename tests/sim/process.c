#ifndef ROOMCLAIM_FAULTS
#define ROOMCLAIM_FAULTS /* the fault points are ours here; tools that look at one file don't know */
#endif
#include "process.h"

#include "check.h"
#include "client.h"
#include "common/clock.h"
#include "common/fault.h"
#include "consumer/parts.h"
#include "cover.h"
#include "link.h"
#include "plan.h"

#include <stdio.h>
#include <stdlib.h>

struct process processes[PROCESSES_MAX];
struct process *process_current;
unsigned process_count;

const char *process_name(void)
{
    return process_current != NULL ? process_current->name : "";
}

void process_begin(unsigned count)
{
    process_count = count;
    process_current = NULL;
    for (unsigned i = 0; i < PROCESSES_MAX; i++) {
        processes[i] = (struct process){.id = i};
        memory_init(&processes[i].memory);
    }
}

bool process_asleep(const struct process *p)
{
    return p->asleep_until_ms > world.now_ms;
}

/* One that stands still in the middle of something lies on the stack under those that did so later, and goes on only
 * after them. */
int64_t process_free_ms(const struct process *p)
{
    int64_t free_ms = p->asleep_until_ms;
    for (unsigned i = 0; p->depth > 0 && i < process_count; i++) {
        if (processes[i].depth > 0 && processes[i].level >= p->level)
            free_ms = MAX(free_ms, MAX(processes[i].asleep_until_ms, world.now_ms) + 1);
    }
    return free_ms;
}

/* It is gone, whatever it was doing. */
static void bury(struct process *p)
{
    trace("%s is gone", p->name);
    p->alive = false;
    p->service = NULL;
    p->timer_count = p->poll_count = p->closing_count = 0;
    p->prepare = NULL;
    memory_drop(&p->memory);
    client_died(p);
}

NORETURN static void die(struct process *p)
{
    longjmp(p->death, 1);
}

static void run_closings(struct process *p)
{
    for (size_t i = 0; i < p->closing_count; i++) {
        if (p->closing[i]->close_cb != NULL)
            p->closing[i]->close_cb(p->closing[i]);
    }
    p->closing_count = 0;
}

/* The rest of service_run and of main, once the loop has ended. */
static void leave(struct process *p)
{
    struct service *service = p->service;
    if (service->in_flight > 0 || service->lettering > 0 || store_pending(service->store) > 0) {
        cover_branch(BRANCH_ENDED_FORCED);
        die(p);
    }
    service_free(service);
    run_closings(p);
    check_nothing_left(p);
    cover_branch(BRANCH_ENDED_WELL);
    die(p);
}

void process_enter(struct process *p, world_run *run, void *arg, int64_t number)
{
    struct process *const volatile before = process_current;
    struct memory *const volatile memory = memory_use(&p->memory);
    process_current = p;
    p->depth++;
    if (setjmp(p->death) == 0) {
        run(arg, number);
        if (p->prepare != NULL)
            p->prepare->prepare_cb(p->prepare);
        run_closings(p);
        if (p->left)
            leave(p);
        check_running(p);
        p->depth--;
    } else {
        bury(p);
        p->depth = 0;
    }
    process_current = before;
    memory_use(memory);
}

static void boot(void *arg, int64_t number)
{
    (void)number;
    struct process *p = arg;
    struct error err = {.class = ERROR_NONE};
    int code = 0;
    p->service = service_new(&p->loop, &p->config, &err, &code);
    if (p->service == NULL) {
        violate("a consumer does not start: %s", err.text);
        die(p);
    }
    p->booting = true;
    if (setjmp(p->running) == 0)
        service_run(p->service);
}

void process_start(struct process *p)
{
    const unsigned id = p->id, incarnation = p->incarnation + 1;
    *p = (struct process){.id = id, .incarnation = incarnation, .alive = true};
    memory_init(&p->memory);
    snprintf(p->name, sizeof p->name, "c%u.%u", id, incarnation);
    plan_config(&p->config, p->name);
    client_born(p);
    trace("%s starts", p->name);
    process_enter(p, boot, p, 0);
}

void process_kill(struct process *p)
{
    if (!p->alive)
        return;
    if (p->depth > 0)
        p->doomed = true; /* it stands still in the middle of something: it won't go on */
    else
        bury(p);
}

static void terminate(void *arg, int64_t number)
{
    (void)number;
    struct process *p = arg;
    service_stop(p->service, EXIT_DONE);
}

void process_terminate(struct process *p)
{
    world_after(0, p, terminate, p, 0);
}

void process_sleep(struct process *p, int64_t ms, bool suspended)
{
    trace("%s stands still for %lld ms", p->name, (long long)ms);
    p->asleep_until_ms = p->woken_ms = world.now_ms + ms;
    if (suspended) {
        p->suspended_ms += ms;
        for (size_t i = 0; i < p->timer_count; i++)
            p->timers[i]->timeout += (uint64_t)ms;
    }
    client_asleep(p, ms);
    if (p->depth == 0)
        return;
    struct memory *const memory = memory_use(NULL);
    static unsigned level;
    process_current = NULL;
    p->level = ++level;
    world_until(p->asleep_until_ms);
    level--;
    p->asleep_until_ms = p->woken_ms = world.now_ms;
    process_current = p;
    memory_use(memory);
    trace("goes on");
    if (p->doomed)
        die(p);
}

bool process_well_since(const struct process *p, unsigned incarnation, int64_t since_ms)
{
    return p->alive && p->incarnation == incarnation && p->woken_ms < since_ms && p->trouble_ms < since_ms &&
           !link_troubled(p);
}

void process_end(void)
{
    for (unsigned i = 0; i < PROCESSES_MAX; i++)
        memory_drop(&processes[i].memory);
}

/* A job enters a state: here a consumer dies, or stands still, if the plan says so. */
void fault_point(const char *name)
{
    const int64_t sleep_ms = plan_at_state(name);
    if (sleep_ms < 0)
        die(process_current);
    if (sleep_ms > 0)
        process_sleep(process_current, sleep_ms, plan_suspends());
}

/* The linker brings these calls of the linked code here. */
void __wrap__exit(int code);
void __wrap__exit(int code)
{
    trace("_exit(%d)", code);
    cover_branch(BRANCH_ENDED_FORCED);
    die(process_current);
}

void __wrap___assert_fail(const char *expression, const char *file, unsigned line, const char *function);
void __wrap___assert_fail(const char *expression, const char *file, unsigned line, const char *function)
{
    violate("assertion %s in %s (%s:%u)", expression, function, file, line);
    if (process_current == NULL)
        abort();
    die(process_current);
}

/* common/clock.h */

static int64_t behind_ms(void)
{
    return process_current != NULL ? process_current->suspended_ms : 0;
}

int64_t clock_mono_ms(void)
{
    return world.now_ms - behind_ms();
}

int64_t clock_boot_ms(void)
{
    return world.now_ms;
}

int64_t clock_wall_ms(void)
{
    return world.now_ms;
}

int64_t clock_mono_us(void)
{
    return clock_mono_ms() * 1000;
}
