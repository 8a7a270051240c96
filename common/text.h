/* Text that grows: for what is built once and handed on (an answer, a page, a file). Never fails (see alloc.h).
 *
 * Start with `struct text t = {0};`, end with text_take (the caller frees the bytes) or text_free.
 */
#ifndef ROOMCLAIM_TEXT_H
#define ROOMCLAIM_TEXT_H

#include "base.h"

#include <stdlib.h>

struct text {
    char *ptr; /* NULL while empty; else NUL-terminated */
    size_t len, size;
};

/* Borrow what they append. */
void text_put(struct text *text, const char *ptr, size_t len);
void text_puts(struct text *text, const char *s);
void text_printf(struct text *text, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Returns the owned bytes, NUL-terminated, never NULL; the text is empty afterwards. */
char *text_take(struct text *text) RETURNS_OWNED(free) RETURNS_NONNULL;
void text_free(struct text *text); /* also for AUTO */

#endif
