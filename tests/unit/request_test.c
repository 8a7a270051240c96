/* Which requests may carry a webhook: framing, path, method, size, type. */
#include "producer-shim/request.h"

#include "check.h"

static char webhook[] = "/webhook", seed[] = "/api/webhooks/livekit";

/* Headers as "name: value" lines. */
static struct request request_of(const char *lines)
{
    struct request request = {0};
    while (*lines) {
        const size_t name = strcspn(lines, ":"), line = strcspn(lines, "\n");
        request_add(&request, (struct slice){.ptr = lines, .len = name},
                    (struct slice){.ptr = lines + name + 2, .len = line - name - 2});
        lines += line + (lines[line] == '\n');
    }
    return request;
}

static const char *admit(const char *method, const char *path, const char *lines)
{
    char *paths[] = {webhook, seed};
    const struct config config = {.shim_paths = {.items = paths, .count = 2}, .shim_body_limit_bytes = 1000};
    struct request request = request_of(lines);
    enum answer answer;
    return request_admit(&request, &config, method, path, &answer) ? "ok" : answer_word(answer);
}

#define TYPE "Content-Type: application/webhook+json"
#define GOOD "Content-Length: 5\n" TYPE

static void admits(void)
{
    static const struct {
        const char *method, *path, *lines, *want;
    } cases[] = {
        {"POST", "/webhook", GOOD, "ok"},
        {"POST", "/api/webhooks/livekit", GOOD, "ok"},
        {"POST", "/webhook?node=1", GOOD, "ok"},
        {"POST", "/webhook", "Transfer-Encoding: chunked\n" TYPE, "ok"},
        {"POST", "/webhook", "transfer-encoding: Chunked\n" TYPE, "ok"},
        {"POST", "/webhook", "Content-Length: 0\n" TYPE, "ok"},
        {"POST", "/webhook", "Content-Length: 1000\n" TYPE, "ok"},
        {"POST", "/webhook", "Content-Length: 1001\n" TYPE, "too_large"},
        {"POST", "/webhook", "Content-Length: 999999999999999999\n" TYPE, "too_large"},
        {"POST", "/webhook", TYPE, "length_required"},
        {"GET", "/webhook", "", "method"},
        {"PUT", "/webhook", GOOD, "method"},
        {"post", "/webhook", GOOD, "method"},
        {"POST", "/", GOOD, "not_found"},
        {"POST", "", GOOD, "not_found"},
        {"POST", "*", GOOD, "not_found"},
        {"POST", "//webhook", GOOD, "not_found"},
        {"POST", "/webhook/", GOOD, "not_found"},
        {"POST", "/webhook/..", GOOD, "not_found"},
        {"POST", "/webhook%00", GOOD, "not_found"},
        {"POST", "/%77ebhook", GOOD, "not_found"},
        {"POST", "/webhook#x", GOOD, "not_found"},
        {"POST", "http://127.0.0.1/webhook", GOOD, "not_found"},
        {"GET", "/other", "", "not_found"},
        {"POST", "/webhook", GOOD "\nTransfer-Encoding: chunked", "framing"},
        {"POST", "/webhook", GOOD "\nContent-Length: 5", "framing"},
        {"POST", "/webhook", GOOD "\ncontent-length: 6", "framing"},
        {"POST", "/webhook", "Content-Length: -1\n" TYPE, "framing"},
        {"POST", "/webhook", "Content-Length: +5\n" TYPE, "framing"},
        {"POST", "/webhook", "Content-Length: 5, 5\n" TYPE, "framing"},
        {"POST", "/webhook", "Content-Length: 0x10\n" TYPE, "framing"},
        {"POST", "/webhook", "Content-Length: 1 0\n" TYPE, "framing"},
        {"POST", "/webhook", "Content-Length: \n" TYPE, "framing"},
        {"POST", "/webhook", "Content-Length: 18446744073709551621\n" TYPE, "framing"},
        {"POST", "/webhook", "Transfer-Encoding: gzip, chunked\n" TYPE, "framing"},
        {"POST", "/webhook", "Transfer-Encoding: xchunked\n" TYPE, "framing"},
        {"POST", "/webhook", "Transfer-Encoding: chunked, chunked\n" TYPE, "framing"},
        {"POST", "/webhook", "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n" TYPE, "framing"},
        {"POST", "/webhook", "Transfer-Encoding: identity\n" TYPE, "framing"},
        {"GET", "/other", "Content-Length: x", "framing"},
        {"POST", "/webhook", "Content-Length: 5\nContent-Type: application/json", "ok"},
        {"POST", "/webhook", "Content-Length: 5\nContent-Type: Application/JSON; charset=utf-8", "ok"},
        {"POST", "/webhook", "Content-Length: 5\nContent-Type: application/jsonx", "media_type"},
        {"POST", "/webhook", "Content-Length: 5\nContent-Type: text/plain", "media_type"},
        {"POST", "/webhook", "Content-Length: 5", "media_type"},
        {"POST", "/webhook", GOOD "\n" TYPE, "media_type"},
        {"POST", "/webhook", GOOD "\nContent-Encoding: gzip", "content_encoding"},
        {"POST", "/webhook", GOOD "\nContent-Encoding: identity", "ok"},
        {"POST", "/webhook", GOOD "\nExpect: 100-continue", "ok"},
        {"POST", "/webhook", GOOD "\nExpect: 200-ok", "expectation"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char label[256];
        snprintf(label, sizeof label, "%s %s %s", cases[i].method, cases[i].path, cases[i].lines);
        CHECK_LABEL(label);
        CHECK_STR(admit(cases[i].method, cases[i].path, cases[i].lines), cases[i].want);
    }
}

static void a_header_given_twice_has_no_value(void)
{
    const struct request once = request_of("Authorization: a\nTraceparent: t");
    const struct request twice = request_of("Authorization: a\nauthorization: b");
    CHECK(slice_equal(request_value(&once, REQUEST_AUTHORIZATION), SLICE("a")));
    CHECK(slice_equal(request_value(&once, REQUEST_TRACEPARENT), SLICE("t")));
    CHECK_INT(request_value(&twice, REQUEST_AUTHORIZATION).len, 0);
    CHECK_INT(request_value(&once, REQUEST_TRACESTATE).len, 0);
}

CHECK_MAIN({"admits", admits}, {"a header given twice has no value", a_header_given_twice_has_no_value})
