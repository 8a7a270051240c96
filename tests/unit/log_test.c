/* The log's lines: escaping in both formats, the cap, levels. stderr goes into a memory file for each case. */
#include "check.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/utf8.h"

#include <json-c/json.h>
#include <sys/mman.h>
#include <unistd.h>

static char captured[32768];

static int capture_start(int *ret_saved)
{
    const int file = memfd_create("stderr", MFD_CLOEXEC);
    *ret_saved = dup(STDERR_FILENO);
    dup2(file, STDERR_FILENO);
    return file;
}

static const char *capture_end(int file, int saved)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
    const ssize_t len = pread(file, captured, sizeof captured - 1, 0);
    captured[len > 0 ? len : 0] = '\0';
    close(file);
    return captured;
}

/* The line that one message makes, without the time in front and the newline behind. */
static const char *line_of(enum log_format format, const char *msg, const struct log_field *fields, size_t count)
{
    int saved;
    const int file = capture_start(&saved);
    log_init(LOG_LEVEL_DEBUG, format);
    log_write(LOG_LEVEL_INFO, msg, fields, count);
    char *line = captured + (capture_end(file, saved) - captured);
    line[strcspn(line, "\n")] = '\0';
    const size_t head = format == LOG_FORMAT_JSON ? strlen("{\"ts\":\"") : strlen("ts=");
    return line + head + CLOCK_ISO_SIZE - 1;
}

