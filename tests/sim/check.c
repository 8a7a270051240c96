#include "check.h"

#include "broker.h"
#include "common/clock.h"
#include "cover.h"
#include "plan.h"

void check_running(const struct process *p)
{
    const struct service *service = p->service;
    if ((int64_t)service->in_flight > p->config.consumer_max_in_flight)
        violate("%s: %zu rooms in flight, more than the limit", p->name, service->in_flight);
    if (atomic_load(&service->stuck))
        violate("%s says of itself that a job is stuck", p->name);
}

void check_nothing_left(const struct process *p)
{
    if (p->memory.count > 0)
        violate("%s ended in order, and %zu blocks of memory were never given back", p->name, p->memory.count);
}

/* claims and leases */

/* Jobs that began after the model had failed as often as opens the breaker wait, but for one probe at a time. */
void check_claim_sent(const struct job *job)
{
    const struct process *p = process_current;
    const int64_t begun_ms = job->moved_us / 1000;
    if (p->failing_ms == 0 || begun_ms <= p->failing_ms)
        return;
    if (!job->probe)
        violate("G7: room %s is claimed though the model fails: the breaker should be open", job->room);
    else if (begun_ms < p->failing_ms + SIM_PROBE_MS)
        violate("G7: a probe %lld ms after the breaker opened", (long long)(begun_ms - p->failing_ms));
}

void check_claim_won(int number)
{
    const struct room *room = &database.rooms[number];
    if (room->attempt > SIM_MAX_ATTEMPTS)
        violate("I4: attempt %u of room %d", room->attempt, number);
}

void check_lease_ended(int number)
{
    const struct line *line = &database.ledger[database.rooms[number].line];
    if (!line->orphan && process_well_since(line->process, line->incarnation, line->started_ms))
        violate("G4: the lease of room %d ended though its worker %s was well", number, line->process->name);
}

/* calls */

static void check_lease_is_long_enough(const struct line *line)
{
    const int64_t left_ms = line->started_ms + SIM_LEASE_MS - world.now_ms;
    const bool stood_still = process_current->woken_ms == world.now_ms; /* on its way from the guard to the call */
    if (!stood_still && left_ms < SIM_TIMEOUT_MS + SIM_MARGIN_MS / 2)
        violate("a call begins with %lld ms of its lease left", (long long)left_ms);
    if (!stood_still && line->ended_ms != 0)
        violate("a call begins for a claim that is closed");
}

/* Why was there more than one call in this run? A worker that stood still before its call can't know of others. */
static void check_causes(const struct model_call *call, const struct line *line)
{
    if (!process_well_since(line->process, line->incarnation, line->started_ms))
        return;
    for (unsigned i = 0; &model.calls[i] != call; i++) {
        const struct model_call *before = &model.calls[i];
        const struct line *its = &database.ledger[before->line];
        if (before->line < 0 || its->room != line->room || its->run != line->run)
            continue;
        cover_branch(BRANCH_SECOND_CALL);
        if (before->ended_ms != 0 && call_verdicts[before->verdict].then != CALL_THEN_STORE)
            continue;
        if (process_well_since(before->process, before->incarnation, its->started_ms))
            violate("G4: a second call for room %d, though nothing had happened to the first", line->room);
    }
}

void check_call_starts(struct model_call *call, const struct job *job)
{
    if (call->room != room_number(job->room))
        violate("I11: the request for room %s holds the text of room %d", job->room, call->room);
    if (call->line < 0) {
        violate("I4: a call for room %s without a claim on record", job->room);
        return;
    }
    struct line *line = &database.ledger[call->line];
    if (line->room != call->room)
        violate("a call for room %d by the claim of room %d", call->room, line->room);
    if (line->call >= 0)
        violate("I4: a second call for room %d by one claim", call->room);
    line->call = (int)(call - model.calls);
    if (process_current->service->stopping)
        violate("a call for room %d begins though %s was told to end", call->room, process_current->name);
    if (job->probe)
        cover_branch(BRANCH_PROBE);
    call->probe = job->probe;
    call->failing_ms = process_current->failing_ms;
    check_lease_is_long_enough(line);
    check_causes(call, line);
}

void check_call_ended(const struct model_call *call)
{
    struct process *p = call->process;
    switch (call_verdicts[call->verdict].failure) {
    case CALL_FAILURE_GOOD:
        p->failures = 0;
        p->failing_ms = 0;
        return;
    case CALL_FAILURE_NOTHING:
        return;
    case CALL_FAILURE_OPERATOR:
        p->failures = SIM_BREAKER_FAILURES;
        break;
    case CALL_FAILURE_FAILED:
        p->failures++;
        break;
    }
    if (p->failures < SIM_BREAKER_FAILURES ||
        (p->failing_ms != 0 && !(call->probe && call->failing_ms == p->failing_ms)))
        return;
    cover_branch(BRANCH_BREAKER_OPENED);
    p->failing_ms = clock_mono_ms();
}

