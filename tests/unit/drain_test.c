/* Emptying a spool, with this file in the place of the publisher: it keeps what is sent and reports when told. */
#include "common/drain.h"

#include "check.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SENT_MAX = DRAIN_BATCH_RECORDS + 200, NOW_MS = 1000000 };

static struct {
    size_t count;
    char value[SENT_MAX][8];
    publish_done *done[SENT_MAX];
    void *arg[SENT_MAX];
} kafka;

void publisher_send(struct publisher *p, const char *topic, struct slice key, const struct record_header *headers,
                    size_t header_count, struct slice value, publish_done *done, void *arg)
{
    (void)p;
    CHECK_STR(topic, "t");
    CHECK(key.len > 0 && header_count == 1 && strcmp(headers[0].name, "h") == 0);
    snprintf(kafka.value[kafka.count], sizeof kafka.value[0], "%.*s", (int)value.len, value.ptr);
    kafka.done[kafka.count] = done;
    kafka.arg[kafka.count++] = arg;
}

static struct spool *spool;
static struct drain *drain;
static unsigned reported;
static char folder[] = "/tmp/drain_test.XXXXXX", path[64], gone[2 * SENT_MAX + 1];

static void on_reported(void *arg)
{
    (void)arg;
    reported++;
}

static void on_gone(void *arg, struct slice key)
{
    (void)arg;
    strncat(gone, key.ptr, key.len);
}

static void put(const char *key, const char *value, int64_t put_ms)
{
    const struct record_header header = {"h", SLICE("1")};
    const struct spool_record record = {.put_ms = put_ms,
                                        .topic = "t",
                                        .key = slice_of(key),
                                        .headers = &header,
                                        .header_count = 1,
                                        .value = slice_of(value)};
    CHECK_INT(spool_put(spool, &record, NULL), SPOOL_OK);
}

/* A spool with these records: each letter is a key, and with its place the value: "aab" has a1, a2, b3. */
static void given_records(const char *keys, int64_t max_age_ms)
{
    const struct drain_hooks hooks = {.reported = on_reported, .gone = on_gone};
    struct spool_opening opening;
    struct error err;
    unlink(path);
    spool = spool_open(path, &(struct spool_options){.allow_memory = true}, &opening, &err);
    CHECK(spool != NULL);
    CHECK_INT(spool_begin(spool), SPOOL_OK);
    for (size_t i = 0; keys[i]; i++) {
        const char key[] = {keys[i], '\0'};
        char value[32];
        snprintf(value, sizeof value, "%c%zu", keys[i], i + 1);
        put(key, value, NOW_MS - (keys[i] == 'o' ? 100 : 10)); /* o is old */
    }
    CHECK_INT(spool_commit(spool), SPOOL_OK);
    drain = drain_new(NULL, &hooks, max_age_ms);
}

static void done(void)
{
    drain_free(drain);
    spool_close(spool);
}

/* Sends the next batch: its values, each with a space. */
static const char *started_and(bool *ret_pass_over)
{
    static char text[SENT_MAX * 8];
    memset(&kafka, 0, sizeof kafka);
    reported = 0;
    text[0] = gone[0] = '\0';
    CHECK_INT(drain_start(drain, spool, NOW_MS, ret_pass_over), SPOOL_OK);
    CHECK(!*ret_pass_over || !drain_under_way(drain));
    for (size_t i = 0; i < kafka.count; i++) {
        strncat(text, kafka.value[i], 7);
        strncat(text, " ", 2);
    }
    return text;
}

static const char *started(void)
{
    bool over = false;
    const char *sent = started_and(&over);
    CHECK_INT(over, !drain_under_way(drain)); /* so few are read at once */
    return sent;
}

/* One letter for each that was sent: a acked, r refused, u unknown. */
static void report(const char *outcomes)
{
    for (size_t i = 0; outcomes[i]; i++) {
        const enum publish_outcome outcome = outcomes[i] == 'a'   ? PUBLISH_ACKED
                                             : outcomes[i] == 'r' ? PUBLISH_REFUSED
                                                                  : PUBLISH_UNKNOWN;
        CHECK_INT(reported, 0);
        CHECK(!drain_is_reported(drain));
        kafka.done[i](kafka.arg[i], &(struct publish_report){.outcome = outcome});
    }
    CHECK_INT(reported, 1);
    CHECK(drain_is_reported(drain));
}

