/* Builds a dead letter's headers: ours first, then the original's, without those that an earlier round had put on. */
#include "deadletter.h"

#include <stdio.h>

/* X(id, header name); the order in which they are written. */
#define DEADLETTER_HEADER_TABLE(X)               \
    X(TOPIC, "__dlq.errors.topic")               \
    X(PARTITION, "__dlq.errors.partition")       \
    X(OFFSET, "__dlq.errors.offset")             \
    X(GROUP, "__dlq.errors.group")               \
    X(MESSAGE, "__dlq.errors.message")           \
    X(DELIVERIES, "__dlq.errors.delivery.count") \
    X(DLT_TOPIC, "kafka_dlt-original-topic")     \
    X(REASON, "roomclaim-reason")                \
    X(REDRIVES, "roomclaim-redrives")

enum deadletter_header {
#define X(id, name) HEADER_##id,
    DEADLETTER_HEADER_TABLE(X)
#undef X
        HEADER_COUNT
};

static const char *const header_names[] = {
#define X(id, name) name,
    DEADLETTER_HEADER_TABLE(X)
#undef X
};

struct letter_headers {
    struct record_header list[HEADER_COUNT + RECORD_HEADERS_MAX];
    size_t count;
};

static void put(struct letter_headers *headers, enum deadletter_header id, struct slice value)
{
    headers->list[headers->count++] = (struct record_header){.name = header_names[id], .value = value};
}

static bool is_ours(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(header_names); i++)
        if (strcmp(name, header_names[i]) == 0)
            return true;
    return false;
}

/* How often the record was put back into its topic: a redrive counts it up there, here it is only passed on. */
static struct slice redrives_of(const struct deadletter *letter)
{
    for (size_t i = 0; i < letter->header_count; i++)
        if (strcmp(letter->headers[i].name, header_names[HEADER_REDRIVES]) == 0)
            return letter->headers[i].value;
    return SLICE("0");
}

/* The original's headers as far as there is room: RECORD_HEADERS_MAX of them. */
static void put_original(struct letter_headers *headers, const struct deadletter *letter)
{
    for (size_t i = 0; i < letter->header_count && headers->count < ARRAY_LEN(headers->list); i++)
        if (!is_ours(letter->headers[i].name))
            headers->list[headers->count++] = letter->headers[i];
}

void deadletter_send(struct publisher *p, const struct config *config, const struct deadletter *letter,
                     publish_done *done, void *arg)
{
    char partition[16], offset[24], deliveries[24];
    struct letter_headers headers = {.count = 0};
    snprintf(partition, sizeof partition, "%ld", (long)letter->partition);
    snprintf(offset, sizeof offset, "%lld", (long long)letter->offset);
    put(&headers, HEADER_TOPIC, slice_of(letter->source_topic));
    if (letter->offset >= 0) {
        put(&headers, HEADER_PARTITION, slice_of(partition));
        put(&headers, HEADER_OFFSET, slice_of(offset));
    }
    if (letter->group)
        put(&headers, HEADER_GROUP, slice_of(letter->group));
    snprintf(deliveries, sizeof deliveries, "%lld", (long long)letter->delivery_count);
    put(&headers, HEADER_MESSAGE, slice_of(letter->message));
    if (letter->delivery_count > 0)
        put(&headers, HEADER_DELIVERIES, slice_of(deliveries));
    put(&headers, HEADER_DLT_TOPIC, slice_of(letter->source_topic));
    put(&headers, HEADER_REASON, slice_of(letter->reason));
    put(&headers, HEADER_REDRIVES, redrives_of(letter));
    put_original(&headers, letter);
    const struct slice value = letter->value_missing ? (struct slice){0} : letter->value;
    publisher_send(p, config_dead_letter_topic(config), letter->key, headers.list, headers.count, value, done, arg);
}
