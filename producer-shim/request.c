/* Admission, in the order in which a refusal is most telling: framing first, since nothing else can be trusted then. */
#include "producer-shim/request.h"

#include <strings.h>

static const struct slice header_names[] = {
#define X(id, name) {.ptr = (name), .len = sizeof(name) - 1},
    REQUEST_HEADER_TABLE(X)
#undef X
};

void request_add(struct request *request, struct slice name, struct slice value)
{
    for (size_t i = 0; i < ARRAY_LEN(header_names); i++) {
        if (name.len != header_names[i].len || strncasecmp(name.ptr, header_names[i].ptr, name.len) != 0)
            continue;
        request->headers[i].value = value;
        request->headers[i].count++;
    }
}

struct slice request_value(const struct request *request, enum request_header header)
{
    return request->headers[header].count == 1 ? request->headers[header].value : (struct slice){0};
}

static bool has(const struct request *request, enum request_header header)
{
    return request->headers[header].count > 0;
}

static bool same_word(struct slice value, const char *word)
{
    return value.len == strlen(word) && strncasecmp(value.ptr, word, value.len) == 0;
}

static struct slice trimmed(struct slice value)
{
    while (value.len > 0 && (value.ptr[value.len - 1] == ' ' || value.ptr[value.len - 1] == '\t'))
        value.len--;
    while (value.len > 0 && (*value.ptr == ' ' || *value.ptr == '\t')) {
        value.ptr++;
        value.len--;
    }
    return value;
}

/* Digits and nothing else, few enough not to overflow. -1 for all others. */
static int64_t length_of(struct slice digits)
{
    int64_t length = 0;
    if (digits.len == 0 || digits.len > 18)
        return -1;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return -1;
        length = length * 10 + (digits.ptr[i] - '0');
    }
    return length;
}

/* One length, or "chunked" once; never both, never anything else. */
static bool framing_good(struct request *request)
{
    const bool encoded = has(request, REQUEST_TRANSFER_ENCODING), sized = has(request, REQUEST_CONTENT_LENGTH);
    request->length = -1;
    if (encoded && sized)
        return false;
    if (encoded) {
        request->chunked = same_word(trimmed(request_value(request, REQUEST_TRANSFER_ENCODING)), "chunked");
        return request->chunked;
    }
    if (!sized)
        return true;
    request->length = length_of(trimmed(request_value(request, REQUEST_CONTENT_LENGTH)));
    return request->length >= 0;
}

/* The target as it was sent, to its query: no decoding, so there is one way only to write each path. */
static bool path_known(const struct config *config, const char *path)
{
    const size_t len = strcspn(path, "?");
    for (size_t i = 0; i < config->shim_paths.count; i++)
        if (slice_equal(slice_of(config->shim_paths.items[i]), (struct slice){.ptr = path, .len = len}))
            return true;
    return false;
}

static bool media_type_good(const struct request *request)
{
    struct slice type = request_value(request, REQUEST_CONTENT_TYPE);
    if (type.len == 0)
        return false;
    const char *semicolon = memchr(type.ptr, ';', type.len);
    if (semicolon)
        type.len = (size_t)(semicolon - type.ptr);
    type = trimmed(type);
    return same_word(type, "application/webhook+json") || same_word(type, "application/json");
}

static bool plain(const struct request *request)
{
    return !has(request, REQUEST_CONTENT_ENCODING) ||
           same_word(trimmed(request_value(request, REQUEST_CONTENT_ENCODING)), "identity");
}

static bool expectation_good(const struct request *request)
{
    return !has(request, REQUEST_EXPECT) || same_word(trimmed(request_value(request, REQUEST_EXPECT)), "100-continue");
}

bool request_admit(struct request *request, const struct config *config, const char *method, const char *path,
                   enum answer *ret_answer)
{
    const bool framed = framing_good(request);
    const struct {
        bool good;
        enum answer answer;
    } checks[] = {
        {framed, ANSWER_FRAMING},
        {path_known(config, path), ANSWER_NOT_FOUND},
        {strcmp(method, "POST") == 0, ANSWER_METHOD},
        {request->chunked || request->length >= 0, ANSWER_LENGTH},
        {request->length <= config->shim_body_limit_bytes, ANSWER_TOO_LARGE},
        {expectation_good(request), ANSWER_EXPECTATION},
        {media_type_good(request), ANSWER_MEDIA_TYPE},
        {plain(request), ANSWER_ENCODING},
    };
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if (!checks[i].good) {
            *ret_answer = checks[i].answer;
            return false;
        }
    }
    return true;
}
