/* The consumer's fault points: the states of a job, the requests to Postgres, and what lies between. For
 * common/fault.h.
 */
#ifndef ROOMCLAIM_POINTS_H
#define ROOMCLAIM_POINTS_H

#include "common/fault.h"
#include "consumer/job.h"
#include "consumer/store.h"

/* X(name, help) */
#define CONSUMER_POINT_TABLE(X)                                                                 \
    X("record_polled", "a record is read, and nothing is done for it yet")                      \
    X("inbox_written", "Postgres has noted a room without a row")                               \
    X("call_begun", "the connection to the model stands, no byte of the request has left")      \
    X("call_sent", "the request to the model has left")                                         \
    X("letter_acked", "Kafka has a dead letter, and Postgres does not know it")                 \
    X("record_settled", "a record of the topic is settled, and not committed")                  \
    X("commit_sent", "an offset commit is on its way")                                          \
    X("commit_acked", "an offset commit is acknowledged")                                       \
    X("sweep_answered", "the sweep has taken rooms, and nothing is done for them yet")          \
    X("revoked", "partitions are taken away: their unclaimed jobs are dropped, the rest is to " \
                 "be committed")

static const struct fault_name consumer_points[] UNUSED = {
#define X(id, name, next, help) {name, "a job's state: " help},
    JOB_STATE_TABLE(X)
#undef X
#define X(id, name, lane) {name "_sent", "Postgres is asked, and has not answered"},
        STORE_OP_TABLE(X)
#undef X
#define X(name, help) {name, help},
            CONSUMER_POINT_TABLE(X)
#undef X
};

#endif
