#include "producer-shim/spooler.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/drain.h"
#include "common/fault.h"
#include "common/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    KEY_COUNTERS = 1 << 18,
    LOOK_AGAIN_MS = 250,    /* whether Kafka is back */
    STALLED_WAIT_MS = 1000, /* after a batch that did not arrive whole, or a disk that failed */
    TELL_EVERY_MS = 1000,
    HUNG_AFTER_MS = 5000,  /* a transaction that takes longer */
    STOP_WITHIN_MS = 3000, /* at the end: no disk may hold it up */
    PUT_BYTES_MAX = 48 << 20,
};

/* A record on its way to the disk: one block with all its bytes. */
struct put {
    struct put *next;
    size_t size; /* of the block */
    spooler_done *done;
    void *arg;
    enum spool_result result;
    struct spool_record record;
};

struct put_list {
    struct put *head, **tail;
};

struct spooler {
    struct publisher *publisher;
    int64_t max_age_ms;
    struct spool *spool;
    struct drain *drain;
    pthread_t thread;
    bool started;
    int fd;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t work;
    struct put_list incoming, finished;
    bool ending;

    /* the thread's */
    int64_t next_drain_ms, told_ms, untold;

    atomic_bool stalled, well;
    atomic_int_fast64_t busy_since_ms; /* the transaction under way; 0: none */
    atomic_size_t waiting_bytes;       /* of all puts that are not answered */
    atomic_int_fast64_t waiting;       /* put, and not in the stock yet */
    atomic_int_fast64_t records, dead, bytes, oldest_ms, drained, buried, failures;
    atomic_uint_fast32_t *keys; /* KEY_COUNTERS: records in the spool by their key's hash */
};

/* ---- lists ---- */

