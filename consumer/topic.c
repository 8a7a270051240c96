#include "consumer/topic.h"

#include "common/log.h"

/* The topic's own error in the metadata, or that of asking. */
static rd_kafka_resp_err_t ask_metadata(rd_kafka_t *rk, const char *topic, int timeout_ms)
{
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 0, handle, &metadata, timeout_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt > 0)
        code = metadata->topics[0].err;
    if (metadata != NULL)
        rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return code;
}

/* Runs DescribeConfigs and returns its event, or NULL when nothing came in time. */
static rd_kafka_event_t *describe_topic(rd_kafka_t *rk, const char *topic, int timeout_ms)
{
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    char words[128];
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, words, sizeof words);
    rd_kafka_DescribeConfigs(rk, &resource, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(resource);
    return event;
}

/* cleanup.policy of the first resource, NULL when the broker didn't tell. Borrowed from event. */
static const char *cleanup_policy(rd_kafka_event_t *event)
{
    const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(event);
    size_t resource_count = 0, entry_count = 0;
    if (result == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return NULL;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(result, &resource_count);
    if (resource_count == 0)
        return NULL;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resources[0], &entry_count);
    for (size_t i = 0; i < entry_count; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), "cleanup.policy") == 0)
            return rd_kafka_ConfigEntry_value(entries[i]);
    }
    return NULL;
}

static bool compaction_refused(rd_kafka_t *rk, const char *topic, int timeout_ms, struct error *ret_err)
{
    rd_kafka_event_t *event = describe_topic(rk, topic, timeout_ms);
    const char *policy = event != NULL ? cleanup_policy(event) : NULL;
    const bool compacted = policy != NULL && strstr(policy, "compact") != NULL;
    if (policy == NULL)
        log_warn("no broker told the topic's cleanup.policy; it must not be compacted", LOG_STR("topic", topic));
    if (compacted)
        error_set(ret_err, ERROR_OPERATOR,
                  "topic %s has cleanup.policy=%s: compaction deletes webhooks. Set it to delete", topic, policy);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    return compacted;
}

bool topic_usable(rd_kafka_t *rk, const char *topic, int timeout_ms, struct error *ret_err)
{
    const rd_kafka_resp_err_t code = ask_metadata(rk, topic, timeout_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return !compaction_refused(rk, topic, timeout_ms, ret_err);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        error_set(ret_err, ERROR_OPERATOR, "topic %s does not exist: create it, or set kafka.topic", topic);
        return false;
    }
    if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
        error_set(ret_err, ERROR_OPERATOR, "not allowed to read topic %s: grant READ and DESCRIBE", topic);
        return false;
    }
    log_warn("Kafka can't be asked about the topic now; trying on", LOG_STR("topic", topic),
             LOG_STR("error", rd_kafka_err2str(code)));
    return true;
}
