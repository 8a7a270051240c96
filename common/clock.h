/* Time, always in milliseconds as int64_t. Pure modules never call these: they take now_ms as an argument. */
#ifndef ROOMCLAIM_CLOCK_H
#define ROOMCLAIM_CLOCK_H

#include "base.h"

int64_t clock_mono_ms(void); /* never jumps; stands still in suspend: for timers */
int64_t clock_boot_ms(void); /* goes on in suspend: for the guard of a lease */
int64_t clock_wall_ms(void); /* since 1970, UTC: for tokens and logs */
int64_t clock_mono_us(void); /* microseconds, for durations in metrics */

enum { CLOCK_ISO_SIZE = sizeof "2026-01-02T03:04:05.678Z" };

/* Writes wall_ms as RFC 3339 in UTC with milliseconds, NUL-terminated. Years outside 0..9999 are clamped. */
void clock_format_iso(int64_t wall_ms, char ret_text[CLOCK_ISO_SIZE]);

#endif
