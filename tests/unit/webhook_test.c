/* A webhook's life, with this file in the place of the publisher and the spooler: it keeps what it is
 * given and reports when told. */
#include "producer-shim/webhook.h"

#include "check.h"
#include "common/clock.h"
#include "common/log.h"
#include "producer-shim/metrics_table.h"
#include "producer-shim/spooler.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#define SECRET "secret-secret-secret-secret-secret-32"
#define ROOM "\"room\":{\"sid\":\"RM_a\",\"turnPassword\":\"canary\"}"
#define FINISHED "{\"event\":\"room_finished\"," ROOM ",\"id\":\"EV_1\"}"
#define STARTED "{\"event\":\"room_started\"," ROOM ",\"id\":\"EV_1\"}"

static struct {
    bool connected;
    unsigned count;
    char topic[64], key[128], value[512];
    bool value_missing;
    publish_done *done;
    void *arg;
} kafka;

bool publisher_connected(const struct publisher *p)
{
    (void)p;
    return kafka.connected;
}

void publisher_send(struct publisher *p, const char *topic, struct slice key, const struct record_header *headers,
                    size_t header_count, struct slice value, publish_done *done, void *arg)
{
    (void)p;
    (void)headers;
    (void)header_count;
    kafka.count++;
    snprintf(kafka.topic, sizeof kafka.topic, "%s", topic);
    snprintf(kafka.key, sizeof kafka.key, "%.*s", (int)key.len, key.ptr);
    snprintf(kafka.value, sizeof kafka.value, "%.*s", (int)value.len, value.ptr ? value.ptr : "");
    kafka.value_missing = value.ptr == NULL;
    kafka.done = done;
    kafka.arg = arg;
}

const char *publish_outcome_name(enum publish_outcome outcome)
{
    (void)outcome;
    return "";
}

static void report(enum publish_outcome outcome)
{
    kafka.done(kafka.arg, &(struct publish_report){.outcome = outcome, .reason = "as told"});
}

/* ---- the spooler ---- */

enum { PUTS_MAX = 8 };

static struct {
    bool stalled;
    const char *held; /* a key */
    unsigned count;
    char topic[64], key[128], value[512], keys[PUTS_MAX + 1], origin[16]; /* keys: the last letter of each */
    spooler_done *done[PUTS_MAX];
    void *arg[PUTS_MAX];
} spooler;

bool spooler_is_stalled(const struct spooler *s)
{
    (void)s;
    return spooler.stalled;
}

bool spooler_holds(const struct spooler *s, struct slice key)
{
    (void)s;
    return spooler.held && slice_equal(key, slice_of(spooler.held));
}

void spooler_put(struct spooler *s, const struct spool_record *record, spooler_done *done, void *arg)
{
    (void)s;
    CHECK(record->put_ms > 0);
    for (size_t i = 0; i < record->header_count; i++)
        if (strcmp(record->headers[i].name, "roomclaim-origin") == 0)
            snprintf(spooler.origin, sizeof spooler.origin, "%.*s", (int)record->headers[i].value.len,
                     record->headers[i].value.ptr);
    snprintf(spooler.topic, sizeof spooler.topic, "%s", record->topic);
    snprintf(spooler.key, sizeof spooler.key, "%.*s", (int)record->key.len, record->key.ptr);
    snprintf(spooler.value, sizeof spooler.value, "%.*s", (int)record->value.len,
             record->value.ptr ? record->value.ptr : "");
    spooler.keys[spooler.count] = record->key.ptr[record->key.len - 1];
    spooler.done[spooler.count] = done;
    spooler.arg[spooler.count++] = arg;
}

/* The disk's answer to the latest. */
static void spooled(enum spool_result result)
{
    spooler.done[spooler.count - 1](spooler.arg[spooler.count - 1], result);
}

static unsigned answered;

static void on_answered(struct webhook *w)
{
    (void)w;
    answered++;
}

static char topic[] = "t", dead_letters[] = "t.dlq";
static struct config config;
static struct desk desk;

