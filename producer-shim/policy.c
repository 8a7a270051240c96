/* The door and the key. */
#include "producer-shim/policy.h"

#include "common/hex.h"

#include <fnmatch.h>

static bool listed(const struct config_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], name) == 0)
            return true;
    return false;
}

static bool matched(const struct config_list *patterns, const char *name)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (fnmatch(patterns->items[i], name, 0) == 0)
            return true;
    return false;
}

bool policy_publishes(const struct config *config, const struct event *event)
{
    if (config->shim_events.count > 0 && !listed(&config->shim_events, event->name))
        return false;
    return config->shim_room_names.count == 0 || event->room_name[0] == '\0' ||
           matched(&config->shim_room_names, event->room_name);
}

static enum policy_key_source source_of(const struct event *event)
{
    switch (event->sid_from) {
    case EVENT_SID_FROM_ROOM:
        return POLICY_KEY_ROOM;
    case EVENT_SID_FROM_EGRESS:
        return POLICY_KEY_EGRESS;
    case EVENT_SID_FROM_INGRESS:
        return POLICY_KEY_INGRESS;
    case EVENT_SID_FROM_NONE:
        break;
    }
    return event->id[0] ? POLICY_KEY_EVENT : POLICY_KEY_BODY;
}

void policy_key(const struct event *event, const unsigned char body_hash[32], struct policy_key *ret)
{
    ret->source = source_of(event);
    if (ret->source == POLICY_KEY_EVENT) {
        ret->key = slice_of(event->id);
    } else if (ret->source == POLICY_KEY_BODY) {
        hex_write(ret->hex, body_hash, 32);
        ret->key = slice_of(ret->hex);
    } else {
        ret->key = slice_of(event->room_sid);
    }
}

const char *policy_key_source_word(enum policy_key_source source)
{
    static const char *const words[] = {
#define X(id, word, help) [POLICY_KEY_##id] = word,
        POLICY_KEY_SOURCE_TABLE(X)
#undef X
    };
    return words[source];
}
