/* The librdkafka properties that kafka.properties may not set, each with the reason an operator reads.
 *
 * They decide whether an acknowledged webhook can be lost, whether an offset is committed before its work is done,
 * and who handles a room: setting them breaks what roomclaim promises.
 */
#include "kafka.h"

static const struct {
    const char *name;
    const char *why;
} reserved[] = {
    {"acks", "a webhook is answered 200 only after all in-sync replicas have it"},
    {"request.required.acks", "a webhook is answered 200 only after all in-sync replicas have it"},
    {"enable.idempotence", "without it the producer's own retries make duplicates"},
    {"delivery.report.only.error", "a webhook is answered when its delivery report arrives"},
    {"transactional.id", "the producer is not transactional"},
    {"partitioner", "a room's records must be in one partition, for every producer"},
    {"enable.auto.commit", "offsets are committed only for finished work"},
    {"enable.auto.offset.store", "offsets are committed only for finished work"},
    {"auto.offset.reset", "a group without offsets starts at the earliest record, or webhooks are never read"},
    {"check.crcs", "a damaged record must not be taken for a sound one"},
    {"enable.partition.eof", "the consumer does not expect these events"},
    {"group.id", "use kafka.group"},
    {"bootstrap.servers", "use kafka.bootstrap_servers"},
    {"metadata.broker.list", "use kafka.bootstrap_servers"},
    {"partition.assignment.strategy", "use kafka.assignor"},
    {"default_topic_conf", "it is set in code"},
    {"opaque", "it is set in code"},
    {"interceptors", "it is set in code"},
};

static bool is_callback(const char *name)
{
    const size_t len = strlen(name);
    return len > 3 && strcmp(name + len - 3, "_cb") == 0;
}

bool kafka_property_reserved(const char *name, const char **ret_why)
{
    const char *why = is_callback(name) ? "it is set in code" : NULL;
    for (size_t i = 0; i < ARRAY_LEN(reserved) && !why; i++) {
        if (strcmp(name, reserved[i].name) == 0)
            why = reserved[i].why;
    }
    if (why && ret_why)
        *ret_why = why;
    return why != NULL;
}
