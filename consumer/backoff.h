/* How long to wait before the next try: full jitter between nothing and a doubling ceiling. Pure. */
#ifndef ROOMCLAIM_BACKOFF_H
#define ROOMCLAIM_BACKOFF_H

#include "common/base.h"

struct backoff_policy {
    int64_t initial_ms, max_ms; /* ceiling of the first try, of any try */
};

/* tries: how many have failed, 1 for the first. random: uniform over all uint32. at_least_ms: what the other side asked
 * for (0: nothing); it is kept, with up to a tenth of jitter on top, and capped at at_most_ms. */
int64_t backoff_delay_ms(const struct backoff_policy *policy, unsigned tries, uint32_t random, int64_t at_least_ms);

enum { BACKOFF_ASKED_MAX_MS = 10 * 60 * 1000 }; /* cap of what the other side asks for */

#endif
