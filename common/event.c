/* Reads the few members that matter out of a webhook's body, in one pass and in place. */
#include "event.h"

#include "scan.h"
#include "utf8.h"

_Static_assert((int)EVENT_DEPTH_MAX == (int)SCAN_DEPTH_MAX, "the scanner's limit is the event's");

/* The members that are read; each may stand there once. */
enum member {
    MEMBER_EVENT,
    MEMBER_ID,
    MEMBER_CREATED_AT,
    MEMBER_ROOM,
    MEMBER_EGRESS,
    MEMBER_INGRESS,
    MEMBER_STATE,
    MEMBER_SID,
    MEMBER_NAME,
    MEMBER_TURN_PASSWORD,
    MEMBER_EGRESS_ROOM,
    MEMBER_INGRESS_ROOM,
    MEMBER_COUNT,
};

struct sid {
    char text[EVENT_SID_MAX + 1];
    size_t len; /* before a cut */
};

struct reading {
    struct scan scan;
    struct event *event;
    unsigned seen;  /* bit per member */
    bool duplicate; /* a member stands there twice */
    bool nul;       /* U+0000 in a string that is kept */
    struct sid sids[EVENT_SID_FROM_INGRESS + 1];
};

/* Remembers that the member was met. */
static void meet(struct reading *r, enum member member)
{
    const unsigned bit = 1U << member;
    r->duplicate |= (r->seen & bit) != 0;
    r->seen |= bit;
}

/* Reads the value if it is a string, else passes it and leaves "". Returns the length before a cut. */
static size_t read_string(struct reading *r, char *buffer, size_t size)
{
    struct scan_text text;
    if (scan_peek(&r->scan) != SCAN_STRING) {
        scan_skip(&r->scan);
        return 0;
    }
    if (!scan_string(&r->scan, &text))
        return 0;
    bool nul;
    const size_t len = scan_decode(text, buffer, size, &nul);
    r->nul |= nul;
    return len;
}

static void read_sid(struct reading *r, enum member member, enum event_sid_from from)
{
    meet(r, member);
    r->sids[from].len = read_string(r, r->sids[from].text, sizeof r->sids[from].text);
}

/* int64 as protojson writes it, a string, or as a number; 0 for anything else. */
static int64_t read_seconds(struct reading *r)
{
    char digits[20] = "";
    scan_peek(&r->scan);
    const char *const start = r->scan.at;
    if (r->scan.at < r->scan.end && *r->scan.at == '"') {
        if (read_string(r, digits, sizeof digits) >= sizeof digits)
            return 0;
    } else if (scan_skip(&r->scan) && (size_t)(r->scan.at - start) < sizeof digits) {
        memcpy(digits, start, (size_t)(r->scan.at - start));
    }
    int64_t seconds = 0;
    for (const char *d = digits; *d; d++) {
        if (*d < '0' || *d > '9' || seconds > INT64_MAX / 10 - 1)
            return 0;
        seconds = seconds * 10 + (*d - '0');
    }
    return seconds;
}

/* Passes the value of room.turnPassword and notes which bytes to cut: from the key to the end of the value, with
 * the comma that follows it, else with the one before. previous is the end of the value before, or of the brace. */
static void read_turn_password(struct reading *r, const char *key, const char *previous)
{
    meet(r, MEMBER_TURN_PASSWORD);
    if (!scan_skip(&r->scan))
        return;
    const char *start = key, *end = r->scan.at;
    scan_peek(&r->scan);
    if (r->scan.at < r->scan.end && *r->scan.at == ',') {
        const char *const comma = r->scan.at;
        struct scan ahead = r->scan;
        ahead.at = comma + 1;
        scan_peek(&ahead);
        end = ahead.at;
    } else if (*previous != '{') {
        start = previous;
    }
    r->event->turn_password = (struct slice){.ptr = start, .len = (size_t)(end - start)};
}

