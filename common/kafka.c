/* Our defaults for librdkafka, its log lines through ours, and its error codes by class. */
#include "kafka.h"

#include "alloc.h"
#include "drain.h"
#include "log.h"

#include <stdio.h>
#include <syslog.h>

struct property {
    const char *name, *value;
};

/* Why each value: design facts of librdkafka 2.0 (time-outs are only looked at between reconnects, Nagle is on by
 * default, idle metadata keeps one connection open so that "connected" stays true without traffic). */
static const struct property common_properties[] = {
    {"client.id", "roomclaim"},
    {"client.software.name", "roomclaim"},
    {"client.software.version", ROOMCLAIM_VERSION},
    {"reconnect.backoff.ms", "50"},
    {"reconnect.backoff.max.ms", "500"},
    {"socket.connection.setup.timeout.ms", "5000"}, /* 30 s of it were 30 s without partitions */
    {"socket.timeout.ms", "10000"},                 /* a commit that nobody answers holds a rebalance up for so long */
    {"socket.nagle.disable", "true"},
    {"socket.keepalive.enable", "true"},
    {"topic.metadata.refresh.interval.ms", "60000"},
    {"log.connection.close", "false"},
};

static const struct property producer_properties[] = {
    {"acks", "all"},          {"enable.idempotence", "true"},          {"partitioner", "murmur2_random"},
    {"linger.ms", "0.5"},     {"message.timeout.ms", "4000"},          {"request.timeout.ms", "3000"},
    {"batch.size", "262144"}, {"queue.buffering.max.kbytes", "24576"}, {"statistics.interval.ms", "1000"},
};

static const struct property consumer_properties[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "earliest"},
    {"allow.auto.create.topics", "false"},
    {"check.crcs", "true"},
    {"fetch.error.backoff.ms", "100"},
    {"fetch.wait.max.ms", "100"},
    {"queued.min.messages", "100000"},
    {"queued.max.messages.kbytes", "2048"}, /* kafka_wake keeps it filled */
    {"fetch.message.max.bytes", "131072"},  /* of each partition: all of them together may exceed the queue */
    {"statistics.interval.ms", "5000"},     /* tells whether a broker is up */
};

static bool set(rd_kafka_conf_t *conf, const char *name, const char *value, struct error *ret_err)
{
    char words[256];
    if (rd_kafka_conf_set(conf, name, value, words, sizeof words) == RD_KAFKA_CONF_OK)
        return true;
    error_set(ret_err, ERROR_OPERATOR, "kafka property %s: %s", name, words);
    return false;
}

static bool set_all(rd_kafka_conf_t *conf, const struct property *list, size_t count, struct error *ret_err)
{
    for (size_t i = 0; i < count; i++)
        if (!set(conf, list[i].name, list[i].value, ret_err))
            return false;
    return true;
}

/* The largest request: the body limit and room for key and headers. The broker's own limit decides. */
static bool set_producer(rd_kafka_conf_t *conf, const struct config *config, struct error *ret_err)
{
    char bytes[32], messages[32];
    snprintf(bytes, sizeof bytes, "%lld", (long long)MAX(config->shim_body_limit_bytes, 1000000) + 65536);
    const int64_t in_flight = config->shim_max_in_flight > 0 ? config->shim_max_in_flight : 20000;
    const bool spool = config->shim_spool_path && config->shim_spool_path[0]; /* its batch comes on top */
    snprintf(messages, sizeof messages, "%lld", (long long)in_flight + (spool ? DRAIN_BATCH_RECORDS : 0));
    return set_all(conf, producer_properties, ARRAY_LEN(producer_properties), ret_err) &&
           set(conf, "message.max.bytes", bytes, ret_err) &&
           set(conf, "queue.buffering.max.messages", messages, ret_err);
}

/* Rebalancing cooperatively has known faults before 2.10: eager by default there. */
static const char *assignor(const struct config *config)
{
    if (strcmp(config->kafka_assignor, "auto") != 0)
        return config->kafka_assignor;
    return rd_kafka_version() < 0x020a0000 ? "range" : "cooperative-sticky";
}

/* Later versions look again after this time whether a full queue has room. */
static void set_queue_backoff(rd_kafka_conf_t *conf)
{
    char words[256];
    (void)rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "10", words, sizeof words);
}

static bool set_consumer(rd_kafka_conf_t *conf, const struct config *config, struct error *ret_err)
{
    set_queue_backoff(conf);
    return set_all(conf, consumer_properties, ARRAY_LEN(consumer_properties), ret_err) &&
           set(conf, "group.id", config->kafka_group, ret_err) &&
           set(conf, "partition.assignment.strategy", assignor(config), ret_err);
}

/* What only the other kind of client knows, by the name's start: librdkafka would take it, with a warning at each
 * start.
 */
