/* Reading UTF-8 that comes from outside: strict (no overlong forms, no surrogates, nothing above U+10FFFF). */
#ifndef ROOMCLAIM_UTF8_H
#define ROOMCLAIM_UTF8_H

#include "base.h"

#define UTF8_INVALID UINT32_MAX

/* Borrows len >= 1 bytes. Returns the first code point and its width in bytes, or UTF8_INVALID with width 1. */
uint32_t utf8_decode(const char *text, size_t len, size_t *ret_width);

/* How many bytes at the beginning of text are UTF-8. */
size_t utf8_valid_length(struct slice text);

static inline bool utf8_valid(struct slice text)
{
    return utf8_valid_length(text) == text.len;
}

#endif
