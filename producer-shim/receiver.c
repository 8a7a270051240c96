/* One thread, one poll: connections, the publisher's reports, deadlines, signals. */
#include "producer-shim/receiver.h"

#include "common/address.h"
#include "common/admin.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/process.h"
#include "common/publisher.h"
#include "producer-shim/http.h"
#include "producer-shim/metrics_table.h"
#include "producer-shim/spooler.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    TURN_MS = 200,          /* the loop turns at least this often */
    STUCK_AFTER_MS = 10000, /* or else it is stuck */
    WARM_UP_MS = 1000,      /* to find the topic before the first webhook is served */
    LAST_ANSWERS_MS = 500,  /* to get answers out that were given when the grace was over */
    LAST_REPORTS_MS = 1000, /* for records in flight at the end, or else the spool sends them again */
    STOP_MARGIN_MS = 20000, /* above shutdown_grace, for the service manager: the end itself takes some seconds */
    FILES_BESIDE_CONNECTIONS = 64,
};

enum waited_for { WAIT_HTTP, WAIT_PUBLISHER, WAIT_SPOOL, WAIT_SIGNAL, WAIT_COUNT };

struct receiver {
    const struct config *config;
    receiver_reload *reload;
    void *reload_arg;
    struct publisher *publisher;
    struct spooler *spooler; /* NULL: shim.spool_path is empty */
    struct desk desk;
    struct http *http;
    struct admin *admin;
    struct pollfd waits[WAIT_COUNT];
    int signals; /* signalfd */
    atomic_bool stopping;
    atomic_int_fast64_t turned_ms;
    int64_t ticked_ms;
    int64_t watchdog_ms, watchdog_told_ms; /* interval; 0: nobody watches */
};

/* --- the admin port's thread */

static bool is_alive(void *arg)
{
    const struct receiver *r = arg;
    return clock_mono_ms() - atomic_load(&r->turned_ms) < STUCK_AFTER_MS;
}

static bool is_ready(void *arg, const char **ret_reason)
{
    const struct receiver *r = arg;
    const bool takes = publisher_connected(r->publisher) || (r->spooler && spooler_is_well(r->spooler));
    *ret_reason = atomic_load(&r->stopping) ? "stopping" : takes ? NULL : "kafka";
    return *ret_reason == NULL;
}

/* --- keys */

/* livekit.api_key first, then livekit.keys. The secrets stay config's. */
static struct token_checker *checker_of(const struct config *config, struct error *ret_err)
{
    struct token_key keys[REFUSALS_KEYS_MAX];
    size_t count = 0;
    if (config->livekit_api_key[0])
        keys[count++] = (struct token_key){.name = config->livekit_api_key, .secret = config->livekit_api_secret};
    for (size_t i = 0; i < config->livekit_keys.count && count < ARRAY_LEN(keys); i++) {
        const struct config_pair *pair = &config->livekit_keys.items[i];
        keys[count++] = (struct token_key){.name = pair->name, .secret = pair->value};
    }
    bool usable = count > 0;
    for (size_t i = 0; i < count; i++)
        usable = usable && keys[i].secret[0];
    struct token_checker *checker = usable ? token_checker_new(keys, count, config->shim_leeway_ms / 1000) : NULL;
    if (!checker)
        error_set(ret_err, ERROR_OPERATOR,
                  usable ? "OpenSSL offers no HMAC-SHA-256"
                         : "a LiveKit key has no secret: anybody could sign webhooks");
    return checker;
}

/* SIGHUP: the new keys, or the old ones if the new configuration is not good. */
static void reload_keys(struct receiver *r)
{
    struct config *config = r->reload(r->reload_arg);
    struct error err = {.text = "the configuration is not good"};
    struct token_checker *checker = config ? checker_of(config, &err) : NULL;
    config_free(config);
    if (!checker) {
        log_error("keys not re-read: going on with the old ones", LOG_STR("error", err.text));
        return;
    }
    token_checker_free(r->desk.checker);
    r->desk.checker = checker;
    log_info("keys re-read", LOG_INT("keys", token_key_count(checker)));
}

/* --- start and end */

static bool take_signals(struct receiver *r, struct error *ret_err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL); /* before any thread starts: threads inherit it */
    r->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (r->signals < 0)
        error_set(ret_err, ERROR_RETRY, "no file descriptor left for signals");
    return r->signals >= 0;
}

