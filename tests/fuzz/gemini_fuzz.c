/* Fuzz target: a reply of any status and bytes, and a request around any text.
 *
 * The first two bytes give the status, the rest is the body. What must hold: a verdict of the table, text only with OK,
 * a clean reason, usage within its bounds; the request is strict JSON that holds the text.
 */
#include "common/alloc.h"
#include "consumer/json_text.h"
#include "consumer/models/provider.h"
#include "consumer/prompt.h"
#include "consumer/reply_schema.h"
#include "tests/fuzz/fuzz.h"

static const int64_t most_tokens = INT64_C(1) << 40;

static bool is_count(int64_t tokens)
{
    return tokens >= 0 && tokens <= most_tokens;
}

static bool is_clean(const char *text, size_t size)
{
    if (!memchr(text, '\0', size))
        return false;
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            return false;
    }
    return true;
}

static void check_reply(long status, struct slice body)
{
    struct provider_reply reply;
    memset(&reply, 0xAA, sizeof reply);
    provider_gemini.reply(status, body, (int64_t)body.len - 3, &reply);
    HOLDS((unsigned)reply.verdict < CALL_VERDICT_COUNT);
    HOLDS((reply.verdict == CALL_OK) == (reply.text != NULL));
    HOLDS(reply.verdict != CALL_OK || (status == 200 && reply.text_len > 0 && reply.text[reply.text_len] == '\0'));
    HOLDS(is_clean(reply.reason, sizeof reply.reason) && is_clean(reply.model, sizeof reply.model));
    HOLDS(is_count(reply.usage.prompt_tokens) && is_count(reply.usage.cached_tokens));
    HOLDS(is_count(reply.usage.output_tokens) && is_count(reply.usage.thinking_tokens));
    HOLDS(reply.retry_after_ms >= 0);
    if (reply.text) {
        struct reply_schema *schema = reply_schema_new(slice_of(prompt_default_schema), NULL);
        const bool fits = reply_schema_check(schema, (struct slice){reply.text, reply.text_len}, NULL);
        HOLDS(!fits || strlen(reply.text) == reply.text_len);
        reply_schema_free(schema);
    }
    provider_reply_fini(&reply);
}

/* Reads the request's text back, also where bytes that are not UTF-8 were replaced. */
static void check_request(struct slice text)
{
    const struct provider_request request = {
        .base_url = "http://h", .model = "m", .instructions = "i", .text = text, .schema_json = "{}", .thinking = ""};
    size_t len;
    AUTO(free_ptr) char *body = provider_gemini.body(&request, &len);
    AUTO(json_object_release) struct json_object *root = NULL;
    struct json_object *contents, *parts, *back;
    HOLDS(strlen(body) == len);
    HOLDS(json_text_read((struct slice){body, len}, JSON_GRAMMAR, &root, NULL));
    HOLDS(json_object_object_get_ex(root, "contents", &contents));
    HOLDS(json_object_object_get_ex(json_object_array_get_idx(contents, 0), "parts", &parts));
    HOLDS(json_object_object_get_ex(json_object_array_get_idx(parts, 0), "text", &back));
    struct slice got = {json_object_get_string(back), (size_t)json_object_get_string_len(back)};
    HOLDS(slice_equal(got, text) || memmem(got.ptr, got.len, "\xef\xbf\xbd", 3));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct slice body = {(const char *)data + 2, size - 2};
    check_reply((long)(data[0] << 8 | data[1]), body);
    check_reply(200, body);
    check_request(body);
    return 0;
}
