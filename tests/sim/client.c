/* Events wait in the client's queue until the consumer polls them. What was fetched for a partition that is given up or
 * paused is thrown away, and read again from where the consumer had come to. */
#include "client.h"

#include "broker.h"
#include "common/kafka.h"
#include "consumer/ends.h"
#include "consumer/topic.h"
#include "cover.h"
#include "plan.h"

#include <stdlib.h>

enum { QUEUE_MAX = 512, FETCH_MOST = 8, EVENT_FD = 1000, COMMIT_TIMEOUT_MS = 5000, HEARTBEAT_MS = 1500 };

struct happening {
    rd_kafka_event_type_t type;
    rd_kafka_resp_err_t error;
    rd_kafka_topic_partition_list_t *list;
    const struct record *record; /* FETCH: one, as librdkafka has it */
    bool taken;
};

/* What the coordinator wants of the consumer waits until the consumer has answered the rebalance before: librdkafka
 * hands out one at a time. */
struct client {
    struct process *process;
    struct happening *queue[QUEUE_MAX];
    unsigned head, tail;
    unsigned assigned, paused;                          /* partitions */
    int64_t fetched[PARTITIONS], delivered[PARTITIONS]; /* the next offset */
    bool fetching, closing, closed;
    bool asked;                   /* a rebalance is in the queue, or not answered yet */
    bool out;                     /* the group has taken it for dead */
    unsigned to_give_up, to_take; /* partitions */
    bool assignment_comes;
    unsigned generation, generation_comes;
};

static struct client *client_of(const rd_kafka_t *rk)
{
    return (struct client *)(uintptr_t)rk;
}

/* lists: the arena's */

rd_kafka_topic_partition_list_t *rd_kafka_topic_partition_list_new(int size)
{
    (void)size;
    rd_kafka_topic_partition_list_t *list = world_alloc(sizeof *list);
    list->size = PARTITIONS;
    list->elems = world_alloc(PARTITIONS * sizeof *list->elems);
    return list;
}

rd_kafka_topic_partition_t *rd_kafka_topic_partition_list_add(rd_kafka_topic_partition_list_t *list, const char *topic,
                                                              int32_t partition)
{
    (void)topic;
    rd_kafka_topic_partition_t *item = &list->elems[list->cnt++];
    *item = (rd_kafka_topic_partition_t){.partition = partition, .offset = RD_KAFKA_OFFSET_INVALID};
    return item;
}

rd_kafka_topic_partition_list_t *rd_kafka_topic_partition_list_copy(const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_partition_list_t *copy = rd_kafka_topic_partition_list_new(list->cnt);
    copy->cnt = list->cnt;
    memcpy(copy->elems, list->elems, (size_t)list->cnt * sizeof *list->elems);
    return copy;
}

void rd_kafka_topic_partition_list_destroy(rd_kafka_topic_partition_list_t *list)
{
    (void)list;
}

static rd_kafka_topic_partition_list_t *list_of(unsigned partitions)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int i = 0; i < PARTITIONS; i++) {
        if (partitions & (1u << i))
            rd_kafka_topic_partition_list_add(list, "", i);
    }
    return list;
}

static unsigned bits_of(const rd_kafka_topic_partition_list_t *list)
{
    unsigned bits = 0;
    for (int i = 0; list != NULL && i < list->cnt; i++)
        bits |= 1u << list->elems[i].partition;
    return bits;
}

/* the queue */

static void put(struct client *client, struct happening *happening)
{
    if (client->tail - client->head == QUEUE_MAX) {
        violate("the client's queue is full");
        return;
    }
    if (client->head == client->tail)
        process_wake_fd(client->process, EVENT_FD);
    client->queue[client->tail++ % QUEUE_MAX] = happening;
}

static void put_list(struct client *client, rd_kafka_event_type_t type, rd_kafka_resp_err_t error,
                     rd_kafka_topic_partition_list_t *list)
{
    struct happening *happening = world_alloc(sizeof *happening);
    *happening = (struct happening){.type = type, .error = error, .list = list};
    put(client, happening);
}

/* What was fetched of these partitions and not delivered goes. */
static void purge(struct client *client, unsigned partitions)
{
    unsigned kept = client->head;
    for (unsigned i = client->head; i != client->tail; i++) {
        struct happening *happening = client->queue[i % QUEUE_MAX];
        if (happening->type == RD_KAFKA_EVENT_FETCH && (partitions & (1u << happening->record->message.partition)))
            continue;
        client->queue[kept++ % QUEUE_MAX] = happening;
    }
    client->tail = kept;
}

