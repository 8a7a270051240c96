/* A consumer: the real service, on a loop of virtual time. It can die, stand still, and come back as another
 * incarnation.
 *
 * The loop is the part of libuv that the consumer uses, made anew: timers, prepare, poll on file descriptors that are
 * names only. A process runs only inside process_enter; what ends it there (a crash, _exit, a failed assertion) jumps
 * out of it, and its memory is dropped.
 */
#ifndef ROOMCLAIM_SIM_PROCESS_H
#define ROOMCLAIM_SIM_PROCESS_H

#include "consumer/service.h"
#include "memory.h"
#include "world.h"

#include <setjmp.h>

enum { PROCESSES_MAX = 3, PROCESS_TIMERS_MAX = 16, PROCESS_POLLS_MAX = 4 };

struct process {
    unsigned id, incarnation;
    bool alive, booting, doomed, left; /* left: uv_stop was called */
    struct service *service;
    struct config config;
    char name[16];
    struct memory memory;
    jmp_buf death, running;
    unsigned depth; /* of process_enter: 1 while it runs or stands still in the middle of something */

    uv_loop_t loop;
    uv_timer_t *timers[PROCESS_TIMERS_MAX];
    size_t timer_count;
    uv_prepare_t *prepare;
    uv_poll_t *polls[PROCESS_POLLS_MAX];
    size_t poll_count;
    uv_handle_t *closing[PROCESS_TIMERS_MAX + PROCESS_POLLS_MAX];
    size_t closing_count;

    int64_t asleep_until_ms, woken_ms; /* it stood still until then, last */
    unsigned level;       /* how many lie below it on the stack, standing still in the middle of something */
    int64_t suspended_ms; /* by which its monotonic clock is behind */
    int64_t trouble_ms;   /* when something last went wrong between it and Postgres */

    /* what the checks know of it */
    unsigned failures;  /* of the model in a row, as answered to it */
    int64_t failing_ms; /* since when there are as many as open the breaker; 0: not */
    struct client *client;
};

extern struct process processes[PROCESSES_MAX];
extern struct process *process_current; /* NULL: the world's own doing */
extern unsigned process_count;

void process_begin(unsigned count);
/* Starts another incarnation. */
void process_start(struct process *p);
/* As SIGKILL. */
void process_kill(struct process *p);
/* As SIGTERM. */
void process_terminate(struct process *p);
/* It stands still for so long; suspended: its machine does. Called inside it, others go on meanwhile. */
void process_sleep(struct process *p, int64_t ms, bool suspended);
bool process_asleep(const struct process *p);
/* When something can reach it: not while it stands still. */
int64_t process_free_ms(const struct process *p);
void process_enter(struct process *p, world_run *run, void *arg, int64_t number);
/* Ends every process without a word: the schedule is over. */
void process_end(void);

/* The process whose timer is next, and when. */
struct process *process_next_timer(int64_t *ret_at_ms);
void process_run_timer(struct process *p);
/* A descriptor that it polls is readable. */
void process_wake_fd(struct process *p, int fd);

const char *process_name(void);

/* Was it alive and well since then: not stopped, and nothing between it and Postgres went wrong? */
bool process_well_since(const struct process *p, unsigned incarnation, int64_t since_ms);

#endif
