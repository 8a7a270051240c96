/* What a run has seen: each fault that is meant to happen, and each branch of interest, must have happened in a run of
 * some size; else the run shows nothing and fails. Branches come from the consumer's own metrics. */
#ifndef ROOMCLAIM_SIM_COVER_H
#define ROOMCLAIM_SIM_COVER_H

#include "common/base.h"

#include <stdio.h>

/* X(id, words, per mille of the schedules in which it may happen) */
#define FAULT_TABLE(X)                                                          \
    X(CRASH_AT_STATE, "a consumer dies as a job enters a state", 300)           \
    X(CRASH_IDLE, "a consumer dies between two events", 200)                    \
    X(STOP_AT_STATE, "a consumer stands still as a job enters a state", 300)    \
    X(STOP_IDLE, "a consumer stands still between two events", 200)             \
    X(SUSPEND, "it is the machine that stands still", 500)                      \
    X(TERMINATE, "a consumer is told to end", 250)                              \
    X(REQUEST_LOST, "a request to Postgres is lost", 250)                       \
    X(REQUEST_LATE, "a request is carried out when nobody waits any more", 200) \
    X(REPLY_LOST, "an answer of Postgres is lost", 300)                         \
    X(DATABASE_SLOW, "Postgres takes seconds", 150)                             \
    X(DATABASE_ERROR, "Postgres answers with a passing error", 250)             \
    X(DATABASE_AWAY, "Postgres is away", 200)                                   \
    X(GUILTY_CLAIM, "the claim of one room raises an error", 100)               \
    X(GUILTY_STORE, "the result of one room raises an error", 100)              \
    X(MODEL_SLOW, "the model takes its time", 250)                              \
    X(MODEL_FAILS, "the model fails on single calls", 400)                      \
    X(MODEL_AWAY, "the provider is away", 250)                                  \
    X(OPERATOR_FAULT, "the provider refuses the key", 100)                      \
    X(LETTER_UNKNOWN, "a dead letter is not acknowledged", 200)                 \
    X(LETTER_REFUSED, "a dead letter is refused", 150)                          \
    X(REBALANCE, "the group is rebalanced", 400)                                \
    X(SESSION_LOST, "the group takes a consumer for dead", 150)                 \
    X(COMMIT_REFUSED, "an offset commit is refused", 200)                       \
    X(COMMIT_LOST, "the answer to a commit is lost", 200)                       \
    X(DUPLICATES, "a webhook stands in the topic several times", 700)           \
    X(BURST, "many webhooks at once", 200)                                      \
    X(JUNK, "poison, tombstones and other events in the topic", 250)            \
    X(ROW_LATE, "the row comes after its webhook", 200)                         \
    X(ROW_MISSING, "there is no row", 150)                                      \
    X(INPUT_LATE, "the input comes after the row", 150)                         \
    X(ROW_RESET, "the application resets a row and sends a webhook", 350)       \
    X(ROW_DROPPED, "the application drops a row", 200)                          \
    X(ROW_DELETED, "the application deletes a row", 150)                        \
    X(ROW_LOCKED, "the application holds a row", 250)                           \
    X(ROW_REFUSES, "a trigger refuses completed", 120)                          \
    X(ROW_FOREIGN, "another handler takes a row", 150)                          \
    X(ROW_RETRIED, "an operator asks for parked rooms again", 200)              \
    X(STOP_BUTTON, "an operator stops all model calls", 120)

enum fault {
#define X(id, words, permille) FAULT_##id,
    FAULT_TABLE(X)
#undef X
        FAULT_COUNT
};

/* Branches of our own that no metric of the consumer counts. */
#define BRANCH_TABLE(X)                                           \
    X(REBALANCE_COOPERATIVE, "an incremental assignment")         \
    X(LEASE_ENDED, "a lease ended")                               \
    X(LATE_STORE, "a result was stored after its lease")          \
    X(STORE_AGAIN, "a result was stored again by the same token") \
    X(CLAIM_AGAIN, "a claim was sent again and won again")        \
    X(TAKEN_OVER, "a claim took over a lease that had ended")     \
    X(NEW_RUN, "a claim began another run")                       \
    X(CALL_GIVEN_UP, "a room went back before its call was sent") \
    X(SECOND_CALL, "a second call in one run, with a cause")      \
    X(PAUSED, "partitions were paused")                           \
    X(BATCH, "several rooms in one batch")                        \
    X(HALVED, "a batch failed by the fault of one of its rooms")  \
    X(BREAKER_OPENED, "the breaker opened")                       \
    X(PROBE, "a probe of the breaker was a call")                 \
    X(ENDED_WELL, "a consumer ended in order")                    \
    X(ENDED_FORCED, "a consumer ended with work left")            \
    X(OFFSETS_COMMITTED, "an offset was committed")               \
    X(ZOMBIE_FENCED, "a write with an old token changed nothing")

enum branch {
#define X(id, words) BRANCH_##id,
    BRANCH_TABLE(X)
#undef X
        BRANCH_COUNT
};

void cover_fault(enum fault fault);
void cover_branch(enum branch branch);

/* Prints all counters. */
void cover_print(FILE *out);
/* Names what was never seen. Returns how many. */
unsigned cover_missing(FILE *out);

#endif
