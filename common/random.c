/* Random bytes: one system call, which up to 256 bytes is neither cut short nor interrupted. */
#include "random.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

enum { FILL_MAX = 256 };

void random_fill(void *ret_bytes, size_t len)
{
    assert(len <= FILL_MAX);
    if (getrandom(ret_bytes, len, 0) != (ssize_t)len)
        abort();
}

uint32_t random_u32(void)
{
    uint32_t value;
    random_fill(&value, sizeof value);
    return value;
}