static struct drain_tally settle(void)
{
    struct drain_tally tally;
    CHECK_INT(spool_begin(spool), SPOOL_OK);
    CHECK_INT(drain_settle(drain, spool, NOW_MS, &tally), SPOOL_OK);
    CHECK_INT(spool_commit(spool), SPOOL_OK);
    drain_finish(drain);
    CHECK(!drain_under_way(drain) && !drain_is_reported(drain));
    return tally;
}

static bool add_value(void *arg, const struct spool_record *record)
{
    strncat(arg, record->value.ptr, record->value.len);
    strncat(arg, " ", 2);
    return true;
}

static void expect_left(const char *values)
{
    char text[256] = "";
    CHECK_INT(spool_read(spool, 0, add_value, text), SPOOL_OK);
    CHECK_STR(text, values);
}

static void by_outcome(void)
{
    static const struct {
        const char *label, *keys, *outcomes, *gone, *left, *again;
        int64_t sent, buried, kept;
    } cases[] = {
        {"all acked", "abc", "aaa", "abc", "", "", 3, 0, 0},
        {"refused are buried", "abc", "ara", "abc", "", "", 2, 1, 0},
        {"unknown stay", "abc", "aua", "ac", "b2 ", "b2 ", 2, 0, 1},
        {"a later one of the key is not sent", "aba", "ua", "b", "a1 a3 ", "a1 ", 1, 0, 2},
        {"an earlier one goes", "aaa", "au", "a", "a2 a3 ", "a2 ", 1, 0, 2},
        {"one behind a refused one is sent", "aaa", "ru", "a", "a2 a3 ", "a2 ", 0, 1, 2},
        {"behind a refused one nobody waits", "aa", "ra", "aa", "", "", 1, 1, 0},
        {"nobody answers", "ab", "uu", "", "a1 b2 ", "a1 b2 ", 0, 0, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].label);
        given_records(cases[i].keys, 0);
        started();
        report(cases[i].outcomes);
        CHECK_INT(kafka.count, strlen(cases[i].outcomes));
        const struct drain_tally tally = settle();
        CHECK_INT(tally.sent, cases[i].sent);
        CHECK_INT(tally.buried, cases[i].buried);
        CHECK_INT(tally.kept, cases[i].kept);
        CHECK_STR(gone, cases[i].gone);
        CHECK_INT(spool_stock(spool)->dead, cases[i].buried);
        expect_left(cases[i].left);
        CHECK_STR(started(), ""); /* the pass is over */
        CHECK_STR(started(), cases[i].again);
        done();
    }
}

/* What librdkafka has been given together it may deliver in part: the second, and the first never. */
static void a_key_is_sent_one_by_one(void)
{
    given_records("aaba", 0);
    CHECK_STR(started(), "a1 b3 ");
    const struct publish_report acked = {.outcome = PUBLISH_ACKED};
    kafka.done[1](kafka.arg[1], &acked);
    CHECK_INT(kafka.count, 2);
    kafka.done[0](kafka.arg[0], &acked);
    CHECK_STR(kafka.value[2], "a2");
    CHECK_INT(kafka.count, 3);
    kafka.done[2](kafka.arg[2], &acked);
    CHECK_STR(kafka.value[3], "a4");
    CHECK(!drain_is_reported(drain));
    kafka.done[3](kafka.arg[3], &acked);
    CHECK(drain_is_reported(drain));
    CHECK_INT(settle().sent, 4);
    expect_left("");
    done();
}

/* At the end of the program nobody hears of what would be sent now. */
static void what_waits_at_the_end_stays(void)
{
    given_records("aab", 0);
    started();
    drain_end(drain);
    report("aa");
    const struct drain_tally tally = settle();
    CHECK_INT(tally.sent, 2);
    CHECK_INT(tally.kept, 1);
    expect_left("a2 ");
    done();
}

/* What comes while a batch is under way is the next batch; but not of a key that waits. */
static void a_key_waits_for_the_next_pass(void)
{
    given_records("ab", 0);
    CHECK_STR(started(), "a1 b2 ");
    CHECK_INT(spool_begin(spool), SPOOL_OK);
    put("a", "a3", NOW_MS);
    put("c", "c4", NOW_MS);
    CHECK_INT(spool_commit(spool), SPOOL_OK);
    report("ua");
    settle();
    CHECK_STR(started(), "c4 ");
    report("a");
    settle();
    CHECK_STR(started(), "");
    CHECK_STR(started(), "a1 ");
    report("aa");
    CHECK_INT(settle().kept, 0);
    expect_left("");
    done();
}

