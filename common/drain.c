#include "drain.h"

#include "alloc.h"
#include "spool_record.h"
#include "text.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    BATCH_BYTES = 4 << 20,
    READ_RECORDS = 5000,  /* also of keys that wait: webhooks wait behind a read */
    HELD_BITS = 1 << 16,  /* keys share a bit: then one waits for the next pass for nothing */
    LAST_SLOTS = 1 << 14, /* the same within a batch: then one waits for the other's report */
};

/* What is to become of a record of the batch. */
enum fate { FATE_WAITS, FATE_SENT, FATE_ACKED, FATE_REFUSED, FATE_UNKNOWN, FATE_DAMAGED, FATE_TOO_OLD };

static const char *const burial_reasons[] = {
    [FATE_REFUSED] = "refused", [FATE_DAMAGED] = "damaged", [FATE_TOO_OLD] = "too_old"};

/* What a record that waits has copied: topic with its NUL, key, packed headers, value. */
struct copy {
    size_t key_at, headers_at, value_at;
    struct text bytes;
};

struct parcel {
    struct drain *drain;
    int64_t id;
    size_t key, key_len; /* where it stands in drain->keys */
    uint32_t hash;       /* of the key */
    bool held_back;      /* by a record before it of the same key */
    enum fate fate;
    struct parcel *next; /* of the same key: waits until this one is reported */
    struct copy *copy;   /* only while it waits; owned */
};

struct drain {
    struct publisher *publisher;
    struct drain_hooks hooks;
    int64_t max_age_ms;
    int64_t after_id, now_ms;
    struct parcel *batch; /* DRAIN_BATCH_RECORDS */
    struct text keys;     /* of the batch */
    size_t count, bytes;
    size_t looked_at;      /* records, by the read under way */
    atomic_size_t waiting; /* reports, and one for drain_start itself */
    atomic_bool ending;
    pthread_mutex_t lock; /* of each parcel's fate, next and copy while the batch is not reported whole */
    bool under_way;
    unsigned char held[HELD_BITS / 8]; /* keys that wait for the next pass */
    struct parcel *last[LAST_SLOTS];   /* of the batch: the last record of such keys that was not buried at once */
};

struct drain *drain_new(struct publisher *publisher, const struct drain_hooks *hooks, int64_t max_age_ms)
{
    struct drain *drain = xcalloc(1, sizeof *drain);
    drain->publisher = publisher;
    drain->hooks = *hooks;
    drain->max_age_ms = max_age_ms;
    drain->batch = xcalloc(DRAIN_BATCH_RECORDS, sizeof *drain->batch);
    pthread_mutex_init(&drain->lock, NULL);
    return drain;
}

static void copy_free(struct copy *copy)
{
    if (!copy)
        return;
    text_free(&copy->bytes);
    free(copy);
}

static void forget_batch(struct drain *drain)
{
    for (size_t i = 0; i < drain->count; i++)
        copy_free(TAKE(drain->batch[i].copy));
    text_free(&drain->keys);
    memset(drain->last, 0, sizeof drain->last);
    drain->count = drain->bytes = 0;
    drain->under_way = false;
}

void drain_free(struct drain *drain)
{
    if (!drain)
        return;
    forget_batch(drain);
    pthread_mutex_destroy(&drain->lock);
    free(drain->batch);
    free(drain);
}

void drain_end(struct drain *drain)
{
    atomic_store(&drain->ending, true);
}

/* ---- keys that wait ---- */

static void hold(struct drain *drain, uint32_t hash)
{
    const size_t bit = hash % HELD_BITS;
    drain->held[bit / 8] |= (unsigned char)(1U << bit % 8);
}

static bool is_held(const struct drain *drain, uint32_t hash)
{
    const size_t bit = hash % HELD_BITS;
    return drain->held[bit / 8] >> bit % 8 & 1U;
}

/* ---- a batch ---- */

static void count_down(struct drain *drain, size_t count)
{
    if (atomic_fetch_sub(&drain->waiting, count) == count)
        drain->hooks.reported(drain->hooks.arg);
}

