/* What every fuzz target has: libFuzzer's entry, and HOLDS, which ends the program when a promise is broken. */
#ifndef ROOMCLAIM_FUZZ_H
#define ROOMCLAIM_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(cond)                                 \
    do {                                            \
        if (!(cond)) {                              \
            fprintf(stderr, "broken: %s\n", #cond); \
            abort();                                \
        }                                           \
    } while (0)

#endif