rd_kafka_event_t *rd_kafka_queue_poll(rd_kafka_queue_t *queue, int timeout_ms)
{
    (void)timeout_ms;
    struct client *client = (struct client *)(void *)queue;
    if (client->head == client->tail)
        return NULL;
    return (rd_kafka_event_t *)(void *)client->queue[client->head++ % QUEUE_MAX];
}

static struct happening *happening_of(rd_kafka_event_t *event)
{
    return (struct happening *)(void *)event;
}

rd_kafka_event_type_t rd_kafka_event_type(const rd_kafka_event_t *event)
{
    return ((const struct happening *)(const void *)event)->type;
}

rd_kafka_resp_err_t rd_kafka_event_error(rd_kafka_event_t *event)
{
    return happening_of(event)->error;
}

rd_kafka_topic_partition_list_t *rd_kafka_event_topic_partition_list(rd_kafka_event_t *event)
{
    return happening_of(event)->list;
}

const rd_kafka_message_t *rd_kafka_event_message_next(rd_kafka_event_t *event)
{
    struct happening *happening = happening_of(event);
    struct client *client = process_current->client;
    const struct record *record = happening->record;
    if (happening->taken)
        return NULL;
    happening->taken = true;
    client->delivered[record->message.partition] = record->message.offset + 1;
    return &record->message;
}

void rd_kafka_event_destroy(rd_kafka_event_t *event)
{
    (void)event;
}

/* fetching */

static void fetch_partition(struct client *client, int partition)
{
    for (unsigned left = 1 + world_below(FETCH_MOST); left > 0; left--) {
        if (client->fetched[partition] == broker.ends[partition])
            return;
        struct happening *happening = world_alloc(sizeof *happening);
        happening->type = RD_KAFKA_EVENT_FETCH;
        happening->record = broker.logs[partition][client->fetched[partition]++];
        put(client, happening);
    }
}

/* The client's own threads: they fetch also while the consumer is busy, but not while it is stopped. */
static void fetch(void *arg, int64_t incarnation)
{
    struct process *p = arg;
    if (!p->alive || p->incarnation != (unsigned)incarnation)
        return;
    struct client *client = p->client;
    client->fetching = false;
    bool more = false;
    for (int i = 0; i < PARTITIONS; i++) {
        if (!(client->assigned & ~client->paused & (1u << i)))
            continue;
        fetch_partition(client, i);
        more = more || client->fetched[i] < broker.ends[i];
    }
    if (more)
        client_fetch_soon(p);
}

void client_fetch_soon(struct process *p)
{
    if (!p->alive || p->client == NULL || p->client->fetching)
        return;
    p->client->fetching = true;
    world_after(world_between(1, 40), NULL, fetch, p, p->incarnation);
}

rd_kafka_resp_err_t rd_kafka_pause_partitions(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list)
{
    struct client *client = client_of(rk);
    cover_branch(BRANCH_PAUSED);
    client->paused |= bits_of(list);
    purge(client, bits_of(list));
    for (int i = 0; i < list->cnt; i++)
        client->fetched[list->elems[i].partition] = client->delivered[list->elems[i].partition];
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t rd_kafka_resume_partitions(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list)
{
    client_of(rk)->paused &= ~bits_of(list);
    client_fetch_soon(client_of(rk)->process);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* the assignment */

static void ask(struct client *client, rd_kafka_resp_err_t what, unsigned partitions)
{
    client->asked = true;
    put_list(client, RD_KAFKA_EVENT_REBALANCE, what, list_of(partitions));
}

static void join_again(void *arg, int64_t number)
{
    (void)number;
    struct client *client = arg;
    if (!client->out)
        return;
    client->out = client->assignment_comes = false;
    client->to_give_up = client->to_take = 0;
    broker_join(client->process);
}

static void leave(struct client *client)
{
    client->closed = true;
    broker_leave(client->process);
}

/* The next thing that the consumer has to be told of, unless it still has to answer. */
static void tell(struct client *client)
{
    if (client->asked || client->closed)
        return;
    const unsigned given = client->to_give_up & client->assigned;
    if ((client->closing || client->out) && client->assigned != 0) {
        ask(client, RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS, client->assigned);
    } else if (client->closing) {
        leave(client);
    } else if (client->out) {
        world_after(0, client->process, join_again, client, 0);
    } else if (given != 0) {
        client->to_give_up = 0;
        ask(client, RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS, given);
    } else if (client->assignment_comes) {
        client->assignment_comes = false;
        client->generation = client->generation_comes;
        if (client->to_take != 0 || !broker.cooperative)
            ask(client, RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, client->to_take);
        client->to_take = 0;
    }
}

static void give_up(struct client *client, unsigned partitions)
{
    client->assigned &= ~partitions;
    client->asked = false;
    purge(client, partitions);
    if (!client->out && !client->closing)
        broker_gave_up(client->process, partitions);
    tell(client);
}

static void take(struct client *client, const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        const int partition = list->elems[i].partition;
        client->fetched[partition] = client->delivered[partition] = MAX(broker.committed[partition], 0);
        client->assigned |= 1u << partition;
        client->paused &= ~(1u << partition);
    }
    client->asked = false;
    client_fetch_soon(client->process);
    tell(client);
}

rd_kafka_resp_err_t rd_kafka_assign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list)
{
    if (list == NULL)
        give_up(client_of(rk), client_of(rk)->assigned);
    else
        take(client_of(rk), list);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_error_t *rd_kafka_incremental_assign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list)
{
    cover_branch(BRANCH_REBALANCE_COOPERATIVE);
    take(client_of(rk), list);
    return NULL;
}

