/* LiveKit's webhook token: is this body signed by one of our keys, for this very body, at about this time?
 *
 * A bare JWT (RFC 7519), "Bearer " before it allowed: HS256 and nothing else, three segments of strict base64url,
 * claims iss, exp, nbf and sha256, which is what tells a webhook's token from a participant's of the same key. No
 * clock and no socket: bytes and a time in, a verdict out. A checker owns its keys and its OpenSSL contexts and
 * belongs to one thread; token_checker_free wipes the keys.
 */
#ifndef ROOMCLAIM_TOKEN_H
#define ROOMCLAIM_TOKEN_H

#include "common/base.h"

/* X(id, word, help). All but OK and NOT_YET are answered 401. */
#define TOKEN_VERDICT_TABLE(X)                                                                                  \
    X(OK, "ok", "authentic")                                                                                    \
    X(NO_TOKEN, "no_token", "no Authorization header, or more than one")                                        \
    X(MALFORMED, "malformed", "not a JWT: segments, base64url, JSON, a claim of the wrong type or given twice") \
    X(ALG, "alg", "signed with anything but HS256")                                                             \
    X(CRIT, "crit", "a critical header, which nobody here understands")                                         \
    X(KEY, "key", "the issuer is none of our keys")                                                             \
    X(SIGNATURE, "signature", "the signature is not our key's")                                                 \
    X(NO_BODY_HASH, "no_body_hash", "no sha256 claim: some other token of that key, such as a participant's")   \
    X(BODY_HASH, "body_hash", "signed for another body")                                                        \
    X(EXP_REQUIRED, "exp_required", "no exp claim")                                                             \
    X(EXPIRED, "expired", "exp has passed by more than the leeway")                                             \
    X(NOT_YET, "not_yet", "nbf is more than the leeway, at most 300 s, ahead: a clock is wrong, answered 503")  \
    X(FUTURE, "future", "nbf is more than 300 s ahead")

enum token_verdict {
#define X(id, word, help) TOKEN_##id,
    TOKEN_VERDICT_TABLE(X)
#undef X
        TOKEN_VERDICT_COUNT
};

enum { TOKEN_SIZE_MAX = 4096, TOKEN_AHEAD_MAX_S = 300, TOKEN_HASH_SIZE = 32 };

struct token_key {
    const char *name, *secret;
};

struct token_checker;

/* Copies the keys, count >= 1, each with a secret. Returns owned, or NULL when OpenSSL refuses HMAC or SHA-256. */
struct token_checker *token_checker_new(const struct token_key *keys, size_t count, int64_t leeway_s) MUST_CHECK;
void token_checker_free(struct token_checker *checker); /* NULL is fine */

struct token_result {
    enum token_verdict verdict;
    int key;                                  /* index of the issuer's key, -1 when it is not known */
    unsigned char body_hash[TOKEN_HASH_SIZE]; /* SHA-256 of the body; set when verdict is OK or NOT_YET */
};

/* Borrows everything. authorization is the header's value; an empty one counts as no token. */
struct token_result token_check(struct token_checker *checker, struct slice authorization, struct slice body,
                                int64_t now_s);

/* How many keys there are, and one's name. Borrowed from the checker. */
size_t token_key_count(const struct token_checker *checker);
const char *token_key_name(const struct token_checker *checker, int key);

const char *token_verdict_word(enum token_verdict verdict);

#endif
