/* Integers only, without overflow for any input: a delay is asked for by the other side and counted up by failures. */
#include "consumer/backoff.h"

/* value * random / 2^32: uniform from 0 to just below value, without overflow for any value >= 0. */
static int64_t share_of(int64_t value, uint32_t random)
{
    const uint64_t v = (uint64_t)value;
    return (int64_t)((v >> 32) * random + (((v & UINT32_MAX) * random) >> 32));
}

static int64_t ceiling_ms(const struct backoff_policy *policy, unsigned tries)
{
    int64_t ceiling = MAX(policy->initial_ms, 0);
    for (unsigned i = 1; i < tries && ceiling > 0 && ceiling < policy->max_ms; i++)
        ceiling = ceiling > policy->max_ms / 2 ? policy->max_ms : ceiling * 2;
    return MIN(ceiling, MAX(policy->max_ms, 0));
}

int64_t backoff_delay_ms(const struct backoff_policy *policy, unsigned tries, uint32_t random, int64_t at_least_ms)
{
    const int64_t own = share_of(ceiling_ms(policy, tries), random);
    if (at_least_ms <= 0)
        return own;
    /* The cap comes before the jitter: else all rooms that were told "an hour" would come back in one moment. */
    const int64_t asked = MIN(at_least_ms, BACKOFF_ASKED_MAX_MS);
    return MAX(own, asked + share_of(asked / 10, random));
}