static void escapes_values(void)
{
    static const struct {
        const char *label;
        struct slice value;
        const char *logfmt;
        const char *json;
    } cases[] = {
        {"word", SLICE("RM_abc-1.2:3/x"), "RM_abc-1.2:3/x", "\"RM_abc-1.2:3/x\""},
        {"empty", SLICE(""), "\"\"", "\"\""},
        {"blank", SLICE("a b"), "\"a b\"", "\"a b\""},
        {"equals", SLICE("a=b"), "\"a=b\"", "\"a=b\""},
        {"quote", SLICE("say \"x\""), "\"say \\\"x\\\"\"", "\"say \\\"x\\\"\""},
        {"backslash", SLICE("a\\b"), "\"a\\\\b\"", "\"a\\\\b\""},
        {"line break", SLICE("a\nlevel=error\r\tb"), "\"a\\nlevel=error\\r\\tb\"", "\"a\\nlevel=error\\r\\tb\""},
        {"terminal escape", SLICE("\x1b[31m"), "\"\\u001b[31m\"", "\"\\u001b[31m\""},
        {"nul and delete", SLICE("a\0b\x7f"), "\"a\\u0000b\\u007f\"", "\"a\\u0000b\\u007f\""},
        {"utf-8", SLICE("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"), "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"",
         "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\""},
        {"invalid utf-8", SLICE("a\xff\xc3(b\xed\xa0\x80"), "\"a\\ufffd\\ufffd(b\\ufffd\\ufffd\\ufffd\"",
         "\"a\\ufffd\\ufffd(b\\ufffd\\ufffd\\ufffd\""},
        {"overlong and cut short", SLICE("\xc0\xaf\xe2\x82"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"",
         "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
        {"overlong slash", SLICE("\xe0\x80\xaf"), "\"\\ufffd\\ufffd\\ufffd\"", "\"\\ufffd\\ufffd\\ufffd\""},
        {"a slice that ends inside a character", {"\xc3\xbc", 1}, "\"\\ufffd\"", "\"\\ufffd\""},
        {"c1 control", SLICE("\xc2\x9b"), "\"\\u009b\"", "\"\\u009b\""},
        {"line separator", SLICE("a\xe2\x80\xa8z"), "\"a\\u2028z\"", "\"a\\u2028z\""},
        {"bidi override", SLICE("\xe2\x80\xae\xe2\x81\xa6"), "\"\\u202e\\u2066\"", "\"\\u202e\\u2066\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char want[256];
        CHECK_LABEL(cases[i].label);
        const struct log_field field = LOG_SLICE("v", cases[i].value);
        (void)snprintf(want, sizeof want, " level=info msg=m v=%s", cases[i].logfmt);
        CHECK_STR(line_of(LOG_FORMAT_LOGFMT, "m", &field, 1), want);
        (void)snprintf(want, sizeof want, "\",\"level\":\"info\",\"msg\":\"m\",\"v\":%s}", cases[i].json);
        CHECK_STR(line_of(LOG_FORMAT_JSON, "m", &field, 1), want);
    }
}

static void writes_each_kind_of_field(void)
{
    const struct log_field fields[] = {
        LOG_STR("room", "RM_1"), LOG_INT("n", INT64_MIN), LOG_MS("took", 1234),
        LOG_MS("back", -5),      LOG_BOOL("ok", true),    LOG_IF(false, LOG_INT("left_out", 1)),
        LOG_STR("none", NULL),
    };
    CHECK_STR(line_of(LOG_FORMAT_LOGFMT, "room completed", fields, ARRAY_LEN(fields)),
              " level=info msg=\"room completed\" room=RM_1 n=-9223372036854775808 took=1.234 back=-0.005 ok=true "
              "none=\"\"");
    CHECK_STR(line_of(LOG_FORMAT_JSON, "room completed", fields, ARRAY_LEN(fields)),
              "\",\"level\":\"info\",\"msg\":\"room completed\",\"room\":\"RM_1\",\"n\":-9223372036854775808,"
              "\"took\":1.234,\"back\":-0.005,\"ok\":true,\"none\":\"\"}");
}

static bool is_utf8(const char *text)
{
    size_t width = 1;
    for (size_t left = strlen(text); left > 0; text += width, left -= width) {
        if (utf8_decode(text, left, &width) == UTF8_INVALID)
            return false;
    }
    return true;
}

/* Values of every length around the cap: the line stays under 8 KiB, says that it was cut, and JSON stays JSON. */
static void caps_a_long_line(void)
{
    CHECK_LABEL("json");
    char value[9000];
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = i % 2 == 0 ? (char)0xc3 : (char)0xbc;
    for (size_t len = 4000; len < sizeof value; len += 7) {
        const struct log_field fields[] = {LOG_SLICE("v", ((struct slice){value, len})), LOG_INT("last", 1)};
        (void)line_of(LOG_FORMAT_JSON, "m", fields, ARRAY_LEN(fields));
        CHECK(strlen(captured) < 8192);
        CHECK(is_utf8(captured));
        json_object *parsed = json_tokener_parse(captured);
        json_object *mark = NULL;
        const bool whole = strstr(captured, "\"last\":1") != NULL;
        CHECK(parsed && (json_object_object_get_ex(parsed, "cut", &mark) != whole));
        json_object_put(parsed);
    }
    CHECK_LABEL("logfmt");
    memset(value, 'w', sizeof value);
    const struct log_field word = LOG_SLICE("v", ((struct slice){value, sizeof value}));
    const char *line = line_of(LOG_FORMAT_LOGFMT, "m", &word, 1);
    CHECK_STR(line + strlen(line) - strlen("w cut=true"), "w cut=true");
}

static void obeys_the_level(void)
{
    int saved;
    const int file = capture_start(&saved);
    log_init(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT);
    log_info("no");
    log_warn("yes", LOG_INT("n", 1));
    log_error("also");
    log_write(LOG_LEVEL_DEBUG, "no", NULL, 0);
    const char *text = capture_end(file, saved);
    CHECK(!strstr(text, "msg=no"));
    CHECK(strstr(text, "level=warn msg=yes n=1\n") != NULL);
    CHECK(strstr(text, "level=error msg=also\n") != NULL);
    CHECK(!log_enabled(LOG_LEVEL_INFO) && log_enabled(LOG_LEVEL_ERROR));
}

static void formats_times(void)
{
    static const struct {
        int64_t ms;
        const char *want;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},         {1767321845678, "2026-01-02T02:44:05.678Z"},
        {-1, "1969-12-31T23:59:59.999Z"},        {1709164800000, "2024-02-29T00:00:00.000Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"}, {INT64_MIN, "0000-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[CLOCK_ISO_SIZE];
        clock_format_iso(cases[i].ms, text);
        CHECK_STR(text, cases[i].want);
    }
}

CHECK_MAIN({"escapes values", escapes_values}, {"writes each kind of field", writes_each_kind_of_field},
           {"caps a long line", caps_a_long_line}, {"obeys the level", obeys_the_level},
           {"formats times", formats_times})
