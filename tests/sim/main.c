/* sim: the consumer's real code in a simulated world, schedule by schedule. `sim --help`. */
#include "application.h"
#include "broker.h"
#include "check.h"
#include "cover.h"
#include "database.h"
#include "link.h"
#include "model.h"
#include "plan.h"
#include "process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { REST_WITHIN_MS = 300000, LOOK_EVERY_MS = 1000, END_WITHIN_MS = 40000, VACUITY_FROM = 5000, HUNG_AFTER_S = 20 };

struct options {
    uint64_t seed;
    unsigned long count;
    bool trace, cover, keep_going;
    const char *seeds;
};

/* Everything is well from now on. */
static void heal(void)
{
    trace("--- from here on nothing fails ---");
    world.healed = true;
    application_heal();
}

static void wait_for_rest(void)
{
    const char *why = NULL;
    const int64_t until_ms = world.now_ms + REST_WITHIN_MS;
    do {
        world_until(world.now_ms + LOOK_EVERY_MS);
    } while (world.violation[0] == '\0' && !check_quiet(&why) && world.now_ms < until_ms);
    if (why != NULL)
        violate("G2/I14: no rest %d s after the last fault: %s", REST_WITHIN_MS / 1000, why);
}

static bool any_alive(void)
{
    bool any = false;
    for (unsigned i = 0; i < process_count; i++)
        any = any || processes[i].alive;
    return any;
}

static void end_all(void)
{
    plan_no_restarts();
    for (unsigned i = 0; i < process_count; i++)
        process_terminate(&processes[i]);
    const int64_t until_ms = world.now_ms + END_WITHIN_MS;
    while (any_alive() && world.now_ms < until_ms && world.violation[0] == '\0')
        world_until(world.now_ms + LOOK_EVERY_MS);
    if (any_alive())
        violate("a consumer does not end");
}

static void begin(uint64_t seed, bool trace)
{
    world_begin(seed, trace);
    plan_begin();
    database_begin();
    model_begin();
    broker_begin();
    link_begin();
    process_begin(plan.processes);
    application_begin();
    for (unsigned i = 0; i < plan.processes; i++)
        process_start(&processes[i]);
}

/* Returns true if all promises were kept. */
static bool run_schedule(uint64_t seed, bool trace)
{
    begin(seed, trace);
    world_until(plan.end_ms);
    heal();
    wait_for_rest();
    check_end();
    end_all();
    process_end();
    return world.violation[0] == '\0';
}

static void report(const struct options *options, uint64_t seed)
{
    printf("seed %llu: %s\n", (unsigned long long)seed, world.violation);
    if (options->keep_going)
        return;
    printf("what happened: sim --seed %llu --trace\n", (unsigned long long)seed);
}

/* The seed on stderr, by the means that a signal's handler has. */
static void print_seed(void)
{
    static const char words[] = "sim: it ended in the middle of seed ";
    char digits[24];
    size_t at = sizeof digits;
    uint64_t seed = world.seed;
    digits[--at] = '\n';
    do {
        digits[--at] = (char)('0' + seed % 10);
        seed /= 10;
    } while (seed > 0);
    if (write(STDERR_FILENO, words, sizeof words - 1) > 0 && write(STDERR_FILENO, digits + at, sizeof digits - at) > 0)
        return;
}

static void on_signal(int number)
{
    print_seed();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

/* Of the sanitizers, when they are linked. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void say_seed_at_death(void)
{
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(print_seed);
        (void)signal(SIGALRM, on_signal);
        return;
    }
    const int numbers[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        (void)signal(numbers[i], on_signal);
}

static unsigned long run_many(const struct options *options, unsigned long *ret_run)
{
    unsigned long broken = 0, i = 0;
    for (; i < options->count && (broken == 0 || options->keep_going); i++) {
        alarm(HUNG_AFTER_S);
        if (!run_schedule(options->seed + i, options->trace)) {
            broken++;
            report(options, options->seed + i);
        }
    }
    *ret_run = i;
    return broken;
}

/* The kept seeds: one a line, what it once showed behind it. */
static unsigned long run_kept(const struct options *options)
{
    FILE *file = fopen(options->seeds, "r");
    if (file == NULL) {
        perror(options->seeds);
        return 1;
    }
    unsigned long broken = 0, count = 0;
    char line[300];
    while (fgets(line, sizeof line, file) != NULL) {
        char *end = NULL;
        const uint64_t seed = strtoull(line, &end, 10);
        if (end == line)
            continue;
        count++;
        if (!run_schedule(seed, false)) {
            broken++;
            report(options, seed);
        }
    }
    (void)fclose(file);
    printf("%lu kept seeds\n", count);
    return broken;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int run(const struct options *options)
{
    unsigned long done = 0;
    unsigned long broken = options->seeds != NULL ? run_kept(options) : 0;
    const double begun_s = now_s();
    broken += run_many(options, &done);
    const double took_s = now_s() - begun_s;
    if (options->cover)
        cover_print(stdout);
    const unsigned missing = done >= VACUITY_FROM ? cover_missing(stdout) : 0;
    if (done > 1)
        printf("%lu schedules in %.1f s, %.0f a minute; %lu broke a promise\n", done, took_s,
               (double)done * 60 / took_s, broken);
    if (missing > 0)
        printf("%u faults or branches were never seen: the run shows too little\n", missing);
    return broken > 0 || missing > 0;
}

static int usage(int code)
{
    puts("usage: sim [--seed N] [--count M] [--seeds FILE] [--trace] [--cover] [--keep-going]\n"
         "  --seed N       the first schedule (default 1)\n"
         "  --count M      how many, from there on (default 1)\n"
         "  --seeds FILE   before them the schedules that are kept there\n"
         "  --trace        prints what happens\n"
         "  --cover        prints how often each fault and branch was seen\n"
         "  --keep-going   does not end at the first broken promise\n"
         "A run of 5000 schedules and more fails, too, if a fault or a branch was never seen.");
    return code;
}

/* An option without a value. */
static bool read_switch(struct options *options, const char *word)
{
    const struct {
        const char *word;
        bool *set;
    } switches[] = {{"--trace", &options->trace}, {"--cover", &options->cover}, {"--keep-going", &options->keep_going}};
    for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
        if (strcmp(word, switches[i].word) == 0)
            return *switches[i].set = true;
    }
    return false;
}

static bool read_value(struct options *options, const char *word, const char *value)
{
    if (strcmp(word, "--seeds") == 0) {
        options->seeds = value;
        return true;
    }
    const unsigned long long number = strtoull(value, NULL, 10);
    if (strcmp(word, "--seed") == 0)
        options->seed = number;
    else if (strcmp(word, "--count") == 0)
        options->count = number;
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {.seed = 1, .count = 1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return usage(0);
        if (read_switch(&options, argv[i]))
            continue;
        if (i + 1 == argc || !read_value(&options, argv[i], argv[i + 1]))
            return usage(64);
        i++;
    }
    say_seed_at_death();
    return run(&options);
}
