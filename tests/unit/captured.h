/* The requests of tests/fixtures/livekit for unit tests: body, token and the receiver's time of each. */
#ifndef ROOMCLAIM_CAPTURED_H
#define ROOMCLAIM_CAPTURED_H

#include "common/base.h"

#include <dirent.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#define CAPTURED_KEY "devkey"
#define CAPTURED_SECRET "secret-secret-secret-secret-secret-32"

struct captured {
    char name[256];
    struct json_object *file; /* owned; what follows points into it */
    struct slice body, token;
    int64_t received_at_s;
};

static inline struct slice captured_string(struct json_object *text)
{
    return (struct slice){.ptr = json_object_get_string(text), .len = (size_t)json_object_get_string_len(text)};
}

static inline struct slice captured_authorization(struct json_object *headers)
{
    for (size_t i = 0; i < json_object_array_length(headers); i++) {
        struct json_object *pair = json_object_array_get_idx(headers, i);
        if (strcmp(json_object_get_string(json_object_array_get_idx(pair, 0)), "Authorization") == 0)
            return captured_string(json_object_array_get_idx(pair, 1));
    }
    return (struct slice){0};
}

/* Reads up to max requests in the order of their names; returns how many. */
static inline size_t captured_load(struct captured *list, size_t max)
{
    char folder[512], path[1024];
    snprintf(folder, sizeof folder, "%.*s/../fixtures/livekit", (int)(strrchr(__FILE__, '/') - __FILE__), __FILE__);
    struct dirent **entries;
    const int found = scandir(folder, &entries, NULL, alphasort);
    size_t count = 0;
    for (int i = 0; i < found; i++) {
        const char *const name = entries[i]->d_name;
        snprintf(path, sizeof path, "%s/%s", folder, name);
        struct json_object *file = strstr(name, ".json") && count < max ? json_object_from_file(path) : NULL;
        if (file) {
            struct captured *c = &list[count++];
            *c = (struct captured){.file = file};
            snprintf(c->name, sizeof c->name, "%s", name);
            c->body = captured_string(json_object_object_get(file, "body"));
            c->token = captured_authorization(json_object_object_get(file, "headers"));
            c->received_at_s = (int64_t)json_object_get_double(json_object_object_get(file, "received_at"));
        }
        free(entries[i]);
    }
    if (found >= 0)
        free(entries);
    return count;
}

static inline void captured_free(struct captured *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        json_object_put(list[i].file);
}

#endif