static void read_room_member(struct reading *r, struct scan_text key, const char *previous)
{
    if (scan_is(key, "sid")) {
        read_sid(r, MEMBER_SID, EVENT_SID_FROM_ROOM);
    } else if (scan_is(key, "name")) {
        meet(r, MEMBER_NAME);
        read_string(r, r->event->room_name, sizeof r->event->room_name);
    } else if (scan_is(key, "turnPassword") || scan_is(key, "turn_password")) {
        read_turn_password(r, key.raw.ptr - 1, previous);
    } else {
        scan_skip(&r->scan);
    }
}

/* True when the value is an object, which is entered; anything else is passed and counts as missing. */
static bool enter_object(struct reading *r, enum member member)
{
    meet(r, member);
    if (scan_peek(&r->scan) == SCAN_OBJECT)
        return scan_enter_object(&r->scan);
    scan_skip(&r->scan);
    return false;
}

static void read_room(struct reading *r)
{
    if (!enter_object(r, MEMBER_ROOM))
        return;
    struct scan_text key;
    const char *previous = r->scan.at - 1; /* the brace */
    while (scan_member(&r->scan, &key)) {
        read_room_member(r, key, previous);
        previous = r->scan.at;
    }
}

static void read_egress(struct reading *r)
{
    if (!enter_object(r, MEMBER_EGRESS))
        return;
    struct scan_text key;
    while (scan_member(&r->scan, &key)) {
        if (scan_is(key, "roomId"))
            read_sid(r, MEMBER_EGRESS_ROOM, EVENT_SID_FROM_EGRESS);
        else
            scan_skip(&r->scan);
    }
}

static void read_ingress_state(struct reading *r)
{
    if (!enter_object(r, MEMBER_STATE))
        return;
    struct scan_text key;
    while (scan_member(&r->scan, &key)) {
        if (scan_is(key, "roomId"))
            read_sid(r, MEMBER_INGRESS_ROOM, EVENT_SID_FROM_INGRESS);
        else
            scan_skip(&r->scan);
    }
}

static void read_ingress(struct reading *r)
{
    if (!enter_object(r, MEMBER_INGRESS))
        return;
    struct scan_text key;
    while (scan_member(&r->scan, &key)) {
        if (scan_is(key, "state"))
            read_ingress_state(r);
        else
            scan_skip(&r->scan);
    }
}

static void read_event_name(struct reading *r)
{
    meet(r, MEMBER_EVENT);
    struct event *const event = r->event;
    const size_t len = read_string(r, event->name, sizeof event->name);
    event->type = len < sizeof event->name ? event_type_of((struct slice){event->name, len}) : EVENT_UNKNOWN;
}

static void read_id(struct reading *r)
{
    meet(r, MEMBER_ID);
    read_string(r, r->event->id, sizeof r->event->id);
}

static void read_created_at(struct reading *r)
{
    meet(r, MEMBER_CREATED_AT);
    r->event->created_at_s = read_seconds(r);
}

static const struct {
    const char *key;
    void (*read)(struct reading *r);
} top_members[] = {
    {"event", read_event_name},     {"room", read_room},         {"id", read_id},
    {"createdAt", read_created_at}, {"egressInfo", read_egress}, {"ingressInfo", read_ingress},
};

static void read_top_member(struct reading *r, struct scan_text key)
{
    for (size_t i = 0; i < ARRAY_LEN(top_members); i++) {
        if (scan_is(key, top_members[i].key)) {
            top_members[i].read(r);
            return;
        }
    }
    scan_skip(&r->scan);
}

static enum event_fault fault_of(enum scan_fault fault)
{
    switch (fault) {
    case SCAN_OK:
        return EVENT_FAULT_NONE;
    case SCAN_SYNTAX:
        return EVENT_FAULT_JSON;
    case SCAN_DEPTH:
        return EVENT_FAULT_DEPTH;
    case SCAN_NUMBER:
        return EVENT_FAULT_NUMBER;
    case SCAN_SURROGATE:
        return EVENT_FAULT_UTF8;
    case SCAN_NUL:
        return EVENT_FAULT_NUL;
    }
    return EVENT_FAULT_JSON;
}

