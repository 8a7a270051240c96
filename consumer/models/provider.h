/* What roomclaim needs to know of a model's provider. Pure: request bytes out, reply bytes in -> a verdict.
 *
 * A provider module knows URLs, headers and JSON; it does no I/O, keeps no state and reads no clock. What the verdict
 * means for the room (counted or not, retried or parked, breaker) stands in one table, CALL_VERDICT_TABLE.
 */
#ifndef ROOMCLAIM_PROVIDER_H
#define ROOMCLAIM_PROVIDER_H

#include "common/base.h"

/* How a call ended, and what follows.
 * X(id, name, then, counted, failure, help)
 *   then     STORE the result; RETRY the room with back-off; PARK it for good
 *   counted  ALWAYS, NEVER, or IF_ALIVE: only if the provider answered another call well since this one's start
 *   failure  what the breaker learns: GOOD, FAILED, OPERATOR (opens at once), NOTHING */
#define CALL_VERDICT_TABLE(X)                                                                                       \
    X(OK, "ok", STORE, ALWAYS, GOOD, "a reply that fits the schema")                                                \
    X(BAD_REPLY, "bad_reply", RETRY, ALWAYS, GOOD, "a reply that is not JSON or does not fit the schema")           \
    X(NO_CANDIDATE, "no_candidate", RETRY, ALWAYS, GOOD, "an answer without any text")                              \
    X(TRUNCATED, "truncated", PARK, ALWAYS, GOOD, "cut at max_output_tokens")                                       \
    X(BLOCKED, "blocked", PARK, ALWAYS, GOOD, "refused by the provider's safety rules")                             \
    X(REJECTED, "rejected", PARK, ALWAYS, NOTHING, "400 or 413: this very request is at fault")                     \
    X(SERVER_ERROR, "server_error", RETRY, IF_ALIVE, FAILED, "5xx, or a status that is not understood")             \
    X(TIMEOUT, "timeout", RETRY, IF_ALIVE, FAILED, "no complete reply within llm.timeout")                          \
    X(CUT, "cut", RETRY, IF_ALIVE, FAILED, "the connection broke after the request was sent")                       \
    X(RATE_LIMITED, "rate_limited", RETRY, NEVER, FAILED, "429")                                                    \
    X(OVERLOADED, "overloaded", RETRY, NEVER, FAILED, "503 or 529")                                                 \
    X(UNREACHABLE, "unreachable", RETRY, NEVER, FAILED, "no connection (DNS, connect, TLS): nothing was sent")      \
    X(OPERATOR, "operator", RETRY, NEVER, OPERATOR, "wrong key, no permission, no such model, billing, a redirect") \
    X(NOT_SENT, "not_sent", RETRY, NEVER, NOTHING,                                                                  \
      "given back before a byte was sent (shutdown, lease too short, woken too late)")

enum call_then { CALL_THEN_STORE, CALL_THEN_RETRY, CALL_THEN_PARK };
enum call_counted { CALL_COUNTED_ALWAYS, CALL_COUNTED_NEVER, CALL_COUNTED_IF_ALIVE };
enum call_failure { CALL_FAILURE_GOOD, CALL_FAILURE_FAILED, CALL_FAILURE_OPERATOR, CALL_FAILURE_NOTHING };

enum call_verdict {
#define X(id, name, then, counted, failure, help) CALL_##id,
    CALL_VERDICT_TABLE(X)
#undef X
        CALL_VERDICT_COUNT
};

struct call_verdict_info {
    const char *name;
    enum call_then then;
    enum call_counted counted;
    enum call_failure failure;
    const char *help;
};

extern const struct call_verdict_info call_verdicts[CALL_VERDICT_COUNT];

/* What a request is made of. Everything borrowed. */
struct provider_request {
    const char *base_url; /* without a trailing slash */
    const char *model;
    const char *instructions; /* the operator's: the system part */
    struct slice text;        /* the room's: the user's own part, fenced by prompt.c, cut at llm.max_input */
    const char *schema_json;  /* JSON schema of the reply */
    int64_t max_output_tokens;
    const char *thinking; /* "" = the model's own */
};

struct call_usage {
    int64_t prompt_tokens, cached_tokens, output_tokens, thinking_tokens; /* clamped to 0 .. 2^40 */
};

enum { REPLY_REASON_SIZE = 200, REPLY_MODEL_SIZE = 100 };

/* What a reply says. text is owned by the struct: provider_reply_fini. */
struct provider_reply {
    enum call_verdict verdict;
    char reason[REPLY_REASON_SIZE]; /* for a person: finish reason, error status; never the room's text */
    char model[REPLY_MODEL_SIZE];   /* the model that answered, "" when not told */
    char *text;                     /* OK: the JSON text of the result, not validated against the schema yet */
    size_t text_len;
    struct call_usage usage;
    int64_t retry_after_ms; /* what the provider asked for, 0 = nothing; not capped */
};

struct provider {
    const char *name;
    const char *base_url;    /* the provider's own */
    const char *auth_header; /* the header that carries the key */
    const char *auth_prefix; /* before the key: "" or "Bearer " */
    /* Returns owned URL / owned JSON body (its length in *ret_len). The URL never holds the key. */
    char *(*url)(const struct provider_request *request);
    char *(*body)(const struct provider_request *request, size_t *ret_len);
    /* status: HTTP status. retry_after_s: Retry-After header in seconds, 0 = none. Fills *ret always. */
    void (*reply)(long status, struct slice body, int64_t retry_after_s, struct provider_reply *ret);
};

void provider_reply_fini(struct provider_reply *reply);

/* By llm.provider's name; NULL when there is none. */
const struct provider *provider_find(const char *name);

extern const struct provider provider_gemini;

#endif
