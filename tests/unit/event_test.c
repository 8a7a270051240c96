/* Which event, of which room, and why not: the table of bad input, the captured bodies, the cut of the secret. */
#include "common/event.h"

#include "captured.h"
#include "check.h"

#include <json-c/json.h>

#define IN_ROOM(members) "{\"event\":\"room_finished\",\"id\":\"EV_1\",\"room\":{" members "}}"
#define S(literal)                                   \
    {                                                \
        .ptr = (literal), .len = sizeof(literal) - 1 \
    }
#define SID "\"sid\":\"RM_a\""
#define X8(s) s s s s s s s s
#define X64(s) X8(X8(s))

static void faults(void)
{
    static const struct {
        const char *label;
        struct slice body;
        enum event_fault want;
    } cases[] = {
        {"usable", S(IN_ROOM(SID)), EVENT_FAULT_NONE},
        {"empty", S(""), EVENT_FAULT_EMPTY},
        {"blank", S("  "), EVENT_FAULT_JSON},
        {"not JSON", S("hello"), EVENT_FAULT_JSON},
        {"trailing garbage", S(IN_ROOM(SID) "x"), EVENT_FAULT_JSON},
        {"two documents", S(IN_ROOM(SID) IN_ROOM(SID)), EVENT_FAULT_JSON},
        {"byte order mark", S("\xef\xbb\xbf" IN_ROOM(SID)), EVENT_FAULT_JSON},
        {"comment", S("{/* */}"), EVENT_FAULT_JSON},
        {"single quotes", S("{'event':'room_finished'}"), EVENT_FAULT_JSON},
        {"trailing comma", S(IN_ROOM(SID ",")), EVENT_FAULT_JSON},
        {"NaN", S("{\"a\":NaN}"), EVENT_FAULT_JSON},
        {"cut off", S("{\"event\":\"room_fin"), EVENT_FAULT_JSON},
        {"array", S("[1]"), EVENT_FAULT_SHAPE},
        {"string", S("\"x\""), EVENT_FAULT_SHAPE},
        {"null", S("null"), EVENT_FAULT_SHAPE},
        {"number", S("7"), EVENT_FAULT_SHAPE},
        {"broken array", S("[1"), EVENT_FAULT_JSON},
        {"depth 32",
         S("{\"a\":" X8("[[[") "[[[[[[["
                               "]]]]]]]" X8("]]]") "}"),
         EVENT_FAULT_NONE},
        {"depth 33",
         S("{\"a\":" X8("[[[") "[[[[[[[["
                               "]]]]]]]]" X8("]]]") "}"),
         EVENT_FAULT_DEPTH},
        {"very deep", S(X64(X64("["))), EVENT_FAULT_DEPTH},
        {"NUL in sid", S(IN_ROOM("\"sid\":\"RM_\\u0000a\"")), EVENT_FAULT_NUL},
        {"NUL in name", S(IN_ROOM(SID ",\"name\":\"\\u0000\"")), EVENT_FAULT_NUL},
        {"NUL in id", S("{\"event\":\"x\",\"id\":\"\\u0000\"}"), EVENT_FAULT_NUL},
        {"NUL elsewhere", S(IN_ROOM(SID ",\"metadata\":\"\\u0000\"")), EVENT_FAULT_NONE},
        {"raw NUL", S("{\"event\":\"a\0b\"}"), EVENT_FAULT_JSON},
        {"lone surrogate", S("{\"a\":\"\\ud800\"}"), EVENT_FAULT_UTF8},
        {"overlong", S("{\"a\":\"\xc0\x80\"}"), EVENT_FAULT_UTF8},
        {"surrogate in bytes", S("{\"a\":\"\xed\xa0\x80\"}"), EVENT_FAULT_UTF8},
        {"FF", S("{\"a\":\"\xff\"}"), EVENT_FAULT_UTF8},
        {"huge integer", S("{\"a\":99999999999999999999}"), EVENT_FAULT_NUMBER},
        {"1e400", S("{\"a\":1e400}"), EVENT_FAULT_NUMBER},
        {"no room", S("{\"event\":\"room_finished\"}"), EVENT_FAULT_NO_SID},
        {"room null", S("{\"event\":\"room_finished\",\"room\":null}"), EVENT_FAULT_NO_SID},
        {"room a string", S("{\"event\":\"room_finished\",\"room\":\"RM_a\"}"), EVENT_FAULT_NO_SID},
        {"room a list", S("{\"event\":\"room_finished\",\"room\":[{\"sid\":\"RM_a\"}]}"), EVENT_FAULT_NO_SID},
        {"no sid", S(IN_ROOM("\"name\":\"n\"")), EVENT_FAULT_NO_SID},
        {"sid empty", S(IN_ROOM("\"sid\":\"\"")), EVENT_FAULT_NO_SID},
        {"sid null", S(IN_ROOM("\"sid\":null")), EVENT_FAULT_NO_SID},
        {"sid a number", S(IN_ROOM("\"sid\":7")), EVENT_FAULT_NO_SID},
        {"sid of an egress only", S("{\"event\":\"room_finished\",\"egressInfo\":{\"roomId\":\"RM_a\"}}"),
         EVENT_FAULT_NO_SID},
        {"sid at the top", S("{\"event\":\"room_finished\",\"sid\":\"RM_a\"}"), EVENT_FAULT_NO_SID},
        {"snake case", S("{\"event\":\"room_finished\",\"room_sid\":\"RM_a\"}"), EVENT_FAULT_NO_SID},
        {"sid of 256", S(IN_ROOM("\"sid\":\"" X64("abcd") "\"")), EVENT_FAULT_NONE},
        {"sid of 257", S(IN_ROOM("\"sid\":\"" X64("abcd") "e\"")), EVENT_FAULT_BAD_SID},
        {"sid of 10 KB", S(IN_ROOM("\"sid\":\"" X64(X64("abc")) "\"")), EVENT_FAULT_BAD_SID},
        {"SQL in sid", S(IN_ROOM("\"sid\":\"'; DROP TABLE x;--\"")), EVENT_FAULT_BAD_SID},
        {"newline in sid", S(IN_ROOM("\"sid\":\"RM_\\na\"")), EVENT_FAULT_BAD_SID},
        {"right to left", S(IN_ROOM("\"sid\":\"RM_\xe2\x80\xae\"")), EVENT_FAULT_BAD_SID},
        {"bad sid of another event", S("{\"event\":\"room_started\",\"room\":{\"sid\":\"%s%n\"}}"),
         EVENT_FAULT_BAD_SID},
        {"no sid needed", S("{\"event\":\"room_started\"}"), EVENT_FAULT_NONE},
        {"no event", S("{}"), EVENT_FAULT_NONE},
        {"unknown fields", S(IN_ROOM(SID ",\"new\":{\"sid\":[1]}")), EVENT_FAULT_NONE},
        {"event twice", S("{\"event\":\"a\",\"event\":\"room_finished\"}"), EVENT_FAULT_JSON},
        {"room twice", S("{\"room\":{" SID "},\"room\":{" SID "}}"), EVENT_FAULT_JSON},
        {"sid twice", S(IN_ROOM(SID "," SID)), EVENT_FAULT_JSON},
        {"sid twice, once escaped", S(IN_ROOM(SID ",\"s\\u0069d\":\"RM_b\"")), EVENT_FAULT_JSON},
        {"secret twice", S(IN_ROOM(SID ",\"turnPassword\":\"x\",\"turnPassword\":\"y\"")), EVENT_FAULT_JSON},
        {"another member twice", S(IN_ROOM(SID ",\"x\":1,\"x\":2")), EVENT_FAULT_NONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct event event;
        CHECK_LABEL(cases[i].label);
        CHECK_STR(event_fault_name(event_parse(cases[i].body, &event)), event_fault_name(cases[i].want));
    }
}

static void members(void)
{
    static const struct {
        const char *label;
        struct slice body;
        enum event_type type;
        const char *sid;
        enum event_sid_from from;
        int64_t created_at_s;
    } cases[] = {
        {"room", S("{\"event\":\"room_finished\",\"room\":{\"sid\":\"RM_a\"},\"createdAt\":\"1759306849\"}"),
         EVENT_ROOM_FINISHED, "RM_a", EVENT_SID_FROM_ROOM, 1759306849},
        {"time a number", S("{\"createdAt\":1759306849}"), EVENT_UNKNOWN, "", EVENT_SID_FROM_NONE, 1759306849},
        {"time not a time", S("{\"createdAt\":\"soon\"}"), EVENT_UNKNOWN, "", EVENT_SID_FROM_NONE, 0},
        {"time too long", S("{\"createdAt\":\"99999999999999999999999\"}"), EVENT_UNKNOWN, "", EVENT_SID_FROM_NONE, 0},
        {"time negative", S("{\"createdAt\":-1}"), EVENT_UNKNOWN, "", EVENT_SID_FROM_NONE, 0},
        {"time an object", S("{\"createdAt\":{\"a\":1}}"), EVENT_UNKNOWN, "", EVENT_SID_FROM_NONE, 0},
        {"egress", S("{\"event\":\"egress_ended\",\"egressInfo\":{\"egressId\":\"EG\",\"roomId\":\"RM_b\"}}"),
         EVENT_EGRESS_ENDED, "RM_b", EVENT_SID_FROM_EGRESS, 0},
        {"ingress",
         S("{\"event\":\"ingress_started\",\"ingressInfo\":{\"roomId\":\"no\",\"state\":{\"roomId\":\"RM_c\"}}}"),
         EVENT_INGRESS_STARTED, "RM_c", EVENT_SID_FROM_INGRESS, 0},
        {"room before egress",
         S("{\"egressInfo\":{\"roomId\":\"RM_b\"},\"room\":{\"sid\":\"RM_a\"},\"event\":\"egress_started\"}"),
         EVENT_EGRESS_STARTED, "RM_a", EVENT_SID_FROM_ROOM, 0},
        {"unknown", S("{\"event\":\"room_exploded\"}"), EVENT_UNKNOWN, "", EVENT_SID_FROM_NONE, 0},
        {"wrong case", S("{\"event\":\"Room_Finished\"}"), EVENT_UNKNOWN, "", EVENT_SID_FROM_NONE, 0},
        {"1 KB", S("{\"event\":\"" X64("room_finished ..") "\"}"), EVENT_UNKNOWN, "", EVENT_SID_FROM_NONE, 0},
        {"escaped key and value",
         S("{\"\\u0065vent\":\"room\\u005ffinished\",\"room\":{\"s\\u0069d\":\"RM\\u005fa\"}}"), EVENT_ROOM_FINISHED,
         "RM_a", EVENT_SID_FROM_ROOM, 0},
        {"new event", S("{\"event\":\"agent_job_ended\"}"), EVENT_AGENT_JOB_ENDED, "", EVENT_SID_FROM_NONE, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct event event;
        CHECK_LABEL(cases[i].label);
        CHECK_INT(event_parse(cases[i].body, &event), EVENT_FAULT_NONE);
        CHECK_STR(event_type_name(event.type), event_type_name(cases[i].type));
        CHECK_STR(event.room_sid, cases[i].sid);
        CHECK_STR(event_sid_from_name(event.sid_from), event_sid_from_name(cases[i].from));
        CHECK_INT(event.created_at_s, cases[i].created_at_s);
    }
}

/* What is left of the body once the secret is cut out. */
static void cut(struct slice body, const struct event *event, char *out, size_t size)
{
    const struct slice hole = event->turn_password;
    const size_t start = hole.len ? (size_t)(hole.ptr - body.ptr) : 0;
    snprintf(out, size, "%.*s%.*s", (int)start, body.ptr, (int)(body.len - start - hole.len),
             body.ptr + start + hole.len);
}

static void secret(void)
{
    static const struct {
        const char *label;
        struct slice body;
        const char *want;
    } cases[] = {
        {"none", S(IN_ROOM(SID)), IN_ROOM(SID)},
        {"in the middle", S(IN_ROOM(SID ", \"turnPassword\":\"x,\\\"}\", \"n\":1")), IN_ROOM(SID ", \"n\":1")},
        {"first", S(IN_ROOM("\"turnPassword\":\"x\"," SID)), IN_ROOM(SID)},
        {"last", S(IN_ROOM(SID ", \"turnPassword\":\"x\"")), IN_ROOM(SID)},
        {"last, with blanks", S(IN_ROOM(SID " ,\n\"turnPassword\" : \"x\" ")), IN_ROOM(SID " ")},
        {"escaped key", S(IN_ROOM(SID ",\"turn\\u0050assword\":\"x\"")), IN_ROOM(SID)},
        {"the other spelling", S(IN_ROOM(SID ",\"turn_password\":\"x\"")), IN_ROOM(SID)},
        {"an object", S(IN_ROOM(SID ",\"turnPassword\":{\"a\":[1,2]},\"n\":1")), IN_ROOM(SID ",\"n\":1")},
        {"not the room's",
         S("{\"turnPassword\":\"x\",\"participant\":{\"turnPassword\":\"x\"},\"room\":{\"o\":{\"turnPassword\":\"x\"}}"
           "}"),
         "{\"turnPassword\":\"x\",\"participant\":{\"turnPassword\":\"x\"},\"room\":{\"o\":{\"turnPassword\":\"x\"}}}"},
        {"in a string", S(IN_ROOM(SID ",\"metadata\":\"\\\"turnPassword\\\":\\\"x\\\"\"")),
         IN_ROOM(SID ",\"metadata\":\"\\\"turnPassword\\\":\\\"x\\\"\"")},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct event event;
        char left[512];
        CHECK_LABEL(cases[i].label);
        CHECK_INT(event_parse(cases[i].body, &event), EVENT_FAULT_NONE);
        cut(cases[i].body, &event, left, sizeof left);
        CHECK_STR(left, cases[i].want);
    }
    static const struct slice alone = S("{\"room\":{\"turnPassword\":\"x\"}}");
    struct event event;
    char left[512];
    CHECK_INT(event_parse(alone, &event), EVENT_FAULT_NONE);
    cut(alone, &event, left, sizeof left);
    CHECK_STR(left, "{\"room\":{}}");
}

static void captured_bodies(void)
{
    struct captured list[32];
    const size_t count = captured_load(list, ARRAY_LEN(list));
    CHECK_INT(count, 27);
    for (size_t i = 0; i < count; i++) {
        struct event event;
        char left[8192];
        CHECK_LABEL(list[i].name);
        CHECK_INT(event_parse(list[i].body, &event), EVENT_FAULT_NONE);
        CHECK(event.type != EVENT_UNKNOWN);
        CHECK(strstr(list[i].name, event_type_name(event.type)) != NULL);
        CHECK(strncmp(event.room_sid, "RM_", 3) == 0 && strlen(event.room_sid) == 15);
        CHECK(strncmp(event.id, "EV_", 3) == 0 && event.created_at_s > 1795458000);
        CHECK(event.room_name[0] != '\0');
        cut(list[i].body, &event, left, sizeof left);
        struct json_object *rest = json_tokener_parse(left);
        CHECK(rest != NULL && strstr(left, "turnPassword") == NULL);
        json_object_put(rest);
    }
    captured_free(list, count);
}

static void quick_looks(void)
{
    CHECK(event_may_be_room_finished(SLICE(IN_ROOM(SID))));
    CHECK(event_may_be_room_finished(SLICE("{\"event\":\"room\\u005ffinished\"}")));
    CHECK(!event_may_be_room_finished(SLICE("{\"event\":\"room_started\"}")));
    CHECK(!event_may_be_room_finished((struct slice){0}));
    CHECK(event_may_hold_turn_password(SLICE("{\"turnPassword\":1")));
    CHECK(event_may_hold_turn_password(SLICE("{\"turn_password\":1")));
    CHECK(event_may_hold_turn_password(SLICE("{\"\\u0074urnPassword\":1")));
    CHECK(!event_may_hold_turn_password(SLICE("{\"event\":1")));
}

CHECK_MAIN({"faults", faults}, {"members", members}, {"the secret is cut", secret},
           {"captured bodies", captured_bodies}, {"quick looks", quick_looks})
