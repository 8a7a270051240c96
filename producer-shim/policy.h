/* Which webhooks are published, and under which key.
 *
 * Pure. shim.events and shim.room_names leave kinds out at the door; an event that does not name its room passes the
 * second. The key is the room's sid wherever the event has it, so that all records of a room lie in one partition.
 */
#ifndef ROOMCLAIM_POLICY_H
#define ROOMCLAIM_POLICY_H

#include "common/config.h"
#include "common/event.h"

/* Borrows config. */
bool policy_publishes(const struct config *config, const struct event *event);

/* What the key was taken from. */
#define POLICY_KEY_SOURCE_TABLE(X)                    \
    X(ROOM, "room", "room.sid")                       \
    X(EGRESS, "egress", "egressInfo.roomId")          \
    X(INGRESS, "ingress", "ingressInfo.state.roomId") \
    X(EVENT, "event_id", "the event's id")            \
    X(BODY, "body_hash", "the body's SHA-256, where the event has no id either")

enum policy_key_source {
#define X(id, word, help) POLICY_KEY_##id,
    POLICY_KEY_SOURCE_TABLE(X)
#undef X
};

enum { POLICY_BODY_KEY_SIZE = 2 * 32 + 1 };

struct policy_key {
    enum policy_key_source source;
    struct slice key; /* never empty; into the event, or into hex */
    char hex[POLICY_BODY_KEY_SIZE];
};

/* Borrows event for as long as the key is used; *ret must stay where it is. */
void policy_key(const struct event *event, const unsigned char body_hash[32], struct policy_key *ret);

const char *policy_key_source_word(enum policy_key_source source);

#endif
