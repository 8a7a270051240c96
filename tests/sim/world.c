/* A heap of what comes, and splitmix64. Among things of the same moment the seed decides which is first. */
#include "world.h"

#include "process.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARENA_SIZE = 4 << 20, EVENTS_LIMIT = 200000 };

struct entry {
    int64_t at_ms;
    uint64_t tie;
    struct process *process;
    unsigned incarnation;
    world_run *run;
    void *arg;
    int64_t number;
};

struct world world;

static struct entry heap[WORLD_EVENTS_MAX];
static size_t heap_count;
static _Alignas(16) char arena[ARENA_SIZE];
static size_t arena_used;

void world_begin(uint64_t seed, bool with_trace)
{
    memset(arena, 0, arena_used);
    arena_used = 0;
    heap_count = 0;
    world = (struct world){
        .seed = seed, .random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .now_ms = WORLD_START_MS, .trace = with_trace};
}

void *world_alloc(size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (arena_used + size > sizeof arena) {
        fprintf(stderr, "sim: seed %llu needs more memory than the arena has\n", (unsigned long long)world.seed);
        exit(1);
    }
    void *memory = arena + arena_used;
    arena_used += size;
    return memory;
}

uint64_t world_random(void)
{
    uint64_t z = world.random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

unsigned world_below(unsigned n)
{
    return (unsigned)(((world_random() >> 32) * n) >> 32);
}

int64_t world_between(int64_t least, int64_t most)
{
    return least + (int64_t)world_below((unsigned)(most - least + 1));
}

bool world_chance(unsigned permille)
{
    return world_below(1000) < permille;
}

static bool earlier(const struct entry *a, const struct entry *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->tie < b->tie;
}

static void push(struct entry entry)
{
    if (heap_count == WORLD_EVENTS_MAX) {
        violate("more than %d things are to happen", WORLD_EVENTS_MAX);
        return;
    }
    size_t at = heap_count++;
    while (at > 0 && earlier(&entry, &heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = entry;
}

static struct entry pop(void)
{
    const struct entry top = heap[0], last = heap[--heap_count];
    size_t at = 0;
    for (size_t child = 1; child < heap_count; child = 2 * at + 1) {
        if (child + 1 < heap_count && earlier(&heap[child + 1], &heap[child]))
            child++;
        if (!earlier(&heap[child], &last))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

void world_after(int64_t delay_ms, struct process *process, world_run *run, void *arg, int64_t number)
{
    push((struct entry){.at_ms = world.now_ms + MAX(delay_ms, 0),
                        .tie = world_random(),
                        .process = process,
                        .incarnation = process != NULL ? process->incarnation : 0,
                        .run = run,
                        .arg = arg,
                        .number = number});
}

static void run_entry(struct entry entry)
{
    if (entry.process == NULL) {
        entry.run(entry.arg, entry.number);
        return;
    }
    if (!entry.process->alive || entry.process->incarnation != entry.incarnation)
        return;
    const int64_t free_ms = process_free_ms(entry.process);
    if (free_ms > world.now_ms) {
        entry.at_ms = free_ms;
        push(entry);
        return;
    }
    process_enter(entry.process, entry.run, entry.arg, entry.number);
}

bool world_step(int64_t at_ms)
{
    if (world.violation[0] != '\0')
        return false;
    if (world.events++ >= EVENTS_LIMIT) {
        violate("no end after %d events", EVENTS_LIMIT);
        return false;
    }
    int64_t timer_ms = INT64_MAX;
    struct process *process = process_next_timer(&timer_ms);
    const int64_t entry_ms = heap_count > 0 ? heap[0].at_ms : INT64_MAX;
    const int64_t next_ms = MIN(timer_ms, entry_ms);
    if (next_ms > at_ms)
        return false;
    world.now_ms = MAX(world.now_ms, next_ms);
    if (timer_ms < entry_ms || (timer_ms == entry_ms && world_chance(500)))
        process_run_timer(process);
    else
        run_entry(pop());
    return true;
}

void world_until(int64_t at_ms)
{
    while (world_step(at_ms)) {
    }
    world.now_ms = MAX(world.now_ms, at_ms);
}

void violate(const char *fmt, ...)
{
    if (world.violation[0] != '\0')
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(world.violation, sizeof world.violation, fmt, args);
    va_end(args);
    trace("VIOLATION %s", world.violation);
}

void trace_line(const char *fmt, ...)
{
    const int64_t since_ms = world.now_ms - WORLD_START_MS;
    printf("%4lld.%03d  %-5s ", (long long)(since_ms / 1000), (int)(since_ms % 1000), process_name());
    va_list args;
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}
