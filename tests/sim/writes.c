/* store, finish, release, park: as schema/functions/store.sql and release.sql. */
#include "check.h"
#include "cover.h"
#include "database.h"
#include "plan.h"

#include <stdio.h>

static bool token_fits(const struct room *room, const char *token)
{
    return room->exists && token[0] != '\0' && strcmp(room->token, token) == 0;
}

static bool line_is_lost(const struct room *room)
{
    const struct line *line = &database.ledger[room->line];
    return line->ended_ms == 0 || line->lost;
}

/* The run that the token's result was for has ended, and another one waits. */
static bool stored_before(int number, const char *token)
{
    for (unsigned i = 0; i < database.lines; i++) {
        const struct line *line = &database.ledger[i];
        if (line->room == number && strcmp(line->token, token) == 0)
            return line->ended_ms != 0 && !line->lost && database.rooms[number].result[line->run % RUNS_MAX];
    }
    return false;
}

struct answered database_store(const struct asked *asked)
{
    struct room *room = &database.rooms[asked->room];
    struct answered answer = {.outcome = STORE_FENCED, .finished = STORE_DONE};
    check_store(asked);
    const bool ours = token_fits(room, asked->token);
    if (ours && (room->state == ROOM_PROCESSING || (room->state == ROOM_WAITING && line_is_lost(room)))) {
        if (room->state == ROOM_WAITING || room->due_at <= world.now_ms)
            cover_branch(BRANCH_LATE_STORE);
        check_result(asked);
        database_close_line(room, false);
        room->result[room->run % RUNS_MAX] = true;
        room->state = ROOM_ANALYSED;
        room->reason = REASON_NONE;
        room->due_at = world.now_ms;
        room->worker[0] = '\0';
        room->row_pending = false;
        answer.outcome = STORE_STORED;
        return answer;
    }
    const bool done = room->state == ROOM_DONE && (room->reason == REASON_DROPPED || room->reason == REASON_GONE ||
                                                   room->result[room->run % RUNS_MAX]);
    const bool earlier_run = room->token[0] == '\0' && stored_before(asked->room, asked->token);
    if ((ours && (room->state == ROOM_ANALYSED || done)) || earlier_run)
        answer.outcome = STORE_STORED;
    cover_branch(answer.outcome == STORE_STORED ? BRANCH_STORE_AGAIN : BRANCH_ZOMBIE_FENCED);
    return answer;
}

static enum store_outcome finish_row(const struct room *room, struct row *row)
{
    if (!row->exists || row->id != room->feedback)
        return STORE_GONE;
    if (row->status == ROW_COMPLETED)
        return STORE_COMPLETED;
    if (row->status == ROW_DROPPED)
        return STORE_DROPPED;
    if (row->locked)
        return STORE_BUSY;
    if (row->refuses)
        return STORE_REFUSED;
    row->status = ROW_COMPLETED;
    return STORE_COMPLETED;
}

static enum reason reason_after_finish(const struct room *room, enum store_outcome outcome)
{
    if (outcome == STORE_BUSY)
        return room->reason == REASON_REFUSED ? REASON_REFUSED : REASON_BUSY;
    return outcome == STORE_COMPLETED ? REASON_NONE
           : outcome == STORE_GONE    ? REASON_GONE
           : outcome == STORE_DROPPED ? REASON_DROPPED
                                      : REASON_REFUSED;
}

enum store_outcome database_finish(int number)
{
    struct room *room = &database.rooms[number];
    if (!room->exists || room->state != ROOM_ANALYSED)
        return STORE_DONE;
    const enum store_outcome outcome = finish_row(room, &database.rows[number]);
    const bool later = outcome == STORE_BUSY || outcome == STORE_REFUSED;
    database_set_reason(room, reason_after_finish(room, outcome));
    room->state = later ? ROOM_ANALYSED : ROOM_DONE;
    room->due_at = later ? world.now_ms + database_backoff_ms(room->tries > 2 ? room->tries - 2 : 0, 60000) : 0;
    room->tries++;
    room->row_pending = outcome == STORE_GONE;
    if (outcome == STORE_GONE) {
        room->due_at = world.now_ms;
        database_follow(number);
    }
    database_reopen(number);
    return outcome;
}

/* Used up, or NONE. */
static enum reason ending_of(const struct room *room, const struct asked *asked)
{
    if (asked->counted && room->attempt >= SIM_MAX_ATTEMPTS)
        return REASON_EXHAUSTED;
    if (asked->verdict != CALL_NOT_SENT && room->calls >= SIM_MAX_CALLS && check_provider_was_well(asked->room))
        return REASON_PROVIDER;
    return REASON_NONE;
}

static void write_release(int number, const struct asked *asked)
{
    struct room *room = &database.rooms[number];
    const enum reason ending = ending_of(room, asked);
    database_close_line(room, false);
    room->state = ending == REASON_NONE ? ROOM_WAITING : ROOM_PARKED;
    database_set_reason(room, ending == REASON_NONE ? REASON_BACKOFF : ending);
    room->reason_since = world.now_ms;
    room->attempt -= !asked->counted;
    room->calls -= asked->verdict == CALL_NOT_SENT;
    room->worker[0] = '\0';
    room->row_pending = true;
    room->dlq_pending = ending != REASON_NONE;
    room->due_at = world.now_ms + (ending == REASON_NONE ? asked->delay_ms : 60000);
    if (asked->verdict == CALL_NOT_SENT)
        cover_branch(BRANCH_CALL_GIVEN_UP);
    database_follow(number);
}

struct answered database_release(const struct asked *asked)
{
    struct room *room = &database.rooms[asked->room];
    struct answered answer = {.outcome = STORE_FENCED, .attempt = room->attempt, .reason = room->reason};
    check_release(asked);
    if (!token_fits(room, asked->token)) {
        cover_branch(BRANCH_ZOMBIE_FENCED);
        return answer;
    }
    if (room->state == ROOM_PROCESSING)
        write_release(asked->room, asked);
    answer.outcome = room->state == ROOM_WAITING  ? STORE_RELEASED
                     : room->state == ROOM_PARKED ? STORE_PARKED
                                                  : STORE_FENCED;
    answer.attempt = room->attempt;
    answer.reason = room->reason;
    return answer;
}

struct answered database_park(const struct asked *asked)
{
    struct room *room = &database.rooms[asked->room];
    const bool unclaimed = asked->token[0] == '\0';
    struct answered answer = {.outcome = STORE_FENCED};
    if (unclaimed && !room->exists)
        *room = (struct room){.exists = true, .state = ROOM_WAITING, .reason = REASON_NEW, .line = -1};
    const bool fits = token_fits(room, asked->token);
    const bool ended = room->state == ROOM_DONE || room->state == ROOM_EXPIRED;
    const bool ours = unclaimed ? ended || room->state == ROOM_WAITING
                                : fits && (room->state == ROOM_PROCESSING || room->state == ROOM_ANALYSED);
    if (ours) {
        check_park(asked);
        if (!unclaimed)
            database_close_line(room, false);
        room->run += ended;
        room->state = ROOM_PARKED;
        database_set_reason(room, asked->reason);
        room->worker[0] = '\0';
        room->row_pending = room->row_pending || !unclaimed;
        room->dlq_pending = true;
        room->due_at = world.now_ms + 60000;
        database_follow(asked->room);
    }
    if (room->state == ROOM_PARKED && (unclaimed || fits))
        answer.outcome = STORE_PARKED;
    return answer;
}
