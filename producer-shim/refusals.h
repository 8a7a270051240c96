/* Tells about webhooks that were not authentic without flooding the log: at most one line a second for each reason,
 * with how many there were. Loud when nothing that bears a key's name, or no key at all, is authentic any more: then
 * a secret is wrong, and every webhook is being lost.
 */
#ifndef ROOMCLAIM_REFUSALS_H
#define ROOMCLAIM_REFUSALS_H

#include "producer-shim/token.h"

enum { REFUSALS_KEYS_MAX = 64, REFUSALS_LOUD_AFTER = 5, REFUSALS_LOUD_EVERY_MS = 60000 };

/* How one key fares; slot 0 is for issuers that we don't know. */
struct refusals_key {
    unsigned failed; /* in a row */
    bool loud;
    int64_t told_ms;
};

struct refusals {
    struct {
        int64_t told_ms;
        uint64_t untold;
    } reasons[TOKEN_VERDICT_COUNT];
    struct refusals_key keys[REFUSALS_KEYS_MAX + 1];
};

/* *r starts as all zeros. now_ms is monotonic and above 1000. Logs and counts; borrows the checker for its names. */
void refusals_note(struct refusals *r, const struct token_checker *checker, const struct token_result *result,
                   int64_t now_ms);

#endif
