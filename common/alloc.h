/* Memory that is always there: a failed allocation ends the process with one line on stderr and exit code 1.
 *
 * That is safe because nothing in memory is needed after a crash: rows and offsets carry the state. All own
 * allocations go through these functions, and what a library makes for us through made(). tests/torture lets the n-th
 * of them fail.
 */
#ifndef ROOMCLAIM_ALLOC_H
#define ROOMCLAIM_ALLOC_H

#include "base.h"

#include <stdlib.h>

/* Return owned memory, never NULL; free() ends it. xcalloc and xgrow refuse overflow like a failed allocation. */
void *xmalloc(size_t size) RETURNS_OWNED(free) RETURNS_NONNULL;
void *xcalloc(size_t count, size_t size) RETURNS_OWNED(free) RETURNS_NONNULL;
char *xstrdup(const char *s) RETURNS_OWNED(free) RETURNS_NONNULL;
char *xmemdup0(const void *ptr, size_t len) RETURNS_OWNED(free) RETURNS_NONNULL; /* len bytes and a NUL behind them */
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2) RETURNS_OWNED(free) RETURNS_NONNULL;

/* Takes ptr (may be NULL), returns the block grown or shrunk to count * size bytes. */
void *xgrow(void *ptr, size_t count, size_t size) MUST_CHECK RETURNS_NONNULL;

/* What a library has made, and gives as NULL only when there was no memory for it. Returns ptr, never NULL. */
#define made(ptr)                      \
    ({                                 \
        __typeof__(ptr) made_ = (ptr); \
        if (!made_)                    \
            out_of_memory();           \
        made_;                         \
    })

/* Ends the process: for a call that says by a code that there was no memory. */
void out_of_memory(void) NORETURN;

/* For AUTO(free_ptr) locals of any pointer type. */
static inline void free_ptr(void *pp)
{
    void *p;
    memcpy(&p, pp, sizeof p);
    free(p);
}

#endif
