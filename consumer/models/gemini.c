/* Gemini's generateContent: https://ai.google.dev/api/generate-content.
 *
 * What a status means is one table, what a finish reason means another. The reason for a person is made of Google's own
 * constant names only: messages may quote the request or, for a suspended key, the key.
 */
#include "common/alloc.h"
#include "common/text.h"
#include "consumer/json_text.h"
#include "consumer/models/provider.h"

#include <limits.h>
#include <stdio.h>

/* --- the request --- */

static char *gemini_url(const struct provider_request *request)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    struct text url = {0};
    text_printf(&url, "%s/v1beta/models/", request->base_url);
    for (const char *c = request->model; *c; c++) {
        if (strchr(plain, *c))
            text_put(&url, c, 1);
        else
            text_printf(&url, "%%%02X", (unsigned char)*c);
    }
    text_puts(&url, ":generateContent");
    return text_take(&url);
}

static void put_thinking(struct text *out, const char *level)
{
    char upper[32] = "";
    for (size_t i = 0; i < sizeof upper - 1 && level[i]; i++)
        upper[i] = (char)(level[i] >= 'a' && level[i] <= 'z' ? level[i] - 'a' + 'A' : level[i]);
    text_puts(out, ",\"thinkingConfig\":{\"thinkingLevel\":");
    json_text_put_string(out, slice_of(upper));
    text_puts(out, "}");
}

static char *gemini_body(const struct provider_request *request, size_t *ret_len)
{
    struct text body = {0};
    text_puts(&body, "{\"systemInstruction\":{\"parts\":[{\"text\":");
    json_text_put_string(&body, slice_of(request->instructions));
    text_puts(&body, "}]},\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":");
    json_text_put_string(&body, request->text);
    text_puts(&body, "}]}],\"generationConfig\":{\"responseMimeType\":\"application/json\",\"responseJsonSchema\":");
    text_puts(&body, request->schema_json);
    text_printf(&body, ",\"maxOutputTokens\":%lld", (long long)request->max_output_tokens);
    if (request->thinking && request->thinking[0])
        put_thinking(&body, request->thinking);
    text_puts(&body, "}}");
    *ret_len = body.len;
    return text_take(&body);
}

/* --- reading json-c's tree without trust: each returns NULL where there is no such thing --- */

static struct json_object *member(struct json_object *object, const char *name, enum json_type type)
{
    struct json_object *value;
    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, name, &value))
        return NULL;
    return json_object_is_type(value, type) ? value : NULL;
}

static const char *member_text(struct json_object *object, const char *name)
{
    struct json_object *value = member(object, name, json_type_string);
    return value ? json_object_get_string(value) : NULL;
}

static size_t length_of(struct json_object *array)
{
    return array ? json_object_array_length(array) : 0;
}

/* Copies what a constant's or a model's name is made of, so that it can go into any log line and any column. */
static void copy_name(char *to, size_t size, const char *from)
{
    size_t len = 0;
    for (; from && from[len] && len < size - 1; len++)
        to[len] = (char)(from[len] > ' ' && from[len] <= '~' ? from[len] : '?');
    to[len] = '\0';
}

/* Appends to the reason, a space before it, cut at its end. */
static void add_reason(struct provider_reply *reply, const char *word)
{
    const size_t used = strlen(reply->reason);
    if (!word || !word[0] || used + 2 > sizeof reply->reason)
        return;
    if (used > 0)
        reply->reason[used] = ' ';
    const size_t from = used > 0 ? used + 1 : 0;
    copy_name(reply->reason + from, sizeof reply->reason - from, word);
}

static int64_t token_count(struct json_object *usage, const char *name)
{
    static const int64_t most = INT64_C(1) << 40;
    struct json_object *count;
    if (!json_object_object_get_ex(usage, name, &count))
        return 0;
    if (json_object_is_type(count, json_type_int))
        return MIN(MAX(json_object_get_int64(count), 0), most);
    if (!json_object_is_type(count, json_type_double))
        return 0;
    const double d = json_object_get_double(count);
    return d >= (double)most ? most : d > 0 ? (int64_t)d : 0;
}

static void read_usage(struct json_object *root, struct provider_reply *reply)
{
    struct json_object *usage = member(root, "usageMetadata", json_type_object);
    if (!usage)
        return;
    reply->usage = (struct call_usage){
        .prompt_tokens = token_count(usage, "promptTokenCount"),
        .cached_tokens = token_count(usage, "cachedContentTokenCount"),
        .output_tokens = token_count(usage, "candidatesTokenCount"),
        .thinking_tokens = token_count(usage, "thoughtsTokenCount"),
    };
    /* The prompt includes what was cached: more would make a price below nothing. */
    reply->usage.cached_tokens = MIN(reply->usage.cached_tokens, reply->usage.prompt_tokens);
}

/* --- an answer: status 200 --- */