/* Chooses the room's sid out of what was found. */
static enum event_fault choose_sid(struct reading *r)
{
    for (enum event_sid_from from = EVENT_SID_FROM_ROOM; from <= EVENT_SID_FROM_INGRESS; from++) {
        const struct sid *sid = &r->sids[from];
        if (sid->len == 0)
            continue;
        if (!event_sid_valid((struct slice){.ptr = sid->text, .len = sid->len}))
            return EVENT_FAULT_BAD_SID;
        memcpy(r->event->room_sid, sid->text, sid->len + 1);
        r->event->sid_from = from;
        break;
    }
    const bool missing = r->event->type == EVENT_ROOM_FINISHED && r->event->sid_from != EVENT_SID_FROM_ROOM;
    return missing ? EVENT_FAULT_NO_SID : EVENT_FAULT_NONE;
}

static void clear(struct event *event)
{
    event->type = EVENT_UNKNOWN;
    event->sid_from = EVENT_SID_FROM_NONE;
    event->name[0] = event->id[0] = event->room_sid[0] = event->room_name[0] = '\0';
    event->created_at_s = 0;
    event->turn_password = (struct slice){0};
}

static enum event_fault read_body(struct reading *r)
{
    if (scan_peek(&r->scan) != SCAN_OBJECT) {
        scan_skip(&r->scan);
        return scan_finish(&r->scan) ? EVENT_FAULT_SHAPE : fault_of(r->scan.fault);
    }
    struct scan_text key;
    scan_enter_object(&r->scan);
    while (scan_member(&r->scan, &key))
        read_top_member(r, key);
    if (!scan_finish(&r->scan))
        return fault_of(r->scan.fault);
    if (r->duplicate)
        return EVENT_FAULT_JSON;
    return r->nul ? EVENT_FAULT_NUL : choose_sid(r);
}

enum event_fault event_parse(struct slice body, struct event *ret)
{
    clear(ret);
    if (body.len == 0)
        return EVENT_FAULT_EMPTY;
    if (!utf8_valid(body))
        return EVENT_FAULT_UTF8;
    struct reading r = {.event = ret};
    scan_init(&r.scan, body);
    return read_body(&r);
}

static bool contains(struct slice body, struct slice word)
{
    return body.len > 0 && memmem(body.ptr, body.len, word.ptr, word.len) != NULL;
}

bool event_may_be_room_finished(struct slice body)
{
    return contains(body, SLICE("room_finished")) || contains(body, SLICE("\\u"));
}

bool event_may_hold_turn_password(struct slice body)
{
    return contains(body, SLICE("turnPassword")) || contains(body, SLICE("turn_password")) ||
           contains(body, SLICE("\\u"));
}

bool event_sid_valid(struct slice sid)
{
    if (sid.len == 0 || sid.len > EVENT_SID_MAX)
        return false;
    for (size_t i = 0; i < sid.len; i++) {
        const char c = sid.ptr[i], lower = (char)(c | 0x20);
        if (!((c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') || c == '_' || c == '-'))
            return false;
    }
    return true;
}

const char *event_fault_name(enum event_fault fault)
{
    static const char *const names[] = {
#define X(id, name, help) [EVENT_FAULT_##id] = name,
        EVENT_FAULT_TABLE(X)
#undef X
    };
    return names[fault];
}

const char *event_type_name(enum event_type type)
{
    static const char *const names[] = {
#define X(id, name) [EVENT_##id] = name,
        EVENT_TYPE_TABLE(X)
#undef X
    };
    return names[type];
}

const char *event_sid_from_name(enum event_sid_from from)
{
    static const char *const names[] = {
#define X(id, name) [EVENT_SID_FROM_##id] = name,
        EVENT_SID_FROM_TABLE(X)
#undef X
    };
    return names[from];
}

enum event_type event_type_of(struct slice name)
{
    static const struct slice names[] = {
#define X(id, name) [EVENT_##id] = {.ptr = name, .len = sizeof(name) - 1},
        EVENT_TYPE_TABLE(X)
#undef X
    };
    for (int type = 0; type < EVENT_UNKNOWN; type++)
        if (slice_equal(name, names[type]))
            return (enum event_type)type;
    return EVENT_UNKNOWN;
}
