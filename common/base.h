/* What every file may use: compiler extensions under one name each, ownership helpers, the slice.
 *
 * Extensions of GCC and Clang are reached only through this header. Ownership is stated at each prototype in
 * three words: borrows (the default for const), takes (the callee frees), returns owned (the caller frees).
 */
#ifndef ROOMCLAIM_BASE_H
#define ROOMCLAIM_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The local owns its value: fn(&local) runs when the scope ends. */
#define AUTO(fn) __attribute__((cleanup(fn)))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK __attribute__((warn_unused_result))
#define UNUSED __attribute__((unused))
#define NORETURN __attribute__((noreturn))
#define RETURNS_NONNULL __attribute__((returns_nonnull))
#if defined(__GNUC__) && !defined(__clang__)
#define RETURNS_OWNED(dtor) __attribute__((malloc(dtor, 1), warn_unused_result))
#else
#define RETURNS_OWNED(dtor) __attribute__((malloc, warn_unused_result))
#endif

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Hands an owned pointer on and forgets it: `return TAKE(local);` beside an AUTO local. */
#define TAKE(p)                     \
    ({                              \
        __typeof__(p) taken_ = (p); \
        (p) = NULL;                 \
        taken_;                     \
    })

/* Bytes that somebody else owns. Not NUL-terminated; ptr may be NULL only when len is 0. */
struct slice {
    const char *ptr;
    size_t len;
};

#define SLICE(literal) ((struct slice){.ptr = (literal), .len = sizeof(literal) - 1})

/* Borrows s (NULL counts as empty); the slice lives as long as s. */
static inline struct slice slice_of(const char *s)
{
    return (struct slice){.ptr = s, .len = s ? strlen(s) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* FNV-1a: for filters whose false hits cost little; no defence against keys made to collide. */
static inline uint32_t slice_hash(struct slice s)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (unsigned char)s.ptr[i]) * 16777619U;
    return hash;
}

#endif
