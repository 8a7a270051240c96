/* All ways of changing state: take, untake, good, and one function for both kinds of failure. */
#include "consumer/breaker.h"

#include "consumer/backoff.h"

#include <assert.h>

void breaker_init(struct breaker *b, unsigned failure_limit, int64_t probe_initial_ms, int64_t probe_max_ms)
{
    const int64_t initial = MAX(probe_initial_ms, 1);
    *b = (struct breaker){
        .state = BREAKER_CLOSED,
        .probe_delay_ms = initial,
        .last_good_ms = INT64_MIN,
        .failure_limit = MAX(failure_limit, 1U),
        .probe_initial_ms = initial,
        .probe_max_ms = MAX(probe_max_ms, initial),
    };
}

bool breaker_allows(const struct breaker *b, int64_t now_ms)
{
    switch (b->state) {
    case BREAKER_CLOSED:
        return true;
    case BREAKER_OPEN:
        return now_ms >= b->probe_due_ms;
    case BREAKER_PROBING:
        return false;
    }
    return false;
}

bool breaker_take(struct breaker *b, int64_t now_ms)
{
    assert(breaker_allows(b, now_ms));
    if (b->state == BREAKER_CLOSED)
        return false;
    b->state = BREAKER_PROBING;
    return true;
}

void breaker_untake(struct breaker *b, int64_t now_ms)
{
    /* A good straggler may have closed it meanwhile: then there is nothing to give back. */
    if (b->state != BREAKER_PROBING)
        return;
    b->state = BREAKER_OPEN;
    b->probe_due_ms = now_ms;
}

/* Opens until the next probe, and doubles the delay after that one. What the provider asked for counts as far as a
 * back-off would follow it, so that a broken header can't keep the breaker open for ever. */
static void open_until_probe(struct breaker *b, int64_t now_ms, int64_t ask_ms)
{
    const int64_t asked = MIN(ask_ms, MAX(b->probe_max_ms, (int64_t)BACKOFF_ASKED_MAX_MS));
    b->state = BREAKER_OPEN;
    b->probe_due_ms = now_ms + MAX(b->probe_delay_ms, asked);
    b->probe_delay_ms = b->probe_delay_ms > b->probe_max_ms / 2 ? b->probe_max_ms : b->probe_delay_ms * 2;
}

bool breaker_good(struct breaker *b, int64_t now_ms)
{
    const bool changed = b->state != BREAKER_CLOSED;
    b->state = BREAKER_CLOSED;
    b->failures = 0;
    b->probe_delay_ms = b->probe_initial_ms;
    b->last_good_ms = now_ms;
    return changed;
}

/* limit: failures in a row that open a closed breaker. */
static bool record_failure(struct breaker *b, int64_t now_ms, bool was_probe, int64_t ask_ms, unsigned limit)
{
    if (b->state == BREAKER_OPEN || (b->state == BREAKER_PROBING && !was_probe))
        return false;
    if (b->failures < UINT32_MAX)
        b->failures++;
    if (b->state == BREAKER_CLOSED && b->failures < limit)
        return false;
    open_until_probe(b, now_ms, ask_ms);
    return true;
}

bool breaker_failed(struct breaker *b, int64_t now_ms, bool was_probe, int64_t ask_ms)
{
    return record_failure(b, now_ms, was_probe, ask_ms, b->failure_limit);
}

bool breaker_operator_fault(struct breaker *b, int64_t now_ms, bool was_probe)
{
    return record_failure(b, now_ms, was_probe, 0, 1);
}

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = {
#define X(id, name, help) [BREAKER_##id] = name,
        BREAKER_STATE_TABLE(X)
#undef X
    };
    return (size_t)state < ARRAY_LEN(names) ? names[state] : "?";
}