static void say_listening(const struct receiver *r)
{
    char listen[ADDRESS_SIZE];
    address_with_port(r->config->shim_listen, http_port(r->http), listen);
    log_info("listening for webhooks", LOG_STR("listen", listen), LOG_STR("topic", r->config->kafka_topic),
             LOG_INT("keys", token_key_count(r->desk.checker)),
             LOG_STR("spool", r->spooler ? r->config->shim_spool_path : "none"));
}

/* Connections that can't be had are refused by the kernel then, not by us: worth a line. */
static void raise_files(const struct config *config)
{
    const size_t want = (size_t)config->shim_max_connections + FILES_BESIDE_CONNECTIONS;
    const size_t have = process_raise_nofile(want);
    if (have < want)
        log_warn("shim.max_connections needs more open files than the limit allows: raise LimitNOFILE or ulimit -n",
                 LOG_INT("needed", want), LOG_INT("limit", have));
}

static bool open_kafka(struct receiver *r, struct error *ret_err)
{
    r->publisher = publisher_new(r->config, ret_err);
    return r->publisher != NULL;
}

static bool open_spool(struct receiver *r, struct error *ret_err)
{
    metric_set(METRIC_SPOOL_BYTES_LIMIT, 0, r->config->shim_spool_path[0] ? r->config->shim_spool_max_size_bytes : 0);
    if (r->config->shim_spool_path[0] == '\0')
        return true;
    r->spooler = spooler_new(r->config, r->publisher, ret_err);
    return r->spooler != NULL;
}

static bool open_desk(struct receiver *r, struct error *ret_err)
{
    struct token_checker *checker = checker_of(r->config, ret_err);
    if (!checker)
        return false;
    desk_init(&r->desk, r->config, r->publisher, r->spooler, checker, http_answered);
    r->http = http_new(r->config, &r->desk, ret_err);
    return r->http != NULL;
}

static void update_gauges(const struct receiver *r);

static bool open_admin(struct receiver *r, struct error *ret_err)
{
    update_gauges(r);
    const struct admin_hooks hooks = {.arg = r, .alive = is_alive, .ready = is_ready};
    ret_err->class = ERROR_NONE;
    r->admin = admin_new(r->config->shim_admin_listen, &hooks, ret_err);
    return r->admin || ret_err->class == ERROR_NONE;
}

struct receiver *receiver_new(const struct config *config, receiver_reload *reload, void *reload_arg,
                              struct error *ret_err)
{
    struct receiver *r = xcalloc(1, sizeof *r);
    r->config = config;
    r->reload = reload;
    r->reload_arg = reload_arg;
    r->watchdog_ms = notify_watchdog_interval_ms();
    atomic_store(&r->turned_ms, clock_mono_ms());
    raise_files(config);
    if (take_signals(r, ret_err) && open_kafka(r, ret_err) && open_spool(r, ret_err) && open_desk(r, ret_err) &&
        open_admin(r, ret_err)) {
        r->waits[WAIT_HTTP] = (struct pollfd){.fd = http_fd(r->http), .events = POLLIN};
        r->waits[WAIT_PUBLISHER] = (struct pollfd){.fd = publisher_fd(r->publisher), .events = POLLIN};
        r->waits[WAIT_SPOOL] = (struct pollfd){.fd = r->spooler ? spooler_fd(r->spooler) : -1, .events = POLLIN};
        r->waits[WAIT_SIGNAL] = (struct pollfd){.fd = r->signals, .events = POLLIN};
        say_listening(r);
        return r;
    }
    receiver_free(r);
    return NULL;
}

void receiver_free(struct receiver *r)
{
    if (!r)
        return;
    admin_free(r->admin);
    http_free(r->http);
    spooler_stop(r->spooler);
    publisher_free(r->publisher, LAST_REPORTS_MS); /* late reports come now: desk and spooler must still be there */
    spooler_free(r->spooler);
    if (r->desk.config)
        desk_fini(&r->desk);
    if (r->signals >= 0)
        close(r->signals);
    free(r);
}

/* --- the loop */

static void update_gauges(const struct receiver *r)
{
    metric_set(METRIC_KAFKA_UP, 0, publisher_connected(r->publisher));
    metric_set(METRIC_PRODUCER_RESTARTS, 0, (int64_t)publisher_restarts(r->publisher));
    if (!r->spooler)
        return;
    struct spooler_state state;
    spooler_state(r->spooler, &state);
    metric_set(METRIC_SPOOL_RECORDS, 0, state.records);
    metric_set(METRIC_SPOOL_BYTES, 0, state.bytes);
    metric_set(METRIC_SPOOL_AGE, 0, state.oldest_ms > 0 ? MAX(clock_wall_ms() - state.oldest_ms, 0) : 0);
    metric_set(METRIC_SPOOL_DEAD, 0, state.dead);
    metric_set(METRIC_SPOOL_DRAINED, 0, state.drained);
    metric_set(METRIC_SPOOL_BURIED, 0, state.buried);
    metric_set(METRIC_SPOOL_FAILURES, 0, state.failures);
}

