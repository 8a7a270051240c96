#include "drain.h"

#include "alloc.h"
#include "text.h"

#include <stdatomic.h>

enum {
    BATCH_BYTES = 4 << 20,
    HELD_BITS = 1 << 16, /* keys share a bit: then one waits for the next pass for nothing */
};

/* What is to become of a record of the batch. */
enum fate { FATE_SENT, FATE_ACKED, FATE_REFUSED, FATE_UNKNOWN, FATE_DAMAGED, FATE_TOO_OLD };

static const char *const burial_reasons[] = {
    [FATE_REFUSED] = "refused", [FATE_DAMAGED] = "damaged", [FATE_TOO_OLD] = "too_old"};

struct parcel {
    struct drain *drain;
    int64_t id;
    size_t key, key_len; /* where it stands in drain->keys */
    bool held_back;      /* by a record before it of the same key */
    _Atomic(enum fate) fate;
};

struct drain {
    struct publisher *publisher;
    struct drain_hooks hooks;
    int64_t max_age_ms;
    int64_t after_id, now_ms;
    struct parcel *batch; /* DRAIN_BATCH_RECORDS */
    struct text keys;     /* of the batch */
    size_t count, bytes;
    atomic_size_t waiting; /* reports, and one for drain_start itself */
    bool under_way;
    unsigned char held[HELD_BITS / 8]; /* keys that wait for the next pass */
};

struct drain *drain_new(struct publisher *publisher, const struct drain_hooks *hooks, int64_t max_age_ms)
{
    struct drain *drain = xcalloc(1, sizeof *drain);
    drain->publisher = publisher;
    drain->hooks = *hooks;
    drain->max_age_ms = max_age_ms;
    drain->batch = xcalloc(DRAIN_BATCH_RECORDS, sizeof *drain->batch);
    return drain;
}

static void forget_batch(struct drain *drain)
{
    text_free(&drain->keys);
    drain->count = drain->bytes = 0;
    drain->under_way = false;
}

void drain_free(struct drain *drain)
{
    if (!drain)
        return;
    forget_batch(drain);
    free(drain->batch);
    free(drain);
}

/* ---- keys that wait ---- */

static size_t bit_of(struct slice key)
{
    return slice_hash(key) % HELD_BITS;
}

static void hold(struct drain *drain, struct slice key)
{
    const size_t bit = bit_of(key);
    drain->held[bit / 8] |= (unsigned char)(1U << bit % 8);
}

static bool is_held(const struct drain *drain, struct slice key)
{
    const size_t bit = bit_of(key);
    return drain->held[bit / 8] >> bit % 8 & 1U;
}

/* ---- a batch ---- */

static void count_down(struct drain *drain)
{
    if (atomic_fetch_sub(&drain->waiting, 1) == 1)
        drain->hooks.reported(drain->hooks.arg);
}

static void on_report(void *arg, const struct publish_report *report)
{
    struct parcel *parcel = arg;
    enum fate fate = FATE_UNKNOWN;
    if (report->outcome == PUBLISH_ACKED)
        fate = FATE_ACKED;
    else if (report->outcome == PUBLISH_REFUSED)
        fate = FATE_REFUSED;
    atomic_store(&parcel->fate, fate);
    count_down(parcel->drain);
}

static enum fate first_fate(const struct drain *drain, const struct spool_record *record)
{
    if (record->damaged)
        return FATE_DAMAGED;
    if (drain->max_age_ms > 0 && drain->now_ms - record->put_ms > drain->max_age_ms)
        return FATE_TOO_OLD;
    return FATE_SENT;
}

static bool send_record(void *arg, const struct spool_record *record)
{
    struct drain *drain = arg;
    drain->after_id = record->id;
    if (is_held(drain, record->key))
        return true;
    struct parcel *parcel = &drain->batch[drain->count++];
    parcel->drain = drain;
    parcel->id = record->id;
    parcel->key = drain->keys.len;
    parcel->key_len = record->key.len;
    text_put(&drain->keys, record->key.ptr, record->key.len);
    parcel->held_back = false;
    atomic_store(&parcel->fate, first_fate(drain, record));
    if (atomic_load(&parcel->fate) == FATE_SENT) {
        atomic_fetch_add(&drain->waiting, 1);
        publisher_send(drain->publisher, record->topic, record->key, record->headers, record->header_count,
                       record->value, on_report, parcel);
    }
    drain->bytes += record->key.len + record->value.len;
    return drain->count < DRAIN_BATCH_RECORDS && drain->bytes < BATCH_BYTES;
}

enum spool_result drain_start(struct drain *drain, struct spool *spool, int64_t now_ms, size_t *ret_count)
{
    drain->now_ms = now_ms;
    atomic_store(&drain->waiting, 1);
    const enum spool_result result = spool_read(spool, drain->after_id, send_record, drain);
    *ret_count = drain->count;
    drain->under_way = drain->count > 0;
    if (!drain->under_way) {
        drain->after_id = 0;
        memset(drain->held, 0, sizeof drain->held);
        return result;
    }
    count_down(drain);
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

/* A record that Kafka has stays all the same when one before it, of its key, has not arrived: both go again, in order.
 */
static void hold_back(struct drain *drain)
{
    for (size_t i = 0; i < drain->count; i++) {
        struct parcel *parcel = &drain->batch[i];
        const enum fate fate = atomic_load(&parcel->fate);
        parcel->held_back = fate == FATE_UNKNOWN || (fate == FATE_ACKED && is_held(drain, key_of(parcel)));
        if (fate == FATE_UNKNOWN)
            hold(drain, key_of(parcel));
    }
}

enum spool_result drain_settle(struct drain *drain, struct spool *spool, int64_t now_ms, struct drain_tally *ret_tally)
{
    enum spool_result result = SPOOL_OK;
    *ret_tally = (struct drain_tally){0};
    hold_back(drain);
    for (size_t i = 0; i < drain->count && result == SPOOL_OK; i++) {
        const struct parcel *parcel = &drain->batch[i];
        const enum fate fate = atomic_load(&parcel->fate);
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
