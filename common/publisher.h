/* The one way into Kafka: records are sent and their delivery is reported exactly once.
 *
 * An idempotent producer with acks=all. The shim (and later its spool) and the consumer's dead letters share it.
 * publisher_send never blocks. Reports come out of publisher_poll, on the thread that calls it, and only there.
 */
#ifndef ROOMCLAIM_PUBLISHER_H
#define ROOMCLAIM_PUBLISHER_H

#include "base.h"
#include "config.h"
#include "error.h"

struct publisher;

struct record_header {
    const char *name;
    struct slice value;
};

enum { RECORD_HEADERS_MAX = 32 };

/* What became of a record. */
#define PUBLISH_OUTCOME_TABLE(X)                                                                                \
    X(ACKED, "acked", "durable in Kafka")                                                                       \
    X(UNKNOWN, "unknown", "not acknowledged in time, or the broker is away: it may or may not be in the topic") \
    X(REFUSED, "refused", "Kafka refuses this record for good (too large, invalid)")

enum publish_outcome {
#define X(id, name, help) PUBLISH_##id,
    PUBLISH_OUTCOME_TABLE(X)
#undef X
        PUBLISH_OUTCOME_COUNT
};

struct publish_report {
    enum publish_outcome outcome;
    int32_t partition;  /* ACKED only */
    int64_t offset;     /* ACKED only */
    const char *reason; /* librdkafka's words, static */
};

typedef void publish_done(void *arg, const struct publish_report *report);

/* Returns owned, or NULL with *ret_err. Starts a librdkafka producer; reaches no broker yet. Borrows config for its
 * life: a producer that met a fatal error is replaced by a new one, made from the same configuration. */
struct publisher *publisher_new(const struct config *config, struct error *ret_err) MUST_CHECK;
/* Waits at most grace_ms for what is in flight, purges the rest; every outstanding done() is called before it returns.
 * NULL is fine. */
void publisher_free(struct publisher *p, int64_t grace_ms);

/* Borrows everything until it returns. done(arg) is called exactly once, later, from publisher_poll: also when the
 * record can't even be queued. Thread-safe. */
void publisher_send(struct publisher *p, const char *topic, struct slice key, const struct record_header *headers,
                    size_t header_count, struct slice value, publish_done *done, void *arg);

/* Hands out reports: waits at most timeout_ms for the first, then takes what is there (at most a bounded batch).
 * Returns how many. One thread at a time. */
unsigned publisher_poll(struct publisher *p, int timeout_ms);

/* A file descriptor that becomes readable when publisher_poll has something to do: for an event loop. Owned by p. */
int publisher_fd(struct publisher *p);

/* True while a broker answers: readiness, and "503 at once" while Kafka is known to be away. Thread-safe. */
bool publisher_connected(const struct publisher *p);
/* Asks the cluster for the topic's metadata so that the first send does not wait. Returns false with *ret_err. Blocks
 * at most timeout_ms. */
bool publisher_warm_up(struct publisher *p, const char *topic, int timeout_ms, struct error *ret_err) MUST_CHECK;

/* How often the producer had to be replaced, and the records sent and not reported yet. Thread-safe. */
uint64_t publisher_restarts(const struct publisher *p);
uint64_t publisher_outstanding(const struct publisher *p);
/* For tests: the producer fails for good, as after lost sequence numbers. */
void publisher_break(struct publisher *p);

const char *publish_outcome_name(enum publish_outcome outcome);

#endif