static void list_init(struct put_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

static void list_add(struct put_list *list, struct put *put)
{
    put->next = NULL;
    *list->tail = put;
    list->tail = &put->next;
}

static struct put *list_take_all(struct put_list *list)
{
    struct put *head = list->head;
    list_init(list);
    return head;
}

/* ---- keys ---- */

static atomic_uint_fast32_t *counter_of(const struct spooler *spooler, struct slice key)
{
    return &spooler->keys[slice_hash(key) % KEY_COUNTERS];
}

static void on_gone(void *arg, struct slice key)
{
    const struct spooler *spooler = arg;
    atomic_fetch_sub(counter_of(spooler, key), 1);
}

static bool count_key(void *arg, const struct spool_record *record)
{
    const struct spooler *spooler = arg;
    atomic_fetch_add(counter_of(spooler, record->key), 1);
    return true;
}

bool spooler_holds(const struct spooler *spooler, struct slice key)
{
    /* In this order: a record is in the stock before it stops waiting. */
    const bool some = atomic_load(&spooler->waiting) > 0 || atomic_load(&spooler->records) > 0;
    return some && atomic_load(counter_of(spooler, key)) > 0;
}

/* ---- putting ---- */

/* Copies bytes to *at and moves it behind them. */
static const char *stow(char **at, const char *ptr, size_t len)
{
    char *start = *at;
    if (len > 0)
        memcpy(start, ptr, len);
    *at += len;
    return start;
}

static size_t size_of(const struct spool_record *record)
{
    size_t size = strlen(record->topic) + 1 + record->key.len + record->value.len;
    for (size_t i = 0; i < record->header_count; i++)
        size += strlen(record->headers[i].name) + 1 + record->headers[i].value.len;
    return size;
}

static struct put *put_new(const struct spool_record *record)
{
    const size_t headers_size = record->header_count * sizeof(struct record_header);
    const size_t size = sizeof(struct put) + headers_size + size_of(record);
    struct put *put = xmalloc(size);
    put->size = size;
    struct record_header *headers = (struct record_header *)(put + 1);
    char *at = (char *)headers + headers_size;
    put->record = *record;
    put->record.headers = headers;
    put->record.topic = stow(&at, record->topic, strlen(record->topic) + 1);
    put->record.key.ptr = stow(&at, record->key.ptr, record->key.len);
    put->record.value.ptr = stow(&at, record->value.ptr, record->value.len);
    for (size_t i = 0; i < record->header_count; i++) {
        const struct record_header *from = &record->headers[i];
        headers[i].name = stow(&at, from->name, strlen(from->name) + 1);
        headers[i].value.ptr = stow(&at, from->value.ptr, from->value.len);
        headers[i].value.len = from->value.len;
    }
    return put;
}

static void ring(const struct spooler *spooler)
{
    const uint64_t one = 1;
    if (write(spooler->fd, &one, sizeof one) < 0)
        return; /* full: readable already */
}

/* A disk that hangs must not fill the memory. */
static bool is_swamped(const struct spooler *spooler)
{
    return atomic_load(&spooler->waiting_bytes) > PUT_BYTES_MAX;
}

void spooler_put(struct spooler *spooler, const struct spool_record *record, spooler_done *done, void *arg)
{
    struct put *put = put_new(record);
    put->done = done;
    put->arg = arg;
    put->result = SPOOL_FAILED;
    const bool taken = !is_swamped(spooler);
    atomic_fetch_add(&spooler->waiting_bytes, put->size);
    if (taken) {
        atomic_fetch_add(counter_of(spooler, record->key), 1);
        atomic_fetch_add(&spooler->waiting, 1);
    }
    pthread_mutex_lock(&spooler->lock);
    list_add(taken ? &spooler->incoming : &spooler->finished, put);
    pthread_cond_signal(&spooler->work);
    pthread_mutex_unlock(&spooler->lock);
    if (!taken)
        ring(spooler);
}

/* On the loop's thread. */
void spooler_poll(struct spooler *spooler)
{
    uint64_t ignored;
    if (read(spooler->fd, &ignored, sizeof ignored) < 0)
        return;
    pthread_mutex_lock(&spooler->lock);
    struct put *put = list_take_all(&spooler->finished);
    pthread_mutex_unlock(&spooler->lock);
    while (put) {
        struct put *next = put->next;
        put->done(put->arg, put->result);
        atomic_fetch_sub(&spooler->waiting_bytes, put->size);
        free(put);
        put = next;
    }
}

int spooler_fd(const struct spooler *spooler)
{
    return spooler->fd;
}

/* ---- what the others see ---- */

static void publish_state(struct spooler *spooler)
{
    const struct spool_stock *stock = spool_stock(spooler->spool);
    atomic_store(&spooler->records, stock->records);
    atomic_store(&spooler->dead, stock->dead);
    atomic_store(&spooler->bytes, stock->bytes);
    atomic_store(&spooler->oldest_ms, stock->oldest_ms);
}

void spooler_state(const struct spooler *spooler, struct spooler_state *ret_state)
{
    *ret_state = (struct spooler_state){
        .records = atomic_load(&spooler->records),
        .dead = atomic_load(&spooler->dead),
        .bytes = atomic_load(&spooler->bytes),
        .oldest_ms = atomic_load(&spooler->oldest_ms),
        .drained = atomic_load(&spooler->drained),
        .buried = atomic_load(&spooler->buried),
        .failures = atomic_load(&spooler->failures),
    };
}

bool spooler_is_stalled(const struct spooler *spooler)
{
    return atomic_load(&spooler->stalled);
}

bool spooler_is_well(const struct spooler *spooler)
{
    const int64_t since_ms = atomic_load(&spooler->busy_since_ms);
    return atomic_load(&spooler->well) && (since_ms == 0 || clock_mono_ms() - since_ms < HUNG_AFTER_MS);
}

/* ---- the thread: transactions ---- */

static void say_opened(const struct spooler *spooler, const struct spool_opening *opening)
{
    const struct spool_stock *stock = spool_stock(spooler->spool);
    if (opening->set_aside[0] != '\0')
        log_error("the spool was damaged: the file is set aside, what could be read of it goes on; "
                  "`roomclaim spool --drain` takes files",
                  LOG_STR("file", opening->set_aside), LOG_INT("salvaged", opening->salvaged));
    if (stock->records > 0)
        log_info("the spool holds webhooks from before", LOG_INT("records", stock->records),
                 LOG_INT("bytes", stock->bytes));
    if (stock->dead > 0)
        log_warn("the spool holds dead records: refused for good, damaged or too old", LOG_INT("dead", stock->dead));
}

/* Once a second at most. */
static void note_failure(struct spooler *spooler, enum spool_result result)
{
    const int64_t now_ms = clock_mono_ms();
    atomic_store(&spooler->well, false);
    atomic_fetch_add(&spooler->failures, 1);
    spooler->untold++;
    if (now_ms - spooler->told_ms < TELL_EVERY_MS)
        return;
    log_error("the spool fails: webhooks that Kafka does not take are answered 503",
              LOG_STR("reason", spool_result_name(result)), LOG_STR("error", spool_words(spooler->spool)),
              LOG_INT("count", spooler->untold));
    spooler->told_ms = now_ms;
    spooler->untold = 0;
}

/* No room is that record's answer, all else spoils the transaction. */
static enum spool_result put_all(struct spooler *spooler, struct put *list)
{
    for (struct put *put = list; put; put = put->next) {
        put->result = spool_put(spooler->spool, &put->record, NULL);
        if (put->result == SPOOL_LIMIT || put->result == SPOOL_NO_ROOM)
            note_failure(spooler, put->result);
        else if (put->result != SPOOL_OK)
            return put->result;
    }
    return SPOOL_OK;
}

static void count_drained(struct spooler *spooler, const struct drain_tally *tally)
{
    atomic_fetch_add(&spooler->drained, tally->sent);
    atomic_fetch_add(&spooler->buried, tally->buried);
    if (tally->buried > 0)
        log_error("records of the spool are set aside: refused for good, damaged or too old; with the shim stopped, "
                  "`roomclaim spool` shows why, and redrives or discards them",
                  LOG_INT("count", tally->buried));
    if (atomic_exchange(&spooler->stalled, tally->kept > 0) != (tally->kept > 0))
        log_info(tally->kept > 0 ? "Kafka does not take what the spool sends: trying on" : "the spool drains again",
                 LOG_INT("left", spool_stock(spooler->spool)->records));
    spooler->next_drain_ms = tally->kept > 0 ? clock_mono_ms() + STALLED_WAIT_MS : 0;
}

static enum spool_result transact(struct spooler *spooler, struct put *puts, bool settle)
{
    struct drain_tally tally = {0};
    enum spool_result result = spool_begin(spooler->spool);
    if (result == SPOOL_OK)
        result = put_all(spooler, puts);
    if (result == SPOOL_OK && settle)
        result = drain_settle(spooler->drain, spooler->spool, clock_wall_ms(), &tally);
    if (result == SPOOL_OK && puts)
        fault_point("spool_written");
    if (result == SPOOL_OK && settle)
        fault_point("spool_drained");
    if (result == SPOOL_OK)
        result = spool_commit(spooler->spool);
    if (result == SPOOL_OK && puts)
        fault_point("spool_synced");
    if (result != SPOOL_OK) {
        note_failure(spooler, result);
        spool_rollback(spooler->spool);
    } else if (settle) {
        count_drained(spooler, &tally);
        drain_finish(spooler->drain);
    }
    return result;
}

/* False: there is no spool any more until the next attempt. */
static bool replace(struct spooler *spooler)
{
    struct spool_opening opening;
    struct error err;
    const bool done = spool_replace(spooler->spool, &opening, &err);
    if (done)
        say_opened(spooler, &opening);
    else
        note_failure(spooler, SPOOL_DAMAGED);
    return done;
}

/* The webhooks of a transaction that failed are refused; what Kafka has is removed in the next. */
static void give_up(struct spooler *spooler, struct put *puts, enum spool_result result, bool settle)
{
    for (struct put *put = puts; put; put = put->next)
        put->result = result;
    if (settle && puts && transact(spooler, NULL, true) == SPOOL_OK)
        return;
    spooler->next_drain_ms = clock_mono_ms() + STALLED_WAIT_MS;
}

static bool all_taken(const struct put *puts)
{
    bool all = true;
    for (; puts; puts = puts->next)
        all = all && puts->result == SPOOL_OK;
    return all;
}

static void save(struct spooler *spooler, struct put *puts, bool settle)
{
    atomic_store(&spooler->busy_since_ms, clock_mono_ms());
    enum spool_result result = transact(spooler, puts, settle);
    if (result == SPOOL_DAMAGED && replace(spooler))
        result = transact(spooler, puts, settle);
    if (result != SPOOL_OK)
        give_up(spooler, puts, result, settle);
    else if (all_taken(puts))
        atomic_store(&spooler->well, true);
    publish_state(spooler);
    atomic_store(&spooler->busy_since_ms, 0);
}

static void hand_out(struct spooler *spooler, struct put *puts)
{
    if (!puts)
        return;
    for (struct put *put = puts; put; put = put->next) {
        atomic_fetch_sub(&spooler->waiting, 1);
        if (put->result != SPOOL_OK)
            on_gone(spooler, put->record.key);
    }
    pthread_mutex_lock(&spooler->lock);
    while (puts) {
        struct put *next = puts->next;
        list_add(&spooler->finished, puts);
        puts = next;
    }
    pthread_mutex_unlock(&spooler->lock);
    ring(spooler);
}

/* ---- the thread: draining ---- */

static void on_reported(void *arg)
{
    struct spooler *spooler = arg;
    pthread_mutex_lock(&spooler->lock);
    pthread_cond_signal(&spooler->work);
    pthread_mutex_unlock(&spooler->lock);
}

static bool may_drain(const struct spooler *spooler, int64_t now_ms)
{
    return !drain_under_way(spooler->drain) && spool_stock(spooler->spool)->records > 0 &&
           now_ms >= spooler->next_drain_ms && publisher_connected(spooler->publisher);
}

static void drain_on(struct spooler *spooler)
{
    bool over = false; /* the next pass begins when there is something to do */
    if (!may_drain(spooler, clock_mono_ms()))
        return;
    const enum spool_result result = drain_start(spooler->drain, spooler->spool, clock_wall_ms(), &over);
    if (result == SPOOL_OK)
        return;
    note_failure(spooler, result);
    spooler->next_drain_ms = clock_mono_ms() + STALLED_WAIT_MS;
    if (result == SPOOL_DAMAGED && replace(spooler))
        publish_state(spooler);
}

/* How long nothing has to be done, if nothing comes. */
static int64_t idle_ms(const struct spooler *spooler)
{
    const int64_t now_ms = clock_mono_ms();
    if (spool_stock(spooler->spool)->records == 0)
        return INT32_MAX;
    if (may_drain(spooler, now_ms) || (drain_is_reported(spooler->drain) && now_ms >= spooler->next_drain_ms))
        return 0;
    if (drain_under_way(spooler->drain) && !drain_is_reported(spooler->drain))
        return INT32_MAX; /* woken by on_reported */
    return MAX(spooler->next_drain_ms - now_ms, LOOK_AGAIN_MS);
}

/* With the lock held. */
static void wait_for_work(struct spooler *spooler)
{
    int64_t left_ms;
    while (!spooler->incoming.head && !spooler->ending && (left_ms = idle_ms(spooler)) > 0) {
        const int64_t until_ms = clock_mono_ms() + left_ms;
        const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
        if (pthread_cond_timedwait(&spooler->work, &spooler->lock, &until) != 0)
            return;
    }
}

static void *work(void *arg)
{
    struct spooler *spooler = arg;
    pthread_mutex_lock(&spooler->lock);
    while (!spooler->ending || spooler->incoming.head) {
        wait_for_work(spooler);
        struct put *puts = list_take_all(&spooler->incoming);
        const bool ending = spooler->ending;
        pthread_mutex_unlock(&spooler->lock);
        const bool settle = drain_is_reported(spooler->drain) && clock_mono_ms() >= spooler->next_drain_ms;
        if (puts || settle)
            save(spooler, puts, settle);
        hand_out(spooler, puts);
        if (!ending) /* a batch sent now would be in Kafka, and in the spool */
            drain_on(spooler);
        pthread_mutex_lock(&spooler->lock);
    }
    pthread_mutex_unlock(&spooler->lock);
    return NULL;
}

/* ---- beginning and end ---- */

static bool open_spool(struct spooler *spooler, const struct config *config, struct error *ret_err)
{
    const struct spool_options options = {.max_bytes = config->shim_spool_max_size_bytes,
                                          .allow_memory = config->shim_spool_in_memory};
    struct spool_opening opening;
    spooler->spool = spool_open(config->shim_spool_path, &options, &opening, ret_err);
    if (!spooler->spool)
        return false;
    say_opened(spooler, &opening);
    if (spool_read(spooler->spool, 0, count_key, spooler) == SPOOL_OK)
        return true;
    error_set(ret_err, ERROR_OPERATOR, "the spool %s: %s", config->shim_spool_path, spool_words(spooler->spool));
    return false;
}

static void init_lock(struct spooler *spooler)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&spooler->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&spooler->lock, NULL);
}

