/* Reading the kernel's clocks, and writing a time as text. */
#include "clock.h"

#include <time.h>

enum { MS_PER_S = 1000, US_PER_S = 1000000 };

static int64_t read_clock(clockid_t id, int64_t units_per_s)
{
    struct timespec now = {0};
    clock_gettime(id, &now); /* cannot fail for the ids used here */
    return (int64_t)now.tv_sec * units_per_s + now.tv_nsec / (1000000000 / units_per_s);
}

int64_t clock_mono_ms(void)
{
    return read_clock(CLOCK_MONOTONIC, MS_PER_S);
}

int64_t clock_boot_ms(void)
{
    return read_clock(CLOCK_BOOTTIME, MS_PER_S);
}

int64_t clock_wall_ms(void)
{
    return read_clock(CLOCK_REALTIME, MS_PER_S);
}

int64_t clock_mono_us(void)
{
    return read_clock(CLOCK_MONOTONIC, US_PER_S);
}

/* Writes value with exactly digits digits and returns the place behind them. */
static char *put_digits(char *at, int value, int digits)
{
    for (int i = digits - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
    return at + digits;
}

void clock_format_iso(int64_t wall_ms, char ret_text[CLOCK_ISO_SIZE])
{
    static const int64_t year_0 = -62167219200000, year_9999_end = 253402300799999;
    const int64_t ms = MIN(MAX(wall_ms, year_0), year_9999_end);
    int64_t seconds = ms / MS_PER_S;
    int rest = (int)(ms % MS_PER_S);
    if (rest < 0) {
        rest += MS_PER_S;
        seconds--;
    }
    const time_t at_s = (time_t)seconds;
    struct tm tm = {0};
    gmtime_r(&at_s, &tm);
    const struct {
        int value, digits;
        char end;
    } parts[] = {{tm.tm_year + 1900, 4, '-'}, {tm.tm_mon + 1, 2, '-'}, {tm.tm_mday, 2, 'T'}, {tm.tm_hour, 2, ':'},
                 {tm.tm_min, 2, ':'},         {tm.tm_sec, 2, '.'},     {rest, 3, 'Z'}};
    char *at = ret_text;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        at = put_digits(at, parts[i].value, parts[i].digits);
        *at++ = parts[i].end;
    }
    *at = '\0';
}
