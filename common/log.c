/* Writing log lines. One line is built on the stack, escaped while it is copied, and written by one write(2).
 *
 * A line that would be longer than LINE_SIZE is cut and says so in its last field. Bytes that could deceive a reader
 * or a terminal (control characters, bidi controls, line separators, broken UTF-8) appear as \uXXXX.
 */
#include "log.h"

#include "clock.h"
#include "utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINE_SIZE = 8192,
    TAIL_SIZE = 32,    /* kept free for: closing quote, the mark of a cut line, brace, newline */
    NUMBER_SIZE = 32,  /* "-9223372036854775.808" and more */
    SKELETON_SIZE = 8, /* separator, quotes and colon of one field */
};

struct line {
    size_t len;
    bool cut;
    char text[LINE_SIZE];
};

static struct {
    enum log_level least;
    enum log_format format;
    bool journal; /* stderr is the journal: lines get a <priority> in front */
} settings = {.least = LOG_LEVEL_INFO, .format = LOG_FORMAT_LOGFMT};

static const struct {
    const char *name;
    const char *priority; /* of syslog, for the journal */
} levels[] = {
    [LOG_LEVEL_DEBUG] = {"debug", "<7>"},
    [LOG_LEVEL_INFO] = {"info", "<6>"},
    [LOG_LEVEL_WARN] = {"warn", "<4>"},
    [LOG_LEVEL_ERROR] = {"error", "<3>"},
};

/* systemd names the journal's socket as dev:inode in JOURNAL_STREAM; stderr may have been redirected since. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    if (!stream || fstat(STDERR_FILENO, &st) != 0)
        return false;
    char own[64];
    const int len = snprintf(own, sizeof own, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return len > 0 && strcmp(own, stream) == 0;
}

void log_init(enum log_level least, enum log_format format)
{
    settings.least = least;
    settings.format = format;
    settings.journal = stderr_is_journal();
}

bool log_enabled(enum log_level level)
{
    return level >= settings.least;
}

static size_t room(const struct line *line)
{
    return line->cut ? 0 : LINE_SIZE - TAIL_SIZE - line->len;
}

/* Into the reserve too: only for what closes something, a few bytes a line. */
static void put_always(struct line *line, const char *text, size_t len)
{
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

/* All or nothing; nothing marks the line as cut, and all that follows is left out. */
static void put(struct line *line, const char *text, size_t len)
{
    if (len > room(line))
        line->cut = true;
    else
        put_always(line, text, len);
}

/* Bytes that stand for themselves; cut at a code point's boundary when there is no room for all. */
static void put_run(struct line *line, const char *text, size_t len)
{
    size_t fit = MIN(len, room(line));
    if (fit < len) {
        while (fit > 0 && ((unsigned char)text[fit] & 0xc0) == 0x80)
            fit--;
    }
    if (fit > 0)
        put_always(line, text, fit);
    if (fit < len)
        line->cut = true;
}

static void put_escaped_point(struct line *line, uint32_t point)
{
    static const char hex[] = "0123456789abcdef";
    const char text[6] = {'\\',           'u', hex[(point >> 12) & 15], hex[(point >> 8) & 15], hex[(point >> 4) & 15],
                          hex[point & 15]};
    switch (point) {
    case '"':
        put(line, "\\\"", 2);
        break;
    case '\\':
        put(line, "\\\\", 2);
        break;
    case '\n':
        put(line, "\\n", 2);
        break;
    case '\r':
        put(line, "\\r", 2);
        break;
    case '\t':
        put(line, "\\t", 2);
        break;
    default:
        put(line, text, sizeof text);
    }
}

/* Code points that a reader or a terminal would obey instead of show. All of them are below 0x10000. */
static bool deceives(uint32_t point)
{
    return point < 0x20 || point == '"' || point == '\\' || (point >= 0x7f && point <= 0x9f) || point == 0x61c ||
           point == 0x200e || point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069) || point == 0xfeff || point == UTF8_INVALID;
}

