#include "memory.h"

#include "common/alloc.h"

#include <stdarg.h>
#include <stdio.h>

void *__real_malloc(size_t size);
void __real_free(void *ptr);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void __wrap_free(void *ptr);

static struct memory *current;

void memory_init(struct memory *memory)
{
    memory->blocks.next = memory->blocks.prev = &memory->blocks;
    memory->count = 0;
}

struct memory *memory_use(struct memory *memory)
{
    struct memory *before = current;
    current = memory;
    return before;
}

void memory_drop(struct memory *memory)
{
    struct memory_block *block = memory->blocks.next;
    while (block != &memory->blocks) {
        struct memory_block *next = block->next;
        __real_free(block);
        block = next;
    }
    memory_init(memory);
}

void *__wrap_malloc(size_t size)
{
    struct memory_block *block = __real_malloc(sizeof *block + size);
    if (block == NULL || current == NULL)
        abort();
    block->owner = current;
    block->size = size;
    block->next = &current->blocks;
    block->prev = current->blocks.prev;
    block->prev->next = block;
    current->blocks.prev = block;
    current->count++;
    return block + 1;
}

/* A compiler makes malloc and memset into this. */
void *__wrap_calloc(size_t count, size_t size)
{
    return memset(__wrap_malloc(count * size), 0, count * size);
}

void __wrap_free(void *ptr)
{
    if (ptr == NULL)
        return;
    struct memory_block *block = (struct memory_block *)ptr - 1;
    block->prev->next = block->next;
    block->next->prev = block->prev;
    block->owner->count--;
    __real_free(block);
}

/* common/alloc.h */

void *xmalloc(size_t size)
{
    return __wrap_malloc(size);
}

void *xcalloc(size_t count, size_t size)
{
    return __wrap_calloc(count, size);
}

char *xmemdup0(const void *ptr, size_t len)
{
    char *copy = __wrap_malloc(len + 1);
    if (len > 0)
        memcpy(copy, ptr, len);
    copy[len] = '\0';
    return copy;
}

char *xstrdup(const char *s)
{
    return xmemdup0(s, strlen(s));
}

void *xgrow(void *ptr, size_t count, size_t size)
{
    char *grown = __wrap_malloc(count * size);
    if (ptr != NULL)
        memcpy(grown, ptr, MIN(count * size, ((struct memory_block *)ptr - 1)->size));
    __wrap_free(ptr);
    return grown;
}