static void given_a_desk(void)
{
    const struct token_key key = {"devkey", SECRET};
    memset(&kafka, 0, sizeof kafka);
    kafka.connected = true;
    answered = 0;
    config = (struct config){.kafka_topic = topic,
                             .kafka_dead_letter_topic = dead_letters,
                             .shim_answer_within_ms = 5000,
                             .shim_max_in_flight = 2,
                             .shim_cut_turn_password = true};
    desk_init(&desk, &config, NULL, NULL, token_checker_new(&key, 1, 60), on_answered);
}

/* Any pointer will do: this file is the spooler. */
static void given_a_spool(void)
{
    given_a_desk();
    memset(&spooler, 0, sizeof spooler);
    config.shim_spool_after_ms = 1000;
    config.shim_max_in_flight = 10;
    desk.spooler = (struct spooler *)(void *)&spooler;
}

static void put_base64url(char *text, const void *bytes, size_t len)
{
    char *at = text + strlen(text);
    EVP_EncodeBlock((unsigned char *)at, bytes, (int)len);
    for (char *c = at; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    at += strcspn(at, "=");
    memset(at, 0, strlen(at));
}

/* A token for the body, good from nbf on. */
static void sign(char *text, size_t size, struct slice body, int64_t nbf)
{
    unsigned char hash[32];
    char hash_text[64], claims[256];
    unsigned len = 0;
    EVP_Digest(body.ptr, body.len, hash, NULL, EVP_sha256(), NULL);
    EVP_EncodeBlock((unsigned char *)hash_text, hash, sizeof hash);
    snprintf(claims, sizeof claims, "{\"iss\":\"devkey\",\"nbf\":%lld,\"exp\":%lld,\"sha256\":\"%s\"}", (long long)nbf,
             (long long)nbf + 300, hash_text);
    memset(text, 0, size);
    put_base64url(text, "{\"alg\":\"HS256\"}", 15);
    text[strlen(text)] = '.';
    put_base64url(text, claims, strlen(claims));
    HMAC(EVP_sha256(), SECRET, sizeof SECRET - 1, (const unsigned char *)text, strlen(text), hash, &len);
    text[strlen(text)] = '.';
    put_base64url(text, hash, len);
}

static char token[2048];

static int64_t begun_ago_us;

/* Verified, and published where that comes next. */
static struct webhook *when_posted_at(struct slice body, int64_t nbf)
{
    struct webhook *w = webhook_new(&desk, clock_mono_us() - begun_ago_us);
    CHECK(webhook_reserve(w, body.len));
    webhook_append(w, body.ptr, body.len);
    sign(token, sizeof token, body, nbf);
    w->authorization = slice_of(token);
    webhook_verify(w);
    if (w->state == WEBHOOK_VERIFIED)
        webhook_publish(w);
    return w;
}

static struct webhook *when_posted(const char *body)
{
    return when_posted_at(slice_of(body), clock_wall_ms() / 1000);
}

static void then_answered(struct webhook *w, const char *word)
{
    CHECK_STR(webhook_state_name(w->state), "answered");
    CHECK_STR(answer_word(w->answer), word);
    CHECK_INT(desk.waiting, 0);
    webhook_drop(w);
    CHECK_INT(desk.body_bytes, 0);
}

static void acked(void)
{
    given_a_desk();
    struct webhook *w = when_posted(FINISHED);
    CHECK_STR(webhook_state_name(w->state), "publishing");
    CHECK_STR(kafka.topic, "t");
    CHECK_STR(kafka.key, "RM_a");
    CHECK_STR(kafka.value, "{\"event\":\"room_finished\",\"room\":{\"sid\":\"RM_a\"},\"id\":\"EV_1\"}");
    report(PUBLISH_ACKED);
    CHECK_INT(answered, 1);
    then_answered(w, "published");
    desk_fini(&desk);
}

static void the_cut_can_be_switched_off(void)
{
    given_a_desk();
    config.shim_cut_turn_password = false;
    struct webhook *w = when_posted(FINISHED);
    CHECK_STR(kafka.value, FINISHED);
    report(PUBLISH_ACKED);
    then_answered(w, "published");
    desk_fini(&desk);
}

static void not_acked(void)
{
    given_a_desk();
    struct webhook *w = when_posted(FINISHED);
    report(PUBLISH_UNKNOWN);
    CHECK(w->last);
    CHECK_INT(answer_retry_after(w->answer, w->last), 20);
    then_answered(w, "not_acked");
    desk_fini(&desk);
}

static void kafka_away(void)
{
    given_a_desk();
    kafka.connected = false;
    struct webhook *w = when_posted(STARTED);
    CHECK_INT(kafka.count, 0);
    CHECK_INT(answer_retry_after(w->answer, w->last), 5);
    then_answered(w, "kafka_away");
    desk_fini(&desk);
}

static void a_bad_token_is_told_while_kafka_is_away(void)
{
    given_a_desk();
    kafka.connected = false;
    then_answered(when_posted_at(SLICE(STARTED), 1000), "expired");
    CHECK_INT(kafka.count, 0);
    desk_fini(&desk);
}

static void a_clock_that_is_wrong(void)
{
    given_a_desk();
    struct webhook *w = when_posted_at(SLICE(FINISHED), clock_wall_ms() / 1000 + 200);
    CHECK_INT(answer_retry_after(w->answer, w->last), 20);
    then_answered(w, "not_yet");
    CHECK_INT(kafka.count, 0);
    desk_fini(&desk);
}

static void empty(void)
{
    given_a_desk();
    then_answered(when_posted(""), "empty");
    desk_fini(&desk);
}

static void too_many_wait(void)
{
    given_a_desk();
    struct webhook *first = when_posted(FINISHED), *second = NULL, *third = NULL;
    publish_done *const done = kafka.done;
    second = when_posted(FINISHED);
    third = when_posted(FINISHED);
    CHECK_STR(answer_word(third->answer), "busy");
    CHECK_INT(kafka.count, 2);
    done(first, &(struct publish_report){.outcome = PUBLISH_ACKED});
    done(second, &(struct publish_report){.outcome = PUBLISH_ACKED});
    webhook_drop(first);
    webhook_drop(third);
    then_answered(second, "published");
    desk_fini(&desk);
}

static void the_deadline_answers(void)
{
    given_a_desk();
    struct webhook *w = when_posted(FINISHED);
    const int64_t now_ms = clock_mono_ms();
    CHECK(desk_next_deadline_ms(&desk) > now_ms + 4000 && desk_next_deadline_ms(&desk) < now_ms + 5000);
    desk_expire(&desk, now_ms);
    CHECK_INT(answered, 0);
    desk_expire(&desk, now_ms + 5000);
    CHECK_INT(answered, 1);
    CHECK(desk_next_deadline_ms(&desk) == INT64_MAX);
    then_answered(w, "not_acked"); /* dropped: only the publisher holds it now */
    report(PUBLISH_ACKED);
    CHECK_INT(answered, 1);
    desk_fini(&desk);
}

static void a_late_report_before_the_drop(void)
{
    given_a_desk();
    struct webhook *w = when_posted(FINISHED);
    desk_give_up(&desk);
    report(PUBLISH_ACKED);
    CHECK_INT(answered, 1);
    then_answered(w, "not_acked");
    desk_fini(&desk);
}

static void unusable(void)
{
    static const struct {
        const char *label, *body, *value, *key;
        bool missing;
    } cases[] = {
        {"no sid", "{\"event\":\"room_finished\",\"id\":\"EV_1\"}", "{\"event\":\"room_finished\",\"id\":\"EV_1\"}",
         "EV_1", false},
        {"bad sid, with a secret", "{\"id\":\"EV_1\",\"room\":{\"sid\":\"a b\",\"turnPassword\":\"canary\"}}",
         "{\"id\":\"EV_1\",\"room\":{\"sid\":\"a b\"}}", "EV_1", false},
        {"not JSON", "{\"id\":\"EV_1\",", "{\"id\":\"EV_1\",", "EV_1", false},
        {"not JSON, may hold the secret", "{\"id\":\"EV_1\",\"room\":{\"turnPassword\":\"canary", "", "EV_1", true},
        {"the secret twice", "{\"id\":\"EV_1\",\"room\":{\"turnPassword\":\"canary\",\"turnPassword\":\"canary\"}}", "",
         "EV_1", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        given_a_desk();
        CHECK_LABEL(cases[i].label);
        struct webhook *w = when_posted(cases[i].body);
        CHECK_STR(webhook_state_name(w->state), "setting_aside");
        CHECK_STR(kafka.topic, "t.dlq");
        CHECK_STR(kafka.value, cases[i].value);
        CHECK_STR(kafka.key, cases[i].key);
        CHECK_INT(kafka.value_missing, cases[i].missing);
        report(PUBLISH_ACKED);
        then_answered(w, "dead_lettered");
        desk_fini(&desk);
    }
}

static void a_dead_letter_that_is_not_acked(void)
{
    given_a_desk();
    struct webhook *w = when_posted("nonsense");
    report(PUBLISH_UNKNOWN);
    then_answered(w, "not_acked");
    desk_fini(&desk);
}

/* Kafka refuses the record, then the dead letter with the body; without the body it takes it. */
static void refused_for_good(void)
{
    given_a_desk();
    struct webhook *w = when_posted(FINISHED);
    report(PUBLISH_REFUSED);
    CHECK_STR(kafka.topic, "t.dlq");
    CHECK(!kafka.value_missing && strstr(kafka.value, "canary") == NULL);
    report(PUBLISH_REFUSED);
    CHECK_STR(kafka.topic, "t.dlq");
    CHECK(kafka.value_missing);
    report(PUBLISH_ACKED);
    CHECK_INT(kafka.count, 3);
    CHECK_INT(answered, 1);
    then_answered(w, "dead_lettered");
    desk_fini(&desk);
}

static void refused_to_the_end(void)
{
    given_a_desk();
    struct webhook *w = when_posted(FINISHED);
    for (int i = 0; i < 3; i++)
        report(PUBLISH_REFUSED);
    CHECK_INT(kafka.count, 3);
    then_answered(w, "not_acked");
    desk_fini(&desk);
}

static void filtered(void)
{
    given_a_desk();
    char *events[] = {topic};
    config.shim_events = (struct config_list){.items = events, .count = 1};
    then_answered(when_posted(STARTED), "ignored");
    CHECK_INT(kafka.count, 0);
    desk_fini(&desk);
}

static void memory_is_bounded(void)
{
    given_a_desk();
    struct webhook *a = webhook_new(&desk, clock_mono_us()), *b = webhook_new(&desk, clock_mono_us());
    CHECK(webhook_reserve(a, DESK_BODY_BYTES_MAX - 10));
    CHECK(webhook_reserve(b, 10));
    CHECK(!webhook_reserve(b, 11));
    webhook_drop(a);
    CHECK(webhook_reserve(b, 11));
    webhook_drop(b);
    CHECK_INT(desk.body_bytes, 0);
    desk_fini(&desk);
}

static void deadlines_keep_their_order(void)
{
    given_a_desk();
    config.shim_max_in_flight = 10;
    struct webhook *w[3];
    void *args[3];
    for (int i = 0; i < 3; i++) {
        w[i] = webhook_new(&desk, clock_mono_us() - (i == 1 ? 2000000 : 0)); /* the second began earlier */
        CHECK(webhook_reserve(w[i], sizeof STARTED));
        webhook_append(w[i], STARTED, sizeof STARTED - 1);
        sign(token, sizeof token, SLICE(STARTED), clock_wall_ms() / 1000);
        w[i]->authorization = slice_of(token);
        webhook_verify(w[i]);
        webhook_publish(w[i]);
        args[i] = kafka.arg;
    }
    desk_expire(&desk, clock_mono_ms() + 3500);
    CHECK_INT(answered, 1);
    CHECK_STR(webhook_state_name(w[1]->state), "answered");
    CHECK_INT(desk.waiting, 2);
    desk_give_up(&desk);
    for (int i = 0; i < 3; i++) {
        kafka.done(args[i], &(struct publish_report){.outcome = PUBLISH_ACKED});
        webhook_drop(w[i]);
    }
    CHECK_INT(answered, 3);
    desk_fini(&desk);
}

/* ---- the spool ---- */

#define BODY_OF(room) "{\"event\":\"room_started\",\"room\":{\"sid\":\"RM_" room "\"},\"id\":\"EV_1\"}"

static void kafka_away_with_a_spool(void)
{
    for (int stalled = 0; stalled < 2; stalled++) {
        given_a_spool();
        kafka.connected = stalled;
        spooler.stalled = stalled;
        struct webhook *w = when_posted(FINISHED);
        CHECK_STR(webhook_state_name(w->state), "spooling");
        CHECK_INT(kafka.count, 0);
        CHECK_STR(spooler.topic, "t");
        CHECK_STR(spooler.key, "RM_a");
        CHECK_STR(spooler.origin, "spool");
        CHECK_STR(spooler.value, "{\"event\":\"room_finished\",\"room\":{\"sid\":\"RM_a\"},\"id\":\"EV_1\"}");
        CHECK_INT(answered, 0); /* not before it is synced */
        spooled(SPOOL_OK);
        CHECK_INT(answered, 1);
        CHECK_INT(answer_status(w->answer), 200);
        then_answered(w, "spooled");
        desk_fini(&desk);
    }
}

static void kafka_too_slow(void)
{
    given_a_spool();
    struct webhook *w = when_posted(FINISHED);
    CHECK_INT(spooler.count, 0);
    const int64_t due_ms = desk_next_deadline_ms(&desk);
    CHECK(due_ms > clock_mono_ms() && due_ms <= clock_mono_ms() + 1000);
    desk_expire(&desk, due_ms - 1);
    CHECK_INT(spooler.count, 0);
    desk_expire(&desk, due_ms);
    CHECK_INT(spooler.count, 1);
    CHECK_STR(webhook_state_name(w->state), "spooling");
    spooled(SPOOL_OK);
    webhook_drop(w);
    CHECK_INT(answered, 1);
    CHECK_STR(answer_word(w->answer), "spooled");
    report(PUBLISH_ACKED); /* late: frees it */
    CHECK_INT(answered, 1);
    desk_fini(&desk);
}

static void kafka_is_first_after_all(void)
{
    given_a_spool();
    struct webhook *w = when_posted(FINISHED);
    desk_expire(&desk, desk_next_deadline_ms(&desk));
    report(PUBLISH_ACKED);
    CHECK_INT(answered, 1);
    CHECK_STR(answer_word(w->answer), "published");
    webhook_drop(w);
    spooled(SPOOL_OK); /* frees it */
    CHECK_INT(answered, 1);
    desk_fini(&desk);
}

/* What the two say, in both orders, while both have it. */
static void both_are_asked(void)
{
    static const struct {
        const char *label, *answer;
        enum publish_outcome kafka;
        enum spool_result spool;
        bool spool_first;
    } cases[] = {
        {"unknown, synced", "spooled", PUBLISH_UNKNOWN, SPOOL_OK, false},
        {"refused, synced: the spool will bury it", "spooled", PUBLISH_REFUSED, SPOOL_OK, false},
        {"unknown, failed", "spool_failed", PUBLISH_UNKNOWN, SPOOL_FAILED, false},
        {"acked, failed", "published", PUBLISH_ACKED, SPOOL_FAILED, false},
        {"synced, unknown", "spooled", PUBLISH_UNKNOWN, SPOOL_OK, true},
        {"synced, refused", "spooled", PUBLISH_REFUSED, SPOOL_OK, true},
        {"failed, acked", "published", PUBLISH_ACKED, SPOOL_FAILED, true},
        {"failed, unknown", "not_acked", PUBLISH_UNKNOWN, SPOOL_FAILED, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].label);
        given_a_spool();
        struct webhook *w = when_posted(FINISHED);
        desk_expire(&desk, desk_next_deadline_ms(&desk));
        if (cases[i].spool_first)
            spooled(cases[i].spool);
        report(cases[i].kafka);
        if (!cases[i].spool_first)
            spooled(cases[i].spool);
        CHECK_INT(answered, 1);
        CHECK_INT(spooler.count, 1);
        then_answered(w, cases[i].answer);
        desk_fini(&desk);
    }
}

static void kafka_gives_it_back(void)
{
    given_a_spool();
    struct webhook *w = when_posted(FINISHED);
    report(PUBLISH_UNKNOWN);
    CHECK_INT(answered, 0);
    CHECK_INT(spooler.count, 1);
    spooled(SPOOL_OK);
    then_answered(w, "spooled");
    desk_fini(&desk);
}

static void the_spool_fails(void)
{
    given_a_spool();
    kafka.connected = false;
    struct webhook *w = when_posted(FINISHED);
    spooled(SPOOL_LIMIT);
    CHECK_INT(answer_status(w->answer), 503);
    CHECK_INT(answer_retry_after(w->answer, w->last), 20);
    CHECK_INT(kafka.count, 0);
    then_answered(w, "spool_failed");
    desk_fini(&desk);
}

static void the_spool_fails_while_kafka_has_it(void)
{
    given_a_spool();
    struct webhook *w = when_posted(FINISHED);
    const int64_t due_ms = desk_next_deadline_ms(&desk);
    desk_expire(&desk, due_ms);
    spooled(SPOOL_FAILED);
    CHECK_STR(webhook_state_name(w->state), "publishing");
    CHECK_INT(answered, 0);
    desk_expire(&desk, due_ms + 1000);
    CHECK_INT(spooler.count, 1); /* it is not asked twice */
    CHECK(desk_next_deadline_ms(&desk) > due_ms + 1000);
    desk_expire(&desk, desk_next_deadline_ms(&desk));
    CHECK_INT(answered, 1);
    report(PUBLISH_UNKNOWN);
    then_answered(w, "not_acked");
    desk_fini(&desk);
}

/* Whoever comes last of the three frees it: AddressSanitizer looks on. */
static void freed_in_every_order(void)
{
    static const char *const orders[] = {"dks", "dsk", "kds", "sdk", "ksd", "skd"};
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        CHECK_LABEL(orders[i]);
        given_a_spool();
        struct webhook *w = when_posted(FINISHED);
        desk_expire(&desk, desk_next_deadline_ms(&desk));
        desk_give_up(&desk);
        for (const char *who = orders[i]; *who; who++) {
            if (*who == 'd')
                webhook_drop(w);
            else if (*who == 'k')
                report(i % 2 ? PUBLISH_ACKED : PUBLISH_REFUSED);
            else
                spooled(i % 2 ? SPOOL_OK : SPOOL_FAILED);
        }
        CHECK_INT(answered, 1);
        CHECK_INT(desk.body_bytes, 0);
        desk_fini(&desk);
    }
}

