/* The log: one line an event on stderr, logfmt or JSON, UTC with milliseconds.
 *
 * Leading keys are ts, level, msg, then the fields in the order given. Every value is escaped: control characters,
 * quotes and invalid UTF-8 can't break a line. A line is written by one write(2), so threads never mix lines.
 * Fields never carry a body, a transcript, a key or a token.
 */
#ifndef ROOMCLAIM_LOG_H
#define ROOMCLAIM_LOG_H

#include "base.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

struct log_field {
    const char *key; /* NULL: the field is left out */
    enum { LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_SECONDS, LOG_FIELD_BOOL } kind;
    struct slice str;
    int64_t num; /* SECONDS: milliseconds, printed as 1.234 */
};

#define LOG_STR(k, s) ((struct log_field){.key = (k), .kind = LOG_FIELD_STR, .str = slice_of(s)})
#define LOG_SLICE(k, s) ((struct log_field){.key = (k), .kind = LOG_FIELD_STR, .str = (s)})
#define LOG_INT(k, n) ((struct log_field){.key = (k), .kind = LOG_FIELD_INT, .num = (int64_t)(n)})
#define LOG_MS(k, ms) ((struct log_field){.key = (k), .kind = LOG_FIELD_SECONDS, .num = (ms)})
#define LOG_BOOL(k, b) ((struct log_field){.key = (k), .kind = LOG_FIELD_BOOL, .num = (b)})
/* Left out of the line when the condition does not hold. */
#define LOG_IF(cond, field) ((cond) ? (field) : (struct log_field){.key = NULL})

/* Sets what is printed from now on; before the first call: info, logfmt. Not thread-safe: call it at start. */
void log_init(enum log_level least, enum log_format format);
bool log_enabled(enum log_level level);

/* Borrows everything. Thread-safe. fields may be NULL when count is 0. */
void log_write(enum log_level level, const char *msg, const struct log_field *fields, size_t count);

/* log_info("room completed", LOG_STR("room", sid), LOG_INT("attempt", 1)); any number of fields, also none. */
#define LOG_AT(level, msg, ...)                                                                \
    do {                                                                                       \
        if (log_enabled(level)) {                                                              \
            const struct log_field log_fields_[] = {{.key = NULL} __VA_OPT__(, ) __VA_ARGS__}; \
            log_write((level), (msg), log_fields_, ARRAY_LEN(log_fields_));                    \
        }                                                                                      \
    } while (0)
#define log_debug(msg, ...) LOG_AT(LOG_LEVEL_DEBUG, (msg)__VA_OPT__(, ) __VA_ARGS__)
#define log_info(msg, ...) LOG_AT(LOG_LEVEL_INFO, (msg)__VA_OPT__(, ) __VA_ARGS__)
#define log_warn(msg, ...) LOG_AT(LOG_LEVEL_WARN, (msg)__VA_OPT__(, ) __VA_ARGS__)
#define log_error(msg, ...) LOG_AT(LOG_LEVEL_ERROR, (msg)__VA_OPT__(, ) __VA_ARGS__)

#endif