static bool start_thread(struct spooler *spooler, struct error *ret_err)
{
    spooler->started = spooler->fd >= 0 && pthread_create(&spooler->thread, NULL, work, spooler) == 0;
    if (!spooler->started)
        error_set(ret_err, ERROR_RETRY, "no thread for the spool could be started");
    return spooler->started;
}

struct spooler *spooler_new(const struct config *config, struct publisher *publisher, struct error *ret_err)
{
    struct spooler *spooler = xcalloc(1, sizeof *spooler);
    spooler->publisher = publisher;
    spooler->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    spooler->keys = xcalloc(KEY_COUNTERS, sizeof *spooler->keys);
    init_lock(spooler);
    list_init(&spooler->incoming);
    list_init(&spooler->finished);
    atomic_store(&spooler->well, true);
    const struct drain_hooks hooks = {.arg = spooler, .reported = on_reported, .gone = on_gone};
    spooler->drain = drain_new(publisher, &hooks, config->shim_spool_max_age_ms);
    if (open_spool(spooler, config, ret_err)) {
        publish_state(spooler);
        if (start_thread(spooler, ret_err))
            return spooler;
    }
    spooler_free(spooler);
    return NULL;
}

static bool join(const struct spooler *spooler)
{
    const int64_t until_ms = clock_mono_ms() + STOP_WITHIN_MS;
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    return pthread_clockjoin_np(spooler->thread, NULL, CLOCK_MONOTONIC, &until) == 0;
}

void spooler_stop(struct spooler *spooler)
{
    if (!spooler || !spooler->started)
        return;
    drain_end(spooler->drain);
    pthread_mutex_lock(&spooler->lock);
    spooler->ending = true;
    pthread_cond_signal(&spooler->work);
    pthread_mutex_unlock(&spooler->lock);
    if (!join(spooler)) {
        log_error("the spool's disk hangs: ending without it; what was answered 200 is on it");
        _exit(EXIT_FORCED);
    }
    spooler->started = false;
    spooler_poll(spooler);
}

void spooler_free(struct spooler *spooler)
{
    if (!spooler)
        return;
    spooler_stop(spooler);
    if (drain_is_reported(spooler->drain))
        save(spooler, NULL, true);
    spool_close(spooler->spool);
    drain_free(spooler->drain);
    pthread_cond_destroy(&spooler->work); /* not before: reports came until the publisher was freed */
    pthread_mutex_destroy(&spooler->lock);
    if (spooler->fd >= 0)
        close(spooler->fd);
    free(spooler->keys);
    free(spooler);
}
