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

_Static_assert(ARRAY_LEN(((struct deadletter_record *)0)->headers) == RECORD_HEADERS_MAX + HEADER_COUNT,
               "the original's headers and all of ours fit");

static void put(struct deadletter_record *record, enum deadletter_header id, struct slice value)
{
    record->headers[record->header_count++] = (struct record_header){.name = header_names[id], .value = value};
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
static void put_original(struct deadletter_record *record, const struct deadletter *letter)
{
    for (size_t i = 0; i < letter->header_count && record->header_count < ARRAY_LEN(record->headers); i++)
        if (!is_ours(letter->headers[i].name))
            record->headers[record->header_count++] = letter->headers[i];
}

void deadletter_fill(struct deadletter_record *ret, const struct config *config, const struct deadletter *letter)
{
    ret->topic = config_dead_letter_topic(config);
    ret->key = letter->key;
    ret->value = letter->value_missing ? (struct slice){0} : letter->value;
    ret->header_count = 0;
    snprintf(ret->partition, sizeof ret->partition, "%ld", (long)letter->partition);
    snprintf(ret->offset, sizeof ret->offset, "%lld", (long long)letter->offset);
    snprintf(ret->deliveries, sizeof ret->deliveries, "%lld", (long long)letter->delivery_count);
    put(ret, HEADER_TOPIC, slice_of(letter->source_topic));
    if (letter->offset >= 0) {
        put(ret, HEADER_PARTITION, slice_of(ret->partition));
        put(ret, HEADER_OFFSET, slice_of(ret->offset));
    }
    if (letter->group)
        put(ret, HEADER_GROUP, slice_of(letter->group));
    put(ret, HEADER_MESSAGE, slice_of(letter->message));
    if (letter->delivery_count > 0)
        put(ret, HEADER_DELIVERIES, slice_of(ret->deliveries));
    put(ret, HEADER_DLT_TOPIC, slice_of(letter->source_topic));
    put(ret, HEADER_REASON, slice_of(letter->reason));
    put(ret, HEADER_REDRIVES, redrives_of(letter));
    put_original(ret, letter);
}

void deadletter_send(struct publisher *p, const struct config *config, const struct deadletter *letter,
                     publish_done *done, void *arg)
{
    struct deadletter_record record;
    deadletter_fill(&record, config, letter);
    publisher_send(p, record.topic, record.key, record.headers, record.header_count, record.value, done, arg);
}