static struct copy *copy_of(const struct spool_record *record)
{
    struct copy *copy = xcalloc(1, sizeof *copy);
    text_put(&copy->bytes, record->topic, strlen(record->topic) + 1);
    copy->key_at = copy->bytes.len;
    text_put(&copy->bytes, record->key.ptr, record->key.len);
    copy->headers_at = copy->bytes.len;
    spool_headers_pack(record->headers, record->header_count, &copy->bytes);
    copy->value_at = copy->bytes.len;
    text_put(&copy->bytes, record->value.ptr, record->value.len);
    return copy;
}

static void on_report(void *arg, const struct publish_report *report);

/* Takes the copy. */
static void send_copy(struct parcel *parcel, struct copy *copy)
{
    const char *bytes = copy->bytes.ptr;
    const struct slice key = {.ptr = bytes + copy->key_at, .len = copy->headers_at - copy->key_at};
    const struct slice packed = {.ptr = bytes + copy->headers_at, .len = copy->value_at - copy->headers_at};
    const struct slice value = {.ptr = bytes + copy->value_at, .len = copy->bytes.len - copy->value_at};
    struct record_header headers[SPOOL_HEADERS_MAX];
    size_t count = 0;
    const bool unpacked = spool_headers_unpack(packed, headers, &count);
    assert(unpacked); /* we have packed them */
    (void)unpacked;
    publisher_send(parcel->drain->publisher, bytes, key, headers, count, value, on_report, parcel);
    copy_free(copy);
}

/* With the lock held: nobody will send what waits behind a record that may not be in Kafka. Returns how many. */
static size_t strand(struct parcel *parcel)
{
    size_t count = 0;
    for (; parcel; parcel = parcel->next, count++)
        parcel->fate = FATE_UNKNOWN;
    return count;
}

/* A record is sent once the one before it, of its key, is in Kafka or refused for good. To send both at once would not
 * do: librdkafka may give up the first, when its time is over, and still deliver the second. */
static void on_report(void *arg, const struct publish_report *report)
{
    struct parcel *parcel = arg;
    struct drain *drain = parcel->drain;
    struct parcel *next = NULL;
    struct copy *copy = NULL;
    size_t over = 1;
    pthread_mutex_lock(&drain->lock);
    parcel->fate = report->outcome == PUBLISH_ACKED     ? FATE_ACKED
                   : report->outcome == PUBLISH_REFUSED ? FATE_REFUSED
                                                        : FATE_UNKNOWN;
    if (parcel->fate == FATE_UNKNOWN || atomic_load(&drain->ending)) {
        over += strand(parcel->next);
    } else if (parcel->next) {
        next = parcel->next;
        next->fate = FATE_SENT;
        copy = TAKE(next->copy);
    }
    pthread_mutex_unlock(&drain->lock);
    if (next)
        send_copy(next, copy);
    count_down(drain, over);
}

static enum fate first_fate(const struct drain *drain, const struct spool_record *record)
{
    if (record->damaged)
        return FATE_DAMAGED;
    if (drain->max_age_ms > 0 && drain->now_ms - record->put_ms > drain->max_age_ms)
        return FATE_TOO_OLD;
    return FATE_SENT;
}

/* With the lock held. What becomes of a record behind this one. */
static enum fate fate_behind(const struct parcel *last)
{
    if (!last || last->fate == FATE_ACKED || last->fate == FATE_REFUSED)
        return FATE_SENT;
    return last->fate == FATE_UNKNOWN ? FATE_UNKNOWN : FATE_WAITS;
}

/* Adds it to the batch; true: it is to be sent now. */
static bool pack(struct drain *drain, struct parcel *parcel, const struct spool_record *record)
{
    struct parcel **last = &drain->last[parcel->hash % LAST_SLOTS];
    pthread_mutex_lock(&drain->lock);
    parcel->fate = first_fate(drain, record);
    if (parcel->fate == FATE_SENT) {
        parcel->fate = fate_behind(*last);
        if (parcel->fate == FATE_WAITS) {
            (*last)->next = parcel;
            parcel->copy = copy_of(record);
        }
        *last = parcel;
    }
    if (parcel->fate == FATE_SENT || parcel->fate == FATE_WAITS)
        atomic_fetch_add(&drain->waiting, 1);
    const bool now = parcel->fate == FATE_SENT;
    pthread_mutex_unlock(&drain->lock);
    return now;
}

