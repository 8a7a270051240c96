/* Events whose rooms this process saw completed a moment ago: their duplicates need not ask the database.
 *
 * Another event of the same room asks: the application may have opened its row again meanwhile.
 * Only speed: with it switched off nothing else changes. Bounded in number and time, emptied when partitions are
 * assigned (another process may have worked meanwhile). Pure: the time is an argument.
 */
#ifndef ROOMCLAIM_RECENT_H
#define ROOMCLAIM_RECENT_H

#include "common/base.h"

struct recent;

/* limit 0: remembers nothing. Returns owned. */
struct recent *recent_new(size_t limit, int64_t keep_ms) MUST_CHECK;
void recent_free(struct recent *recent);

/* An event without an id ("") is not remembered. */
void recent_add(struct recent *recent, const char *room, const char *event_id, int64_t now_ms);
bool recent_has(const struct recent *recent, const char *room, const char *event_id, int64_t now_ms);
void recent_clear(struct recent *recent);

#endif