static void a_dead_letter_goes_to_the_spool(void)
{
    given_a_spool();
    kafka.connected = false;
    struct webhook *w = when_posted("nonsense");
    CHECK_STR(spooler.topic, "t.dlq");
    CHECK_STR(spooler.value, "nonsense");
    spooled(SPOOL_OK);
    then_answered(w, "spooled");
    desk_fini(&desk);
}

static void behind_one_of_its_room(void)
{
    given_a_spool();
    spooler.held = "RM_a";
    struct webhook *a = when_posted(BODY_OF("a")), *b = when_posted(BODY_OF("b"));
    CHECK_STR(spooler.keys, "a");
    CHECK_INT(kafka.count, 1);
    CHECK_STR(kafka.key, "RM_b");
    spooled(SPOOL_OK);
    report(PUBLISH_ACKED);
    CHECK_STR(answer_word(a->answer), "spooled");
    webhook_drop(a);
    then_answered(b, "published");
    desk_fini(&desk);
}

enum happening { AWAY, HELD, UNKNOWN, EARLY };

/* Four webhooks are with Kafka when something happens, and a fifth comes. */
static void given_five(enum happening what, size_t unknown, struct webhook *w[5])
{
    static const char *const bodies[] = {BODY_OF("a"), BODY_OF("b"), BODY_OF("a"), BODY_OF("c"), BODY_OF("b")};
    void *args[5];
    given_a_spool();
    for (int i = 0; i < 4; i++) {
        w[i] = when_posted(bodies[i]);
        args[i] = kafka.arg;
    }
    publish_done *const done = kafka.done;
    kafka.connected = what != AWAY;
    spooler.held = what == HELD ? "RM_b" : NULL;
    if (what == UNKNOWN)
        done(args[unknown], &(struct publish_report){.outcome = PUBLISH_UNKNOWN, .reason = "as told"});
    begun_ago_us = what == EARLY ? 4000000 : 0;
    w[4] = when_posted(bodies[4]);
    begun_ago_us = 0;
    args[4] = kafka.arg;
    if (what == EARLY)
        desk_expire(&desk, desk_next_deadline_ms(&desk));
    CHECK_INT(answered, 0);
    for (int i = 0; i < 5; i++)
        if (w[i]->sent)
            done(args[i], &(struct publish_report){.outcome = PUBLISH_ACKED, .reason = "as told"});
}