/* What a finish reason means, whether or not there is text beside it. Others: the reply can't be used, try again. */
static const struct {
    const char *name;
    enum call_verdict verdict;
} finish_reasons[] = {
    {"STOP", CALL_OK},
    {"FINISH_REASON_UNSPECIFIED", CALL_OK},
    {"MAX_TOKENS", CALL_TRUNCATED},
    {"SAFETY", CALL_BLOCKED},
    {"RECITATION", CALL_BLOCKED},
    {"LANGUAGE", CALL_BLOCKED},
    {"BLOCKLIST", CALL_BLOCKED},
    {"PROHIBITED_CONTENT", CALL_BLOCKED},
    {"SPII", CALL_BLOCKED},
    {"IMAGE_SAFETY", CALL_BLOCKED},
    {"IMAGE_PROHIBITED_CONTENT", CALL_BLOCKED},
    {"IMAGE_RECITATION", CALL_BLOCKED},
};

static enum call_verdict verdict_of_finish(const char *finish)
{
    if (!finish || !finish[0])
        return CALL_OK;
    for (size_t i = 0; i < ARRAY_LEN(finish_reasons); i++) {
        if (strcmp(finish_reasons[i].name, finish) == 0)
            return finish_reasons[i].verdict;
    }
    return CALL_BAD_REPLY;
}

/* All parts together, but for the model's thoughts. */
static void join_parts(struct json_object *candidate, struct text *out)
{
    struct json_object *content = member(candidate, "content", json_type_object);
    struct json_object *parts = member(content, "parts", json_type_array);
    const size_t count = length_of(parts);
    for (size_t i = 0; i < count; i++) {
        struct json_object *part = json_object_array_get_idx(parts, i);
        struct json_object *text = member(part, "text", json_type_string);
        if (text && !json_object_get_boolean(member(part, "thought", json_type_boolean)))
            text_put(out, json_object_get_string(text), (size_t)json_object_get_string_len(text));
    }
}

static void read_candidate(struct json_object *candidate, struct provider_reply *reply)
{
    AUTO(text_free) struct text text = {0};
    const char *finish = member_text(candidate, "finishReason");
    reply->verdict = verdict_of_finish(finish);
    join_parts(candidate, &text);
    if (text.len == 0 && (reply->verdict == CALL_OK || reply->verdict == CALL_BAD_REPLY))
        reply->verdict = CALL_NO_CANDIDATE;
    add_reason(reply, finish);
    if (reply->verdict != CALL_OK)
        return;
    reply->text_len = text.len;
    reply->text = text_take(&text);
}

static void read_answer(struct json_object *root, struct provider_reply *reply)
{
    struct json_object *candidates = member(root, "candidates", json_type_array);
    const char *block = member_text(member(root, "promptFeedback", json_type_object), "blockReason");
    copy_name(reply->model, sizeof reply->model, member_text(root, "modelVersion"));
    read_usage(root, reply);
    if (length_of(candidates) > 0) {
        read_candidate(json_object_array_get_idx(candidates, 0), reply);
    } else if (block && block[0]) {
        reply->verdict = CALL_BLOCKED;
        add_reason(reply, "prompt");
        add_reason(reply, block);
    } else {
        reply->verdict = CALL_NO_CANDIDATE;
        (void)snprintf(reply->reason, sizeof reply->reason, "no candidates");
    }
}

static void read_ok(struct slice body, struct provider_reply *reply)
{
    AUTO(json_object_release) struct json_object *root = NULL;
    struct error err;
    if (!json_text_read(body, JSON_GRAMMAR, &root, &err)) {
        reply->verdict = CALL_BAD_REPLY;
        (void)snprintf(reply->reason, sizeof reply->reason, "%.*s", REPLY_REASON_SIZE - 1, err.text);
    } else if (!json_object_is_type(root, json_type_object)) {
        reply->verdict = CALL_BAD_REPLY;
        (void)snprintf(reply->reason, sizeof reply->reason, "not a JSON object");
    } else {
        read_answer(root, reply);
    }
}

/* --- an error: any other status --- */

/* The first row that holds the status counts. */
static const struct {
    long from, to;
    enum call_verdict verdict;
} statuses[] = {
    {300, 399, CALL_OPERATOR},   {400, 400, CALL_REJECTED},   {413, 413, CALL_REJECTED},
    {401, 404, CALL_OPERATOR},   {407, 407, CALL_OPERATOR},   {429, 429, CALL_RATE_LIMITED},
    {503, 503, CALL_OVERLOADED}, {529, 529, CALL_OVERLOADED}, {LONG_MIN, LONG_MAX, CALL_SERVER_ERROR},
};

static enum call_verdict verdict_of_status(long status)
{
    size_t i = 0;
    while (status < statuses[i].from || status > statuses[i].to)
        i++;
    return statuses[i].verdict;
}

enum { YEAR_S = 366 * 24 * 3600, QUOTA_OF_DAY_MS = 3600 * 1000 };

/* A protobuf duration, "47.434392449s", in milliseconds, rounded up; 0 if it is not one. */
static int64_t duration_ms(const char *text)
{
    int64_t seconds = 0, thousandths = 0, place = 100;
    bool more = false;
    const char *c = text;
    for (; *c >= '0' && *c <= '9'; c++)
        seconds = MIN(seconds * 10 + (*c - '0'), (int64_t)YEAR_S);
    if (c == text)
        return 0;
    if (*c == '.') {
        for (c++; *c >= '0' && *c <= '9'; c++, place /= 10) {
            thousandths += place * (*c - '0');
            more = more || (place == 0 && *c != '0');
        }
    }
    return strcmp(c, "s") == 0 ? seconds * 1000 + thousandths + more : 0;
}

