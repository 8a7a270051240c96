/* Strict decoding, one code point at a time but for runs of ASCII. */
#include "utf8.h"

uint32_t utf8_decode(const char *text, size_t len, size_t *ret_width)
{
    static const uint32_t least[] = {[1] = 0, [2] = 0x80, [3] = 0x800, [4] = 0x10000};
    const unsigned char *b = (const unsigned char *)text;
    const size_t width = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : b[0] < 0xf5 ? 4 : 0;
    *ret_width = 1;
    if (width == 0 || width > len)
        return UTF8_INVALID;
    uint32_t point = width == 1 ? b[0] : b[0] & (0xffU >> (width + 1));
    for (size_t i = 1; i < width; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return UTF8_INVALID;
        point = point << 6 | (b[i] & 0x3fU);
    }
    if (point < least[width] || (point >= 0xd800 && point <= 0xdfff) || point > 0x10ffff)
        return UTF8_INVALID;
    *ret_width = width;
    return point;
}

size_t utf8_valid_length(struct slice text)
{
    size_t i = 0;
    while (i < text.len) {
        uint64_t word;
        if (text.len - i >= sizeof word) {
            memcpy(&word, text.ptr + i, sizeof word);
            if (!(word & UINT64_C(0x8080808080808080))) {
                i += sizeof word;
                continue;
            }
        }
        size_t width;
        if (utf8_decode(text.ptr + i, text.len - i, &width) == UTF8_INVALID)
            return i;
        i += width;
    }
    return i;
}
