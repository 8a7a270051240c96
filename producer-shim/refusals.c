/* One line a second for a reason, and the alarm for a key. */
#include "producer-shim/refusals.h"

#include "common/log.h"
#include "producer-shim/metrics_table.h"

enum { UNKNOWN_ISSUER = 0, REASON_EVERY_MS = 1000 };

static struct refusals_key *key_of(struct refusals *r, int key)
{
    return &r->keys[key >= 0 && key < REFUSALS_KEYS_MAX ? key + 1 : UNKNOWN_ISSUER];
}

static void note_reason(struct refusals *r, enum token_verdict verdict, int64_t now_ms)
{
    metric_inc(METRIC_REFUSED, verdict);
    r->reasons[verdict].untold++;
    if (now_ms - r->reasons[verdict].told_ms < REASON_EVERY_MS)
        return;
    log_warn("webhook refused: not authentic", LOG_STR("reason", token_verdict_word(verdict)),
             LOG_INT("count", r->reasons[verdict].untold), LOG_STR("answer", "401, or 503 for not_yet"));
    r->reasons[verdict].told_ms = now_ms;
    r->reasons[verdict].untold = 0;
}

/* The secret is wrong when it never fits; one fitting signature proves it right. */
static void note_failure(struct refusals_key *key, const char *name, int64_t now_ms)
{
    key->failed++;
    if (key->failed < REFUSALS_LOUD_AFTER || (key->loud && now_ms - key->told_ms < REFUSALS_LOUD_EVERY_MS))
        return;
    key->loud = true;
    key->told_ms = now_ms;
    log_error(name ? "every webhook of this key fails: its secret differs from LiveKit's, and these webhooks are lost"
                   : "every webhook comes from an unknown key: livekit.api_key differs from LiveKit's, and these "
                     "webhooks are lost",
              LOG_IF(name != NULL, LOG_STR("key", name)), LOG_INT("in_a_row", key->failed));
}

static void note_success(struct refusals_key *key, const char *name)
{
    if (key->loud)
        log_info("webhooks of this key are authentic again", LOG_IF(name != NULL, LOG_STR("key", name)));
    *key = (struct refusals_key){.failed = 0};
}

void refusals_note(struct refusals *r, const struct token_checker *checker, const struct token_result *result,
                   int64_t now_ms)
{
    struct refusals_key *const key = key_of(r, result->key);
    const char *const name = result->key >= 0 ? token_key_name(checker, result->key) : NULL;
    if (result->verdict == TOKEN_SIGNATURE || result->verdict == TOKEN_KEY)
        note_failure(key, name, now_ms);
    else if (result->key >= 0 && (key->failed > 0 || r->keys[UNKNOWN_ISSUER].failed > 0)) {
        note_success(key, name);
        note_success(&r->keys[UNKNOWN_ISSUER], NULL);
    }
    if (result->verdict != TOKEN_OK)
        note_reason(r, result->verdict, now_ms);
}
