/* Every metric of the shim, once; common/metrics.h has the mechanics. */
#ifndef ROOMCLAIM_METRICS_TABLE_H
#define ROOMCLAIM_METRICS_TABLE_H

#include "common/metrics.h"

/* X(id, name, kind, label, values, value_count, scale, help) */
#define SHIM_METRICS_TABLE(X)                                                                                          \
    X(WEBHOOKS, "roomclaim_webhooks_total", COUNTER, "answer", answer_words, ANSWER_COUNT, 0,                          \
      "webhooks by what they were answered")                                                                           \
    X(SECONDS, "roomclaim_webhook_seconds", HISTOGRAM, NULL, NULL, 0, 0,                                               \
      "from a webhook's headers to its answer, those that were let in")                                                \
    X(IN_FLIGHT, "roomclaim_webhooks_in_flight", GAUGE, NULL, NULL, 0, 0, "webhooks that wait for Kafka")              \
    X(IN_FLIGHT_LIMIT, "roomclaim_webhooks_in_flight_limit", GAUGE, NULL, NULL, 0, 0, "shim.max_in_flight")            \
    X(BODY_BYTES, "roomclaim_webhook_body_bytes", GAUGE, NULL, NULL, 0, 0, "memory held for bodies")                   \
    X(BODY_BYTES_LIMIT, "roomclaim_webhook_body_limit_bytes", GAUGE, NULL, NULL, 0, 0, "the most of it")               \
    X(CONNECTIONS, "roomclaim_connections", GAUGE, NULL, NULL, 0, 0, "open connections")                               \
    X(CONNECTIONS_LIMIT, "roomclaim_connections_limit", GAUGE, NULL, NULL, 0, 0, "shim.max_connections")               \
    X(SLOW_CONNECTIONS, "roomclaim_slow_connections_total", COUNTER, NULL, NULL, 0, 0,                                 \
      "connections closed because no request, or no end of one, came in time")                                         \
    X(EVENTS, "roomclaim_webhook_events_total", COUNTER, "event", event_words, EVENT_TYPE_COUNT, 0,                    \
      "authentic webhooks by event")                                                                                   \
    X(UNUSABLE, "roomclaim_webhook_unusable_total", COUNTER, "reason", fault_words, EVENT_FAULT_COUNT, 0,              \
      "authentic webhooks that went to the dead-letter topic, by reason")                                              \
    X(REFUSED, "roomclaim_token_refused_total", COUNTER, "reason", verdict_words, TOKEN_VERDICT_COUNT, 0,              \
      "webhooks that were not authentic, by reason")                                                                   \
    X(PUBLISHED, "roomclaim_published_total", COUNTER, "outcome", outcome_words, PUBLISH_OUTCOME_COUNT, 0,             \
      "records sent to the topic, by what became of them")                                                             \
    X(DEAD_LETTERS, "roomclaim_dead_letters_total", COUNTER, "outcome", outcome_words, PUBLISH_OUTCOME_COUNT, 0,       \
      "records sent to the dead-letter topic, by what became of them")                                                 \
    X(LATE, "roomclaim_published_late_total", COUNTER, "outcome", outcome_words, PUBLISH_OUTCOME_COUNT, 0,             \
      "reports that came after the webhook had been answered 503, or went to the spool")                               \
    X(CUTS, "roomclaim_turn_passwords_cut_total", COUNTER, NULL, NULL, 0, 0, "bodies published without the secret")    \
    X(KAFKA_UP, "roomclaim_kafka_up", GAUGE, NULL, NULL, 0, 0, "1 while a broker answers")                             \
    X(SPOOL_RECORDS, "roomclaim_spool_records", GAUGE, NULL, NULL, 0, 0, "webhooks in the spool, on disk")             \
    X(SPOOL_BYTES, "roomclaim_spool_bytes", GAUGE, NULL, NULL, 0, 0, "bytes of all records in the spool")              \
    X(SPOOL_BYTES_LIMIT, "roomclaim_spool_limit_bytes", GAUGE, NULL, NULL, 0, 0, "shim.spool_max_size; 0: no spool")   \
    X(SPOOL_AGE, "roomclaim_spool_age_seconds", GAUGE, NULL, NULL, 0, 0.001, "age of the oldest webhook in the spool") \
    X(SPOOL_DEAD, "roomclaim_spool_dead_records", GAUGE, NULL, NULL, 0, 0,                                             \
      "records in it that are set aside: refused for good, damaged or too old")                                        \
    X(SPOOL_DRAINED, "roomclaim_spool_drained_total", COUNTER, NULL, NULL, 0, 0, "records sent on from the spool")     \
    X(SPOOL_BURIED, "roomclaim_spool_buried_total", COUNTER, NULL, NULL, 0, 0, "records moved to its dead table")      \
    X(SPOOL_FAILURES, "roomclaim_spool_failures_total", COUNTER, NULL, NULL, 0, 0,                                     \
      "transactions of the spool that failed, and webhooks beyond its limit")                                          \
    X(PRODUCER_RESTARTS, "roomclaim_producer_restarts_total", COUNTER, NULL, NULL, 0, 0,                               \
      "producers replaced after a fatal error")

enum {
#define X(id, name, kind, label, values, count, scale, help) METRIC_##id,
    SHIM_METRICS_TABLE(X)
#undef X
        METRIC_COUNT_
};

/* Calls metrics_init with the table. */
void shim_metrics_init(void);

#endif
