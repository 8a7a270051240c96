/* What goes onto <topic>.dlq: the original key, value and headers, and why.
 *
 * Headers: the broker's own names of KIP-1191 (__dlq.errors.topic, .partition, .offset, .group, .delivery.count,
 * .message), the text kafka_dlt-original-topic that Kafka UIs read, roomclaim-reason (a word from a table) and
 * roomclaim-redrives.
 */
#ifndef ROOMCLAIM_DEADLETTER_H
#define ROOMCLAIM_DEADLETTER_H

#include "publisher.h"

struct deadletter {
    const char *source_topic; /* where the record was, or would have gone */
    int32_t partition;        /* -1: it was never in Kafka (a webhook that the shim set aside) */
    int64_t offset;           /* -1 likewise */
    const char *group;        /* consumer group, NULL in the shim */
    const char *reason;       /* one word */
    const char *message;      /* one sentence for a person; no content of the record */
    struct slice key;
    struct slice value;     /* empty with value_missing: the record is not in hand */
    int64_t delivery_count; /* model calls that were made for it; 0: the header is left out */
    bool value_missing;
    const struct record_header *headers; /* the original's */
    size_t header_count;
};

/* A dead letter as a record: it borrows from the letter and from itself, so it must stay where it is. */
struct deadletter_record {
    const char *topic;
    struct slice key, value;
    struct record_header headers[RECORD_HEADERS_MAX + 9]; /* the original's, and ours */
    size_t header_count;
    char partition[16], offset[24], deliveries[24];
};

void deadletter_fill(struct deadletter_record *ret, const struct config *config, const struct deadletter *letter);

/* Sends it through publisher_send to config's dead-letter topic; done as there. Borrows everything. */
void deadletter_send(struct publisher *p, const struct config *config, const struct deadletter *letter,
                     publish_done *done, void *arg);

#endif
