/* Bytes as lower-case hexadecimal digits. */
#ifndef ROOMCLAIM_HEX_H
#define ROOMCLAIM_HEX_H

#include "base.h"

/* Writes 2 * len digits and a NUL. Borrows bytes. */
void hex_write(char *ret_text, const void *bytes, size_t len);

#endif
