/* The producer behind one door. A client is one librdkafka producer with its topics; when it meets a fatal error
 * (an idempotent producer that lost its sequence numbers) a new client takes its place: the old one is purged, its
 * reports are handed out, and a thread of its own ends it, since that may block.
 */
#include "publisher.h"

#include "alloc.h"
#include "clock.h"
#include "kafka.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    TOPICS_MAX = 16,
    BATCH_MAX = 1024,      /* reports of one publisher_poll */
    PURGE_WAIT_MS = 5000,  /* purged records report at once; this is the bound */
    RETRY_RENEW_MS = 1000, /* after a new client could not be made */
};

struct topic {
    char *name;
    rd_kafka_topic_t *handle;
};

struct client {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    pthread_mutex_t lock; /* of what follows */
    struct topic topics[TOPICS_MAX];
    size_t topic_count;
};

/* A record in the hands of librdkafka, or one that it did not take. */
struct pending {
    publish_done *done;
    void *arg;
    struct pending *next; /* unsent */
    rd_kafka_resp_err_t code;
};

struct publisher {
    const struct config *config;
    pthread_rwlock_t lock; /* of client: senders read, a renewal writes */
    struct client *client;
    struct client *retired; /* still reporting; NULL mostly */
    pthread_t ender;        /* ends the client retired before */
    bool ender_started;
    int64_t renew_at_ms;
    pthread_mutex_t unsent_lock;
    struct pending *unsent, **unsent_end;
    int fd;
    atomic_bool fd_wanted, connected, broken;
    atomic_uint_fast64_t outstanding, restarts;
};

static void client_free(struct client *c)
{
    for (size_t i = 0; i < c->topic_count; i++) {
        rd_kafka_topic_destroy(c->topics[i].handle);
        free(c->topics[i].name);
    }
    if (c->queue)
        rd_kafka_queue_destroy(c->queue);
    rd_kafka_destroy(c->rk);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void *client_end(void *arg)
{
    client_free(arg);
    return NULL;
}

static struct client *client_new(const struct config *config, struct error *ret_err)
{
    rd_kafka_conf_t *conf = kafka_conf_new(config, KAFKA_PRODUCER, ret_err);
    if (!conf)
        return NULL;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS);
    char words[256];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, words, sizeof words);
    if (!rk) {
        rd_kafka_conf_destroy(conf);
        error_set(ret_err, ERROR_OPERATOR, "kafka producer: %s", words);
        return NULL;
    }
    struct client *c = xcalloc(1, sizeof *c);
    c->rk = rk;
    c->queue = rd_kafka_queue_get_main(rk);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

static void client_notify(struct client *c, int fd)
{
    static const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(c->queue, fd, &one, sizeof one);
}

/* The handle of a topic, made on first use and kept; NULL when the name is not valid or there are too many. */
static rd_kafka_topic_t *client_topic(struct client *c, const char *name)
{
    rd_kafka_topic_t *handle = NULL;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->topic_count && !handle; i++)
        if (strcmp(c->topics[i].name, name) == 0)
            handle = c->topics[i].handle;
    if (!handle && c->topic_count < TOPICS_MAX) {
        handle = rd_kafka_topic_new(c->rk, name, NULL);
        if (handle)
            c->topics[c->topic_count++] = (struct topic){.name = xstrdup(name), .handle = handle};
    }
    pthread_mutex_unlock(&c->lock);
    return handle;
}

struct publisher *publisher_new(const struct config *config, struct error *ret_err)
{
    struct client *client = client_new(config, ret_err);
    if (!client)
        return NULL;
    struct publisher *p = xcalloc(1, sizeof *p);
    p->config = config;
    p->client = client;
    p->unsent_end = &p->unsent;
    p->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_rwlock_init(&p->lock, NULL);
    pthread_mutex_init(&p->unsent_lock, NULL);
    if (p->fd >= 0)
        return p;
    error_set(ret_err, ERROR_RETRY, "no file descriptor left for the producer");
    publisher_free(p, 0);
    return NULL;
}

/* Makes publisher_fd readable; only called when somebody waits for it. */
static void ring(struct publisher *p)
{
    const uint64_t one = 1;
    if (write(p->fd, &one, sizeof one) < 0)
        return; /* full: readable already */
}

/* With the lock held: an error may have been the last that this client will ever report. */
static void note_fatal(struct publisher *p)
{
    char words[8];
    if (rd_kafka_fatal_error(p->client->rk, words, sizeof words) != RD_KAFKA_RESP_ERR_NO_ERROR)
        atomic_store(&p->broken, true);
}

/* The record was not taken: it reports from the next publisher_poll. */
static void put_unsent(struct publisher *p, struct pending *pending)
{
    pending->next = NULL;
    pthread_mutex_lock(&p->unsent_lock);
    *p->unsent_end = pending;
    p->unsent_end = &pending->next;
    pthread_mutex_unlock(&p->unsent_lock);
    if (atomic_load(&p->fd_wanted))
        ring(p);
    pthread_rwlock_rdlock(&p->lock);
    note_fatal(p);
    rd_kafka_queue_yield(p->client->queue);
    pthread_rwlock_unlock(&p->lock);
}

