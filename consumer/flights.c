#include "consumer/flights.h"

#include "common/alloc.h"

#include <assert.h>

#define uthash_malloc(size) xmalloc(size)
#include <uthash.h>

struct flight {
    UT_hash_handle hh;
    struct job *leader;
    struct job *followers, **tail;
};

struct flights {
    struct flight *table;
    size_t followers;
};

struct flights *flights_new(void)
{
    return xcalloc(1, sizeof(struct flights));
}

void flights_free(struct flights *flights)
{
    free(flights);
}

static struct flight *find(const struct flights *flights, const char *room)
{
    struct flight *flight = NULL;
    HASH_FIND(hh, flights->table, room, (unsigned)strlen(room), flight);
    return flight;
}

static void append(struct flight *flight, struct job *job)
{
    job->next = NULL;
    *flight->tail = job;
    flight->tail = &job->next;
}

bool flights_join(struct flights *flights, struct job *job)
{
    struct flight *flight = find(flights, job->room);
    if (flight != NULL) {
        append(flight, job);
        flights->followers++;
        return false;
    }
    flight = xcalloc(1, sizeof *flight);
    flight->leader = job;
    flight->tail = &flight->followers;
    HASH_ADD_KEYPTR(hh, flights->table, job->room, (unsigned)strlen(job->room), flight);
    job->lead = true;
    return true;
}

struct job *flights_leave(struct flights *flights, struct job *leader)
{
    struct flight *flight = find(flights, leader->room);
    assert(flight != NULL);
    leader->lead = false;
    HASH_DELETE(hh, flights->table, flight);
    struct job *followers = flight->followers;
    for (const struct job *job = followers; job != NULL; job = job->next)
        flights->followers--;
    free(flight);
    return followers;
}

const struct job *flights_leader(const struct flights *flights, const char *room)
{
    const struct flight *flight = find(flights, room);
    return flight != NULL ? flight->leader : NULL;
}

bool flights_has(const struct flights *flights, const char *room)
{
    return find(flights, room) != NULL;
}

const struct job *flights_slowest(const struct flights *flights)
{
    const struct job *slowest = NULL;
    for (const struct flight *flight = flights->table; flight != NULL; flight = flight->hh.next) {
        const struct job *job = flight->leader;
        if (job->slot && (slowest == NULL || job->moved_us < slowest->moved_us))
            slowest = job;
    }
    return slowest;
}

size_t flights_follower_count(const struct flights *flights)
{
    return flights->followers;
}

struct job *flights_take_followers(struct flights *flights, int32_t partition)
{
    struct job *taken = NULL;
    for (struct flight *flight = flights->table; flight != NULL; flight = flight->hh.next) {
        struct job *job = TAKE(flight->followers);
        flight->tail = &flight->followers;
        while (job != NULL) {
            struct job *next = job->next;
            if (partition < 0 || job->place.partition == partition) {
                job->next = taken;
                taken = job;
                flights->followers--;
            } else {
                append(flight, job);
            }
            job = next;
        }
    }
    return taken;
}
