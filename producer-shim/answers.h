/* Every answer that a webhook can get. The sender takes each 4xx but 429 for delivered and never tries again; only a
 * 503 makes it come back, after Retry-After, which replaces its own back-off.
 *
 * X(id, status, retry, word, help)
 *   status 0: the connection is closed without an answer
 *   retry  NEVER, or AFTER: Retry-After, 20 s for a room_finished (nothing of its room waits behind it), 5 s for all
 *          others (what is queued behind them for 30 s is dropped); under 4 s the sender would give up too early
 *   word   body {"error":"<word>"}, label of the metric, field of the log line
 */
#ifndef ROOMCLAIM_ANSWERS_H
#define ROOMCLAIM_ANSWERS_H

#include "producer-shim/token.h"

#define ANSWER_TABLE(X)                                                                                              \
    X(PUBLISHED, 200, NEVER, "published", "acknowledged by Kafka")                                                   \
    X(IGNORED, 200, NEVER, "ignored", "of a kind that shim.events or shim.room_names leaves out")                    \
    X(SPOOLED, 200, NEVER, "spooled", "synced to the spool on disk; goes to Kafka when that is back")                \
    X(DEAD_LETTERED, 200, NEVER, "dead_lettered", "authentic but unusable; acknowledged in the dead-letter topic")   \
    X(KAFKA_AWAY, 503, AFTER, "kafka_away", "no broker answers at present")                                          \
    X(NOT_ACKED, 503, AFTER, "not_acked", "Kafka did not acknowledge in time; it may or may not have the record")    \
    X(SPOOL_FAILED, 503, AFTER, "spool_failed", "Kafka did not take it, nor did the spool: full, or its disk fails") \
    X(BUSY, 503, AFTER, "busy", "too much in hand: shim.max_in_flight, or the memory for bodies")                    \
    X(NOT_YET, 503, AFTER, "not_yet", "the token is not valid yet: a clock is wrong")                                \
    X(NO_TOKEN, 401, NEVER, "no_token", "no Authorization header, or more than one")                                 \
    X(MALFORMED, 401, NEVER, "malformed", "the token is not a JWT as LiveKit writes them")                           \
    X(ALG, 401, NEVER, "alg", "the token is not signed with HS256")                                                  \
    X(CRIT, 401, NEVER, "crit", "the token has a critical header")                                                   \
    X(KEY, 401, NEVER, "key", "the token's issuer is none of our keys")                                              \
    X(SIGNATURE, 401, NEVER, "signature", "the token's signature is not our key's")                                  \
    X(NO_BODY_HASH, 401, NEVER, "no_body_hash", "the token is not a webhook's: no sha256")                           \
    X(BODY_HASH, 401, NEVER, "body_hash", "the token was made for another body")                                     \
    X(EXP_REQUIRED, 401, NEVER, "exp_required", "the token never expires")                                           \
    X(EXPIRED, 401, NEVER, "expired", "the token has expired")                                                       \
    X(FUTURE, 401, NEVER, "future", "the token is from the far future")                                              \
    X(FRAMING, 400, NEVER, "framing", "Content-Length and Transfer-Encoding contradict each other or make no sense") \
    X(EMPTY, 400, NEVER, "empty", "authentic, but no body")                                                          \
    X(NOT_FOUND, 404, NEVER, "not_found", "not a path of shim.paths")                                                \
    X(METHOD, 405, NEVER, "method", "not POST")                                                                      \
    X(LENGTH, 411, NEVER, "length_required", "neither Content-Length nor chunked")                                   \
    X(TOO_LARGE, 413, NEVER, "too_large", "longer than shim.body_limit: if it was genuine, an event is lost")        \
    X(MEDIA_TYPE, 415, NEVER, "media_type", "neither application/webhook+json nor application/json")                 \
    X(ENCODING, 415, NEVER, "content_encoding", "compressed")                                                        \
    X(EXPECTATION, 417, NEVER, "expectation", "Expect other than 100-continue")                                      \
    X(TRUNCATED, 0, NEVER, "truncated", "the sender hung up before the end of its request")                          \
    X(TOO_SLOW, 0, NEVER, "too_slow", "the request did not arrive in time")

enum answer {
#define X(id, status, retry, word, help) ANSWER_##id,
    ANSWER_TABLE(X)
#undef X
        ANSWER_COUNT
};

enum answer_retry { ANSWER_RETRY_NEVER, ANSWER_RETRY_AFTER };
enum { ANSWER_AFTER_LAST_S = 20, ANSWER_AFTER_OTHERS_S = 5 };

unsigned answer_status(enum answer answer);
const char *answer_word(enum answer answer);
/* Retry-After in seconds, 0 for none. last: the webhook was a room_finished. */
unsigned answer_retry_after(enum answer answer, bool last);
/* What a verdict other than OK is answered. */
enum answer answer_of_verdict(enum token_verdict verdict);

#endif
