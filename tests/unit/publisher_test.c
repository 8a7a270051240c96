/* The publisher on librdkafka's mock cluster, inside this process: each record reports once, whatever happens. */
#include "common/publisher.h"

#include "check.h"
#include "common/clock.h"
#include "common/log.h"

#include <poll.h>
#include <stdlib.h>

static char mock[] = "test.mock.num.brokers", one[] = "1", nowhere[] = "127.0.0.1:1";
static struct config_pair property = {.name = mock, .value = one};

static struct config given_config(bool broker)
{
    struct config config = {.shim_body_limit_bytes = 1000000, .shim_max_in_flight = 100};
    config.kafka_bootstrap_servers = nowhere;
    if (broker)
        config.kafka_properties = (struct config_pairs){.items = &property, .count = 1};
    return config;
}

struct tally {
    unsigned by_outcome[PUBLISH_OUTCOME_COUNT], all;
    int64_t offset;
};

static void on_done(void *arg, const struct publish_report *report)
{
    struct tally *tally = arg;
    tally->by_outcome[report->outcome]++;
    tally->all++;
    tally->offset = report->offset;
}

static void send_one(struct publisher *p, size_t size, struct tally *tally)
{
    const struct record_header headers[] = {{"name", SLICE("value")}, {"empty", {0}}};
    char *value = calloc(1, size);
    publisher_send(p, "topic", SLICE("key"), headers, ARRAY_LEN(headers), (struct slice){.ptr = value, .len = size},
                   on_done, tally);
    free(value);
}

/* Polls until so many have reported, at most ten seconds. */
static void until_reported(struct publisher *p, const struct tally *tally, unsigned count)
{
    const int64_t until_ms = clock_mono_ms() + 10000;
    while (tally->all < count && clock_mono_ms() < until_ms)
        publisher_poll(p, 50);
    CHECK_INT(tally->all, count);
}

static void until_connected(struct publisher *p)
{
    const int64_t until_ms = clock_mono_ms() + 10000;
    while (!publisher_connected(p) && clock_mono_ms() < until_ms)
        publisher_poll(p, 50);
    CHECK(publisher_connected(p));
}

static void acknowledged(void)
{
    const struct config config = given_config(true);
    struct publisher *p = publisher_new(&config, NULL);
    struct tally tally = {.all = 0};
    CHECK(!publisher_connected(p));
    for (int i = 0; i < 50; i++)
        send_one(p, 100, &tally);
    CHECK_INT(tally.all, 0); /* only out of publisher_poll */
    CHECK_INT(publisher_outstanding(p), 50);
    until_reported(p, &tally, 50);
    CHECK_INT(tally.by_outcome[PUBLISH_ACKED], 50);
    CHECK(tally.offset >= 0 && publisher_connected(p));
    CHECK_INT(publisher_outstanding(p), 0);
    publisher_free(p, 1000);
    CHECK_INT(tally.all, 50);
}

static void statistics_tell_of_a_broker(void)
{
    const struct config config = given_config(true);
    struct publisher *p = publisher_new(&config, NULL);
    struct error err;
    CHECK(publisher_warm_up(p, "topic", 5000, &err));
    CHECK(publisher_connected(p));
    until_connected(p);
    publisher_free(p, 0);
}

static void too_large(void)
{
    const struct config config = given_config(true);
    struct publisher *p = publisher_new(&config, NULL);
    struct tally tally = {.all = 0};
    send_one(p, 2000000, &tally);
    CHECK_INT(tally.all, 0);
    until_reported(p, &tally, 1);
    CHECK_INT(tally.by_outcome[PUBLISH_REFUSED], 1);
    publisher_free(p, 0);
}

static void no_broker(void)
{
    const struct config config = given_config(false);
    struct publisher *p = publisher_new(&config, NULL);
    struct tally tally = {.all = 0};
    struct error err = {.class = ERROR_NONE};
    CHECK(!publisher_warm_up(p, "topic", 200, &err));
    CHECK_INT(err.class, ERROR_RETRY);
    for (int i = 0; i < 103; i++)
        send_one(p, 10, &tally);
    const int64_t start_ms = clock_mono_ms();
    until_reported(p, &tally, 3); /* what did not fit the queue */
    CHECK(clock_mono_ms() - start_ms < 1000);
    CHECK_INT(tally.by_outcome[PUBLISH_UNKNOWN], 3);
    CHECK(!publisher_connected(p));
    publisher_free(p, 100);
    CHECK_INT(tally.by_outcome[PUBLISH_UNKNOWN], 103);
}

/* The descriptor is readable once something is to be polled, also when it could not even be queued. */
static void the_descriptor_rings(void)
{
    const struct config config = given_config(true);
    struct publisher *p = publisher_new(&config, NULL);
    struct tally tally = {.all = 0};
    struct pollfd wait = {.fd = publisher_fd(p), .events = POLLIN};
    CHECK_INT(poll(&wait, 1, 1000), 1);
    publisher_poll(p, 0);
    send_one(p, 2000000, &tally);
    CHECK_INT(poll(&wait, 1, 1000), 1);
    publisher_poll(p, 0);
    CHECK_INT(tally.by_outcome[PUBLISH_REFUSED], 1);
    send_one(p, 10, &tally);
    for (int turn = 0; turn < 100 && tally.all < 2; turn++) {
        CHECK_INT(poll(&wait, 1, 5000), 1); /* never left in the queue without a ring */
        publisher_poll(p, 0);
    }
    CHECK_INT(tally.by_outcome[PUBLISH_ACKED], 1);
    publisher_free(p, 0);
}

/* shows F4A */
static void a_broken_producer_is_replaced(void)
{
    const struct config config = given_config(true);
    struct publisher *p = publisher_new(&config, NULL);
    struct tally before = {.all = 0}, after = {.all = 0};
    send_one(p, 10, &before);
    until_reported(p, &before, 1);
    publisher_break(p);
    send_one(p, 10, &after);
    until_reported(p, &after, 1);
    CHECK_INT(after.by_outcome[PUBLISH_UNKNOWN], 1);
    const int64_t until_ms = clock_mono_ms() + 10000;
    while (publisher_restarts(p) == 0 && clock_mono_ms() < until_ms)
        publisher_poll(p, 50);
    CHECK_INT(publisher_restarts(p), 1);
    send_one(p, 10, &after);
    until_reported(p, &after, 2);
    CHECK_INT(after.by_outcome[PUBLISH_ACKED], 1);
    until_connected(p);
    publisher_free(p, 100);
}

static void a_bad_property_is_named(void)
{
    static char name[] = "no.such.property";
    struct config_pair wrong = {.name = name, .value = one};
    struct config config = given_config(false);
    struct error err;
    config.kafka_properties = (struct config_pairs){.items = &wrong, .count = 1};
    CHECK(publisher_new(&config, &err) == NULL);
    CHECK_INT(err.class, ERROR_OPERATOR);
    CHECK(strstr(err.text, "no.such.property") != NULL);
}

static int run(void)
{
    static const struct check_test tests[] = {
        {"acknowledged", acknowledged},
        {"statistics tell of a broker", statistics_tell_of_a_broker},
        {"too large", too_large},
        {"no broker", no_broker},
        {"the descriptor rings", the_descriptor_rings},
        {"a broken producer is replaced", a_broken_producer_is_replaced},
        {"a bad property is named", a_bad_property_is_named},
    };
    return check_run(tests, ARRAY_LEN(tests));
}

int main(void)
{
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
    return run();
}