rd_kafka_error_t *rd_kafka_incremental_unassign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list)
{
    give_up(client_of(rk), bits_of(list));
    return NULL;
}

const char *rd_kafka_rebalance_protocol(rd_kafka_t *rk)
{
    (void)rk;
    return broker.cooperative ? "COOPERATIVE" : "EAGER";
}

int rd_kafka_assignment_lost(rd_kafka_t *rk)
{
    return client_of(rk)->out;
}

void client_assigned(struct process *p, unsigned partitions)
{
    struct client *client = p->client;
    client->to_take |= partitions;
    client->assignment_comes = true;
    client->generation_comes = broker.generation;
    tell(client);
}

void client_revoked(struct process *p, unsigned partitions)
{
    struct client *client = p->client;
    client->to_give_up |= partitions & client->assigned;
    client->to_give_up |= partitions & client->to_take;
    tell(client);
}

void client_out(struct process *p)
{
    if (p->client == NULL || !p->alive || p->client->closing)
        return;
    p->client->out = true;
    tell(p->client);
}

static void heard_nothing(void *arg, int64_t incarnation)
{
    struct process *p = arg;
    if (p->incarnation == (unsigned)incarnation)
        broker_leave(p);
}

void client_asleep(struct process *p, int64_t ms)
{
    if (ms >= SESSION_MS)
        world_after(world_between(SESSION_MS - HEARTBEAT_MS, SESSION_MS), NULL, heard_nothing, p, p->incarnation);
}

void client_born(struct process *p)
{
    broker_leave(p); /* the one before it */
    p->client = world_alloc(sizeof *p->client);
    p->client->process = p;
}

void client_died(struct process *p)
{
    const bool orderly = p->client != NULL && p->client->closed;
    if (!orderly)
        world_after(world_between(0, SESSION_MS), NULL, heard_nothing, p, p->incarnation);
}

/* commits */

struct commit {
    struct process *process;
    unsigned incarnation, generation;
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t error;
};

static void commit_answered(void *arg, int64_t number)
{
    (void)number;
    struct commit *commit = arg;
    if (commit->process->alive && commit->process->incarnation == commit->incarnation)
        put_list(commit->process->client, RD_KAFKA_EVENT_OFFSET_COMMIT, commit->error, commit->list);
}

