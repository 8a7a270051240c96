#include "spool_record.h"

#include "alloc.h"

#include <openssl/evp.h>

/* Four bytes, the highest first. */
static void put_length(struct text *out, size_t len)
{
    const char bytes[4] = {(char)(len >> 24), (char)(len >> 16), (char)(len >> 8), (char)len};
    text_put(out, bytes, sizeof bytes);
}

void spool_headers_pack(const struct record_header *headers, size_t count, struct text *out)
{
    for (size_t i = 0; i < count; i++) {
        const size_t name_len = strlen(headers[i].name) + 1; /* with its NUL, so that it is read in place */
        put_length(out, name_len);
        text_put(out, headers[i].name, name_len);
        put_length(out, headers[i].value.len);
        text_put(out, headers[i].value.ptr ? headers[i].value.ptr : "", headers[i].value.len);
    }
}

/* Takes a length and so many bytes off *rest. */
static bool take(struct slice *rest, struct slice *ret_bytes)
{
    if (rest->len < 4)
        return false;
    const unsigned char *b = (const unsigned char *)rest->ptr;
    const size_t len = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
    if (len > rest->len - 4)
        return false;
    *ret_bytes = (struct slice){.ptr = rest->ptr + 4, .len = len};
    *rest = (struct slice){.ptr = rest->ptr + 4 + len, .len = rest->len - 4 - len};
    return true;
}

bool spool_headers_unpack(struct slice packed, struct record_header headers[SPOOL_HEADERS_MAX], size_t *ret_count)
{
    size_t count = 0;
    while (packed.len > 0 && count < SPOOL_HEADERS_MAX) {
        struct slice name;
        if (!take(&packed, &name) || name.len == 0 || memchr(name.ptr, '\0', name.len) != name.ptr + name.len - 1 ||
            !take(&packed, &headers[count].value))
            return false;
        headers[count++].name = name.ptr;
    }
    *ret_count = count;
    return packed.len == 0;
}

/* Each part with its length before it: no two records have the same input. */
static void sum_part(EVP_MD_CTX *context, const void *ptr, size_t len)
{
    const uint64_t size = len;
    if (EVP_DigestUpdate(context, &size, sizeof size) != 1 || EVP_DigestUpdate(context, ptr, len) != 1)
        out_of_memory();
}

void spool_record_sum(const char *topic, struct slice key, struct slice packed, struct slice value,
                      unsigned char ret_sum[SPOOL_SUM_SIZE])
{
    unsigned char full[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = made(EVP_MD_CTX_new());
    if (EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        out_of_memory();
    sum_part(context, topic, strlen(topic));
    sum_part(context, key.ptr, key.len);
    sum_part(context, packed.ptr, packed.len);
    sum_part(context, value.ptr, value.len);
    if (EVP_DigestFinal_ex(context, full, NULL) != 1)
        out_of_memory();
    memcpy(ret_sum, full, SPOOL_SUM_SIZE);
    EVP_MD_CTX_free(context);
}