/* The text between the quotes, the same for both formats. */
static void put_escaped(struct line *line, struct slice text)
{
    size_t start = 0, at = 0;
    while (at < text.len && !line->cut) {
        const unsigned char byte = (unsigned char)text.ptr[at];
        size_t width = 1;
        const uint32_t point = byte < 0x80 ? byte : utf8_decode(text.ptr + at, text.len - at, &width);
        if (deceives(point)) {
            put_run(line, text.ptr + start, at - start);
            put_escaped_point(line, point == UTF8_INVALID ? 0xfffd : point);
            start = at + width;
        }
        at += width;
    }
    if (at > start)
        put_run(line, text.ptr + start, at - start);
}

/* logfmt needs no quotes around a word of these. */
static bool is_bare_word(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
              c == '.' || c == ':' || c == '/' || c == '+' || c == '@' || c == ','))
            return false;
    }
    return text.len > 0;
}

static void put_string(struct line *line, struct slice text)
{
    if (settings.format == LOG_FORMAT_LOGFMT && is_bare_word(text)) {
        put_run(line, text.ptr, text.len);
        return;
    }
    put_always(line, "\"", 1); /* put_key has made sure of the room */
    put_escaped(line, text);
    put_always(line, "\"", 1);
}

/* Separator and key; false when the field has no room and is left out. */
static bool put_key(struct line *line, const char *key)
{
    const size_t len = strlen(key);
    if (len + SKELETON_SIZE + NUMBER_SIZE > room(line)) {
        line->cut = true;
        return false;
    }
    const bool json = settings.format == LOG_FORMAT_JSON;
    put_always(line, json ? ",\"" : " ", json ? 2 : 1);
    put_always(line, key, len);
    put_always(line, json ? "\":" : "=", json ? 2 : 1);
    return true;
}

static void put_number(struct line *line, int64_t value, bool is_ms)
{
    char text[NUMBER_SIZE];
    int len;
    if (is_ms) {
        const uint64_t abs = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
        len = snprintf(text, sizeof text, "%s%ju.%03u", value < 0 ? "-" : "", (uintmax_t)(abs / 1000),
                       (unsigned)(abs % 1000));
    } else {
        len = snprintf(text, sizeof text, "%jd", (intmax_t)value);
    }
    put(line, text, len > 0 ? (size_t)len : 0);
}

static void put_field(struct line *line, const struct log_field *field)
{
    if (!field->key || !put_key(line, field->key))
        return;
    switch (field->kind) {
    case LOG_FIELD_STR:
        put_string(line, field->str);
        break;
    case LOG_FIELD_INT:
        put_number(line, field->num, false);
        break;
    case LOG_FIELD_SECONDS:
        put_number(line, field->num, true);
        break;
    case LOG_FIELD_BOOL:
        put(line, field->num ? "true" : "false", field->num ? 4 : 5);
        break;
    }
}

/* Priority for the journal, then ts and level; both always fit. */
static void put_head(struct line *line, enum log_level level)
{
    const bool json = settings.format == LOG_FORMAT_JSON;
    char ts[CLOCK_ISO_SIZE];
    clock_format_iso(clock_wall_ms(), ts);
    if (settings.journal)
        put(line, levels[level].priority, 3);
    put(line, json ? "{\"ts\":\"" : "ts=", json ? 7 : 3);
    put(line, ts, CLOCK_ISO_SIZE - 1);
    put(line, "\"", json);
    put_field(line, &LOG_STR("level", levels[level].name));
}

static void put_tail(struct line *line)
{
    const bool json = settings.format == LOG_FORMAT_JSON;
    if (line->cut)
        put_always(line, json ? ",\"cut\":true" : " cut=true", json ? 11 : 9);
    put_always(line, json ? "}\n" : "\n", json ? 2 : 1);
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields, size_t count)
{
    if (!log_enabled(level))
        return;
    const int saved_errno = errno;
    struct line line;
    line.len = 0;
    line.cut = false;
    put_head(&line, level);
    put_field(&line, &LOG_STR("msg", msg));
    for (size_t i = 0; i < count; i++)
        put_field(&line, &fields[i]);
    put_tail(&line);
    ssize_t written;
    do
        written = write(STDERR_FILENO, line.text, line.len);
    while (written < 0 && errno == EINTR);
    errno = saved_errno;
}
