/* Fuzz target: an Authorization header and a body, separated by the first line feed.
 *
 * What must hold: nothing is authentic, since no input can know the secret. So that the fuzzer gets behind the
 * signature, a header that begins with '!' is taken for claims, which are signed here: then OK needs the issuer, exp
 * and the body's hash in them.
 */
#include "common/alloc.h"
#include "producer-shim/token.h"
#include "tests/fuzz/fuzz.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define SECRET "a secret that is in no corpus: 32 bytes and more"

enum { NOW = 1795458580 };

static struct token_checker *the_checker(void)
{
    static struct token_checker *checker;
    const struct token_key key = {"devkey", SECRET};
    if (!checker)
        checker = token_checker_new(&key, 1, 60);
    return checker;
}

/* Appends base64url and moves *at behind it. */
static void put_base64url(char **at, const void *bytes, size_t len)
{
    const int written = EVP_EncodeBlock((unsigned char *)*at, bytes, (int)len);
    char *end = *at + written;
    for (char *c = *at; c < end; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    while (end > *at && end[-1] == '=')
        end--;
    *at = end;
}

/* Returns the owned token of these claims, its length in *ret_len. */
static char *sign(struct slice claims, size_t *ret_len)
{
    static const char header[] = "{\"alg\":\"HS256\"}";
    unsigned char mac[32];
    unsigned len = sizeof mac;
    char *const token = xmalloc(claims.len * 2 + 256), *at = token;
    put_base64url(&at, header, sizeof header - 1);
    *at++ = '.';
    put_base64url(&at, claims.ptr, claims.len);
    HMAC(EVP_sha256(), SECRET, sizeof SECRET - 1, (const unsigned char *)token, (size_t)(at - token), mac, &len);
    *at++ = '.';
    put_base64url(&at, mac, len);
    *ret_len = (size_t)(at - token);
    return token;
}

static void check_claims(struct slice claims, struct slice body)
{
    size_t len;
    AUTO(free_ptr) char *token = sign(claims, &len);
    const struct token_result result = token_check(the_checker(), (struct slice){.ptr = token, .len = len}, body, NOW);
    HOLDS(result.verdict != TOKEN_SIGNATURE && result.verdict != TOKEN_ALG);
    if (result.verdict != TOKEN_OK)
        return;
    HOLDS(memmem(claims.ptr, claims.len, "exp", 3) && memmem(claims.ptr, claims.len, "sha256", 6));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(free_ptr) char *copy = xmalloc(size ? size : 1);
    memcpy(copy, data, size);
    const char *const feed = memchr(copy, '\n', size);
    const size_t head = feed ? (size_t)(feed - copy) : size;
    const struct slice authorization = {.ptr = copy, .len = head};
    const struct slice body = {.ptr = feed ? feed + 1 : copy, .len = feed ? size - head - 1 : 0};
    if (head > 0 && *copy == '!') {
        check_claims((struct slice){.ptr = copy + 1, .len = head - 1}, body);
        return 0;
    }
    const struct token_result result = token_check(the_checker(), authorization, body, NOW);
    HOLDS(result.verdict != TOKEN_OK && result.verdict < TOKEN_VERDICT_COUNT);
    HOLDS(token_verdict_word(result.verdict)[0]);
    return 0;
}
