/* Hexadecimal digits. */
#include "common/hex.h"

#include "check.h"

static void writes(void)
{
    char text[11];
    hex_write(text, "\x00\x0f\x7f\x80\xff", 5);
    CHECK_STR(text, "000f7f80ff");
    hex_write(text, NULL, 0);
    CHECK_STR(text, "");
}

CHECK_MAIN({"writes", writes})
