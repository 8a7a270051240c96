/* A LiveKit webhook's body, read once: which event, of which room.
 *
 * Pure: bytes in, value out. The strictness is that of a receiver who must not be fooled: strict JSON, valid UTF-8,
 * no duplicate meaning, depth at most 32; the reason for a refusal is a word from one table, used for dead letters,
 * metrics and logs alike. Unknown events and unknown fields are fine.
 */
#ifndef ROOMCLAIM_EVENT_H
#define ROOMCLAIM_EVENT_H

#include "base.h"

#define EVENT_FAULT_TABLE(X)                                                                                \
    X(NONE, "none", "usable")                                                                               \
    X(EMPTY, "empty", "no bytes at all")                                                                    \
    X(JSON, "json", "not strict JSON, more than one document, or a member that matters stands there twice") \
    X(UTF8, "utf8", "invalid UTF-8 or a lone surrogate")                                                    \
    X(NUL, "nul", "U+0000 in the room's sid or name, or in the event's id")                                 \
    X(DEPTH, "depth", "nested deeper than 32")                                                              \
    X(SHAPE, "shape", "JSON, but not an object")                                                            \
    X(NUMBER, "number", "an integer that fits no 64 bits, or a number of 1e308 and more")                   \
    X(NO_SID, "no_sid", "room_finished without a room sid")                                                 \
    X(BAD_SID, "bad_sid", "a room sid longer than 256 bytes or with characters outside A-Z a-z 0-9 _ -")

enum event_fault {
#define X(id, name, help) EVENT_FAULT_##id,
    EVENT_FAULT_TABLE(X)
#undef X
        EVENT_FAULT_COUNT
};

#define EVENT_TYPE_TABLE(X)                                             \
    X(ROOM_STARTED, "room_started")                                     \
    X(ROOM_FINISHED, "room_finished")                                   \
    X(PARTICIPANT_JOINED, "participant_joined")                         \
    X(PARTICIPANT_LEFT, "participant_left")                             \
    X(PARTICIPANT_CONNECTION_ABORTED, "participant_connection_aborted") \
    X(TRACK_PUBLISHED, "track_published")                               \
    X(TRACK_UNPUBLISHED, "track_unpublished")                           \
    X(EGRESS_STARTED, "egress_started")                                 \
    X(EGRESS_UPDATED, "egress_updated")                                 \
    X(EGRESS_ENDED, "egress_ended")                                     \
    X(INGRESS_STARTED, "ingress_started")                               \
    X(INGRESS_ENDED, "ingress_ended")                                   \
    X(AGENT_JOB_PENDING, "agent_job_pending")                           \
    X(AGENT_JOB_STARTED, "agent_job_started")                           \
    X(AGENT_JOB_ENDED, "agent_job_ended")                               \
    X(UNKNOWN, "unknown")

enum event_type {
#define X(id, name) EVENT_##id,
    EVENT_TYPE_TABLE(X)
#undef X
        EVENT_TYPE_COUNT
};

enum { EVENT_SID_MAX = 256, EVENT_ID_MAX = 256, EVENT_NAME_MAX = 512, EVENT_DEPTH_MAX = 32 };

/* Where room_sid was found. */
#define EVENT_SID_FROM_TABLE(X) \
    X(NONE, "none")             \
    X(ROOM, "room")             \
    X(EGRESS, "egress")         \
    X(INGRESS, "ingress")

enum event_sid_from {
#define X(id, name) EVENT_SID_FROM_##id,
    EVENT_SID_FROM_TABLE(X)
#undef X
};

struct event {
    enum event_type type;
    enum event_sid_from sid_from;
    char name[EVENT_NAME_MAX + 1];      /* the event's own word, "" when missing; cut when longer */
    char id[EVENT_ID_MAX + 1];          /* LiveKit's EV_..., "" when missing */
    char room_sid[EVENT_SID_MAX + 1];   /* room.sid, else egressInfo.roomId, else ingressInfo.state.roomId, else "" */
    char room_name[EVENT_NAME_MAX + 1]; /* room.name, "" when missing */
    int64_t created_at_s;               /* Unix seconds, 0 when missing; a string or a number in the body */
    struct slice turn_password; /* the bytes to cut out of the body so that room.turnPassword and its comma are gone;
                                   empty when there is none */
};

/* Fills *ret always (as far as it got); borrows body, which ret->turn_password points into.
 * Returns EVENT_FAULT_NONE, or why the body is unusable. */
enum event_fault event_parse(struct slice body, struct event *ret);

/* What the whole parse would find out, for free, when it can: false only if body can't be a room_finished: the
 * literal does not occur, and no backslash-u that could spell it. */
bool event_may_be_room_finished(struct slice body);

/* Likewise for the secret, in a body that event_parse refuses: false only if room.turnPassword can't be in it. */
bool event_may_hold_turn_password(struct slice body);

bool event_sid_valid(struct slice sid);
const char *event_fault_name(enum event_fault fault);
const char *event_type_name(enum event_type type);
const char *event_sid_from_name(enum event_sid_from from);
enum event_type event_type_of(struct slice name);

#endif