static void commit_arrives(void *arg, int64_t number)
{
    (void)number;
    struct commit *commit = arg;
    int64_t delay_ms = world_between(1, 30);
    if (commit->process->incarnation != commit->incarnation)
        commit->error = RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
    else if (plan_fault(FAULT_COMMIT_REFUSED, 200))
        commit->error = RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS;
    for (int i = 0; i < commit->list->cnt && commit->error == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
        commit->error = commit->list->elems[i].err = broker_commit(
            commit->process, commit->generation, commit->list->elems[i].partition, commit->list->elems[i].offset);
    if (plan_fault(FAULT_COMMIT_LOST, 200)) {
        commit->error = RD_KAFKA_RESP_ERR__TIMED_OUT;
        delay_ms = COMMIT_TIMEOUT_MS;
    }
    world_after(delay_ms, NULL, commit_answered, commit, 0);
}

rd_kafka_resp_err_t
rd_kafka_commit_queue(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list, rd_kafka_queue_t *queue,
                      void (*cb)(rd_kafka_t *, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *, void *),
                      void *arg)
{
    (void)queue, (void)cb, (void)arg;
    struct commit *commit = world_alloc(sizeof *commit);
    struct process *p = client_of(rk)->process;
    *commit = (struct commit){.process = p,
                              .incarnation = p->incarnation,
                              .generation = client_of(rk)->generation,
                              .list = rd_kafka_topic_partition_list_copy(list)};
    world_after(world_between(1, 30), NULL, commit_arrives, commit, 0);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* what the group has committed: asked at an assignment */

static void committed_answered(void *arg, int64_t number)
{
    (void)number;
    struct process *p = arg;
    rd_kafka_topic_partition_list_t *list = list_of((1u << PARTITIONS) - 1);
    for (int i = 0; i < PARTITIONS; i++)
        list->elems[i].offset = broker.committed[i] >= 0 ? broker.committed[i] : RD_KAFKA_OFFSET_INVALID;
    put_list(p->client, RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT, RD_KAFKA_RESP_ERR_NO_ERROR, list);
}

rd_kafka_ListConsumerGroupOffsets_t *rd_kafka_ListConsumerGroupOffsets_new(const char *group,
                                                                           const rd_kafka_topic_partition_list_t *list)
{
    (void)group, (void)list;
    return NULL;
}

void rd_kafka_ListConsumerGroupOffsets(rd_kafka_t *rk, rd_kafka_ListConsumerGroupOffsets_t **requests, size_t count,
                                       const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
    (void)requests, (void)count, (void)options, (void)queue;
    struct process *p = client_of(rk)->process;
    world_after(world_between(1, 100), p, committed_answered, p, 0);
}

void rd_kafka_ListConsumerGroupOffsets_destroy(rd_kafka_ListConsumerGroupOffsets_t *request)
{
    (void)request;
}

const rd_kafka_ListConsumerGroupOffsets_result_t *
rd_kafka_event_ListConsumerGroupOffsets_result(rd_kafka_event_t *event)
{
    return (const void *)event;
}

const rd_kafka_group_result_t **
rd_kafka_ListConsumerGroupOffsets_result_groups(const rd_kafka_ListConsumerGroupOffsets_result_t *result, size_t *count)
{
    static const rd_kafka_group_result_t *groups[1];
    groups[0] = (const void *)result;
    *count = 1;
    return groups;
}

const rd_kafka_topic_partition_list_t *rd_kafka_group_result_partitions(const rd_kafka_group_result_t *group)
{
    return ((const struct happening *)(const void *)group)->list;
}

/* start and end */

rd_kafka_resp_err_t rd_kafka_subscribe(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *topics)
{
    (void)topics;
    broker_join(client_of(rk)->process);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_error_t *rd_kafka_consumer_close_queue(rd_kafka_t *rk, rd_kafka_queue_t *queue)
{
    (void)queue;
    struct client *client = client_of(rk);
    client->closing = true;
    tell(client);
    return NULL;
}

int rd_kafka_consumer_closed(rd_kafka_t *rk)
{
    return client_of(rk)->closed;
}

rd_kafka_t *rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *words, size_t size)
{
    (void)type, (void)conf, (void)words, (void)size;
    return (rd_kafka_t *)(void *)process_current->client;
}

rd_kafka_queue_t *rd_kafka_queue_get_consumer(rd_kafka_t *rk)
{
    return (rd_kafka_queue_t *)(void *)rk;
}

/* headers: a record's origin, and the type of event that it says it is */

rd_kafka_resp_err_t rd_kafka_message_headers(const rd_kafka_message_t *message, rd_kafka_headers_t **headers)
{
    const struct record *record = message->_private;
    if (record->origin == NULL)
        return RD_KAFKA_RESP_ERR__NOENT;
    *headers = message->_private;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t rd_kafka_header_get_all(const rd_kafka_headers_t *headers, size_t i, const char **name,
                                            const void **value, size_t *len)
{
    const struct record *record = (const void *)headers;
    const char *const names[] = {"ce_type", "roomclaim-origin"};
    const char *const values[] = {"io.livekit.room_finished", record->origin};
    *name = names[i];
    *value = values[i];
    *len = strlen(values[i]);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

size_t rd_kafka_header_cnt(const rd_kafka_headers_t *headers)
{
    (void)headers;
    return 2;
}

rd_kafka_resp_err_t rd_kafka_header_get_last(const rd_kafka_headers_t *headers, const char *name, const void **value,
                                             size_t *len)
{
    for (size_t i = 0; i < 2; i++) {
        const char *found;
        rd_kafka_header_get_all(headers, i, &found, value, len);
        if (strcmp(found, name) == 0)
            return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    return RD_KAFKA_RESP_ERR__NOENT;
}

/* what the simulation has no use for */

int64_t rd_kafka_message_timestamp(const rd_kafka_message_t *message, rd_kafka_timestamp_type_t *type)
{
    (void)message;
    *type = RD_KAFKA_TIMESTAMP_CREATE_TIME;
    return WORLD_START_MS;
}

rd_kafka_resp_err_t rd_kafka_get_watermark_offsets(rd_kafka_t *rk, const char *topic, int32_t partition, int64_t *low,
                                                   int64_t *high)
{
    (void)rk, (void)topic;
    *low = 0;
    *high = broker.ends[partition];
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

const char *rd_kafka_event_error_string(rd_kafka_event_t *event)
{
    (void)event;
    return "";
}

int rd_kafka_event_error_is_fatal(rd_kafka_event_t *event)
{
    (void)event;
    return 0;
}

rd_kafka_resp_err_t rd_kafka_fatal_error(rd_kafka_t *rk, char *words, size_t size)
{
    (void)rk, (void)words, (void)size;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

const char *rd_kafka_event_stats(rd_kafka_event_t *event)
{
    (void)event;
    return "";
}

const char *rd_kafka_message_errstr(const rd_kafka_message_t *message)
{
    (void)message;
    return "";
}

const char *rd_kafka_err2str(rd_kafka_resp_err_t error)
{
    (void)error;
    return "refused";
}

const char *rd_kafka_err2name(rd_kafka_resp_err_t error)
{
    (void)error;
    return "REFUSED";
}

const char *rd_kafka_error_string(const rd_kafka_error_t *error)
{
    (void)error;
    return "";
}

void rd_kafka_error_destroy(rd_kafka_error_t *error)
{
    (void)error;
}

void rd_kafka_conf_set_events(rd_kafka_conf_t *conf, int events)
{
    (void)conf, (void)events;
}

void rd_kafka_conf_destroy(rd_kafka_conf_t *conf)
{
    (void)conf;
}

rd_kafka_resp_err_t rd_kafka_poll_set_consumer(rd_kafka_t *rk)
{
    (void)rk;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void rd_kafka_queue_io_event_enable(rd_kafka_queue_t *queue, int fd, const void *payload, size_t size)
{
    (void)queue, (void)fd, (void)payload, (void)size;
}

void rd_kafka_queue_destroy(rd_kafka_queue_t *queue)
{
    (void)queue;
}

void rd_kafka_destroy(rd_kafka_t *rk)
{
    (void)rk;
}

void rd_kafka_destroy_flags(rd_kafka_t *rk, int flags)
{
    (void)rk, (void)flags;
}

rd_kafka_conf_t *kafka_conf_new(const struct config *config, enum kafka_role role, struct error *ret_err)
{
    (void)config, (void)role, (void)ret_err;
    return (rd_kafka_conf_t *)(void *)process_current->client;
}

bool kafka_any_broker_up(struct slice statistics)
{
    (void)statistics;
    return true;
}

bool topic_usable(rd_kafka_t *rk, const char *topic, int timeout_ms, struct error *ret_err)
{
    (void)rk, (void)topic, (void)timeout_ms, (void)ret_err;
    return true;
}

struct ends *ends_new(uv_loop_t *loop, rd_kafka_t *rk, const char *topic)
{
    (void)loop, (void)rk, (void)topic;
    return NULL;
}

void ends_free(struct ends *ends)
{
    (void)ends;
}

void ends_ask(struct ends *ends, int32_t *ids, size_t count, int64_t now_ms)
{
    (void)ends, (void)count, (void)now_ms;
    free(ids);
}

struct ends_offsets ends_of(const struct ends *ends, int32_t id)
{
    (void)ends, (void)id;
    return (struct ends_offsets){.low = -1, .high = -1};
}
