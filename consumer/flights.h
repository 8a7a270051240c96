/* The rooms in flight in this process: for each the job that leads, and the duplicates that follow it. */
#ifndef ROOMCLAIM_FLIGHTS_H
#define ROOMCLAIM_FLIGHTS_H

#include "consumer/job.h"

struct flights;

struct flights *flights_new(void) MUST_CHECK;
void flights_free(struct flights *flights); /* empty by then */

/* Makes job the leader of its room and returns true; or, if the room is in flight, its follower and returns false. */
bool flights_join(struct flights *flights, struct job *job);
/* Borrowed; NULL: the room is not in flight. */
const struct job *flights_leader(const struct flights *flights, const char *room);
/* The leader ends. Returns its followers as a list by job->next (may be NULL); they belong to the caller again. */
struct job *flights_leave(struct flights *flights, struct job *leader);
bool flights_has(const struct flights *flights, const char *room);
/* Of the leaders that hold a slot, the one that has been in its state for longest; NULL when none does. Borrowed. */
const struct job *flights_slowest(const struct flights *flights);
size_t flights_follower_count(const struct flights *flights);

/* Takes out the followers whose record is of this partition (-1: all), as a list; for a revoke. */
struct job *flights_take_followers(struct flights *flights, int32_t partition);

#endif
