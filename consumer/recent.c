#include "consumer/recent.h"

#include "common/alloc.h"

#define uthash_malloc(size) xmalloc(size)
#include <uthash.h>

struct entry {
    UT_hash_handle hh; /* uthash keeps the order of insertion: the first is the oldest */
    int64_t until_ms;
    const char *event_id; /* behind room */
    char room[];
};

struct recent {
    struct entry *table;
    size_t limit;
    int64_t keep_ms;
};

struct recent *recent_new(size_t limit, int64_t keep_ms)
{
    struct recent *recent = xcalloc(1, sizeof *recent);
    recent->limit = limit;
    recent->keep_ms = keep_ms;
    return recent;
}

static struct entry *find(const struct recent *recent, const char *room)
{
    struct entry *entry = NULL;
    HASH_FIND(hh, recent->table, room, (unsigned)strlen(room), entry);
    return entry;
}

static void drop(struct recent *recent, struct entry *entry)
{
    HASH_DELETE(hh, recent->table, entry);
    free(entry);
}

void recent_clear(struct recent *recent)
{
    while (recent->table != NULL)
        drop(recent, recent->table);
}

void recent_free(struct recent *recent)
{
    if (recent == NULL)
        return;
    recent_clear(recent);
    free(recent);
}

void recent_add(struct recent *recent, const char *room, const char *event_id, int64_t now_ms)
{
    if (recent->limit == 0 || event_id[0] == '\0')
        return;
    struct entry *entry = find(recent, room);
    if (entry != NULL)
        drop(recent, entry);
    /* The analyzer does not see that HASH_DELETE moves the table on before the entry is freed.
     * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    while (recent->table != NULL && (HASH_COUNT(recent->table) >= recent->limit || recent->table->until_ms <= now_ms))
        drop(recent, recent->table);
    const size_t len = strlen(room), id_size = strlen(event_id) + 1;
    entry = xmalloc(sizeof *entry + len + 1 + id_size);
    entry->until_ms = now_ms + recent->keep_ms;
    entry->event_id = memcpy(entry->room + len + 1, event_id, id_size);
    memcpy(entry->room, room, len + 1);
    HASH_ADD_KEYPTR(hh, recent->table, entry->room, (unsigned)len, entry);
}

bool recent_has(const struct recent *recent, const char *room, const char *event_id, int64_t now_ms)
{
    const struct entry *entry = find(recent, room);
    return entry != NULL && entry->until_ms > now_ms && strcmp(entry->event_id, event_id) == 0;
}
