/* A dead letter's headers. This file stands in for the publisher and looks at what it is given. */
#include "common/deadletter.h"

#include "check.h"

static struct {
    char topic[64];
    struct slice key, value;
    struct record_header headers[64];
    size_t count;
} sent;

void publisher_send(struct publisher *p, const char *topic, struct slice key, const struct record_header *headers,
                    size_t header_count, struct slice value, publish_done *done, void *arg)
{
    (void)p;
    (void)done;
    (void)arg;
    snprintf(sent.topic, sizeof sent.topic, "%s", topic);
    sent.key = key;
    sent.value = value;
    sent.count = MIN(header_count, ARRAY_LEN(sent.headers));
    memcpy(sent.headers, headers, sent.count * sizeof *headers);
}

static char text[256];

/* What a header said, while the strings that it borrowed still stand: the static ones. */
static const char *value_of(const char *name)
{
    for (size_t i = 0; i < sent.count; i++) {
        if (strcmp(sent.headers[i].name, name) != 0)
            continue;
        snprintf(text, sizeof text, "%.*s", (int)sent.headers[i].value.len, sent.headers[i].value.ptr);
        return text;
    }
    return "(none)";
}

static char topic[] = "webhooks", standard[] = "webhooks.dlq", other[] = "poison";

static struct config config_of(char *dead_letter_topic)
{
    return (struct config){.kafka_topic = topic, .kafka_dead_letter_topic = dead_letter_topic};
}

static struct deadletter letter_of(const struct record_header *headers, size_t count)
{
    return (struct deadletter){.source_topic = topic,
                               .partition = -1,
                               .offset = -1,
                               .reason = "json",
                               .message = "not JSON",
                               .key = SLICE("RM_a"),
                               .value = SLICE("{"),
                               .headers = headers,
                               .header_count = count};
}

static void a_webhook_that_was_never_in_kafka(void)
{
    const struct record_header headers[] = {{"ce_id", SLICE("EV_1")}};
    const struct deadletter letter = letter_of(headers, 1);
    const struct config config = config_of(standard);
    deadletter_send(NULL, &config, &letter, NULL, NULL);
    CHECK_STR(sent.topic, "webhooks.dlq");
    CHECK(slice_equal(sent.key, SLICE("RM_a")));
    CHECK(slice_equal(sent.value, SLICE("{")));
    CHECK_STR(value_of("__dlq.errors.topic"), "webhooks");
    CHECK_STR(value_of("kafka_dlt-original-topic"), "webhooks");
    CHECK_STR(value_of("__dlq.errors.partition"), "(none)");
    CHECK_STR(value_of("__dlq.errors.group"), "(none)");
    CHECK_STR(value_of("__dlq.errors.message"), "not JSON");
    CHECK_STR(value_of("roomclaim-reason"), "json");
    CHECK_STR(value_of("roomclaim-redrives"), "0");
    CHECK_STR(value_of("ce_id"), "EV_1");
}

static bool has(const char *name)
{
    for (size_t i = 0; i < sent.count; i++)
        if (strcmp(sent.headers[i].name, name) == 0)
            return true;
    return false;
}

static void a_record(void)
{
    struct deadletter letter = letter_of(NULL, 0);
    const struct config config = config_of(other);
    letter.partition = 3;
    letter.offset = 70;
    letter.group = "roomclaim";
    letter.value_missing = true;
    deadletter_send(NULL, &config, &letter, NULL, NULL);
    CHECK_STR(sent.topic, "poison");
    CHECK(sent.value.ptr == NULL && sent.value.len == 0);
    CHECK_STR(value_of("__dlq.errors.group"), "roomclaim");
    CHECK(has("__dlq.errors.partition") && has("__dlq.errors.offset"));
}

/* A redriven record that fails again says why it failed now, and how often it has come back. */
static void a_second_time(void)
{
    const struct record_header headers[] = {{"roomclaim-reason", SLICE("old")},
                                            {"roomclaim-redrives", SLICE("2")},
                                            {"__dlq.errors.topic", SLICE("elsewhere")},
                                            {"own", SLICE("kept")}};
    const struct deadletter letter = letter_of(headers, ARRAY_LEN(headers));
    const struct config config = config_of(standard);
    deadletter_send(NULL, &config, &letter, NULL, NULL);
    CHECK_STR(value_of("roomclaim-reason"), "json");
    CHECK_STR(value_of("roomclaim-redrives"), "2");
    CHECK_STR(value_of("__dlq.errors.topic"), "webhooks");
    CHECK_STR(value_of("own"), "kept");
    unsigned reasons = 0;
    for (size_t i = 0; i < sent.count; i++)
        reasons += strcmp(sent.headers[i].name, "roomclaim-reason") == 0;
    CHECK_INT(reasons, 1);
}

static void too_many_headers_are_cut(void)
{
    struct record_header headers[100];
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        headers[i] = (struct record_header){.name = "x", .value = SLICE("y")};
    const struct deadletter letter = letter_of(headers, ARRAY_LEN(headers));
    const struct config config = config_of(standard);
    deadletter_send(NULL, &config, &letter, NULL, NULL);
    CHECK(sent.count >= RECORD_HEADERS_MAX && sent.count <= RECORD_HEADERS_MAX + 9);
    CHECK_STR(value_of("roomclaim-reason"), "json");
}

CHECK_MAIN({"a webhook that was never in Kafka", a_webhook_that_was_never_in_kafka}, {"a record", a_record},
           {"a second time", a_second_time}, {"too many headers are cut", too_many_headers_are_cut})
