/* Gemini: the request's bytes, and what each answer or error means. Bodies are shaped like the API's own. */
#include "consumer/models/provider.h"

#include "check.h"
#include "common/alloc.h"
#include "consumer/json_text.h"

static const struct provider_request usual = {
    .base_url = "https://example.net",
    .model = "gemini-3.5-flash-lite",
    .instructions = "Room RM_abc",
    .text = {.ptr = "fine", .len = 4},
    .schema_json = "{\"type\":\"object\"}",
    .max_output_tokens = 2048,
    .thinking = "",
};

static void table_of_providers(void)
{
    CHECK(provider_find("gemini") == &provider_gemini);
    CHECK(provider_find("Gemini") == NULL);
    CHECK(provider_find("") == NULL);
    CHECK_STR(provider_gemini.auth_header, "x-goog-api-key");
    for (size_t i = 0; i < CALL_VERDICT_COUNT; i++)
        CHECK(call_verdicts[i].name && call_verdicts[i].help);
    CHECK_INT(call_verdicts[CALL_OK].then, CALL_THEN_STORE);
    CHECK_INT(call_verdicts[CALL_BLOCKED].then, CALL_THEN_PARK);
    CHECK_INT(call_verdicts[CALL_RATE_LIMITED].counted, CALL_COUNTED_NEVER);
    CHECK_INT(call_verdicts[CALL_OPERATOR].failure, CALL_FAILURE_OPERATOR);
}

static void url_names_the_model(void)
{
    static const struct {
        const char *label, *model, *want;
    } cases[] = {
        {"plain", "gemini-3.5-flash-lite", "https://h/v1beta/models/gemini-3.5-flash-lite:generateContent"},
        {"all that is unreserved", "aZ09-._~", "https://h/v1beta/models/aZ09-._~:generateContent"},
        {"out of its segment", "a/../b?key=#%", "https://h/v1beta/models/a%2F..%2Fb%3Fkey%3D%23%25:generateContent"},
        {"spaces and bytes", "a b\xc3\xa9\n", "https://h/v1beta/models/a%20b%C3%A9%0A:generateContent"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].label);
        struct provider_request request = usual;
        request.base_url = "https://h";
        request.model = cases[i].model;
        AUTO(free_ptr) char *url = provider_gemini.url(&request);
        CHECK_STR(url, cases[i].want);
    }
}

static void body_is_the_documented_request(void)
{
    size_t len;
    AUTO(free_ptr) char *body = provider_gemini.body(&usual, &len);
    CHECK_STR(body, "{\"systemInstruction\":{\"parts\":[{\"text\":\"Room RM_abc\"}]},"
                    "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"fine\"}]}],"
                    "\"generationConfig\":{\"responseMimeType\":\"application/json\","
                    "\"responseJsonSchema\":{\"type\":\"object\"},\"maxOutputTokens\":2048}}");
    CHECK_INT(len, strlen(body));
    struct provider_request request = usual;
    request.thinking = "low";
    AUTO(free_ptr) char *thinking = provider_gemini.body(&request, &len);
    CHECK(strstr(thinking, "\"maxOutputTokens\":2048,\"thinkingConfig\":{\"thinkingLevel\":\"LOW\"}}}") != NULL);
    CHECK_INT(len, strlen(thinking));
}

