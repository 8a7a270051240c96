/* The breaker: stories as tables of steps, and random callers against what must hold at every moment. */
#include "consumer/breaker.h"

#include "check.h"

enum { LIMIT = 3, INITIAL = 30000, MAXIMUM = 100000 };

enum verb { GOOD, FAIL, FAIL_PROBE, FAULT, FAULT_PROBE, TAKE, UNTAKE, LOOK };

struct step {
    int64_t now_ms;
    enum verb verb;
    int64_t ask_ms;
    bool want_answer; /* of the call; LOOK: of breaker_allows */
    enum breaker_state want;
};

static bool play_step(struct breaker *b, const struct step *s)
{
    switch (s->verb) {
    case GOOD:
        return breaker_good(b, s->now_ms);
    case FAIL:
    case FAIL_PROBE:
        return breaker_failed(b, s->now_ms, s->verb == FAIL_PROBE, s->ask_ms);
    case FAULT:
    case FAULT_PROBE:
        return breaker_operator_fault(b, s->now_ms, s->verb == FAULT_PROBE);
    case TAKE:
        return breaker_take(b, s->now_ms);
    case UNTAKE:
        breaker_untake(b, s->now_ms);
        return false;
    case LOOK:
        return breaker_allows(b, s->now_ms);
    }
    return false;
}

static void play(const char *label, const struct step *steps, size_t count)
{
    struct breaker b;
    breaker_init(&b, LIMIT, INITIAL, MAXIMUM);
    for (size_t i = 0; i < count; i++) {
        char step_label[100];
        (void)snprintf(step_label, sizeof step_label, "%s, step %zu", label, i + 1);
        CHECK_LABEL(step_label);
        CHECK_INT(play_step(&b, &steps[i]), steps[i].want_answer);
        CHECK_STR(breaker_state_name(b.state), breaker_state_name(steps[i].want));
    }
    CHECK_LABEL("");
}
#define PLAY(label, ...) \
    play(label, (const struct step[]){__VA_ARGS__}, sizeof(const struct step[]){__VA_ARGS__} / sizeof(struct step))

static void opens_after_failures_in_a_row(void)
{
    PLAY("three", {0, LOOK, 0, true, BREAKER_CLOSED}, {0, TAKE, 0, false, BREAKER_CLOSED},
         {1, FAIL, 0, false, BREAKER_CLOSED}, {2, FAIL, 0, false, BREAKER_CLOSED}, {3, FAIL, 0, true, BREAKER_OPEN},
         {3, LOOK, 0, false, BREAKER_OPEN}, {30002, LOOK, 0, false, BREAKER_OPEN},
         {30003, LOOK, 0, true, BREAKER_OPEN});
    PLAY("a good one between", {1, FAIL, 0, false, BREAKER_CLOSED}, {2, FAIL, 0, false, BREAKER_CLOSED},
         {3, GOOD, 0, false, BREAKER_CLOSED}, {4, FAIL, 0, false, BREAKER_CLOSED}, {5, FAIL, 0, false, BREAKER_CLOSED},
         {6, FAIL, 0, true, BREAKER_OPEN});
    PLAY("an operator's fault opens at once", {1, FAULT, 0, true, BREAKER_OPEN}, {2, LOOK, 0, false, BREAKER_OPEN},
         {3, FAULT, 0, false, BREAKER_OPEN}, {30001, LOOK, 0, true, BREAKER_OPEN});
}