static bool is_of_other_role(enum kafka_role role, const char *name)
{
    static const char *const of_consumers[] = {"session.", "heartbeat.", "max.poll.", "group.", "fetch.", "queued."};
    static const char *const of_producers[] = {"queue.buffering.", "linger.", "batch.", "compression.",
                                               "message.timeout."};
    const bool producer = role == KAFKA_PRODUCER;
    const char *const *starts = producer ? of_consumers : of_producers;
    const size_t count = producer ? ARRAY_LEN(of_consumers) : ARRAY_LEN(of_producers);
    for (size_t i = 0; i < count; i++)
        if (strncmp(name, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

static bool set_passed_through(rd_kafka_conf_t *conf, const struct config *config, enum kafka_role role,
                               struct error *ret_err)
{
    for (size_t i = 0; i < config->kafka_properties.count; i++) {
        const struct config_pair *pair = &config->kafka_properties.items[i];
        if (!is_of_other_role(role, pair->name) && !set(conf, pair->name, pair->value, ret_err))
            return false;
    }
    return true;
}

/* Called on librdkafka's threads. Its levels are syslog's; a lost broker is a warning: it comes back by itself. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *words)
{
    (void)rk;
    const enum log_level ours = level <= LOG_CRIT      ? LOG_LEVEL_ERROR
                                : level <= LOG_WARNING ? LOG_LEVEL_WARN
                                : level <= LOG_INFO    ? LOG_LEVEL_INFO
                                                       : LOG_LEVEL_DEBUG;
    LOG_AT(ours, "kafka client", LOG_STR("facility", facility), LOG_STR("detail", words));
}

rd_kafka_conf_t *kafka_conf_new(const struct config *config, enum kafka_role role, struct error *ret_err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    const bool done = set(conf, "bootstrap.servers", config->kafka_bootstrap_servers, ret_err) &&
                      set_all(conf, common_properties, ARRAY_LEN(common_properties), ret_err) &&
                      (role == KAFKA_PRODUCER ? set_producer : set_consumer)(conf, config, ret_err) &&
                      set_passed_through(conf, config, role, ret_err);
    if (done)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

/* What is not listed is temporary. */
#define KAFKA_CLASS_TABLE(X)                           \
    X(NO_ERROR, NONE)                                  \
    X(MSG_SIZE_TOO_LARGE, REJECT)                      \
    X(INVALID_MSG, REJECT)                             \
    X(INVALID_MSG_SIZE, REJECT)                        \
    X(INVALID_RECORD, REJECT)                          \
    X(INVALID_TIMESTAMP, REJECT)                       \
    X(RECORD_LIST_TOO_LARGE, REJECT)                   \
    X(UNSUPPORTED_FOR_MESSAGE_FORMAT, REJECT)          \
    X(_INVALID_ARG, REJECT)                            \
    X(_BAD_COMPRESSION, OPERATOR)                      \
    X(UNSUPPORTED_COMPRESSION_TYPE, OPERATOR)          \
    X(UNKNOWN_TOPIC_OR_PART, OPERATOR)                 \
    X(_UNKNOWN_TOPIC, OPERATOR)                        \
    X(_UNKNOWN_PARTITION, OPERATOR)                    \
    X(TOPIC_EXCEPTION, OPERATOR)                       \
    X(TOPIC_AUTHORIZATION_FAILED, OPERATOR)            \
    X(GROUP_AUTHORIZATION_FAILED, OPERATOR)            \
    X(CLUSTER_AUTHORIZATION_FAILED, OPERATOR)          \
    X(TRANSACTIONAL_ID_AUTHORIZATION_FAILED, OPERATOR) \
    X(SASL_AUTHENTICATION_FAILED, OPERATOR)            \
    X(_AUTHENTICATION, OPERATOR)                       \
    X(_SSL, OPERATOR)                                  \
    X(POLICY_VIOLATION, OPERATOR)                      \
    X(UNSUPPORTED_VERSION, OPERATOR)                   \
    X(_FATAL, FATAL)                                   \
    X(_FENCED, FATAL)                                  \
    X(FENCED_INSTANCE_ID, FATAL)

enum error_class kafka_error_class(rd_kafka_resp_err_t code)
{
    static const struct {
        rd_kafka_resp_err_t code;
        enum error_class class;
    } table[] = {
#define X(name, kind) {RD_KAFKA_RESP_ERR_##name, ERROR_##kind},
        KAFKA_CLASS_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].code == code)
            return table[i].class;
    return ERROR_RETRY;
}

/* "" when it is not set. Returns owned. */
static char *value_of(rd_kafka_t *rk, const char *property)
{
    size_t size = 0;
    if (rd_kafka_conf_get(rd_kafka_conf(rk), property, NULL, &size) != RD_KAFKA_CONF_OK)
        return xstrdup("");
    char *value = xcalloc(1, size + 1);
    if (rd_kafka_conf_get(rd_kafka_conf(rk), property, value, &size) != RD_KAFKA_CONF_OK)
        value[0] = '\0';
    return value;
}

void kafka_wake(rd_kafka_t *rk)
{
    char *username = value_of(rk, "sasl.username"), *password = value_of(rk, "sasl.password");
    rd_kafka_error_t *error = rd_kafka_sasl_set_credentials(rk, username, password);
    if (error != NULL)
        rd_kafka_error_destroy(error);
    explicit_bzero(password, strlen(password));
    free(password);
    free(username);
}
