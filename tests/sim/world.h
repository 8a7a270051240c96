/* The world of one schedule: virtual time, seeded randomness, what is to happen when, and the first broken promise.
 *
 * There is one world in the process, and nothing in it knows the real time: the same seed gives the same schedule. Its
 * memory is an arena that is emptied between schedules; the consumers' own memory is in memory.h.
 */
#ifndef ROOMCLAIM_SIM_WORLD_H
#define ROOMCLAIM_SIM_WORLD_H

#include "common/base.h"

struct process;

enum { WORLD_START_MS = 1000000, WORLD_EVENTS_MAX = 4096, VIOLATION_SIZE = 400 };

struct world {
    uint64_t seed, random;
    int64_t now_ms;
    bool trace, healed;
    unsigned events; /* that were run in this schedule */
    char violation[VIOLATION_SIZE];
};

extern struct world world;

/* Empties everything for another schedule. */
void world_begin(uint64_t seed, bool trace);

/* Memory until the next world_begin; zeroed. */
void *world_alloc(size_t size) MUST_CHECK RETURNS_NONNULL;

uint64_t world_random(void);
/* A number below n. */
unsigned world_below(unsigned n);
int64_t world_between(int64_t least, int64_t most);
bool world_chance(unsigned permille);

/* Something happens in delay_ms: to a process, unless it has died by then, and later if it sleeps; or (NULL) to the
 * world. */
typedef void world_run(void *arg, int64_t number);
void world_after(int64_t delay_ms, struct process *process, world_run *run, void *arg, int64_t number);
/* Runs what comes until that time. */
void world_until(int64_t at_ms);
/* The next thing, if it is not later than at_ms. False: there is none, or a promise is broken. */
bool world_step(int64_t at_ms);

/* A promise is broken: the first words stay. */
void violate(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* A line of the readable trace; costs nothing without --trace. */
void trace_line(const char *fmt, ...) PRINTF_LIKE(1, 2);
#define trace(...)                   \
    do {                             \
        if (world.trace)             \
            trace_line(__VA_ARGS__); \
    } while (0)

#endif
