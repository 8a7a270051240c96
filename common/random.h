/* Random bytes from the kernel, good enough for secrets. */
#ifndef ROOMCLAIM_RANDOM_H
#define ROOMCLAIM_RANDOM_H

#include "base.h"

/* len: up to 256. Ends the program if the kernel has none, which it does not after boot. */
void random_fill(void *ret_bytes, size_t len);

uint32_t random_u32(void);

#endif
