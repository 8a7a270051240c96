/* The checks, cheapest and most telling first: shape, algorithm, issuer, signature, and only then what was signed. */
#include "producer-shim/token.h"

#include "common/alloc.h"
#include "common/mutant.h"
#include "common/scan.h"
#include "common/utf8.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

enum {
    MEMBERS_MAX = 32, /* of the header, of the claims */
    HASH_TEXT_LEN = 44,
    SEGMENTS = 3,
    NOT_BASE64URL = 255,
};

struct key {
    char *name;
    EVP_MAC_CTX *mac; /* holds the secret; set up once, started again for each token */
};

struct token_checker {
    struct key *keys;
    size_t count;
    int64_t leeway_s;
    EVP_MAC *hmac;
    EVP_MD *sha256;
    EVP_MD_CTX *digest;
    unsigned char sextets[256]; /* base64url */
};

/* What the two JSON parts say. Absent numbers have present = false. */
struct number {
    bool present;
    int64_t value;
};

struct claims {
    char issuer[256];
    struct number exp, nbf;
    char hash[HASH_TEXT_LEN + 2]; /* room to see that it is too long */
    size_t hash_len;
};

struct segments {
    struct slice part[SEGMENTS];
    struct slice signed_bytes; /* header and claims with the dot between */
};

/* Six bits for each base64url character, NOT_BASE64URL for any other byte. */
static void fill_sextets(unsigned char sextets[256])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    memset(sextets, NOT_BASE64URL, 256);
    for (unsigned char i = 0; alphabet[i]; i++)
        sextets[(unsigned char)alphabet[i]] = i;
}

static EVP_MAC_CTX *mac_new(EVP_MAC *hmac, const char *secret)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, sizeof digest - 1),
                                 OSSL_PARAM_END};
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(hmac);
    if (mac && EVP_MAC_init(mac, (const unsigned char *)secret, strlen(secret), params) == 1)
        return mac;
    EVP_MAC_CTX_free(mac);
    return NULL;
}

struct token_checker *token_checker_new(const struct token_key *keys, size_t count, int64_t leeway_s)
{
    struct token_checker *c = xcalloc(1, sizeof *c);
    c->leeway_s = leeway_s;
    fill_sextets(c->sextets);
    c->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    c->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    c->digest = EVP_MD_CTX_new();
    c->keys = xcalloc(count, sizeof *c->keys);
    bool ready = c->hmac && c->sha256 && c->digest;
    for (size_t i = 0; i < count && ready; i++) {
        c->keys[i] = (struct key){.name = xstrdup(keys[i].name), .mac = mac_new(c->hmac, keys[i].secret)};
        c->count++;
        ready = c->keys[i].mac != NULL;
    }
    if (ready)
        return c;
    token_checker_free(c);
    return NULL;
}

void token_checker_free(struct token_checker *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++) {
        free(c->keys[i].name);
        EVP_MAC_CTX_free(c->keys[i].mac); /* cleanses the secret */
    }
    free(c->keys);
    EVP_MD_CTX_free(c->digest);
    EVP_MD_free(c->sha256);
    EVP_MAC_free(c->hmac);
    free(c);
}

/* Exactly three segments, none of them empty. */
static bool split(struct slice token, struct segments *ret)
{
    const char *at = token.ptr, *const end = token.ptr + token.len;
    for (int i = 0; i < SEGMENTS; i++) {
        const char *dot = memchr(at, '.', (size_t)(end - at));
        if ((dot == NULL) != (i == SEGMENTS - 1))
            return false;
        ret->part[i] = (struct slice){.ptr = at, .len = (size_t)((dot ? dot : end) - at)};
        at = dot ? dot + 1 : end;
    }
    ret->signed_bytes = (struct slice){.ptr = token.ptr, .len = (size_t)(ret->part[2].ptr - 1 - token.ptr)};
    return ret->part[0].len > 0 && ret->part[1].len > 0 && ret->part[2].len > 0;
}

/* Strict: no padding, no white space, no other alphabet, no stray bits at the end. buffer holds len * 3 / 4 bytes. */
static bool decode_base64url(const unsigned char sextets[256], struct slice text, char *buffer, size_t *ret_len)
{
    uint32_t bits = 0;
    unsigned held = 0;
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        const unsigned six = sextets[(unsigned char)text.ptr[i]];
        if (six == NOT_BASE64URL)
            return false;
        bits = (bits << 6 | six) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            buffer[len++] = (char)(bits >> held & 0xff);
        }
    }
    *ret_len = len;
    return text.len % 4 != 1 && (bits & ((1U << held) - 1)) == 0;
}