static rd_kafka_headers_t *headers_of(const struct record_header *headers, size_t count)
{
    rd_kafka_headers_t *list = rd_kafka_headers_new(count);
    for (size_t i = 0; i < count; i++) {
        const struct slice value = headers[i].value;
        rd_kafka_header_add(list, headers[i].name, -1, value.ptr ? value.ptr : "", (ssize_t)value.len);
    }
    return list;
}

static rd_kafka_resp_err_t produce(struct client *c, const char *topic, struct slice key, struct slice value,
                                   rd_kafka_headers_t *headers, struct pending *pending)
{
    rd_kafka_topic_t *handle = client_topic(c, topic);
    if (!handle)
        return RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = handle},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {.ptr = (void *)(uintptr_t)key.ptr, .size = key.len}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {.ptr = (void *)(uintptr_t)value.ptr, .size = value.len}},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = pending},
    };
    rd_kafka_error_t *error = rd_kafka_produceva(c->rk, parts, ARRAY_LEN(parts));
    if (!error)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    return code;
}

void publisher_send(struct publisher *p, const char *topic, struct slice key, const struct record_header *headers,
                    size_t header_count, struct slice value, publish_done *done, void *arg)
{
    struct pending *pending = xmalloc(sizeof *pending);
    *pending = (struct pending){.done = done, .arg = arg};
    atomic_fetch_add(&p->outstanding, 1);
    rd_kafka_headers_t *list = headers_of(headers, header_count);
    pthread_rwlock_rdlock(&p->lock);
    const rd_kafka_resp_err_t code = produce(p->client, topic, key, value, list, pending);
    pthread_rwlock_unlock(&p->lock);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    rd_kafka_headers_destroy(list);
    pending->code = code;
    put_unsent(p, pending);
}

static void report(struct publisher *p, struct pending *pending, const struct publish_report *what)
{
    pending->done(pending->arg, what);
    free(pending);
    atomic_fetch_sub(&p->outstanding, 1);
}

static enum publish_outcome outcome_of(rd_kafka_resp_err_t code)
{
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return PUBLISH_ACKED;
    return kafka_error_class(code) == ERROR_REJECT ? PUBLISH_REFUSED : PUBLISH_UNKNOWN;
}

static unsigned report_unsent(struct publisher *p)
{
    pthread_mutex_lock(&p->unsent_lock);
    struct pending *list = p->unsent;
    p->unsent = NULL;
    p->unsent_end = &p->unsent;
    pthread_mutex_unlock(&p->unsent_lock);
    unsigned count = 0;
    while (list) {
        struct pending *pending = list;
        list = pending->next;
        report(p, pending,
               &(struct publish_report){.outcome = outcome_of(pending->code),
                                        .partition = -1,
                                        .offset = -1,
                                        .reason = rd_kafka_err2str(pending->code)});
        count++;
    }
    return count;
}

static unsigned serve_deliveries(struct publisher *p, rd_kafka_event_t *event)
{
    unsigned count = 0;
    const rd_kafka_message_t *message;
    while ((message = rd_kafka_event_message_next(event))) {
        const enum publish_outcome outcome = outcome_of(message->err);
        if (outcome == PUBLISH_ACKED && !atomic_load_explicit(&p->connected, memory_order_relaxed))
            atomic_store(&p->connected, true);
        report(p, message->_private,
               &(struct publish_report){.outcome = outcome,
                                        .partition = outcome == PUBLISH_ACKED ? message->partition : -1,
                                        .offset = outcome == PUBLISH_ACKED ? message->offset : -1,
                                        .reason = rd_kafka_err2str(message->err)});
        count++;
    }
    return count;
}

static void serve_error(struct publisher *p, rd_kafka_event_t *event)
{
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        atomic_store(&p->connected, false);
}

/* Returns how many reports the event held. Events of a retired client say nothing about the present one. */
static unsigned serve(struct publisher *p, rd_kafka_event_t *event, bool retired)
{
    const rd_kafka_event_type_t type = rd_kafka_event_type(event);
    unsigned count = 0;
    if (type == RD_KAFKA_EVENT_DR)
        count = serve_deliveries(p, event);
    else if (type == RD_KAFKA_EVENT_ERROR && !retired)
        serve_error(p, event);
    else if (type == RD_KAFKA_EVENT_STATS && !retired)
        atomic_store(&p->connected, kafka_any_broker_up(slice_of(rd_kafka_event_stats(event))));
    if (!retired && type != RD_KAFKA_EVENT_DR)
        note_fatal(p); /* this thread alone changes the client: no lock */
    rd_kafka_event_destroy(event);
    return count;
}

static void join_ender(struct publisher *p)
{
    if (p->ender_started)
        pthread_join(p->ender, NULL);
    p->ender_started = false;
}

static void end_client(struct publisher *p, struct client *c)
{
    join_ender(p);
    p->ender_started = pthread_create(&p->ender, NULL, client_end, c) == 0;
    if (!p->ender_started)
        client_free(c);
}