/* What the details of an error tell. */
struct error_facts {
    int64_t retry_ms;
    bool bad_key;      /* the API key is not one */
    bool bad_settings; /* the part of the request that comes from the configuration is refused */
    const char *word;  /* the most telling constant: borrowed from the tree */
};

/* Calls read for each object in the details' list of that name. */
static void each_object(struct json_object *detail, const char *list,
                        void (*read)(struct json_object *, struct error_facts *), struct error_facts *facts)
{
    struct json_object *array = member(detail, list, json_type_array);
    const size_t count = length_of(array);
    for (size_t i = 0; i < count; i++)
        read(json_object_array_get_idx(array, i), facts);
}

static void read_quota_violation(struct json_object *violation, struct error_facts *facts)
{
    const char *quota = member_text(violation, "quotaId");
    if (!quota)
        return;
    if (!facts->word || strstr(quota, "PerDay"))
        facts->word = quota;
    if (strstr(quota, "PerDay"))
        facts->retry_ms = MAX(facts->retry_ms, (int64_t)QUOTA_OF_DAY_MS);
}

/* Instructions, schema, limits and thinking are the operator's; only contents are the room's. */
static void read_field_violation(struct json_object *violation, struct error_facts *facts)
{
    static const char *const settings[] = {"generation_config", "generationConfig", "system_instruction",
                                           "systemInstruction"};
    const char *field = member_text(violation, "field");
    if (!field)
        return;
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        facts->bad_settings = facts->bad_settings || strncmp(field, settings[i], strlen(settings[i])) == 0;
    facts->word = facts->word ? facts->word : field;
}

static void read_detail(struct json_object *detail, struct error_facts *facts)
{
    const char *delay = member_text(detail, "retryDelay"), *reason = member_text(detail, "reason");
    if (delay)
        facts->retry_ms = MAX(facts->retry_ms, duration_ms(delay));
    if (reason) {
        facts->bad_key = facts->bad_key || strcmp(reason, "API_KEY_INVALID") == 0;
        facts->word = reason;
    }
    each_object(detail, "violations", read_quota_violation, facts);
    each_object(detail, "fieldViolations", read_field_violation, facts);
}

/* A request may be refused for what the operator set up: then no room is at fault. Some of these come without details,
 * so the beginning of Google's message is looked at; a room's text can't stand there. */
static bool is_operators(struct json_object *error, const struct error_facts *facts)
{
    static const char *const messages[] = {"Thinking ", "* GenerateContentRequest.generation_config",
                                           "* GenerateContentRequest.system_instruction",
                                           "* GenerateContentRequest.model"};
    const char *status = member_text(error, "status"), *message = member_text(error, "message");
    bool found = facts->bad_key || facts->bad_settings || (status && strcmp(status, "FAILED_PRECONDITION") == 0);
    for (size_t i = 0; message && i < ARRAY_LEN(messages); i++)
        found = found || strncmp(message, messages[i], strlen(messages[i])) == 0;
    return found;
}

static void read_error_object(struct json_object *error, struct provider_reply *reply)
{
    struct error_facts facts = {0};
    each_object(error, "details", read_detail, &facts);
    if (reply->verdict == CALL_REJECTED && is_operators(error, &facts))
        reply->verdict = CALL_OPERATOR;
    reply->retry_after_ms = MAX(reply->retry_after_ms, facts.retry_ms);
    add_reason(reply, member_text(error, "status"));
    add_reason(reply, facts.word);
}

/* The body may be {"error":…}, a list with that in it, or a proxy's page. */
static void read_error(long status, struct slice body, struct provider_reply *reply)
{
    AUTO(json_object_release) struct json_object *root = NULL;
    reply->verdict = verdict_of_status(status);
    (void)snprintf(reply->reason, sizeof reply->reason, "HTTP %ld", status);
    if (!json_text_read(body, JSON_GRAMMAR, &root, NULL))
        return;
    struct json_object *first = root;
    if (json_object_is_type(root, json_type_array))
        first = json_object_array_get_idx(root, 0);
    struct json_object *error = member(first, "error", json_type_object);
    if (error)
        read_error_object(error, reply);
}

static void gemini_reply(long status, struct slice body, int64_t retry_after_s, struct provider_reply *ret)
{
    *ret = (struct provider_reply){.retry_after_ms = MIN(MAX(retry_after_s, 0), (int64_t)YEAR_S) * 1000};
    if (status == 200)
        read_ok(body, ret);
    else
        read_error(status, body, ret);
}

const struct provider provider_gemini = {
    .name = "gemini",
    .base_url = "https://generativelanguage.googleapis.com",
    .auth_header = "x-goog-api-key",
    .auth_prefix = "",
    .url = gemini_url,
    .body = gemini_body,
    .reply = gemini_reply,
};