static void probes_one_at_a_time(void)
{
    PLAY("a good probe closes", {1, FAULT, 0, true, BREAKER_OPEN}, {30001, TAKE, 0, true, BREAKER_PROBING},
         {30002, LOOK, 0, false, BREAKER_PROBING}, {9999999, LOOK, 0, false, BREAKER_PROBING},
         {9999999, GOOD, 0, true, BREAKER_CLOSED}, {9999999, TAKE, 0, false, BREAKER_CLOSED});
    PLAY("failed probes wait twice as long, up to the most", {0, FAULT, 0, true, BREAKER_OPEN},
         {30000, TAKE, 0, true, BREAKER_PROBING}, {30000, FAIL_PROBE, 0, true, BREAKER_OPEN},
         {89999, LOOK, 0, false, BREAKER_OPEN}, {90000, TAKE, 0, true, BREAKER_PROBING},
         {90000, FAULT_PROBE, 0, true, BREAKER_OPEN}, {189999, LOOK, 0, false, BREAKER_OPEN},
         {190000, TAKE, 0, true, BREAKER_PROBING}, {190000, FAIL_PROBE, 0, true, BREAKER_OPEN},
         {289999, LOOK, 0, false, BREAKER_OPEN}, {290000, TAKE, 0, true, BREAKER_PROBING},
         {290000, GOOD, 0, true, BREAKER_CLOSED}, {290001, FAULT, 0, true, BREAKER_OPEN},
         {320000, LOOK, 0, false, BREAKER_OPEN}, {320001, LOOK, 0, true, BREAKER_OPEN});
    PLAY("a probe that was not sent makes room for the next", {0, FAULT, 0, true, BREAKER_OPEN},
         {30000, TAKE, 0, true, BREAKER_PROBING}, {30500, UNTAKE, 0, false, BREAKER_OPEN},
         {30500, LOOK, 0, true, BREAKER_OPEN}, {30500, TAKE, 0, true, BREAKER_PROBING},
         {31000, FAIL_PROBE, 0, true, BREAKER_OPEN}, {90999, LOOK, 0, false, BREAKER_OPEN},
         {91000, LOOK, 0, true, BREAKER_OPEN});
}

static void stragglers_change_little(void)
{
    PLAY("failures while open", {0, FAULT, 0, true, BREAKER_OPEN}, {20000, FAIL, 99999, false, BREAKER_OPEN},
         {20000, FAULT, 0, false, BREAKER_OPEN}, {30000, LOOK, 0, true, BREAKER_OPEN});
    PLAY("failures while a probe is out", {0, FAULT, 0, true, BREAKER_OPEN}, {30000, TAKE, 0, true, BREAKER_PROBING},
         {30001, FAIL, 0, false, BREAKER_PROBING}, {30002, FAULT, 0, false, BREAKER_PROBING},
         {30003, GOOD, 0, true, BREAKER_CLOSED});
    PLAY("a good one closes; the probe's failure is then one of three", {0, FAULT, 0, true, BREAKER_OPEN},
         {30000, TAKE, 0, true, BREAKER_PROBING}, {30001, GOOD, 0, true, BREAKER_CLOSED},
         {30002, FAIL_PROBE, 0, false, BREAKER_CLOSED}, {30003, UNTAKE, 0, false, BREAKER_CLOSED});
    PLAY("a good one closes before the probe is due", {0, FAULT, 0, true, BREAKER_OPEN},
         {100, GOOD, 0, true, BREAKER_CLOSED}, {101, LOOK, 0, true, BREAKER_CLOSED});
}

/* shows F80 */
static void obeys_the_provider_within_reason(void)
{
    PLAY("longer than our own", {0, FAIL, 0, false, BREAKER_CLOSED}, {0, FAIL, 0, false, BREAKER_CLOSED},
         {0, FAIL, 47434, true, BREAKER_OPEN}, {47433, LOOK, 0, false, BREAKER_OPEN},
         {47434, LOOK, 0, true, BREAKER_OPEN});
    PLAY("shorter than our own", {0, FAIL, 0, false, BREAKER_CLOSED}, {0, FAIL, 0, false, BREAKER_CLOSED},
         {0, FAIL, 5, true, BREAKER_OPEN}, {29999, LOOK, 0, false, BREAKER_OPEN}, {30000, LOOK, 0, true, BREAKER_OPEN});
    PLAY("for ever is ten minutes", {0, FAIL, 0, false, BREAKER_CLOSED}, {0, FAIL, 0, false, BREAKER_CLOSED},
         {0, FAIL, INT64_MAX, true, BREAKER_OPEN}, {599999, LOOK, 0, false, BREAKER_OPEN},
         {600000, LOOK, 0, true, BREAKER_OPEN});
}

static void knows_when_it_was_last_good(void)
{
    struct breaker b;
    breaker_init(&b, 0, 0, 0);
    CHECK(b.last_good_ms == INT64_MIN);
    breaker_good(&b, 77);
    CHECK_INT(b.last_good_ms, 77);
    CHECK(breaker_failed(&b, 78, false, 0)); /* a limit of 0 is a limit of 1 */
    CHECK_INT(b.last_good_ms, 77);
    CHECK_INT(b.probe_due_ms, 79); /* a delay of 0 is one of 1 */
}

static uint64_t random_state = 0x9E3779B97F4A7C15U;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % limit;
}

