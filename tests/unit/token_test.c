/* LiveKit's token: every way in which one can be wrong, two ways to be right, and the captured ones. */
#include "producer-shim/token.h"

#include "captured.h"
#include "check.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

enum { NOW = 1795458580 };

#define KEY "devkey"
#define SECRET "secret-secret-secret-secret-secret-32"
#define BODY "{\"event\":\"room_finished\"}"
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static const struct token_key keys[] = {{KEY, SECRET}, {"second", "another-secret-another-secret-32"}};

/* Appends base64url of bytes to text. */
static void put_base64url(char *text, const void *bytes, size_t len)
{
    char *at = text + strlen(text);
    EVP_EncodeBlock((unsigned char *)at, bytes, (int)len);
    for (char *c = at; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    at += strcspn(at, "=");
    memset(at, 0, strlen(at));
}

static void put_signature(char *text, const char *secret, size_t cut, const EVP_MD *md)
{
    unsigned char mac[EVP_MAX_MD_SIZE + 8] = {0};
    unsigned len = 0;
    HMAC(md, secret, (int)strlen(secret), (const unsigned char *)text, strlen(text), mac, &len);
    strncat(text, ".", 2);
    put_base64url(text, mac, cut);
}

static void make(char *text, size_t size, const char *header, const char *claims, const char *secret)
{
    memset(text, 0, size);
    put_base64url(text, header, strlen(header));
    text[strlen(text)] = '.';
    put_base64url(text, claims, strlen(claims));
    put_signature(text, secret, 32, EVP_sha256());
}

/* The claims of a webhook of BODY, with what the case adds or replaces. hash: NULL takes the right one. */
static void claims_of(char *text, size_t size, const char *issuer, const char *times, const char *hash)
{
    unsigned char digest[32];
    char right[64] = "\"";
    EVP_Digest(BODY, sizeof BODY - 1, digest, NULL, EVP_sha256(), NULL);
    EVP_EncodeBlock((unsigned char *)right + 1, digest, sizeof digest);
    strncat(right, "\"", 2);
    snprintf(text, size, "{\"iss\":%s,%s\"sha256\":%s}", issuer, times, hash ? hash : right);
}

static enum token_verdict check_at(const char *token, int64_t now_s)
{
    struct token_checker *checker = token_checker_new(keys, ARRAY_LEN(keys), 60);
    const struct token_result result = token_check(checker, slice_of(token), SLICE(BODY), now_s);
    token_checker_free(checker);
    return result.verdict;
}

#define TIMES(nbf, exp) "\"nbf\":" #nbf ",\"exp\":" #exp ","
#define GOOD TIMES(1795458580, 1795458880)

static void headers(void)
{
    static const struct {
        const char *header;
        enum token_verdict want;
    } cases[] = {
        {HEADER, TOKEN_OK},
        {"{\"alg\":\"HS256\"}", TOKEN_OK},
        {"{\"kid\":\"../../etc\",\"jku\":\"http://x/\",\"jwk\":{},\"x5c\":[],\"alg\":\"HS256\"}", TOKEN_OK},
        {"{\"alg\":\"none\"}", TOKEN_ALG},
        {"{\"alg\":\"None\"}", TOKEN_ALG},
        {"{\"alg\":\"HS384\"}", TOKEN_ALG},
        {"{\"alg\":\"HS512\"}", TOKEN_ALG},
        {"{\"alg\":\"RS256\"}", TOKEN_ALG},
        {"{\"alg\":\"hs256\"}", TOKEN_ALG},
        {"{\"alg\":\"HS256\\u0000\"}", TOKEN_ALG},
        {"{\"alg\":[\"HS256\"]}", TOKEN_ALG},
        {"{\"alg\":null}", TOKEN_ALG},
        {"{\"typ\":\"JWT\"}", TOKEN_ALG},
        {"{}", TOKEN_ALG},
        {"{\"alg\":\"HS256\",\"crit\":[]}", TOKEN_CRIT},
        {"{\"alg\":\"HS256\",\"crit\":null}", TOKEN_CRIT},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"a\\u006cg\":\"none\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\"}{}", TOKEN_MALFORMED},
        {"[\"HS256\"]", TOKEN_MALFORMED},
        {"HS256", TOKEN_MALFORMED},
        {"\xff", TOKEN_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char claims[512], token[2048];
        claims_of(claims, sizeof claims, "\"" KEY "\"", GOOD, NULL);
        make(token, sizeof token, cases[i].header, claims, SECRET);
        CHECK_LABEL(cases[i].header);
        CHECK_STR(token_verdict_word(check_at(token, NOW)), token_verdict_word(cases[i].want));
    }
}

/* shows F61 */
static void claims(void)
{
    static const struct {
        const char *label, *issuer, *times, *hash, *secret;
        enum token_verdict want;
    } cases[] = {
        {"good", "\"devkey\"", GOOD, NULL, SECRET, TOKEN_OK},
        {"second key", "\"second\"", GOOD, NULL, "another-secret-another-secret-32", TOKEN_OK},
        {"another key's secret", "\"second\"", GOOD, NULL, SECRET, TOKEN_SIGNATURE},
        {"wrong secret", "\"devkey\"", GOOD, NULL, "x", TOKEN_SIGNATURE},
        {"empty secret", "\"devkey\"", GOOD, NULL, "", TOKEN_SIGNATURE},
        {"issuer unknown", "\"other\"", GOOD, NULL, SECRET, TOKEN_KEY},
        {"issuer empty", "\"\"", GOOD, NULL, SECRET, TOKEN_KEY},
        {"issuer null", "null", GOOD, NULL, SECRET, TOKEN_KEY},
        {"issuer a number", "7", GOOD, NULL, SECRET, TOKEN_KEY},
        {"issuer with NUL", "\"devkey\\u0000\"", GOOD, NULL, SECRET, TOKEN_KEY},
        {"issuer twice", "\"devkey\",\"iss\":\"devkey\"", GOOD, NULL, SECRET, TOKEN_MALFORMED},
        {"exp missing", "\"devkey\"", "\"nbf\":1795458580,", NULL, SECRET, TOKEN_EXP_REQUIRED},
        {"exp null", "\"devkey\"", TIMES(1795458580, null), NULL, SECRET, TOKEN_EXP_REQUIRED},
        {"exp a string", "\"devkey\"", TIMES(1795458580, "1795458880"), NULL, SECRET, TOKEN_MALFORMED},
        {"exp not whole", "\"devkey\"", TIMES(1795458580, 1795458880.5), NULL, SECRET, TOKEN_MALFORMED},
        {"exp with exponent", "\"devkey\"", TIMES(1795458580, 1e18), NULL, SECRET, TOKEN_MALFORMED},
        {"exp negative", "\"devkey\"", TIMES(1795458580, -1), NULL, SECRET, TOKEN_MALFORMED},
        {"exp out of range", "\"devkey\"", TIMES(1795458580, 9223372036854775807), NULL, SECRET, TOKEN_MALFORMED},
        {"exp 59 s ago", "\"devkey\"", TIMES(1795458000, 1795458521), NULL, SECRET, TOKEN_OK},
        {"exp 60 s ago", "\"devkey\"", TIMES(1795458000, 1795458520), NULL, SECRET, TOKEN_OK},
        {"exp 61 s ago", "\"devkey\"", TIMES(1795458000, 1795458519), NULL, SECRET, TOKEN_EXPIRED},
        {"exp twice", "\"devkey\"", GOOD "\"exp\":1795458880,", NULL, SECRET, TOKEN_MALFORMED},
        {"nbf missing", "\"devkey\"", "\"exp\":1795458880,", NULL, SECRET, TOKEN_OK},
        {"nbf 59 s ahead", "\"devkey\"", TIMES(1795458639, 1795458880), NULL, SECRET, TOKEN_OK},
        {"nbf 60 s ahead", "\"devkey\"", TIMES(1795458640, 1795458880), NULL, SECRET, TOKEN_OK},
        {"nbf 61 s ahead", "\"devkey\"", TIMES(1795458641, 1795458941), NULL, SECRET, TOKEN_NOT_YET},
        {"nbf 300 s ahead", "\"devkey\"", TIMES(1795458880, 1795459180), NULL, SECRET, TOKEN_NOT_YET},
        {"nbf 301 s ahead", "\"devkey\"", TIMES(1795458881, 1795459181), NULL, SECRET, TOKEN_FUTURE},
        {"nbf an hour ahead", "\"devkey\"", TIMES(1795462180, 1795462480), NULL, SECRET, TOKEN_FUTURE},
        {"hash empty", "\"devkey\"", GOOD, "\"\"", SECRET, TOKEN_NO_BODY_HASH},
        {"hash null", "\"devkey\"", GOOD, "null", SECRET, TOKEN_NO_BODY_HASH},
        {"hash a number", "\"devkey\"", GOOD, "7", SECRET, TOKEN_NO_BODY_HASH},
        {"hash of another body", "\"devkey\"", GOOD, "\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"", SECRET,
         TOKEN_BODY_HASH},
        {"hash cut", "\"devkey\"", GOOD, "\"47DEQpj8\"", SECRET, TOKEN_BODY_HASH},
        {"hash very long", "\"devkey\"", GOOD,
         "\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"", SECRET,
         TOKEN_BODY_HASH},
        {"wrong secret, expired", "\"devkey\"", TIMES(1, 2), NULL, "x", TOKEN_SIGNATURE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[1024], token[4096];
        claims_of(text, sizeof text, cases[i].issuer, cases[i].times, cases[i].hash);
        make(token, sizeof token, HEADER, text, cases[i].secret);
        CHECK_LABEL(cases[i].label);
        CHECK_STR(token_verdict_word(check_at(token, NOW)), token_verdict_word(cases[i].want));
    }
}

static void a_participants_token_is_none(void)
{
    char token[2048];
    make(token, sizeof token, HEADER,
         "{\"iss\":\"devkey\",\"sub\":\"user\"," GOOD "\"video\":{\"room\":\"call-0\",\"roomJoin\":true}}", SECRET);
    CHECK_STR(token_verdict_word(check_at(token, NOW)), "no_body_hash");
    make(token, sizeof token, HEADER, "{\"iss\":\"devkey\"," GOOD "\"video\":{\"sha256\":\"x\"}}", SECRET);
    CHECK_STR(token_verdict_word(check_at(token, NOW)), "no_body_hash");
}

/* A good token with something before it, between claims and signature, and behind it. */
static void shapes(void)
{
    static const struct {
        const char *label, *before, *between, *behind;
        bool claims, signature;
        enum token_verdict want;
    } cases[] = {
        {"bare", "", ".", "", true, true, TOKEN_OK},
        {"Bearer", "Bearer ", ".", "", true, true, TOKEN_OK},
        {"bearer", "bearer ", ".", "", true, true, TOKEN_OK},
        {"nothing", "", "", "", false, false, TOKEN_NO_TOKEN},
        {"Bearer alone", "Bearer ", "", "", false, false, TOKEN_NO_TOKEN},
        {"Basic", "Basic ", ".", "", true, true, TOKEN_MALFORMED},
        {"two blanks", "Bearer  ", ".", "", true, true, TOKEN_MALFORMED},
        {"blank behind", "", ".", " ", true, true, TOKEN_SIGNATURE},
        {"one segment", "abc", "", "", false, false, TOKEN_MALFORMED},
        {"two segments", "", "", "", true, false, TOKEN_MALFORMED},
        {"four segments", "", ".", ".x", true, true, TOKEN_MALFORMED},
        {"dots", "..", "", "", false, false, TOKEN_MALFORMED},
        {"header empty", ".a.b", "", "", false, false, TOKEN_MALFORMED},
        {"signature empty", "", ".", "", true, false, TOKEN_MALFORMED},
        {"padding", "", ".", "=", true, true, TOKEN_SIGNATURE},
        {"white space in it", "", "\t.", "", true, true, TOKEN_MALFORMED},
        {"other alphabet", "+", ".", "", true, true, TOKEN_MALFORMED},
        {"signature longer", "", ".", "A", true, true, TOKEN_SIGNATURE},
    };
    char text[512], good[2048], other[2400];
    claims_of(text, sizeof text, "\"" KEY "\"", GOOD, NULL);
    make(good, sizeof good, HEADER, text, SECRET);
    const char *const signature = strrchr(good, '.') + 1;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(other, sizeof other, "%s%.*s%s%s%s", cases[i].before,
                 cases[i].claims ? (int)(signature - 1 - good) : 0, good, cases[i].between,
                 cases[i].signature ? signature : "", cases[i].behind);
        CHECK_LABEL(cases[i].label);
        CHECK_STR(token_verdict_word(check_at(other, NOW)), token_verdict_word(cases[i].want));
    }
}

static void signatures(void)
{
    static const struct {
        const char *label;
        size_t bytes;
    } cases[] = {{"31 bytes", 31}, {"33 bytes", 33}, {"16 bytes", 16}, {"1 byte", 1}};
    char text[512], token[2048];
    claims_of(text, sizeof text, "\"" KEY "\"", GOOD, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        make(token, sizeof token, HEADER, text, SECRET);
        *strrchr(token, '.') = '\0';
        put_signature(token, SECRET, cases[i].bytes, EVP_sha256());
        CHECK_LABEL(cases[i].label);
        CHECK_STR(token_verdict_word(check_at(token, NOW)), "signature");
    }
    CHECK_LABEL("the last character's spare bits");
    make(token, sizeof token, HEADER, text, SECRET);
    token[strlen(token) - 1]++; /* the same 32 bytes to a careless decoder */
    CHECK_STR(token_verdict_word(check_at(token, NOW)), "signature");
}

static void a_huge_token_is_refused(void)
{
    enum { HUGE_SIZE = 65536 };
    char *token = malloc(HUGE_SIZE + 1);
    memset(token, 'a', HUGE_SIZE);
    token[1000] = token[2000] = '.';
    token[HUGE_SIZE] = '\0';
    CHECK_STR(token_verdict_word(check_at(token, NOW)), "malformed");
    free(token);
}

static void many_claims(void)
{
    char text[4096], *at = text, token[6000];
    at += snprintf(at, 64, "{\"iss\":\"devkey\"");
    for (int i = 0; i < 40; i++)
        at += snprintf(at, 32, ",\"x%d\":1", i);
    snprintf(at, 8, "}");
    make(token, sizeof token, HEADER, text, SECRET);
    CHECK_STR(token_verdict_word(check_at(token, NOW)), "malformed");
}

static void captured_tokens(void)
{
    struct captured list[32];
    const size_t count = captured_load(list, ARRAY_LEN(list));
    struct token_checker *checker = token_checker_new(keys, ARRAY_LEN(keys), 60);
    CHECK_INT(count, 27);
    for (size_t i = 0; i < count; i++) {
        const struct captured *c = &list[i];
        CHECK_LABEL(c->name);
        CHECK_STR(token_verdict_word(token_check(checker, c->token, c->body, c->received_at_s).verdict), "ok");
        CHECK_STR(token_verdict_word(token_check(checker, c->token, c->body, c->received_at_s + 400).verdict),
                  "expired");
        char *body = malloc(c->body.len);
        memcpy(body, c->body.ptr, c->body.len);
        const struct slice other = {.ptr = body, .len = c->body.len};
        for (size_t byte = 0; byte < c->body.len; byte += 37) {
            body[byte] ^= 1;
            CHECK_STR(token_verdict_word(token_check(checker, c->token, other, c->received_at_s).verdict), "body_hash");
            body[byte] ^= 1;
        }
        free(body);
    }
    token_checker_free(checker);
    captured_free(list, count);
}

/* Each single bit of a token matters. */
static void every_bit_counts(void)
{
    char text[512], token[2048];
    claims_of(text, sizeof text, "\"" KEY "\"", GOOD, NULL);
    make(token, sizeof token, HEADER, text, SECRET);
    struct token_checker *checker = token_checker_new(keys, ARRAY_LEN(keys), 60);
    const size_t len = strlen(token);
    for (size_t i = 0; i < len * 8; i++) {
        token[i / 8] = (char)(token[i / 8] ^ (1 << i % 8));
        const struct slice changed = {.ptr = token, .len = len};
        if (token_check(checker, changed, SLICE(BODY), NOW).verdict == TOKEN_OK)
            CHECK_FAIL("accepted with bit %zu flipped", i);
        token[i / 8] = (char)(token[i / 8] ^ (1 << i % 8));
    }
    token_checker_free(checker);
}

CHECK_MAIN({"headers", headers}, {"claims", claims}, {"a participant's token is none", a_participants_token_is_none},
           {"shapes", shapes}, {"signatures", signatures}, {"a huge token is refused", a_huge_token_is_refused},
           {"many claims", many_claims}, {"captured tokens", captured_tokens}, {"every bit counts", every_bit_counts})
