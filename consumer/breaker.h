/* The breaker before the model's provider: closed, open, or half-open with one probe on its way. Pure.
 *
 * Opens after a number of failures in a row, or at once on an operator's fault (a wrong key fails every call alike).
 * While it is open nothing is claimed; when a probe is due, exactly one call may go. A good call closes it.
 */
#ifndef ROOMCLAIM_BREAKER_H
#define ROOMCLAIM_BREAKER_H

#include "common/base.h"

#define BREAKER_STATE_TABLE(X)                       \
    X(CLOSED, "closed", "calls go")                  \
    X(OPEN, "open", "no calls until a probe is due") \
    X(PROBING, "probing", "one call is on its way to see")

enum breaker_state {
#define X(id, name, help) BREAKER_##id,
    BREAKER_STATE_TABLE(X)
#undef X
};

struct breaker {
    enum breaker_state state;
    unsigned failures;      /* in a row */
    int64_t probe_due_ms;   /* OPEN: when */
    int64_t probe_delay_ms; /* the delay after the next failure of a probe */
    int64_t last_good_ms;   /* when a call was last answered well; INT64_MIN: never */
    /* settings */
    unsigned failure_limit;
    int64_t probe_initial_ms, probe_max_ms;
};

void breaker_init(struct breaker *b, unsigned failure_limit, int64_t probe_initial_ms, int64_t probe_max_ms);

/* May a call be prepared now? Closed: yes. Open: yes once the probe is due. Probing: no. Changes nothing. */
bool breaker_allows(const struct breaker *b, int64_t now_ms);
/* The caller takes that permission (a claim goes out). Returns true if this call is the probe. */
bool breaker_take(struct breaker *b, int64_t now_ms);
/* The probe came to nothing before it was sent (the claim was not won, a duplicate): the next may go at once. */
void breaker_untake(struct breaker *b, int64_t now_ms);

/* How calls ended. was_probe as breaker_take said. ask_ms: a delay that the provider asked for, 0 for none.
 * Each returns true if the state changed. A straggler that fails while the breaker is open changes nothing. */
bool breaker_good(struct breaker *b, int64_t now_ms);
bool breaker_failed(struct breaker *b, int64_t now_ms, bool was_probe, int64_t ask_ms);
bool breaker_operator_fault(struct breaker *b, int64_t now_ms, bool was_probe);

const char *breaker_state_name(enum breaker_state state);

#endif