/* Puts a new client in the place of one that failed for good. */
static void renew(struct publisher *p)
{
    atomic_store(&p->connected, false);
    if (p->retired || clock_mono_ms() < p->renew_at_ms)
        return; /* one at a time; broken stays set */
    struct client *fresh = client_new(p->config, NULL);
    if (!fresh) {
        p->renew_at_ms = clock_mono_ms() + RETRY_RENEW_MS;
        return;
    }
    if (atomic_load(&p->fd_wanted))
        client_notify(fresh, p->fd);
    for (size_t i = 0; i < p->client->topic_count; i++)
        client_topic(fresh, p->client->topics[i].name);
    pthread_rwlock_wrlock(&p->lock);
    p->retired = p->client;
    p->client = fresh;
    pthread_rwlock_unlock(&p->lock);
    rd_kafka_purge(p->retired->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    atomic_store(&p->broken, false);
    atomic_fetch_add(&p->restarts, 1);
}

static unsigned poll_retired(struct publisher *p)
{
    unsigned count = 0;
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(p->retired->queue, 0)))
        count += serve(p, event, true);
    if (rd_kafka_outq_len(p->retired->rk) == 0)
        end_client(p, TAKE(p->retired));
    return count;
}

/* Takes what is there, BATCH_MAX reports and what their last event holds; rings again when that was not all. */
static unsigned poll_client(struct publisher *p, int timeout_ms)
{
    unsigned count = 0;
    rd_kafka_event_t *event = rd_kafka_queue_poll(p->client->queue, timeout_ms);
    while (event) {
        count += serve(p, event, false);
        if (count >= BATCH_MAX) {
            if (atomic_load(&p->fd_wanted))
                ring(p);
            break;
        }
        event = rd_kafka_queue_poll(p->client->queue, 0);
    }
    return count;
}

unsigned publisher_poll(struct publisher *p, int timeout_ms)
{
    uint64_t rung;
    if (atomic_load(&p->fd_wanted) && read(p->fd, &rung, sizeof rung) < 0)
        rung = 0; /* nobody rang: this is a timer's turn */
    if (atomic_load(&p->broken))
        renew(p);
    unsigned count = report_unsent(p);
    if (p->retired)
        count += poll_retired(p);
    count += poll_client(p, count || p->retired ? MIN(timeout_ms, 10) : timeout_ms);
    return count + report_unsent(p);
}

int publisher_fd(struct publisher *p)
{
    if (!atomic_exchange(&p->fd_wanted, true)) {
        client_notify(p->client, p->fd);
        ring(p); /* for what was there before */
    }
    return p->fd;
}

bool publisher_connected(const struct publisher *p)
{
    return atomic_load(&p->connected) && !atomic_load(&p->broken);
}

bool publisher_warm_up(struct publisher *p, const char *topic, int timeout_ms, struct error *ret_err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    pthread_rwlock_rdlock(&p->lock);
    rd_kafka_topic_t *handle = client_topic(p->client, topic);
    if (handle)
        code = rd_kafka_metadata(p->client->rk, 0, handle, &metadata, timeout_ms);
    pthread_rwlock_unlock(&p->lock);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        atomic_store(&p->connected, true);
        if (metadata->topic_cnt == 1)
            code = metadata->topics[0].err;
        rd_kafka_metadata_destroy(metadata);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return true;
    error_set(ret_err, kafka_error_class(code), "topic %s: %s", topic, rd_kafka_err2str(code));
    return false;
}

uint64_t publisher_restarts(const struct publisher *p)
{
    return atomic_load(&p->restarts);
}

uint64_t publisher_outstanding(const struct publisher *p)
{
    return atomic_load(&p->outstanding);
}

void publisher_break(struct publisher *p)
{
    pthread_rwlock_rdlock(&p->lock);
    rd_kafka_test_fatal_error(p->client->rk, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "asked for");
    pthread_rwlock_unlock(&p->lock);
}

static void drain(struct publisher *p, int64_t wait_ms)
{
    const int64_t until_ms = clock_mono_ms() + wait_ms;
    while (publisher_outstanding(p) > 0 && clock_mono_ms() < until_ms)
        publisher_poll(p, (int)MIN(until_ms - clock_mono_ms(), 50));
}

void publisher_free(struct publisher *p, int64_t grace_ms)
{
    if (!p)
        return;
    drain(p, grace_ms);
    if (publisher_outstanding(p) > 0) {
        rd_kafka_purge(p->client->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        drain(p, PURGE_WAIT_MS);
    }
    if (p->retired)
        end_client(p, TAKE(p->retired));
    join_ender(p);
    client_free(p->client);
    if (p->fd >= 0)
        close(p->fd);
    pthread_rwlock_destroy(&p->lock);
    pthread_mutex_destroy(&p->unsent_lock);
    free(p);
}

const char *publish_outcome_name(enum publish_outcome outcome)
{
    static const char *const names[] = {
#define X(id, name, help) [PUBLISH_##id] = name,
        PUBLISH_OUTCOME_TABLE(X)
#undef X
    };
    return names[outcome];
}
