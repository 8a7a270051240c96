/* A ring of chunks of 64 offsets with a bit for each pending record. A gap costs nothing: chunks in which no record was
 * read do not exist, and the newest chunk, once all of it is settled, gives its place to the next one. The ring is
 * ordered by chunk number and its first chunk always has a pending record, so the watermark is its lowest bit.
 */
#include "consumer/offsets.h"

#include "common/alloc.h"

#include <assert.h>

enum { CHUNK_BITS = 6, RING_MIN = 16 };

struct chunk {
    int64_t number;   /* offset >> CHUNK_BITS */
    uint64_t pending; /* bit i: offset number * 64 + i was read and is not settled */
};

struct offsets {
    struct chunk *ring;
    size_t capacity; /* a power of two */
    size_t first, count;
    size_t pending;
    int64_t newest;
};

struct offsets *offsets_new(void)
{
    struct offsets *o = xcalloc(1, sizeof *o);
    o->capacity = RING_MIN;
    o->ring = xcalloc(RING_MIN, sizeof *o->ring);
    o->newest = -1;
    return o;
}

void offsets_free(struct offsets *o)
{
    if (!o)
        return;
    free(o->ring);
    free(o);
}

static struct chunk *chunk_at(const struct offsets *o, size_t index)
{
    return &o->ring[(o->first + index) & (o->capacity - 1)];
}

static void ring_resize(struct offsets *o, size_t capacity)
{
    struct chunk *ring = xcalloc(capacity, sizeof *ring);
    for (size_t i = 0; i < o->count; i++)
        ring[i] = *chunk_at(o, i);
    free(o->ring);
    o->ring = ring;
    o->capacity = capacity;
    o->first = 0;
}

/* The newest chunk, made if the number is new. */
static struct chunk *chunk_append(struct offsets *o, int64_t number)
{
    struct chunk *last = o->count ? chunk_at(o, o->count - 1) : NULL;
    if (last && last->number == number)
        return last;
    if (last && last->pending == 0) {
        last->number = number;
        return last;
    }
    if (o->count == o->capacity)
        ring_resize(o, o->capacity * 2);
    last = chunk_at(o, o->count++);
    *last = (struct chunk){.number = number};
    return last;
}

/* Chunk numbers are whole and rise strictly, so the distance to both ends bounds the place: without gaps the window is
 * one chunk wide, with gaps it is halved. */
static struct chunk *chunk_find(const struct offsets *o, int64_t number)
{
    if (o->count == 0 || number < chunk_at(o, 0)->number || number > chunk_at(o, o->count - 1)->number)
        return NULL;
    const uint64_t after = (uint64_t)(number - chunk_at(o, 0)->number);
    const uint64_t before = (uint64_t)(chunk_at(o, o->count - 1)->number - number);
    size_t high = (size_t)MIN(after, o->count - 1);
    size_t low = before < o->count ? o->count - 1 - (size_t)before : 0;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (chunk_at(o, middle)->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    struct chunk *found = chunk_at(o, low);
    return found->number == number ? found : NULL;
}

static void drop_settled(struct offsets *o)
{
    while (o->count > 0 && chunk_at(o, 0)->pending == 0) {
        o->first = (o->first + 1) & (o->capacity - 1);
        o->count--;
    }
    if (o->capacity > RING_MIN && o->count <= o->capacity / 8)
        ring_resize(o, o->capacity / 2);
}

bool offsets_add(struct offsets *o, int64_t offset)
{
    if (offset <= o->newest || offset == INT64_MAX)
        return false;
    struct chunk *chunk = chunk_append(o, offset >> CHUNK_BITS);
    chunk->pending |= UINT64_C(1) << (offset & 63);
    o->pending++;
    o->newest = offset;
    return true;
}

bool offsets_settle(struct offsets *o, int64_t offset)
{
    if (offset < 0)
        return false;
    struct chunk *chunk = chunk_find(o, offset >> CHUNK_BITS);
    const uint64_t bit = UINT64_C(1) << (offset & 63);
    if (!chunk || !(chunk->pending & bit))
        return false;
    chunk->pending &= ~bit;
    o->pending--;
    drop_settled(o);
    return true;
}

int64_t offsets_watermark(const struct offsets *o)
{
    if (o->newest < 0)
        return -1;
    if (o->count == 0)
        return o->newest + 1;
    const struct chunk *chunk = chunk_at(o, 0);
    assert(chunk->pending != 0);
    return (chunk->number << CHUNK_BITS) + __builtin_ctzll(chunk->pending);
}

size_t offsets_pending(const struct offsets *o)
{
    return o->pending;
}

int64_t offsets_newest(const struct offsets *o)
{
    return o->newest;
}