static void none_overtakes_in_the_spool(void)
{
    static const struct {
        const char *label, *rooms;
        enum happening what;
        size_t unknown;
    } cases[] = {
        {"Kafka is away: all that it has go first", "abacb", AWAY, 0},
        {"one of the room is in the spool: its room goes first", "bb", HELD, 0},
        {"the fourth did not arrive", "c", UNKNOWN, 3},
        {"the third did not arrive: the first of its room goes first", "aa", UNKNOWN, 2},
        {"the last must be answered first", "abacb", EARLY, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].label);
        struct webhook *w[5];
        given_five(cases[i].what, cases[i].unknown, w);
        CHECK_STR(spooler.keys, cases[i].rooms);
        for (unsigned k = 0; k < spooler.count; k++)
            spooler.done[k](spooler.arg[k], SPOOL_OK);
        CHECK_INT(answered, 5);
        CHECK_INT(desk.waiting, 0);
        for (int k = 0; k < 5; k++)
            webhook_drop(w[k]);
        desk_fini(&desk);
    }
}

static int run(void)
{
    static const struct check_test tests[] = {
        {"acknowledged", acked},
        {"the cut can be switched off", the_cut_can_be_switched_off},
        {"not acknowledged", not_acked},
        {"Kafka is away", kafka_away},
        {"a bad token is told while Kafka is away", a_bad_token_is_told_while_kafka_is_away},
        {"a clock that is wrong", a_clock_that_is_wrong},
        {"empty", empty},
        {"too many wait", too_many_wait},
        {"the deadline answers", the_deadline_answers},
        {"a late report before the drop", a_late_report_before_the_drop},
        {"unusable", unusable},
        {"a dead letter that is not acknowledged", a_dead_letter_that_is_not_acked},
        {"refused for good", refused_for_good},
        {"refused to the end", refused_to_the_end},
        {"filtered", filtered},
        {"memory is bounded", memory_is_bounded},
        {"deadlines keep their order", deadlines_keep_their_order},
        {"Kafka is away, with a spool", kafka_away_with_a_spool},
        {"Kafka is too slow", kafka_too_slow},
        {"Kafka is first after all", kafka_is_first_after_all},
        {"both are asked", both_are_asked},
        {"Kafka gives it back", kafka_gives_it_back},
        {"the spool fails", the_spool_fails},
        {"the spool fails while Kafka has it", the_spool_fails_while_kafka_has_it},
        {"freed in every order", freed_in_every_order},
        {"a dead letter goes to the spool", a_dead_letter_goes_to_the_spool},
        {"behind one of its room", behind_one_of_its_room},
        {"none overtakes in the spool", none_overtakes_in_the_spool},
    };
    return check_run(tests, ARRAY_LEN(tests));
}

int main(void)
{
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
    shim_metrics_init();
    const int code = run();
    metrics_fini();
    return code;
}