static void body_escapes_the_text(void)
{
    static const struct {
        const char *label;
        struct slice text;
        const char *want;
    } cases[] = {
        {"nothing", {NULL, 0}, "\"\""},
        {"quotes and backslashes", SLICE("a\"b\\c/"), "\"a\\\"b\\\\c/\""},
        {"short escapes", SLICE("\b\t\n\f\r"), "\"\\b\\t\\n\\f\\r\""},
        {"other controls", SLICE("\0\x01\x0b\x1f\x7f"), "\"\\u0000\\u0001\\u000b\\u001f\x7f\""},
        {"UTF-8 as it is", SLICE("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"not UTF-8", SLICE("a\xff\xc3"), "\"a\xef\xbf\xbd\xef\xbf\xbd\""},
        {"a surrogate's bytes", SLICE("\xed\xa0\x80!"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!\""},
        {"out of its string", SLICE("\"}]}],\"x\":["), "\"\\\"}]}],\\\"x\\\":[\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].label);
        struct provider_request request = usual;
        request.text = cases[i].text;
        size_t len;
        AUTO(free_ptr) char *body = provider_gemini.body(&request, &len);
        char want[200];
        (void)snprintf(want, sizeof want, "{\"role\":\"user\",\"parts\":[{\"text\":%s}]}", cases[i].want);
        CHECK(strstr(body, want) != NULL);
        AUTO(json_object_release) struct json_object *tree = NULL;
        CHECK(json_text_read((struct slice){body, len}, JSON_GRAMMAR, &tree, NULL));
    }
}

#define ANSWER(candidate) "{\"candidates\":[" candidate "]}"
#define PARTS(parts, finish) \
    ANSWER("{\"content\":{\"role\":\"model\",\"parts\":[" parts "]},\"finishReason\":\"" finish "\"}")
#define ONE "{\"text\":\"{}\"}"

static void answers(void)
{
    static const struct {
        const char *label, *body;
        enum call_verdict verdict;
        const char *text, *reason;
    } cases[] = {
        {"usual", PARTS(ONE, "STOP"), CALL_OK, "{}", "STOP"},
        {"parts in a row", PARTS("{\"text\":\"{\"},{\"text\":\"}\"}", "STOP"), CALL_OK, "{}", "STOP"},
        {"thoughts are skipped", PARTS("{\"text\":\"hm\",\"thought\":true}," ONE ",{\"thought\":true}", "STOP"),
         CALL_OK, "{}", "STOP"},
        {"thought false", PARTS("{\"text\":\"1\",\"thought\":false}", "STOP"), CALL_OK, "1", "STOP"},
        {"parts of other kinds", PARTS("{\"functionCall\":{}},7,null,[]," ONE ",{\"text\":5}", "STOP"), CALL_OK, "{}",
         "STOP"},
        {"only thoughts", PARTS("{\"text\":\"hm\",\"thought\":true}", "STOP"), CALL_NO_CANDIDATE, NULL, "STOP"},
        {"no finish reason", ANSWER("{\"content\":{\"parts\":[" ONE "]}}"), CALL_OK, "{}", ""},
        {"unspecified finish", PARTS(ONE, "FINISH_REASON_UNSPECIFIED"), CALL_OK, "{}", "FINISH_REASON_UNSPECIFIED"},
        {"no parts", ANSWER("{\"content\":{\"role\":\"model\"},\"finishReason\":\"STOP\"}"), CALL_NO_CANDIDATE, NULL,
         "STOP"},
        {"no content", ANSWER("{\"finishReason\":\"STOP\"}"), CALL_NO_CANDIDATE, NULL, "STOP"},
        {"empty text", PARTS("{\"text\":\"\"}", "STOP"), CALL_NO_CANDIDATE, NULL, "STOP"},
        {"candidate is not an object", ANSWER("null"), CALL_NO_CANDIDATE, NULL, ""},
        {"candidates empty", "{\"candidates\":[]}", CALL_NO_CANDIDATE, NULL, "no candidates"},
        {"candidates missing", "{}", CALL_NO_CANDIDATE, NULL, "no candidates"},
        {"candidates is an object", "{\"candidates\":{}}", CALL_NO_CANDIDATE, NULL, "no candidates"},
        {"cut, with text", PARTS(ONE, "MAX_TOKENS"), CALL_TRUNCATED, NULL, "MAX_TOKENS"},
        {"cut, without text", ANSWER("{\"content\":{},\"finishReason\":\"MAX_TOKENS\"}"), CALL_TRUNCATED, NULL,
         "MAX_TOKENS"},
        {"safety", ANSWER("{\"finishReason\":\"SAFETY\"}"), CALL_BLOCKED, NULL, "SAFETY"},
        {"safety, with text", PARTS(ONE, "SAFETY"), CALL_BLOCKED, NULL, "SAFETY"},
        {"recitation", PARTS(ONE, "RECITATION"), CALL_BLOCKED, NULL, "RECITATION"},
        {"blocklist", ANSWER("{\"finishReason\":\"BLOCKLIST\"}"), CALL_BLOCKED, NULL, "BLOCKLIST"},
        {"prohibited", ANSWER("{\"finishReason\":\"PROHIBITED_CONTENT\"}"), CALL_BLOCKED, NULL, "PROHIBITED_CONTENT"},
        {"personal data", ANSWER("{\"finishReason\":\"SPII\"}"), CALL_BLOCKED, NULL, "SPII"},
        {"language", ANSWER("{\"finishReason\":\"LANGUAGE\"}"), CALL_BLOCKED, NULL, "LANGUAGE"},
        {"other, without text", ANSWER("{\"finishReason\":\"OTHER\"}"), CALL_NO_CANDIDATE, NULL, "OTHER"},
        {"other, with text", PARTS(ONE, "OTHER"), CALL_BAD_REPLY, NULL, "OTHER"},
        {"one that is not known yet", PARTS(ONE, "NEW_REASON"), CALL_BAD_REPLY, NULL, "NEW_REASON"},
        {"prompt blocked", "{\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}", CALL_BLOCKED, NULL, "prompt SAFETY"},
        {"feedback without a reason", "{\"promptFeedback\":{}}", CALL_NO_CANDIDATE, NULL, "no candidates"},
        {"a reason of odd bytes", ANSWER("{\"finishReason\":\"a \\u0001\xc3\xa9\"}"), CALL_NO_CANDIDATE, NULL, "a????"},
        {"empty", "", CALL_BAD_REPLY, NULL, "not strict JSON at byte 0: ends too early"},
        {"login page", "<html>", CALL_BAD_REPLY, NULL, "not strict JSON at byte 0: not a JSON value"},
        {"truncated", "{\"candidates\":[{", CALL_BAD_REPLY, NULL, "not strict JSON at byte 16: expected a string"},
        {"two documents", "{}{}", CALL_BAD_REPLY, NULL, "not strict JSON at byte 2: more text behind the document"},
        {"byte order mark", "\xef\xbb\xbf{}", CALL_BAD_REPLY, NULL, "not strict JSON at byte 0: not a JSON value"},
        {"a list", "[]", CALL_BAD_REPLY, NULL, "not a JSON object"},
        {"null", "null", CALL_BAD_REPLY, NULL, "not a JSON object"},
        {"an error in a 200", "{\"error\":{\"code\":429}}", CALL_NO_CANDIDATE, NULL, "no candidates"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].label);
        struct provider_reply reply;
        provider_gemini.reply(200, slice_of(cases[i].body), 0, &reply);
        CHECK_STR(call_verdicts[reply.verdict].name, call_verdicts[cases[i].verdict].name);
        CHECK_STR(reply.reason, cases[i].reason);
        CHECK_INT(reply.text != NULL, cases[i].text != NULL);
        if (cases[i].text && reply.text) {
            CHECK_STR(reply.text, cases[i].text);
            CHECK_INT(reply.text_len, strlen(cases[i].text));
        }
        provider_reply_fini(&reply);
    }
}

static void text_may_hold_nul(void)
{
    struct provider_reply reply;
    provider_gemini.reply(200, SLICE(PARTS("{\"text\":\"a\\u0000b\"}", "STOP")), 0, &reply);
    CHECK_INT(reply.verdict, CALL_OK);
    CHECK_INT(reply.text_len, 3);
    CHECK(reply.text && memcmp(reply.text, "a\0b", 4) == 0);
    provider_reply_fini(&reply);
    CHECK(reply.text == NULL);
}

static void usage_and_model(void)
{
    static const int64_t most = INT64_C(1) << 40;
    static const struct {
        const char *label, *usage;
        struct call_usage want;
    } cases[] = {
        {"all",
         "{\"promptTokenCount\":100,\"cachedContentTokenCount\":40,\"candidatesTokenCount\":7,\"thoughtsTokenCount\":9,"
         "\"totalTokenCount\":116}",
         {100, 40, 7, 9}},
        {"missing ones are none", "{\"promptTokenCount\":5}", {5, 0, 0, 0}},
        {"no usage", "{}", {0, 0, 0, 0}},
        {"not an object", "[1]", {0, 0, 0, 0}},
        {"negative", "{\"promptTokenCount\":-5,\"candidatesTokenCount\":-1.5}", {0, 0, 0, 0}},
        {"beyond 64 bits", "{\"promptTokenCount\":99999999999999999999999999}", {most, 0, 0, 0}},
        {"beyond a double", "{\"promptTokenCount\":1e400,\"candidatesTokenCount\":1e30}", {most, 0, most, 0}},
        {"fractions", "{\"promptTokenCount\":5.9}", {5, 0, 0, 0}},
        {"strings", "{\"promptTokenCount\":\"5\"}", {0, 0, 0, 0}},
        {"more cached than sent", "{\"promptTokenCount\":5,\"cachedContentTokenCount\":9}", {5, 5, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].label);
        AUTO(free_ptr)
        char *body = xasprintf("{\"modelVersion\":\"gemini-3.5-flash-lite-001\",\"usageMetadata\":%s}", cases[i].usage);
        struct provider_reply reply;
        provider_gemini.reply(200, slice_of(body), 0, &reply);
        CHECK_INT(reply.usage.prompt_tokens, cases[i].want.prompt_tokens);
        CHECK_INT(reply.usage.cached_tokens, cases[i].want.cached_tokens);
        CHECK_INT(reply.usage.output_tokens, cases[i].want.output_tokens);
        CHECK_INT(reply.usage.thinking_tokens, cases[i].want.thinking_tokens);
        CHECK_STR(reply.model, "gemini-3.5-flash-lite-001");
        provider_reply_fini(&reply);
    }
}

static void long_names_are_cut(void)
{
    char name[1000];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    AUTO(free_ptr)
    char *body = xasprintf("{\"modelVersion\":\"%s\",\"candidates\":[{\"finishReason\":\"%s\"}]}", name, name);
    struct provider_reply reply;
    provider_gemini.reply(200, slice_of(body), 0, &reply);
    CHECK_INT(strlen(reply.model), REPLY_MODEL_SIZE - 1);
    CHECK_INT(strlen(reply.reason), REPLY_REASON_SIZE - 1);
    AUTO(free_ptr)
    char *error = xasprintf("{\"error\":{\"status\":\"%s\",\"details\":[{\"reason\":\"%s\"}]}}", name, name);
    provider_gemini.reply(500, slice_of(error), 0, &reply);
    CHECK_INT(strlen(reply.reason), REPLY_REASON_SIZE - 1);
}

#define ERROR(status, more) "{\"error\":{\"code\":400,\"message\":\"m\",\"status\":\"" status "\"" more "}}"
#define DETAILS(list) ",\"details\":[" list "]"
#define TYPE "\"@type\":\"type.googleapis.com/google.rpc."
#define RETRY_INFO(delay) "{" TYPE "RetryInfo\",\"retryDelay\":\"" delay "\"}"
#define QUOTA(id) "{" TYPE "QuotaFailure\",\"violations\":[{\"quotaMetric\":\"m\",\"quotaId\":\"" id "\"}]}"
#define FIELD(name) "{" TYPE "BadRequest\",\"fieldViolations\":[{\"field\":\"" name "\",\"description\":\"d\"}]}"
#define REASON(name) "{" TYPE "ErrorInfo\",\"reason\":\"" name "\",\"domain\":\"googleapis.com\"}"

static void errors(void)
{
    static const struct {
        const char *label;
        long status;
        const char *body;
        enum call_verdict verdict;
        const char *reason;
    } cases[] = {
        {"of this request", 400, ERROR("INVALID_ARGUMENT", ""), CALL_REJECTED, "HTTP 400 INVALID_ARGUMENT"},
        {"of this request's contents", 400, ERROR("INVALID_ARGUMENT", DETAILS(FIELD("contents[0].parts[0]"))),
         CALL_REJECTED, "HTTP 400 INVALID_ARGUMENT contents[0].parts[0]"},
        {"a key that is none", 400, ERROR("INVALID_ARGUMENT", DETAILS(REASON("API_KEY_INVALID"))), CALL_OPERATOR,
         "HTTP 400 INVALID_ARGUMENT API_KEY_INVALID"},
        {"billing or region", 400, ERROR("FAILED_PRECONDITION", ""), CALL_OPERATOR, "HTTP 400 FAILED_PRECONDITION"},
        {"a schema it does not know", 400,
         ERROR("INVALID_ARGUMENT", DETAILS(FIELD("generation_config.response_json_schema"))), CALL_OPERATOR,
         "HTTP 400 INVALID_ARGUMENT generation_config.response_json_schema"},
        {"thinking that the model has not", 400,
         "{\"error\":{\"message\":\"Thinking level is not supported for this "
         "model.\",\"status\":\"INVALID_ARGUMENT\"}}",
         CALL_OPERATOR, "HTTP 400 INVALID_ARGUMENT"},
        {"a model's name that is none", 400,
         "{\"error\":{\"message\":\"* GenerateContentRequest.model: unexpected model name format\\n\"}}", CALL_OPERATOR,
         "HTTP 400"},
        {"a message that only speaks of thinking", 400,
         "{\"error\":{\"message\":\"bad: Thinking * GenerateContentRequest.model\"}}", CALL_REJECTED, "HTTP 400"},
        {"400 without a body", 400, "", CALL_REJECTED, "HTTP 400"},
        {"401", 401, ERROR("UNAUTHENTICATED", ""), CALL_OPERATOR, "HTTP 401 UNAUTHENTICATED"},
        {"402", 402, "", CALL_OPERATOR, "HTTP 402"},
        {"403", 403, ERROR("PERMISSION_DENIED", ""), CALL_OPERATOR, "HTTP 403 PERMISSION_DENIED"},
        {"404", 404, ERROR("NOT_FOUND", ""), CALL_OPERATOR, "HTTP 404 NOT_FOUND"},
        {"proxy wants a password", 407, "", CALL_OPERATOR, "HTTP 407"},
        {"408", 408, "", CALL_SERVER_ERROR, "HTTP 408"},
        {"413", 413, "<html>too large</html>", CALL_REJECTED, "HTTP 413"},
        {"429", 429, ERROR("RESOURCE_EXHAUSTED", ""), CALL_RATE_LIMITED, "HTTP 429 RESOURCE_EXHAUSTED"},
        {"429 for billing is still 429", 429, ERROR("FAILED_PRECONDITION", DETAILS(REASON("API_KEY_INVALID"))),
         CALL_RATE_LIMITED, "HTTP 429 FAILED_PRECONDITION API_KEY_INVALID"},
        {"500", 500, ERROR("INTERNAL", ""), CALL_SERVER_ERROR, "HTTP 500 INTERNAL"},
        {"502, a proxy's page", 502, "<html>Bad Gateway</html>", CALL_SERVER_ERROR, "HTTP 502"},
        {"503", 503, ERROR("UNAVAILABLE", ""), CALL_OVERLOADED, "HTTP 503 UNAVAILABLE"},
        {"504", 504, ERROR("DEADLINE_EXCEEDED", ""), CALL_SERVER_ERROR, "HTTP 504 DEADLINE_EXCEEDED"},
        {"529", 529, "", CALL_OVERLOADED, "HTTP 529"},
        {"redirect", 302, "", CALL_OPERATOR, "HTTP 302"},
        {"999", 999, "", CALL_SERVER_ERROR, "HTTP 999"},
        {"201 is not understood", 201, PARTS(ONE, "STOP"), CALL_SERVER_ERROR, "HTTP 201"},
        {"no status", 0, "", CALL_SERVER_ERROR, "HTTP 0"},
        {"negative", -1, "", CALL_SERVER_ERROR, "HTTP -1"},
        {"in a list", 429, "[" ERROR("RESOURCE_EXHAUSTED", "") "]", CALL_RATE_LIMITED, "HTTP 429 RESOURCE_EXHAUSTED"},
        {"an empty list", 429, "[]", CALL_RATE_LIMITED, "HTTP 429"},
        {"error is a string", 400, "{\"error\":\"FAILED_PRECONDITION\"}", CALL_REJECTED, "HTTP 400"},
        {"details of other shapes", 400, ERROR("X", DETAILS("1,null,[],{\"violations\":[1]},{\"violations\":{}}")),
         CALL_REJECTED, "HTTP 400 X"},
        {"the message is never quoted", 403,
         "{\"error\":{\"message\":\"Consumer 'api_key:SECRET' has been suspended\"}}", CALL_OPERATOR, "HTTP 403"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].label);
        struct provider_reply reply;
        provider_gemini.reply(cases[i].status, slice_of(cases[i].body), 0, &reply);
        CHECK_STR(call_verdicts[reply.verdict].name, call_verdicts[cases[i].verdict].name);
        CHECK_STR(reply.reason, cases[i].reason);
        CHECK(reply.text == NULL);
        CHECK_INT(reply.retry_after_ms, 0);
        provider_reply_fini(&reply);
    }
}

/* shows F80 */
static void delays_that_it_asks_for(void)
{
    static const struct {
        const char *label, *body;
        int64_t header_s, want_ms;
    } cases[] = {
        {"whole seconds", ERROR("X", DETAILS(RETRY_INFO("26s"))), 0, 26000},
        {"nine digits, rounded up", ERROR("X", DETAILS(RETRY_INFO("47.434392449s"))), 0, 47435},
        {"three digits exactly", ERROR("X", DETAILS(RETRY_INFO("1.500s"))), 0, 1500},
        {"one digit", ERROR("X", DETAILS(RETRY_INFO("0.2s"))), 0, 200},
        {"a billionth", ERROR("X", DETAILS(RETRY_INFO("0.000000001s"))), 0, 1},
        {"header only", ERROR("X", ""), 7, 7000},
        {"the longer of both: header", ERROR("X", DETAILS(RETRY_INFO("3s"))), 7, 7000},
        {"the longer of both: body", ERROR("X", DETAILS(RETRY_INFO("9s"))), 7, 9000},
        {"any order", ERROR("X", DETAILS(QUOTA("PerMinute") "," RETRY_INFO("9s") ",{}")), 0, 9000},
        {"a day's quota", ERROR("X", DETAILS(QUOTA("GenerateRequestsPerDayPerProject") "," RETRY_INFO("9s"))), 0,
         3600000},
        {"no unit", ERROR("X", DETAILS(RETRY_INFO("26"))), 0, 0},
        {"another unit", ERROR("X", DETAILS(RETRY_INFO("26ms"))), 0, 0},
        {"negative", ERROR("X", DETAILS(RETRY_INFO("-5s"))), 0, 0},
        {"no digits", ERROR("X", DETAILS(RETRY_INFO(".5s"))), 0, 0},
        {"too many digits", ERROR("X", DETAILS(RETRY_INFO("99999999999999999999999s"))), 0, INT64_C(31622400000)},
        {"a page", "<html>", INT64_MAX, INT64_C(31622400000)},
        {"a negative header", "<html>", -5, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].label);
        struct provider_reply reply;
        provider_gemini.reply(429, slice_of(cases[i].body), cases[i].header_s, &reply);
        CHECK_INT(reply.retry_after_ms, cases[i].want_ms);
        CHECK_INT(reply.verdict, CALL_RATE_LIMITED);
    }
}

static void depth_is_bounded(void)
{
    enum { DEEP = 1000000 };
    AUTO(free_ptr) char *body = xmalloc(DEEP);
    memset(body, '[', DEEP);
    struct provider_reply reply;
    provider_gemini.reply(200, (struct slice){body, DEEP}, 0, &reply);
    CHECK_INT(reply.verdict, CALL_BAD_REPLY);
    CHECK_STR(reply.reason, "not strict JSON at byte 33: nested too deep");
    provider_gemini.reply(429, (struct slice){body, DEEP}, 0, &reply);
    CHECK_INT(reply.verdict, CALL_RATE_LIMITED);
}

CHECK_MAIN({"table of providers", table_of_providers}, {"url names the model", url_names_the_model},
           {"body is the documented request", body_is_the_documented_request},
           {"body escapes the text", body_escapes_the_text}, {"answers", answers},
           {"text may hold NUL", text_may_hold_nul}, {"usage and model", usage_and_model},
           {"long names are cut", long_names_are_cut}, {"errors", errors},
           {"delays that it asks for", delays_that_it_asks_for}, {"depth is bounded", depth_is_bounded})