static void a_failed_transaction_is_settled_again(void)
{
    struct drain_tally tally;
    given_records("aba", 0);
    started();
    report("ua");
    for (int i = 0; i < 2; i++) {
        CHECK_INT(spool_begin(spool), SPOOL_OK);
        CHECK_INT(drain_settle(drain, spool, NOW_MS, &tally), SPOOL_OK);
        spool_rollback(spool);
        CHECK(drain_is_reported(drain));
    }
    CHECK_INT(settle().kept, 2);
    expect_left("a1 a3 ");
    done();
}

static void too_old(void)
{
    given_records("oao", 50);
    CHECK_STR(started(), "a2 ");
    report("a");
    CHECK_INT(settle().buried, 2);
    CHECK_INT(spool_stock(spool)->dead, 2);
    expect_left("");
    done();
    given_records("oo", 50); /* nothing is sent: the batch is reported at once */
    CHECK_STR(started(), "");
    CHECK(drain_is_reported(drain));
    CHECK_INT(settle().buried, 2);
    done();
}

static void damaged(void)
{
    given_records("abc", 0);
    spool_close(spool);
    FILE *file = fopen(path, "r+b");
    char bytes[16384];
    const size_t len = fread(bytes, 1, sizeof bytes, file);
    for (size_t i = 0; i + 1 < len; i++) {
        if (bytes[i] == 'b' && bytes[i + 1] == '2') {
            (void)fseek(file, (long)i, SEEK_SET);
            (void)fputc('B', file);
        }
    }
    (void)fclose(file);
    struct spool_opening opening;
    struct error err;
    spool = spool_open(path, &(struct spool_options){.allow_memory = true}, &opening, &err);
    CHECK(spool != NULL && opening.set_aside[0] == '\0');
    CHECK_STR(started(), "a1 c3 ");
    report("aa");
    CHECK_INT(settle().buried, 1);
    expect_left("");
    done();
}

static void a_batch_has_an_end(void)
{
    static char keys[DRAIN_BATCH_RECORDS + 101];
    memset(keys, 'a', sizeof keys - 1);
    given_records(keys, 0);
    started();
    static char outcomes[DRAIN_BATCH_RECORDS + 1];
    memset(outcomes, 'a', sizeof outcomes - 1);
    report(outcomes);
    CHECK_INT(kafka.count, DRAIN_BATCH_RECORDS);
    CHECK_INT(settle().sent, DRAIN_BATCH_RECORDS);
    started();
    outcomes[100] = '\0';
    report(outcomes);
    CHECK_INT(kafka.count, 100);
    settle();
    CHECK_INT(spool_stock(spool)->records, 0);
    done();
}

/* Webhooks wait for the same thread: it does not go through a whole spool of keys that wait. */
static void a_read_has_an_end(void)
{
    enum { WAITING = 10000 };
    static char keys[WAITING + 2];
    bool over = true;
    memset(keys, 'a', WAITING);
    keys[WAITING] = 'b';
    given_records(keys, 0);
    CHECK_STR(started(), "a1 ");
    report("u");
    CHECK_INT(settle().kept, DRAIN_BATCH_RECORDS);
    CHECK_STR(started_and(&over), "");
    CHECK(!over && !drain_under_way(drain));
    CHECK_STR(started_and(&over), "b10001 ");
    CHECK(!over);
    report("a");
    CHECK_INT(settle().sent, 1);
    CHECK_STR(started(), "");
    CHECK_STR(started(), "a1 ");
    done();
}

static void freed_under_way(void)
{
    given_records("ab", 0);
    started();
    CHECK(drain_under_way(drain));
    done();
}

static int run(void)
{
    static const struct check_test tests[] = {
        {"by outcome", by_outcome},
        {"a key is sent one by one", a_key_is_sent_one_by_one},
        {"what waits at the end stays", what_waits_at_the_end_stays},
        {"a key waits for the next pass", a_key_waits_for_the_next_pass},
        {"a failed transaction is settled again", a_failed_transaction_is_settled_again},
        {"too old", too_old},
        {"damaged", damaged},
        {"a batch has an end", a_batch_has_an_end},
        {"a read has an end", a_read_has_an_end},
        {"freed under way", freed_under_way},
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
    unlink(path);
    rmdir(folder);
    return code;
}
