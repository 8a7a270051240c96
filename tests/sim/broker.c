#include "broker.h"

#include "check.h"
#include "client.h"
#include "cover.h"
#include "plan.h"

struct broker broker;

void broker_begin(void)
{
    broker = (struct broker){.cooperative = plan.cooperative};
    for (int i = 0; i < PARTITIONS; i++)
        broker.committed[i] = -1;
}

struct record *broker_append(int partition, enum record_sort sort, int room, const char *key, const char *body)
{
    if (broker.ends[partition] == RECORDS_MAX) {
        violate("too many records for the simulator");
        return broker.logs[partition][0];
    }
    struct record *record = world_alloc(sizeof *record);
    *record = (struct record){.sort = sort, .room = room};
    record->message = (rd_kafka_message_t){.partition = partition,
                                           .offset = broker.ends[partition],
                                           .key = (void *)(uintptr_t)key,
                                           .key_len = strlen(key),
                                           .payload = (void *)(uintptr_t)body,
                                           .len = body != NULL ? strlen(body) : 0,
                                           ._private = record};
    broker.logs[partition][broker.ends[partition]++] = record;
    trace("topic: %d/%lld room %d", partition, (long long)record->message.offset, room);
    for (unsigned i = 0; i < process_count; i++)
        client_fetch_soon(&processes[i]);
    return record;
}

/* Partitions go round the members. */
static void choose_targets(void)
{
    unsigned live[PROCESSES_MAX], count = 0;
    for (unsigned i = 0; i < process_count; i++) {
        broker.target[i] = 0;
        if (broker.members & (1u << i))
            live[count++] = i;
    }
    const unsigned first = count > 0 ? world_below(count) : 0;
    for (unsigned partition = 0; count > 0 && partition < PARTITIONS; partition++)
        broker.target[live[(first + partition) % count]] |= 1u << partition;
}

static void assign_all(void)
{
    broker.rebalancing = false;
    broker.round++;
    broker.generation++;
    for (unsigned i = 0; i < process_count; i++) {
        const unsigned fresh = broker.target[i] & ~broker.owned[i];
        if (!(broker.members & (1u << i)))
            continue;
        broker.owned[i] |= fresh;
        trace("group: %s has partitions %u", processes[i].name, broker.owned[i]);
        client_assigned(&processes[i], fresh);
    }
}

/* Members that are silent for a session are out. */
static void give_up_on_silent(void *arg, int64_t round)
{
    (void)arg;
    if (!broker.rebalancing || broker.round != (unsigned)round)
        return;
    for (unsigned i = 0; i < process_count; i++) {
        if (broker.waiting & (1u << i))
            broker_leave(&processes[i]);
    }
}

static void begin_round(void)
{
    broker.round++;
    choose_targets();
    for (unsigned i = 0; i < process_count; i++) {
        if (!(broker.members & (1u << i)) || (broker.waiting & (1u << i)))
            continue;
        const unsigned given = broker.cooperative ? broker.owned[i] & ~broker.target[i] : broker.owned[i];
        if (given == 0)
            continue;
        broker.waiting |= 1u << i;
        client_revoked(&processes[i], given);
    }
    if (broker.waiting == 0)
        assign_all();
    else
        world_after(SESSION_MS, NULL, give_up_on_silent, NULL, broker.round);
}

void broker_rebalance(void)
{
    trace("group: rebalance");
    broker.rebalancing = true;
    begin_round();
}

void broker_gave_up(struct process *p, unsigned partitions)
{
    broker.owned[p->id] &= ~partitions;
    if (!(broker.waiting & (1u << p->id)))
        return;
    broker.waiting &= ~(1u << p->id);
    if (broker.waiting == 0 && broker.rebalancing)
        begin_round(); /* members may have come and gone meanwhile */
}

void broker_join(struct process *p)
{
    broker.members |= 1u << p->id;
    broker_rebalance();
}

void broker_leave(struct process *p)
{
    if (!(broker.members & (1u << p->id)))
        return;
    trace("group: %s is out", p->name);
    broker.members &= ~(1u << p->id);
    broker.waiting &= ~(1u << p->id);
    broker.owned[p->id] = 0;
    client_out(p);
    broker_rebalance();
}

rd_kafka_resp_err_t broker_commit(const struct process *p, unsigned generation, int partition, int64_t offset)
{
    if (generation != broker.generation || !(broker.owned[p->id] & (1u << partition)))
        return RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION;
    trace("group: %s commits %d/%lld", p->name, partition, (long long)offset);
    check_commit(partition, offset);
    broker.committed[partition] = offset;
    cover_branch(BRANCH_OFFSETS_COMMITTED);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

struct record *broker_letter(int partition, int64_t offset)
{
    if (partition < 0 || partition >= PARTITIONS || offset < 0 || offset >= broker.ends[partition])
        return NULL;
    struct record *record = broker.logs[partition][offset];
    record->letters++;
    return record;
}

bool broker_all_committed(void)
{
    for (int i = 0; i < PARTITIONS; i++) {
        if (MAX(broker.committed[i], 0) != broker.ends[i])
            return false;
    }
    return true;
}
