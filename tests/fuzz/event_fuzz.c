/* Fuzz target: a webhook's body.
 *
 * What must hold: a body that is usable is JSON to json-c too, with the same event and the same room sid; cutting
 * the secret out leaves JSON whose room has none; a fault has a name; no body that may not be a room_finished is one.
 */
#include "common/alloc.h"
#include "common/event.h"
#include "tests/fuzz/fuzz.h"

#include <json-c/json.h>

/* Returns owned, NULL when json-c refuses it or it is no object. */
static struct json_object *parse(struct slice text)
{
    struct json_tokener *tokener = json_tokener_new_ex(EVENT_DEPTH_MAX + 2);
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *object = json_tokener_parse_ex(tokener, text.ptr, (int)text.len);
    const bool good = json_tokener_get_error(tokener) == json_tokener_success;
    json_tokener_free(tokener);
    if (good && json_object_is_type(object, json_type_object))
        return object;
    json_object_put(object);
    return NULL;
}

static const char *string_in(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;
    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, key, &value) ||
        !json_object_is_type(value, json_type_string))
        return "";
    return json_object_get_string(value);
}

static void compare(struct json_object *body, const struct event *event)
{
    const char *const name = string_in(body, "event");
    if (strlen(name) <= EVENT_NAME_MAX)
        HOLDS(strcmp(name, event->name) == 0);
    struct json_object *room = json_object_object_get(body, "room");
    if (event->sid_from == EVENT_SID_FROM_ROOM)
        HOLDS(strcmp(string_in(room, "sid"), event->room_sid) == 0);
    else
        HOLDS(string_in(room, "sid")[0] == '\0');
    HOLDS(event->sid_from == EVENT_SID_FROM_NONE || event_sid_valid(slice_of(event->room_sid)));
}

static void cut(struct slice body, const struct event *event)
{
    const struct slice hole = event->turn_password;
    const size_t start = hole.len ? (size_t)(hole.ptr - body.ptr) : 0;
    HOLDS(start + hole.len <= body.len);
    AUTO(free_ptr) char *left = xmalloc(body.len + 1);
    memcpy(left, body.ptr, start);
    memcpy(left + start, body.ptr + start + hole.len, body.len - start - hole.len);
    struct json_object *rest = parse((struct slice){.ptr = left, .len = body.len - hole.len});
    HOLDS(rest != NULL);
    struct json_object *room = json_object_object_get(rest, "room");
    if (json_object_is_type(room, json_type_object)) {
        HOLDS(!json_object_object_get_ex(room, "turnPassword", NULL));
        HOLDS(!json_object_object_get_ex(room, "turn_password", NULL));
    }
    json_object_put(rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(free_ptr) char *copy = xmalloc(size + 1); /* one byte is left over for json-c, which wants to see an end */
    memcpy(copy, data, size);
    copy[size] = '\0';
    const struct slice body = {.ptr = copy, .len = size};
    struct event event;
    const enum event_fault fault = event_parse(body, &event);
    HOLDS(fault < EVENT_FAULT_COUNT && event_fault_name(fault)[0]);
    HOLDS(strlen(event.name) <= EVENT_NAME_MAX && strlen(event.id) <= EVENT_ID_MAX);
    if (fault != EVENT_FAULT_NONE)
        return 0;
    if (event.type == EVENT_ROOM_FINISHED)
        HOLDS(event.sid_from == EVENT_SID_FROM_ROOM && event_may_be_room_finished(body));
    if (memmem(copy, size, "\\u0000", 6)) /* json-c ends a member's name there: "room\u0000" is "room" to it */
        return 0;
    struct json_object *parsed = parse(body);
    HOLDS(parsed != NULL);
    compare(parsed, &event);
    json_object_put(parsed);
    cut(body, &event);
    return 0;
}