/* Keys met so far in one object. A key with an escape is refused: no issuer writes one, and it could hide a double. */
struct keys_seen {
    struct slice list[MEMBERS_MAX];
    size_t count;
};

static bool first_time(struct keys_seen *seen, struct scan_text key)
{
    if (key.escaped || seen->count == MEMBERS_MAX)
        return false;
    for (size_t i = 0; i < seen->count; i++)
        if (slice_equal(seen->list[i], key.raw))
            return false;
    seen->list[seen->count++] = key.raw;
    return true;
}

static enum token_verdict read_header(struct slice json)
{
    struct scan s;
    struct scan_text key, text;
    struct keys_seen seen = {.count = 0};
    bool hs256 = false, crit = false;
    scan_init(&s, json);
    if (!utf8_valid(json) || !scan_enter_object(&s))
        return TOKEN_MALFORMED;
    while (scan_member(&s, &key)) {
        if (!first_time(&seen, key))
            return TOKEN_MALFORMED;
        crit |= scan_is(key, "crit");
        if (scan_is(key, "alg") && scan_peek(&s) == SCAN_STRING)
            hs256 = scan_string(&s, &text) && scan_is(text, "HS256");
        else
            scan_skip(&s);
    }
    if (!scan_finish(&s))
        return TOKEN_MALFORMED;
    return !hs256 ? TOKEN_ALG : crit ? TOKEN_CRIT : TOKEN_OK;
}

/* An integer, or null, which counts as absent. Anything else is refused. */
static bool read_number(struct scan *s, struct number *ret)
{
    scan_peek(s);
    const char *const start = s->at;
    if (!scan_skip(s))
        return false;
    const size_t len = (size_t)(s->at - start);
    if (len == 4 && memcmp(start, "null", 4) == 0)
        return true;
    int64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        if (start[i] < '0' || start[i] > '9' || i > 15)
            return false;
        value = value * 10 + (start[i] - '0');
    }
    *ret = (struct number){.present = true, .value = value};
    return true;
}

/* A string; anything else counts as absent, which the caller refuses by its own word. */
static size_t read_text(struct scan *s, char *buffer, size_t size)
{
    struct scan_text text;
    if (scan_peek(s) != SCAN_STRING) {
        scan_skip(s);
        return 0;
    }
    return scan_string(s, &text) ? scan_decode(text, buffer, size, NULL) : 0;
}

static bool read_claim(struct scan *s, struct scan_text key, struct claims *claims)
{
    if (scan_is(key, "iss")) {
        const size_t len = read_text(s, claims->issuer, sizeof claims->issuer);
        if (len != strlen(claims->issuer)) /* cut, or with U+0000: the name of no key */
            claims->issuer[0] = '\0';
        return true;
    }
    if (scan_is(key, "exp"))
        return read_number(s, &claims->exp);
    if (scan_is(key, "nbf"))
        return read_number(s, &claims->nbf);
    if (scan_is(key, "sha256")) {
        claims->hash_len = read_text(s, claims->hash, sizeof claims->hash);
        return true;
    }
    return scan_skip(s);
}

static bool read_claims(struct slice json, struct claims *ret)
{
    struct scan s;
    struct scan_text key;
    struct keys_seen seen = {.count = 0};
    ret->issuer[0] = ret->hash[0] = '\0';
    ret->exp = ret->nbf = (struct number){.present = false};
    ret->hash_len = 0;
    scan_init(&s, json);
    if (!utf8_valid(json) || !scan_enter_object(&s))
        return false;
    while (scan_member(&s, &key))
        if (!first_time(&seen, key) || !read_claim(&s, key, ret))
            return false;
    return scan_finish(&s);
}

static int find_key(const struct token_checker *c, const char *issuer)
{
    for (size_t i = 0; i < c->count; i++)
        if (issuer[0] && strcmp(c->keys[i].name, issuer) == 0)
            return (int)i;
    return -1;
}

static bool signature_good(const struct token_checker *c, int key, const struct segments *segments)
{
    char given[TOKEN_HASH_SIZE + 3];
    unsigned char wanted[TOKEN_HASH_SIZE];
    size_t len;
    if (segments->part[2].len != 43 || !decode_base64url(c->sextets, segments->part[2], given, &len) ||
        len != TOKEN_HASH_SIZE)
        return false;
    EVP_MAC_CTX *mac = c->keys[key].mac;
    const struct slice text = segments->signed_bytes;
    if (EVP_MAC_init(mac, NULL, 0, NULL) != 1 || EVP_MAC_update(mac, (const unsigned char *)text.ptr, text.len) != 1 ||
        EVP_MAC_final(mac, wanted, &len, sizeof wanted) != 1)
        out_of_memory(); /* 401 would be the end of a genuine webhook */
    return len == TOKEN_HASH_SIZE && CRYPTO_memcmp(given, wanted, TOKEN_HASH_SIZE) == 0;
}