/* Was a call of another room answered well since this room's last but one? */
bool check_provider_was_well(int number)
{
    const struct room *room = &database.rooms[number];
    int64_t since_ms = room->run_started;
    for (int i = 0; i < (int)database.lines; i++) {
        const struct line *line = &database.ledger[i];
        if (line->room == number && line->run == room->run && i != room->line)
            since_ms = MAX(since_ms, line->started_ms);
    }
    for (unsigned i = 0; i < model.count; i++) {
        const struct model_call *call = &model.calls[i];
        if (call->room != number && call->verdict == CALL_OK && call->ended_ms > since_ms)
            return true;
    }
    return false;
}

/* writes */

static const struct line *line_of(const struct asked *asked)
{
    for (unsigned i = 0; i < database.lines; i++) {
        const struct line *line = &database.ledger[i];
        if (line->room == asked->room && strcmp(line->token, asked->token) == 0)
            return line;
    }
    violate("I5: a write for room %d with a token that no claim had", asked->room);
    return NULL;
}

static const struct model_call *call_of(const struct asked *asked)
{
    const struct line *line = line_of(asked);
    return line != NULL && line->call >= 0 ? &model.calls[line->call] : NULL;
}

void check_store(const struct asked *asked)
{
    const struct model_call *call = call_of(asked);
    if (call == NULL || asked->result < 0)
        violate("I11: a result for room %d that no call gave", asked->room);
    else if (&model.calls[asked->result] != call || call->ended_ms == 0 || call->verdict != CALL_OK)
        violate("I11: the result stored for room %d is that of call %d", asked->room, asked->result);
}

void check_result(const struct asked *asked)
{
    const struct room *room = &database.rooms[asked->room];
    if (room->result[room->run % RUNS_MAX])
        violate("G3: a second result for room %d in run %u", asked->room, room->run);
}

static void check_counting(const struct asked *asked, const struct model_call *call)
{
    switch (call_verdicts[call->verdict].counted) {
    case CALL_COUNTED_ALWAYS:
        if (!asked->counted)
            violate("a call of room %d is not counted though it should be", asked->room);
        break;
    case CALL_COUNTED_NEVER:
        if (asked->counted)
            violate("G7: an attempt of room %d is burnt by %s", asked->room, call_verdicts[call->verdict].name);
        break;
    case CALL_COUNTED_IF_ALIVE:
        if (asked->counted && (model.good_ms <= call->started_ms || call->probe))
            violate("G7: an attempt of room %d is burnt in an outage of the provider", asked->room);
        break;
    }
}

void check_release(const struct asked *asked)
{
    const struct model_call *call = call_of(asked);
    if (asked->verdict == CALL_NOT_SENT) {
        if (call != NULL)
            violate("room %d is given back as not sent, but a call was made", asked->room);
        if (asked->counted)
            violate("room %d: a call that was not sent is counted", asked->room);
        return;
    }
    if (call == NULL || call->ended_ms == 0 || call->verdict != asked->verdict)
        violate("room %d is given back for %s, which no call said", asked->room, call_verdicts[asked->verdict].name);
    else
        check_counting(asked, call);
}

void check_park(const struct asked *asked)
{
    if (asked->token[0] == '\0') {
        if (asked->room != plan.guilty_claim)
            violate("room %d is parked unclaimed without a fault of its own", asked->room);
        return;
    }
    const struct model_call *call = call_of(asked);
    if (asked->room == plan.guilty_store || asked->room == plan.guilty_claim)
        return;
    if (call == NULL || call->ended_ms == 0 || call_verdicts[call->verdict].then != CALL_THEN_PARK)
        violate("G7: room %d is parked, which no call gave a reason for", asked->room);
}

void check_dead_put(const struct asked *asked)
{
    int room = asked->room;
    if (asked->partition >= 0 && asked->offset >= 0 && asked->offset < broker.ends[asked->partition]) {
        broker.logs[asked->partition][asked->offset]->in_dead = true;
        room = broker.logs[asked->partition][asked->offset]->room;
    }
    if (room >= 0)
        database.rooms[room].letters++;
}

/* offsets */