static bool send_record(void *arg, const struct spool_record *record)
{
    struct drain *drain = arg;
    const uint32_t hash = slice_hash(record->key);
    const bool more = ++drain->looked_at < READ_RECORDS;
    drain->after_id = record->id;
    if (is_held(drain, hash))
        return more;
    struct parcel *parcel = &drain->batch[drain->count];
    *parcel = (struct parcel){
        .drain = drain, .id = record->id, .key = drain->keys.len, .key_len = record->key.len, .hash = hash};
    text_put(&drain->keys, record->key.ptr, record->key.len);
    const bool now = pack(drain, parcel, record);
    drain->count++;
    if (now)
        publisher_send(drain->publisher, record->topic, record->key, record->headers, record->header_count,
                       record->value, on_report, parcel);
    drain->bytes += record->key.len + record->value.len;
    return more && drain->count < DRAIN_BATCH_RECORDS && drain->bytes < BATCH_BYTES;
}

enum spool_result drain_start(struct drain *drain, struct spool *spool, int64_t now_ms, bool *ret_pass_over)
{
    drain->now_ms = now_ms;
    drain->looked_at = 0;
    atomic_store(&drain->waiting, 1);
    const enum spool_result result = spool_read(spool, drain->after_id, send_record, drain);
    drain->under_way = drain->count > 0;
    *ret_pass_over = !drain->under_way && drain->looked_at < READ_RECORDS;
    if (*ret_pass_over) {
        drain->after_id = 0;
        memset(drain->held, 0, sizeof drain->held);
    }
    if (drain->under_way)
        count_down(drain, 1);
    return result;
}

bool drain_under_way(const struct drain *drain)
{
    return drain->under_way;
}

bool drain_is_reported(const struct drain *drain)
{
    return drain->under_way && atomic_load(&drain->waiting) == 0;
}

/* ---- afterwards ---- */

static struct slice key_of(const struct parcel *parcel)
{
    const char *keys = parcel->drain->keys.ptr;
    return (struct slice){.ptr = keys ? keys + parcel->key : "", .len = parcel->key_len};
}

/* Nothing of a key goes past a record that may not have arrived: in this batch it was not sent, in the next it isn't.
 */
static void hold_back(struct drain *drain)
{
    for (size_t i = 0; i < drain->count; i++) {
        struct parcel *parcel = &drain->batch[i];
        parcel->held_back = parcel->fate == FATE_UNKNOWN;
        if (parcel->held_back)
            hold(drain, parcel->hash);
    }
}

enum spool_result drain_settle(struct drain *drain, struct spool *spool, int64_t now_ms, struct drain_tally *ret_tally)
{
    enum spool_result result = SPOOL_OK;
    *ret_tally = (struct drain_tally){0};
    hold_back(drain);
    for (size_t i = 0; i < drain->count && result == SPOOL_OK; i++) {
        const struct parcel *parcel = &drain->batch[i];
        const enum fate fate = parcel->fate; /* no report is to come any more */
        if (parcel->held_back) {
            ret_tally->kept++;
        } else if (fate == FATE_ACKED) {
            result = spool_remove(spool, parcel->id);
            ret_tally->sent++;
        } else {
            result = spool_bury(spool, parcel->id, burial_reasons[fate], now_ms);
            ret_tally->buried++;
        }
    }
    return result;
}

void drain_finish(struct drain *drain)
{
    for (size_t i = 0; i < drain->count; i++) {
        if (!drain->batch[i].held_back && drain->hooks.gone)
            drain->hooks.gone(drain->hooks.arg, key_of(&drain->batch[i]));
    }
    forget_batch(drain);
}
