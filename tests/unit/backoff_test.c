/* Back-off: the ceiling doubles, the jitter is full, what the other side asks for is kept and capped. */
#include "consumer/backoff.h"

#include "check.h"

static const struct backoff_policy usual = {.initial_ms = 2000, .max_ms = 300000};

static void delay_is_the_share_of_a_doubling_ceiling(void)
{
    static const struct {
        const char *label;
        unsigned tries;
        uint32_t random;
        int64_t at_least_ms, want_ms;
    } cases[] = {
        {"first try, least", 1, 0, 0, 0},
        {"first try, half", 1, UINT32_MAX / 2 + 1, 0, 1000},
        {"first try, most", 1, UINT32_MAX, 0, 1999},
        {"no try counts as the first", 0, UINT32_MAX, 0, 1999},
        {"second doubles", 2, UINT32_MAX, 0, 3999},
        {"eighth is below the top", 8, UINT32_MAX, 0, 255999},
        {"ninth is at the top", 9, UINT32_MAX, 0, 299999},
        {"very many tries", UINT32_MAX, UINT32_MAX, 0, 299999},
        {"asked, least jitter", 1, 0, 47435, 47435},
        {"asked, most jitter", 1, UINT32_MAX, 50000, 54999},
        {"asked for less than our own", 9, UINT32_MAX, 1000, 299999},
        {"asked for an hour", 1, 0, 3600000, BACKOFF_ASKED_MAX_MS},
        {"asked for an hour, jitter on top", 1, UINT32_MAX, 3600000, BACKOFF_ASKED_MAX_MS * 11 / 10 - 1},
        {"asked for ever", 1, 0, INT64_MAX, BACKOFF_ASKED_MAX_MS},
        {"asked for nonsense", 1, UINT32_MAX, INT64_MIN, 1999},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].label);
        CHECK_INT(backoff_delay_ms(&usual, cases[i].tries, cases[i].random, cases[i].at_least_ms), cases[i].want_ms);
    }
}

static void odd_policies(void)
{
    static const struct {
        const char *label;
        struct backoff_policy policy;
        int64_t want_ms;
    } cases[] = {
        {"initial above max", {.initial_ms = 5000, .max_ms = 1000}, 999},
        {"no delay at all", {.initial_ms = 0, .max_ms = 1000}, 0},
        {"negative", {.initial_ms = -5, .max_ms = -9}, 0},
        {"max is not a power of two times initial", {.initial_ms = 3, .max_ms = 1000}, 999},
        {"the largest", {.initial_ms = INT64_MAX, .max_ms = INT64_MAX}, INT64_MAX - (INT64_C(1) << 31)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].label);
        CHECK_INT(backoff_delay_ms(&cases[i].policy, 100, UINT32_MAX, 0), cases[i].want_ms);
    }
}

static void jitter_is_even(void)
{
    unsigned tenth[10] = {0};
    for (uint64_t random = 0; random < UINT64_C(1) << 32; random += 0x100000)
        tenth[backoff_delay_ms(&usual, 9, (uint32_t)random, 0) / 30000]++;
    for (size_t i = 0; i < 10; i++)
        CHECK(tenth[i] > 400 && tenth[i] < 420);
}

CHECK_MAIN({"delay is the share of a doubling ceiling", delay_is_the_share_of_a_doubling_ceiling},
           {"odd policies", odd_policies}, {"jitter is even", jitter_is_even})