/* Would it be forgotten, if every consumer died now? NULL: no. */
static const char *forgotten(const struct record *record)
{
    if (record->sort == SORT_POISON)
        return record->letters > 0 || record->in_dead ? NULL : "its dead letter is nowhere";
    if (record->sort != SORT_WEBHOOK)
        return NULL;
    const struct row *row = &database.rows[record->room];
    const struct room *room = &database.rooms[record->room];
    if (row->edition > record->edition)
        return NULL; /* a later webhook speaks for the row as it is now */
    if (!room->exists)
        return row->id != 0 && (!row->exists || row->status >= ROW_COMPLETED) ? NULL
                                                                              : "Postgres has never heard of its room";
    const bool ended = room->state == ROOM_DONE || room->state == ROOM_EXPIRED;
    if (ended && row->exists && row->status == ROW_INITIATED && room->due_at == 0)
        return "its row is initiated, and its room is at its end";
    if (!ended && room->state != ROOM_PARKED && room->due_at == 0)
        return "nothing is due for its room";
    return NULL;
}

void check_commit(int partition, int64_t offset)
{
    if (offset < broker.committed[partition])
        violate("I8: the offset of partition %d goes back from %lld to %lld", partition,
                (long long)broker.committed[partition], (long long)offset);
    if (offset > broker.ends[partition])
        violate("I7: offset %lld of partition %d is committed, which ends before it", (long long)offset, partition);
    for (int64_t i = MAX(broker.committed[partition], 0); i < MIN(offset, broker.ends[partition]); i++) {
        const struct record *record = broker.logs[partition][i];
        const char *why = forgotten(record);
        if (why != NULL)
            violate("I7: record %d/%lld (room %d) is committed, but %s", partition, (long long)i, record->room, why);
    }
}

/* the end */

/* For somebody else, or its next look is far away: that is what its back-off is for. */
static bool looked_at_later(const struct room *room, const struct row *row)
{
    if (room->reason == REASON_UNMATCHED)
        return !row->exists || room->tries > 4;
    return room->reason == REASON_FOREIGN && (row->foreign || room->tries > 4);
}

static const char *room_unrest(int number)
{
    const struct room *room = &database.rooms[number];
    const struct row *row = &database.rows[number];
    if (!room->exists)
        return row->exists && row->status <= ROW_PROCESSING ? "a room was never claimed" : NULL;
    if (room->row_pending)
        return "a row does not follow its room";
    if (room->dlq_pending)
        return "a dead letter is pending";
    if (row->exists && row->status == ROW_PROCESSING && !row->foreign)
        return "a row of ours stays processing";
    switch (room->state) {
    case ROOM_WAITING:
        return looked_at_later(room, row) ? NULL : "a room waits";
    case ROOM_PROCESSING:
        return "a room is processing";
    case ROOM_ANALYSED:
        return "a result is not shown in its row";
    case ROOM_DONE:
    case ROOM_EXPIRED:
        return row->exists && row->status == ROW_INITIATED ? "a row stays initiated" : NULL;
    case ROOM_PARKED:
    case ROOM_COUNT:
        break;
    }
    return NULL;
}

static const char *process_unrest(const struct process *p)
{
    if (!p->alive || p->service == NULL || process_asleep(p))
        return "a consumer is down";
    const struct service *service = p->service;
    if (service->in_flight > 0 || service->waiting[WORK_TOPIC].count > 0 || service->waiting[WORK_SWEEP].count > 0)
        return "jobs are in hand";
    if (flights_follower_count(service->flights) > 0)
        return "followers wait";
    if (service->lettering > 0 || service->letters.count > 0)
        return "letters are on their way";
    if (service->waiting_bytes > 0)
        return "bytes are held by no job";
    return intake_paused(service->intake) ? "the partitions are paused" : NULL;
}

bool check_quiet(const char **ret_why)
{
    const char *why = broker_all_committed() ? NULL : "the topic is not read to its end";
    for (unsigned i = 0; why == NULL && i < process_count; i++)
        why = process_unrest(&processes[i]);
    for (int i = 0; why == NULL && i < (int)plan.rooms; i++)
        why = room_unrest(i);
    *ret_why = why;
    return why == NULL;
}

void check_end(void)
{
    for (int i = 0; i < (int)plan.rooms; i++) {
        if (database.rooms[i].state == ROOM_PARKED && database.rooms[i].letters == 0)
            violate("G2: room %d is parked, and no dead letter tells of it", i);
    }
    for (int partition = 0; partition < PARTITIONS; partition++) {
        for (int64_t i = 0; i < broker.ends[partition]; i++) {
            const struct record *record = broker.logs[partition][i];
            if (record->sort == SORT_POISON && record->letters == 0 && !record->in_dead)
                violate("I10: poison at %d/%lld is nowhere", partition, (long long)i);
        }
    }
}