/* The claim is the padded standard base64 of the body's hash; compared as text, of which there is only one. */
static enum token_verdict check_body(const struct token_checker *c, const struct claims *claims, struct slice body,
                                     unsigned char *ret_hash)
{
    unsigned char wanted[HASH_TEXT_LEN + 1];
    if (claims->hash_len == 0)
        return MUTANT(11) ? TOKEN_OK : TOKEN_NO_BODY_HASH;
    if (EVP_DigestInit_ex2(c->digest, c->sha256, NULL) != 1 || EVP_DigestUpdate(c->digest, body.ptr, body.len) != 1 ||
        EVP_DigestFinal_ex(c->digest, ret_hash, NULL) != 1)
        out_of_memory(); /* as above */
    EVP_EncodeBlock(wanted, ret_hash, TOKEN_HASH_SIZE);
    const bool same = claims->hash_len == HASH_TEXT_LEN && CRYPTO_memcmp(claims->hash, wanted, HASH_TEXT_LEN) == 0;
    return same ? TOKEN_OK : TOKEN_BODY_HASH;
}

static enum token_verdict check_times(const struct token_checker *c, const struct claims *claims, int64_t now_s)
{
    if (!claims->exp.present)
        return TOKEN_EXP_REQUIRED;
    if (now_s > claims->exp.value + c->leeway_s)
        return TOKEN_EXPIRED;
    if (!claims->nbf.present || claims->nbf.value <= now_s + c->leeway_s)
        return TOKEN_OK;
    return claims->nbf.value <= now_s + MAX(c->leeway_s, TOKEN_AHEAD_MAX_S) ? TOKEN_NOT_YET : TOKEN_FUTURE;
}

static struct slice without_bearer(struct slice value)
{
    static const struct slice bearer = {.ptr = "Bearer ", .len = 7};
    if (value.len >= bearer.len && strncasecmp(value.ptr, bearer.ptr, bearer.len) == 0)
        return (struct slice){.ptr = value.ptr + bearer.len, .len = value.len - bearer.len};
    return value;
}

/* Up to the signature: nothing that the claims say is believed before. */
static enum token_verdict check_signature(struct token_checker *c, const struct segments *segments,
                                          struct claims *ret_claims, int *ret_key)
{
    char json[TOKEN_SIZE_MAX];
    size_t len;
    if (!decode_base64url(c->sextets, segments->part[0], json, &len))
        return TOKEN_MALFORMED;
    const enum token_verdict header = read_header((struct slice){.ptr = json, .len = len});
    if (header != TOKEN_OK)
        return header;
    if (!decode_base64url(c->sextets, segments->part[1], json, &len) ||
        !read_claims((struct slice){.ptr = json, .len = len}, ret_claims))
        return TOKEN_MALFORMED;
    *ret_key = find_key(c, ret_claims->issuer);
    if (*ret_key < 0)
        return TOKEN_KEY;
    return signature_good(c, *ret_key, segments) ? TOKEN_OK : TOKEN_SIGNATURE;
}

struct token_result token_check(struct token_checker *c, struct slice authorization, struct slice body, int64_t now_s)
{
    struct token_result result = {.key = -1};
    struct segments segments;
    struct claims claims;
    const struct slice token = without_bearer(authorization);
    if (token.len == 0)
        result.verdict = TOKEN_NO_TOKEN;
    else if (token.len > TOKEN_SIZE_MAX || !split(token, &segments))
        result.verdict = TOKEN_MALFORMED;
    else
        result.verdict = check_signature(c, &segments, &claims, &result.key);
    if (token.len > 0 && result.verdict == TOKEN_OK)
        result.verdict = check_body(c, &claims, body, result.body_hash);
    if (token.len > 0 && result.verdict == TOKEN_OK)
        result.verdict = check_times(c, &claims, now_s);
    return result;
}

size_t token_key_count(const struct token_checker *c)
{
    return c->count;
}

const char *token_key_name(const struct token_checker *c, int key)
{
    return c->keys[key].name;
}

const char *token_verdict_word(enum token_verdict verdict)
{
    static const char *const words[] = {
#define X(id, word, help) [TOKEN_##id] = word,
        TOKEN_VERDICT_TABLE(X)
#undef X
    };
    return words[verdict];
}
