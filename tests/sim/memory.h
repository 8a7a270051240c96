/* The consumers' memory: each process owns what it allocates, so that a crash can take all of it away, and what is left
 * after an orderly end is a leak. malloc and free of the linked code come here (the linker's --wrap). */
#ifndef ROOMCLAIM_SIM_MEMORY_H
#define ROOMCLAIM_SIM_MEMORY_H

#include "common/base.h"

struct memory_block {
    struct memory_block *next, *prev;
    struct memory *owner;
    size_t size;
};

struct memory {
    struct memory_block blocks; /* the head of a ring */
    size_t count;
};

void memory_init(struct memory *memory);
/* Frees all of it. */
void memory_drop(struct memory *memory);
/* Whose memory is allocated from now on. Returns whose it was. */
struct memory *memory_use(struct memory *memory);

#endif