/* Callers as the consumer has them: many calls out, of which one may be the probe. A breaker that closes makes the
 * probe an ordinary call. */
struct callers {
    unsigned out;
    bool probe_out;
    int64_t shut_since_ms; /* when it was last open without a probe out; -1: it is not */
};

static void check_unchanged(const struct breaker *before, const struct breaker *b)
{
    CHECK_INT(b->state, before->state);
    CHECK_INT(b->failures, before->failures);
    CHECK_INT(b->probe_due_ms, before->probe_due_ms);
    CHECK_INT(b->probe_delay_ms, before->probe_delay_ms);
    CHECK_INT(b->last_good_ms, before->last_good_ms);
}

static void end_call(struct breaker *b, struct callers *c, int64_t now_ms, bool probe)
{
    const struct breaker before = *b;
    if (probe)
        c->probe_out = false;
    else
        c->out--;
    switch (random_below(probe ? 5 : 4)) {
    case 0:
        CHECK_INT(breaker_good(b, now_ms), before.state != BREAKER_CLOSED);
        CHECK_INT(b->state, BREAKER_CLOSED);
        break;
    case 1:
        CHECK_INT(breaker_operator_fault(b, now_ms, probe), b->state != before.state);
        CHECK(b->state != BREAKER_CLOSED);
        break;
    case 4:
        breaker_untake(b, now_ms);
        CHECK_INT(b->state, BREAKER_OPEN);
        CHECK(breaker_allows(b, now_ms));
        break;
    default:
        CHECK_INT(breaker_failed(b, now_ms, probe, random_below(2) ? 0 : random_below(1000000)),
                  b->state != before.state);
        CHECK(b->state != BREAKER_CLOSED || b->failures < LIMIT);
        break;
    }
    if (!probe && before.state != BREAKER_CLOSED && b->state != BREAKER_CLOSED)
        check_unchanged(&before, b);
}

static void begin_call(struct breaker *b, struct callers *c, int64_t now_ms)
{
    if (!breaker_allows(b, now_ms))
        return;
    if (breaker_take(b, now_ms)) {
        CHECK(!c->probe_out);
        c->probe_out = true;
    } else {
        CHECK_INT(b->state, BREAKER_CLOSED);
        c->out++;
    }
}

static void check_moment(struct breaker *b, struct callers *c, int64_t now_ms)
{
    if (b->state == BREAKER_CLOSED && c->probe_out) {
        c->probe_out = false;
        c->out++;
    }
    CHECK_INT(b->state == BREAKER_PROBING, c->probe_out);
    CHECK(b->probe_delay_ms >= INITIAL && b->probe_delay_ms <= MAXIMUM);
    /* An open breaker gets a probe at last, whatever else fails meanwhile. */
    c->shut_since_ms = b->state != BREAKER_OPEN ? -1 : c->shut_since_ms < 0 ? now_ms : c->shut_since_ms;
    if (c->shut_since_ms >= 0)
        CHECK(breaker_allows(b, c->shut_since_ms + INT64_C(600000)));
}

static void random_callers(void)
{
    struct breaker b;
    struct callers c = {.shut_since_ms = -1};
    int64_t now_ms = 0;
    unsigned seen[3] = {0};
    memset(&b, 0, sizeof b);
    breaker_init(&b, LIMIT, INITIAL, MAXIMUM);
    for (int i = 0; i < 200000 && !check_failures; i++) {
        now_ms += random_below(20) == 0 ? random_below(200000) : random_below(200);
        if (c.probe_out && random_below(4) == 0)
            end_call(&b, &c, now_ms, true);
        else if (c.out > 0 && random_below(2) == 0)
            end_call(&b, &c, now_ms, false);
        else
            begin_call(&b, &c, now_ms);
        check_moment(&b, &c, now_ms);
        seen[b.state]++;
    }
    CHECK(seen[BREAKER_CLOSED] > 1000 && seen[BREAKER_OPEN] > 1000 && seen[BREAKER_PROBING] > 1000);
}

CHECK_MAIN({"opens after failures in a row", opens_after_failures_in_a_row},
           {"probes one at a time", probes_one_at_a_time}, {"stragglers change little", stragglers_change_little},
           {"obeys the provider within reason", obeys_the_provider_within_reason},
           {"knows when it was last good", knows_when_it_was_last_good}, {"random callers", random_callers})