static int turn_timeout_ms(const struct receiver *r, int64_t until_ms)
{
    const int64_t next_ms = MIN(desk_next_deadline_ms(&r->desk), until_ms) - clock_mono_ms();
    return http_timeout_ms(r->http, (int)MAX(MIN(next_ms, TURN_MS), 0));
}

static void on_signal(struct receiver *r)
{
    struct signalfd_siginfo info;
    while (read(r->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            reload_keys(r);
        } else if (atomic_exchange(&r->stopping, true)) {
            log_warn("stopped a second time: ending at once", LOG_INT("signal", info.ssi_signo));
            _exit(EXIT_FORCED);
        } else {
            log_info("stopping: answering what is in hand", LOG_INT("in_hand", http_in_hand(r->http)));
        }
    }
}

static void feed_watchdog(struct receiver *r, int64_t now_ms)
{
    if (r->watchdog_ms == 0 || now_ms - r->watchdog_told_ms < r->watchdog_ms)
        return;
    r->watchdog_told_ms = now_ms;
    notify_watchdog();
}

/* What is done every TURN_MS, however busy the loop is. The poll is a safety net: a report should have rung. */
static void tick(struct receiver *r, int64_t now_ms)
{
    if (now_ms - r->ticked_ms < TURN_MS)
        return;
    r->ticked_ms = now_ms;
    publisher_poll(r->publisher, 0);
    update_gauges(r);
    feed_watchdog(r, now_ms);
}

/* Waits, but not beyond until_ms, and serves what has come. Reports first: their answers go out in the same turn. */
static void turn(struct receiver *r, int64_t until_ms)
{
    const int ready = poll(r->waits, WAIT_COUNT, turn_timeout_ms(r, until_ms));
    const int64_t now_ms = clock_mono_ms();
    atomic_store(&r->turned_ms, now_ms);
    if (ready > 0 && r->waits[WAIT_PUBLISHER].revents)
        publisher_poll(r->publisher, 0);
    if (ready > 0 && r->waits[WAIT_SPOOL].revents)
        spooler_poll(r->spooler);
    tick(r, now_ms);
    desk_expire(&r->desk, now_ms);
    http_step(r->http);
    if (ready > 0 && r->waits[WAIT_SIGNAL].revents)
        on_signal(r);
}

/* After the signal: no new connections; whatever began is answered, by Kafka's word while there is time for it. */
static void drain(struct receiver *r)
{
    const int64_t until_ms = clock_mono_ms() + r->config->shim_shutdown_grace_ms;
    notify_stopping();
    notify_extend_timeout(r->config->shim_shutdown_grace_ms + STOP_MARGIN_MS);
    http_stop_listening(r->http);
    while (http_in_hand(r->http) > 0 && clock_mono_ms() < until_ms)
        turn(r, until_ms);
    if (http_in_hand(r->http) > 0)
        log_warn("the grace is over: the rest is answered 503", LOG_INT("in_hand", http_in_hand(r->http)));
    desk_give_up(&r->desk);
    const int64_t last_ms = clock_mono_ms() + LAST_ANSWERS_MS;
    while (http_in_hand(r->http) > 0 && clock_mono_ms() < last_ms)
        turn(r, last_ms);
    http_stop_taking(r->http);
    desk_give_up(&r->desk);
    http_step(r->http); /* resumes what the last line answered: none may be suspended at the end */
}

/* Finds both topics, so that nobody waits for that later; a broker that is away costs one wait only. */
static void warm_up(struct receiver *r)
{
    struct error err;
    if (publisher_warm_up(r->publisher, r->config->kafka_topic, WARM_UP_MS, &err) &&
        publisher_warm_up(r->publisher, config_dead_letter_topic(r->config), WARM_UP_MS, &err))
        return;
    log_warn(r->spooler ? "Kafka is not ready: webhooks go to the spool until it is"
                        : "Kafka is not ready: webhooks that it does not acknowledge are answered 503",
             LOG_STR("error", err.text));
}

void receiver_run(struct receiver *r)
{
    warm_up(r);
    update_gauges(r);
    notify_ready();
    while (!atomic_load(&r->stopping))
        turn(r, INT64_MAX);
    drain(r);
}
