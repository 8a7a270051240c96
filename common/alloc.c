/* Allocation that ends the process when there is no memory. See alloc.h for why that is safe. */
#include "alloc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

/* The line is written in one piece and without an allocation. */
void out_of_memory(void)
{
    static char words[] =
        ": out of memory, ends here with code 1: give it more, and start it again; what it had in hand "
        "is taken up then, nothing acknowledged is lost\n";
    const struct iovec line[] = {
        {.iov_base = program_invocation_short_name, .iov_len = strlen(program_invocation_short_name)},
        {.iov_base = words, .iov_len = sizeof words - 1}};
    const ssize_t written = writev(STDERR_FILENO, line, ARRAY_LEN(line));
    (void)written;
    _exit(EXIT_FAILURE);
}

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
    return checked(malloc(size ? size : 1));
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
    return checked(calloc(1, product(count, size)));
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
    const int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0)
        out_of_memory();
    return text;
}

void *xgrow(void *ptr, size_t count, size_t size)
{
    return checked(realloc(ptr, product(count, size)));
}
