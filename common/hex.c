/* Two digits a byte. */
#include "hex.h"

void hex_write(char *ret_text, const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *const b = bytes;
    for (size_t i = 0; i < len; i++) {
        ret_text[2 * i] = digits[b[i] >> 4];
        ret_text[2 * i + 1] = digits[b[i] & 15];
    }
    ret_text[2 * len] = '\0';
}
