/* The spool's thread with a real file, and the publisher on librdkafka's mock cluster inside this process. */
#include "producer-shim/spooler.h"

#include "check.h"
#include "common/clock.h"
#include "common/log.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WITHIN_MS = 20000 };

static char mock[] = "test.mock.num.brokers", one[] = "1", nowhere[] = "127.0.0.1:1";
static struct config_pair property = {.name = mock, .value = one};
static char folder[] = "/tmp/spooler_test.XXXXXX", path[64];
static struct config config;
static struct publisher *publisher;
static struct spooler *spooler;
static unsigned ok, failed;

static void on_done(void *arg, enum spool_result result)
{
    (void)arg;
    *(result == SPOOL_OK ? &ok : &failed) += 1;
}

static void given_a_spooler(bool broker)
{
    struct error err = {.text = ""};
    config = (struct config){.kafka_bootstrap_servers = nowhere,
                             .shim_body_limit_bytes = 1000000,
                             .shim_max_in_flight = 100,
                             .shim_spool_path = path,
                             .shim_spool_in_memory = true};
    if (broker)
        config.kafka_properties = (struct config_pairs){.items = &property, .count = 1};
    ok = failed = 0;
    publisher = publisher_new(&config, &err);
    spooler = spooler_new(&config, publisher, &err);
    CHECK_STR(err.text, "");
    if (broker)
        CHECK(publisher_warm_up(publisher, "t", 5000, &err));
}

static void stop_and_free(int64_t grace_ms)
{
    spooler_stop(spooler);
    publisher_free(publisher, grace_ms);
    spooler_free(spooler);
}

static void given_no_file(void)
{
    char full[600];
    DIR *dir = opendir(folder);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        snprintf(full, sizeof full, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(full);
    }
    closedir(dir);
}

static void put_of(size_t size, unsigned room)
{
    char key[16], *value = calloc(1, size);
    snprintf(key, sizeof key, "RM_%u", room);
    const struct spool_record record = {
        .put_ms = 1000, .topic = "t", .key = slice_of(key), .value = {.ptr = value, .len = size}};
    spooler_put(spooler, &record, on_done, NULL);
    free(value);
}

static void put_many(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        put_of(100, i % 50);
}

/* One turn of a loop as the shim's. */
static void turn(int wait_ms)
{
    struct pollfd waits[] = {{.fd = spooler_fd(spooler), .events = POLLIN},
                             {.fd = publisher_fd(publisher), .events = POLLIN}};
    poll(waits, ARRAY_LEN(waits), wait_ms);
    publisher_poll(publisher, 0);
    spooler_poll(spooler);
}

static struct spooler_state state(void)
{
    struct spooler_state s;
    spooler_state(spooler, &s);
    return s;
}

static void until_answered(unsigned count)
{
    const int64_t until_ms = clock_mono_ms() + WITHIN_MS;
    while (ok + failed < count && clock_mono_ms() < until_ms)
        turn(50);
    CHECK_INT(ok + failed, count);
}

static void until_empty(void)
{
    const int64_t until_ms = clock_mono_ms() + WITHIN_MS;
    while ((state().records > 0 || spooler_is_stalled(spooler)) && clock_mono_ms() < until_ms)
        turn(50);
    CHECK_INT(state().records, 0);
    CHECK_INT(publisher_outstanding(publisher), 0);
}

static void kept_until_kafka_is_there(void)
{
    given_no_file();
    given_a_spooler(false);
    put_many(500);
    CHECK_INT(ok, 0); /* only out of spooler_poll */
    until_answered(500);
    CHECK_INT(ok, 500);
    CHECK_INT(state().records, 500);
    stop_and_free(0);

    given_a_spooler(true);
    CHECK_INT(state().records, 500);
    CHECK(spooler_holds(spooler, SLICE("RM_7")) && !spooler_holds(spooler, SLICE("RM_none")));
    until_empty();
    CHECK_INT(state().drained, 500);
    CHECK(!spooler_holds(spooler, SLICE("RM_7")));
    stop_and_free(0);
}

/* A batch is more than shim.max_in_flight: it must fit into the producer's queue all the same. */
static void a_batch_goes_at_once(void)
{
    given_no_file();
    given_a_spooler(false);
    put_many(900);
    until_answered(900);
    stop_and_free(0);
    given_a_spooler(true);
    const int64_t until_ms = clock_mono_ms() + WITHIN_MS;
    while (state().records > 0 && !spooler_is_stalled(spooler) && clock_mono_ms() < until_ms)
        turn(50);
    CHECK(!spooler_is_stalled(spooler));
    CHECK_INT(state().records, 0);
    stop_and_free(0);
}

/* From the put to the sync and beyond, with the thread at work. */
static void a_key_is_held_all_the_time(void)
{
    given_no_file();
    given_a_spooler(false);
    for (unsigned i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof key, "RM_%u", i);
        put_of(10, i);
        while (ok + failed <= i) {
            if (!spooler_holds(spooler, slice_of(key))) {
                CHECK_FAIL("%s is not held", key);
                break;
            }
            spooler_poll(spooler);
        }
    }
    stop_and_free(0);
}

/* shows F4A */
static void the_producer_breaks_under_a_batch(void)
{
    given_no_file();
    given_a_spooler(false);
    put_many(2500);
    until_answered(2500);
    stop_and_free(0);
    given_a_spooler(true);
    const int64_t until_ms = clock_mono_ms() + WITHIN_MS;
    while (publisher_outstanding(publisher) == 0 && clock_mono_ms() < until_ms)
        turn(1);
    publisher_break(publisher);
    until_empty();
    CHECK_INT(publisher_restarts(publisher), 1);
    CHECK_INT(state().drained, 2500);
    CHECK_INT(state().buried, 0);
    stop_and_free(0);
}

/* Whatever is going on, each put is answered once, and what was promised is still there or was sent. */
static void stopped_at_any_time(void)
{
    for (unsigned round = 0; round < 24; round++) {
        char label[32];
        snprintf(label, sizeof label, "round %u", round);
        CHECK_LABEL(label);
        given_no_file();
        given_a_spooler(round % 2);
        const unsigned count = 20 * (round % 5) + round;
        put_many(count);
        for (unsigned turns = 0; turns < round / 4; turns++)
            turn(1);
        put_many(count);
        if (round % 3 == 0)
            publisher_break(publisher);
        const bool away = round % 2 == 0;
        stop_and_free(round % 4 ? 1000 : 0);
        CHECK_INT(ok, 2 * count);
        given_a_spooler(false);
        const int64_t all = (int64_t)count * 2;
        CHECK(away ? state().records == all : state().records <= all);
        stop_and_free(0);
    }
}

static void memory_is_bounded(void)
{
    given_no_file();
    given_a_spooler(false);
    for (unsigned i = 0; i < 64; i++)
        put_of(1 << 20, i); /* nobody takes the answers */
    until_answered(64);
    CHECK(failed >= 14 && ok >= 40);
    CHECK_INT(state().records, ok);
    stop_and_free(0);
}

static int run(void)
{
    static const struct check_test tests[] = {
        {"kept until Kafka is there", kept_until_kafka_is_there},
        {"a batch goes at once", a_batch_goes_at_once},
        {"a key is held all the time", a_key_is_held_all_the_time},
        {"the producer breaks under a batch", the_producer_breaks_under_a_batch},
        {"stopped at any time", stopped_at_any_time},
        {"memory is bounded", memory_is_bounded},
    };
    return check_run(tests, ARRAY_LEN(tests));
}

int main(void)
{
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/spool.db", folder);
    const int code = run();
    given_no_file();
    rmdir(folder);
    return code;
}
