/* Kafka: the topic's records, the dead letters, and the consumer group with its coordinator.
 *
 * A rebalance asks members to give up partitions, waits for them for as long as a session lasts, and then assigns anew.
 * A commit counts only from the member that the coordinator takes for the partition's owner. Each commit is checked:
 * what lies below it must have a disposition that would survive the death of every consumer.
 */
#ifndef ROOMCLAIM_SIM_BROKER_H
#define ROOMCLAIM_SIM_BROKER_H

#include "process.h"

#include <librdkafka/rdkafka.h>

enum { PARTITIONS = 2, RECORDS_MAX = 128, SESSION_MS = 6000 };

#define RECORD_SORT_TABLE(X) \
    X(WEBHOOK)               \
    X(POISON)                \
    X(OTHER)                 \
    X(TOMBSTONE)
enum record_sort {
#define X(id) SORT_##id,
    RECORD_SORT_TABLE(X)
#undef X
};

struct record {
    rd_kafka_message_t message;
    enum record_sort sort;
    int room;
    unsigned edition; /* of the room's row when this was sent */
    const char *origin;
    unsigned letters; /* dead letters of it in the topic for them */
    bool in_dead;     /* it stands in roomclaim.dead */
};

struct broker {
    struct record *logs[PARTITIONS][RECORDS_MAX];
    int64_t ends[PARTITIONS], committed[PARTITIONS]; /* committed: -1 never */
    bool cooperative;
    /* the group, a bit for each process or partition */
    unsigned members, owned[PROCESSES_MAX], target[PROCESSES_MAX];
    unsigned waiting; /* members that are to give up something */
    bool rebalancing;
    unsigned round;      /* of rebalances: the time-out of an older one means nothing */
    unsigned generation; /* of assignments: a commit of an older one is refused */
};

extern struct broker broker;

void broker_begin(void);

/* Returns the new record. body is kept by reference. */
struct record *broker_append(int partition, enum record_sort sort, int room, const char *key, const char *body);

void broker_join(struct process *p);
/* At once (it said so), or because nothing was heard of it. */
void broker_leave(struct process *p);
void broker_rebalance(void);
/* The member has given up what it had to, or all of it. */
void broker_gave_up(struct process *p, unsigned partitions);

/* Returns the error of the commit of one partition. */
rd_kafka_resp_err_t broker_commit(const struct process *p, unsigned generation, int partition, int64_t offset);

/* A dead letter stands in its topic. Returns the record that it is of; NULL: of none that is known. */
struct record *broker_letter(int partition, int64_t offset);

/* Everything is read and committed. */
bool broker_all_committed(void);

#endif
