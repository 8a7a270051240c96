/* Filling in an error. */
#include "error.h"

#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>

/* The words may end in a database, which refuses what is no UTF-8: each byte that is none becomes '?', and so does what
 * is left of a character that was cut in the middle. */
static void keep_utf8(char *text)
{
    struct slice left = slice_of(text);
    for (;;) {
        const size_t good = utf8_valid_length(left);
        if (good == left.len)
            return;
        text += good;
        *text++ = '?';
        left = slice_of(text);
    }
}

void error_set(struct error *err, enum error_class class, const char *fmt, ...)
{
    if (!err)
        return;
    /* Formatted beside the target: an argument may well be the old text. */
    char text[ERROR_TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    const int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (len < 0)
        text[0] = '\0';
    keep_utf8(text);
    err->class = class;
    memcpy(err->text, text, sizeof text);
}

const char *error_class_name(enum error_class class)
{
    static const char *const names[] = {
#define X(id, name, help) [ERROR_##id] = name,
        ERROR_CLASS_TABLE(X)
#undef X
    };
    return (size_t) class < ARRAY_LEN(names) ? names[class] : "unknown";
}
