/* What the consumer also calls and a schedule has no use for: the log (which becomes the trace), the prompt, the
 * schema, the service manager. Random bytes come from the seed. */
#include "common/file.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/random.h"
#include "consumer/prompt.h"
#include "consumer/reply_schema.h"
#include "process.h"

#include "common/alloc.h"

#include <stdio.h>

/* the log */

bool log_enabled(enum log_level level)
{
    return world.trace && level >= LOG_LEVEL_DEBUG;
}

static size_t print_field(char *to, size_t size, const struct log_field *field)
{
    int len = 0;
    switch (field->kind) {
    case LOG_FIELD_STR:
        len = snprintf(to, size, " %s=%.*s", field->key, (int)field->str.len, field->str.ptr ? field->str.ptr : "");
        break;
    case LOG_FIELD_INT:
    case LOG_FIELD_SECONDS:
    case LOG_FIELD_BOOL:
        len = snprintf(to, size, " %s=%lld", field->key, (long long)field->num);
        break;
    }
    return MIN((size_t)MAX(len, 0), size - 1);
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields, size_t count)
{
    (void)level;
    char line[1000] = "";
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (fields[i].key != NULL)
            len += print_field(line + len, sizeof line - len, &fields[i]);
    }
    trace("%s%s", msg, line);
}

/* chance */

void random_fill(void *ret_bytes, size_t len)
{
    unsigned char *bytes = ret_bytes;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)(world_random() >> 32);
}

uint32_t random_u32(void)
{
    return (uint32_t)(world_random() >> 32);
}

/* prompt and schema: a reply fits if it begins with ok */

const char prompt_default_instructions[] = "";
const char prompt_default_schema[] = "";

char *prompt_instructions(const char *template_text, const char *room_sid)
{
    (void)template_text, (void)room_sid;
    return xstrdup("");
}

char *prompt_fence(const char *const *columns, size_t count, const char *nonce, size_t limit, size_t *ret_len,
                   bool *ret_cut)
{
    (void)count, (void)nonce, (void)limit;
    *ret_len = strlen(columns[0]);
    *ret_cut = false;
    return xstrdup(columns[0]);
}

void prompt_version(const char *instructions, const char *schema_json, char ret_version[PROMPT_VERSION_SIZE])
{
    (void)instructions, (void)schema_json;
    ret_version[0] = '\0';
}

struct reply_schema *reply_schema_new(struct slice schema_json, struct error *ret_err)
{
    (void)schema_json, (void)ret_err;
    return xmalloc(1);
}

void reply_schema_free(struct reply_schema *schema)
{
    free(schema);
}

const char *reply_schema_json(const struct reply_schema *schema)
{
    (void)schema;
    return "";
}

bool reply_schema_check(const struct reply_schema *schema, struct slice text, struct error *ret_err)
{
    (void)schema;
    if (text.len >= 2 && memcmp(text.ptr, "ok", 2) == 0)
        return true;
    error_set(ret_err, ERROR_REJECT, "it does not fit");
    return false;
}

/* the service manager, and files */

void notify_watchdog(void)
{
}

void notify_extend_timeout(int64_t within_ms)
{
    (void)within_ms;
}

void notify_stopping(void)
{
}

char *file_read(const char *path, size_t max, struct stat *ret_st, struct error *ret_err)
{
    (void)path, (void)max, (void)ret_st, (void)ret_err;
    return NULL;
}

/* the simulated client needs no waking */

void kafka_wake(rd_kafka_t *rk)
{
    (void)rk;
}
