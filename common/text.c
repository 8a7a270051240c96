/* Text that grows. */
#include "text.h"

#include "alloc.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

/* Room for len more bytes and a NUL. */
static void reserve(struct text *text, size_t len)
{
    const size_t need = text->len + len + 1;
    if (text->ptr && need <= text->size)
        return;
    text->size = MAX(need, text->size * 2);
    text->ptr = xgrow(text->ptr, text->size, 1);
}

void text_put(struct text *text, const char *ptr, size_t len)
{
    reserve(text, len);
    if (len > 0)
        memcpy(text->ptr + text->len, ptr, len);
    text->len += len;
    text->ptr[text->len] = '\0';
}

void text_puts(struct text *text, const char *s)
{
    text_put(text, s, strlen(s));
}

void text_printf(struct text *text, const char *fmt, ...)
{
    reserve(text, 128);
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const size_t room = text->size - text->len;
    int len = vsnprintf(text->ptr + text->len, room, fmt, args);
    assert(len >= 0);
    if ((size_t)len >= room) {
        reserve(text, (size_t)len);
        len = vsnprintf(text->ptr + text->len, (size_t)len + 1, fmt, again);
    }
    va_end(again);
    va_end(args);
    text->len += (size_t)len;
}

char *text_take(struct text *text)
{
    if (!text->ptr)
        text_put(text, "", 0);
    char *ptr = text->ptr;
    *text = (struct text){0};
    return ptr;
}

void text_free(struct text *text)
{
    free(text->ptr);
    *text = (struct text){0};
}
