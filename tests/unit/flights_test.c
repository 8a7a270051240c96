#include "tests/unit/check.h"

#include "consumer/flights.h"

static struct job *a_job(const char *room, int32_t partition)
{
    struct job *job = job_new(NULL, room, "", "webhook");
    job->place.partition = partition;
    return job;
}

static void the_first_leads_the_others_follow(void)
{
    struct flights *flights = flights_new();
    struct job *first = a_job("RM_a", 0), *second = a_job("RM_a", 0), *third = a_job("RM_a", 1);
    CHECK(flights_join(flights, first));
    CHECK(!flights_join(flights, second));
    CHECK(!flights_join(flights, third));
    CHECK(first->lead && !second->lead);
    CHECK(flights_has(flights, "RM_a"));
    CHECK(!flights_has(flights, "RM_b"));
    CHECK_INT(flights_follower_count(flights), 2);
    const struct job *followers = flights_leave(flights, first);
    CHECK(followers == second && followers->next == third && third->next == NULL);
    CHECK(!flights_has(flights, "RM_a"));
    CHECK_INT(flights_follower_count(flights), 0);
    job_free(first);
    job_free(second);
    job_free(third);
    flights_free(flights);
}

static void a_revoke_takes_the_followers_of_its_partition(void)
{
    struct flights *flights = flights_new();
    struct job *leader = a_job("RM_a", 0), *here = a_job("RM_a", 1), *there = a_job("RM_a", 2);
    flights_join(flights, leader);
    flights_join(flights, here);
    flights_join(flights, there);
    const struct job *taken = flights_take_followers(flights, 1);
    CHECK(taken == here && taken->next == NULL);
    CHECK_INT(flights_follower_count(flights), 1);
    CHECK(flights_take_followers(flights, 7) == NULL);
    CHECK(flights_leave(flights, leader) == there);
    job_free(leader);
    job_free(here);
    job_free(there);
    flights_free(flights);
}

static void all_partitions_at_once(void)
{
    struct flights *flights = flights_new();
    struct job *jobs[] = {a_job("RM_a", 0), a_job("RM_a", 1), a_job("RM_b", 2), a_job("RM_b", 3)};
    for (size_t i = 0; i < 4; i++)
        flights_join(flights, jobs[i]);
    size_t taken = 0;
    for (const struct job *job = flights_take_followers(flights, -1); job != NULL; job = job->next)
        taken++;
    CHECK_INT(taken, 2);
    CHECK(flights_leave(flights, jobs[0]) == NULL);
    CHECK(flights_leave(flights, jobs[2]) == NULL);
    for (size_t i = 0; i < 4; i++)
        job_free(jobs[i]);
    flights_free(flights);
}

static void the_slowest_of_those_with_a_slot(void)
{
    struct flights *flights = flights_new();
    struct job *jobs[] = {a_job("RM_a", 0), a_job("RM_b", 0), a_job("RM_c", 1)};
    const int64_t moved_us[] = {10, 30, 20};
    CHECK(flights_slowest(flights) == NULL);
    for (size_t i = 0; i < 3; i++) {
        flights_join(flights, jobs[i]);
        jobs[i]->moved_us = moved_us[i];
    }
    CHECK(flights_slowest(flights) == NULL); /* who waits may wait for long */
    jobs[1]->slot = jobs[2]->slot = true;
    CHECK(flights_slowest(flights) == jobs[2]);
    jobs[0]->slot = true;
    CHECK(flights_slowest(flights) == jobs[0]);
    for (size_t i = 0; i < 3; i++) {
        CHECK(flights_leave(flights, jobs[i]) == NULL);
        job_free(jobs[i]);
    }
    flights_free(flights);
}

CHECK_MAIN({"the first leads, the others follow", the_first_leads_the_others_follow},
           {"a revoke takes the followers of its partition", a_revoke_takes_the_followers_of_its_partition},
           {"all partitions at once", all_partitions_at_once},
           {"the slowest of those with a slot", the_slowest_of_those_with_a_slot})
