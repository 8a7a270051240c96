/* Allocation that ends the process when there is no memory. See alloc.h for why that is safe.
 *
 * With ROOMCLAIM_FAULTS, ROOMCLAIM_FAULT_ALLOC=n lets the n-th allocation of the process fail.
 */
#include "alloc.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static NORETURN void out_of_memory(void)
{
    static const char line[] = "roomclaim: out of memory, exiting; claimed rooms are taken over after their lease\n";
    const ssize_t written = write(STDERR_FILENO, line, sizeof line - 1);
    (void)written;
    _exit(EXIT_FAILURE);
}

#ifdef ROOMCLAIM_FAULTS
/* Counts down from ROOMCLAIM_FAULT_ALLOC; true once, when it reaches 0. */
static bool fault_now(void)
{
    static atomic_long left = -1; /* -1: not read yet, 0: over or never wanted */
    long now = atomic_load_explicit(&left, memory_order_relaxed);
    if (now == -1) {
        const char *text = getenv("ROOMCLAIM_FAULT_ALLOC");
        const long wanted = text ? strtol(text, NULL, 10) : 0;
        (void)atomic_compare_exchange_strong(&left, &now, wanted > 0 ? wanted : 0);
        now = atomic_load(&left);
    }
    return now > 0 && atomic_fetch_sub(&left, 1) == 1;
}
#else
static bool fault_now(void)
{
    return false;
}
#endif

static void *checked(void *ptr)
{
    if (!ptr)
        out_of_memory();
    return ptr;
}

/* The public functions call these two: gcc's analyzer counts memory twice that one function with a declared destructor
 * gets from another in the same file. */
static void *get(size_t size)
{
    return checked(fault_now() ? NULL : malloc(size ? size : 1));
}

static char *copy(const void *ptr, size_t len)
{
    if (len == SIZE_MAX)
        out_of_memory();
    char *bytes = get(len + 1);
    if (len > 0)
        memcpy(bytes, ptr, len);
    bytes[len] = '\0';
    return bytes;
}

/* count * size, at least 1; what does not fit counts as a failed allocation. */
static size_t product(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        out_of_memory();
    return bytes ? bytes : 1;
}

void *xmalloc(size_t size)
{
    return get(size);
}

void *xcalloc(size_t count, size_t size)
{
    return checked(fault_now() ? NULL : calloc(1, product(count, size)));
}

char *xstrdup(const char *s)
{
    return copy(s, strlen(s));
}

char *xmemdup0(const void *ptr, size_t len)
{
    return copy(ptr, len);
}

char *xasprintf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = NULL;
    const int len = fault_now() ? -1 : vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0)
        out_of_memory();
    return text;
}

void *xgrow(void *ptr, size_t count, size_t size)
{
    if (fault_now())
        out_of_memory();
    return checked(realloc(ptr, product(count, size)));
}
