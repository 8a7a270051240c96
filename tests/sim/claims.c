/* claim: one element, as schema/functions/claim.sql decides it. */
#include "check.h"
#include "cover.h"
#include "database.h"
#include "plan.h"

#include <stdio.h>

enum decision {
    GLANCE_NOTHING,
    AGAIN,
    HELD,
    WAITING,
    ANALYSED,
    GONE,
    DONE,
    PARKED,
    WIN,
    NEW_RUN,
    TAKE_OVER,
    EXHAUSTED,
    INPUT,
    EMPTY,
    UNMATCHED,
    FOREIGN,
    BUSY,
    END,
    VANISHED
};

static bool is_over(const struct row *row)
{
    return row->exists && (row->status == ROW_COMPLETED || row->status == ROW_DROPPED);
}

static bool same_token(const struct room *room, const char *token)
{
    return room->token[0] != '\0' && strcmp(room->token, token) == 0;
}

/* What needs no lock. */
static enum decision glance(const struct room *room, const struct row *row, const char *token)
{
    if (!room->exists)
        return is_over(row) ? DONE : GLANCE_NOTHING;
    if (room->state == ROOM_PARKED)
        return row->exists && row->status == ROW_COMPLETED ? DONE : PARKED;
    if (room->state == ROOM_PROCESSING && room->due_at > world.now_ms && !same_token(room, token))
        return HELD;
    const bool ended = room->state == ROOM_DONE || room->state == ROOM_EXPIRED;
    return ended && (is_over(row) || !row->exists) ? DONE : GLANCE_NOTHING;
}

static bool token_is_closed(int number, const char *token)
{
    for (unsigned i = 0; i < database.lines; i++) {
        const struct line *line = &database.ledger[i];
        if (line->room == number && line->ended_ms != 0 && strcmp(line->token, token) == 0)
            return true;
    }
    return false;
}

static enum decision of_own_token(const struct room *room)
{
    switch (room->state) {
    case ROOM_PROCESSING:
        return HELD;
    case ROOM_WAITING:
        return WAITING;
    case ROOM_ANALYSED:
        return ANALYSED;
    case ROOM_PARKED:
        return PARKED;
    case ROOM_DONE:
    case ROOM_EXPIRED:
    case ROOM_COUNT:
        break;
    }
    return DONE;
}

static bool is_due(const struct room *room, const char *worker)
{
    const bool by_reason = room->reason == REASON_NEW || room->reason == REASON_UNMATCHED ||
                           room->reason == REASON_FOREIGN || room->reason == REASON_BUSY;
    return room->due_at <= world.now_ms || strcmp(room->worker, worker) == 0 || (by_reason && room->worker[0] == '\0');
}

static enum decision of_free_row(const struct room *room, const struct row *row, const char *worker)
{
    if (room->state == ROOM_WAITING && !is_due(room, worker))
        return WAITING;
    if (row->locked)
        return BUSY;
    if (!row->ready) {
        const bool waited = room->reason == REASON_INPUT && world.now_ms - room->reason_since >= SIM_INPUT_WAIT_MS;
        return waited ? EMPTY : INPUT;
    }
    return room->state == ROOM_DONE ? NEW_RUN : WIN;
}

static enum decision of_ended_lease(const struct room *room, const struct row *row)
{
    if (row->locked)
        return HELD;
    if (room->attempt >= SIM_MAX_ATTEMPTS)
        return EXHAUSTED;
    return row->ready ? TAKE_OVER : INPUT;
}

static enum decision of_missing_row(const struct room *room)
{
    return room->state == ROOM_PROCESSING ? VANISHED : room->state == ROOM_WAITING ? UNMATCHED : DONE;
}

static enum decision decide(int number, const struct room *room, const struct row *row, const char *token,
                            const char *worker)
{
    const bool live = room->state == ROOM_PROCESSING && room->due_at > world.now_ms;
    const bool replaced = row->exists && room->feedback != 0 && row->id != room->feedback;
    const bool open = row->exists && (row->status == ROW_INITIATED || row->status == ROW_PROCESSING);
    if (room->state == ROOM_PARKED)
        return row->exists && row->status == ROW_COMPLETED ? DONE : PARKED;
    if (same_token(room, token) && live)
        return open && !replaced ? AGAIN : HELD;
    if (same_token(room, token) || token_is_closed(number, token))
        return of_own_token(room);
    if (live)
        return HELD;
    if (room->state == ROOM_ANALYSED && (!row->exists || replaced))
        return GONE;
    if (!row->exists)
        return of_missing_row(room);
    if (room->state == ROOM_ANALYSED && row->status != ROW_COMPLETED)
        return ANALYSED;
    if (is_over(row))
        return room->state == ROOM_DONE || room->state == ROOM_EXPIRED ? DONE : END;
    if (room->state == ROOM_PROCESSING && (row->status == ROW_INITIATED || !replaced))
        return of_ended_lease(room, row);
    if (row->status == ROW_INITIATED || (room->state == ROOM_WAITING && room->row_pending))
        return of_free_row(room, row, worker);
    return FOREIGN;
}

static void write_win(enum decision decision, const struct asked *asked)
{
    const int number = asked->room;
    struct room *room = &database.rooms[number];
    struct row *row = &database.rows[number];
    if (decision == NEW_RUN) {
        room->run++;
        room->attempt = room->calls = 0;
        cover_branch(BRANCH_NEW_RUN);
    }
    if (decision == TAKE_OVER)
        cover_branch(BRANCH_TAKEN_OVER);
    if (room->calls == 0)
        room->run_started = world.now_ms;
    if (database.lines == LEDGER_MAX) {
        violate("the ledger is full: a room is claimed without an end");
        return;
    }
    room->attempt++;
    room->calls++;
    room->tries = 0;
    room->state = ROOM_PROCESSING;
    database_set_reason(room, REASON_NONE);
    snprintf(room->token, sizeof room->token, "%s", asked->token);
    snprintf(room->worker, sizeof room->worker, "%s", asked->worker);
    room->due_at = world.now_ms + SIM_LEASE_MS;
    room->row_pending = false;
    room->feedback = row->id;
    row->status = ROW_PROCESSING;
    room->line = (int)database.lines++;
    struct line *line = &database.ledger[room->line];
    *line = (struct line){.room = number,
                          .run = room->run,
                          .process = asked->process,
                          .incarnation = asked->incarnation,
                          .started_ms = world.now_ms,
                          .orphan = asked->orphan,
                          .call = -1};
    snprintf(line->token, sizeof line->token, "%s", asked->token);
    check_claim_won(number);
}

static void write_park(struct room *room, enum reason reason)
{
    room->state = ROOM_PARKED;
    database_set_reason(room, reason);
    room->dlq_pending = true;
    room->due_at = world.now_ms;
    room->worker[0] = '\0';
    room->tries = 0;
}

/* Recorded over an end it is a new run, or it would be forgotten. What is on record and not due stays as it is. */
static void write_wait(struct room *room, enum reason reason)
{
    const bool fresh = room->state == ROOM_DONE || room->state == ROOM_EXPIRED;
    const bool still = (reason == REASON_UNMATCHED || reason == REASON_FOREIGN) && room->state == ROOM_WAITING &&
                       room->reason == reason && room->due_at > world.now_ms && room->worker[0] == '\0';
    room->worker[0] = '\0';
    if (still)
        return;
    if (fresh) {
        room->run++;
        room->attempt = room->calls = 0;
        if (room->state == ROOM_DONE)
            room->token[0] = '\0';
        room->run_started = world.now_ms;
    }
    room->due_at = world.now_ms + (reason == REASON_BUSY    ? 1000
                                   : reason == REASON_INPUT ? database_backoff_ms(room->tries, 60000)
                                                            : database_backoff_ms(room->tries, 3600000));
    room->tries = fresh ? 0 : room->tries + 1;
    room->state = ROOM_WAITING;
    database_set_reason(room, reason);
}

static void write_done(struct room *room, enum reason reason)
{
    room->state = ROOM_DONE;
    database_set_reason(room, reason);
    room->due_at = reason == REASON_GONE ? world.now_ms : 0;
    room->row_pending = reason == REASON_GONE;
    room->worker[0] = '\0';
    room->tries = 0;
}

static enum store_outcome write_decision(enum decision decision, const struct asked *asked)
{
    const int number = asked->room;
    struct room *room = &database.rooms[number];
    const struct row *row = &database.rows[number];
    const bool lease_over = room->state == ROOM_PROCESSING;
    if (lease_over && (decision == TAKE_OVER || decision == EXHAUSTED || decision == VANISHED || decision == END ||
                       decision == FOREIGN || decision == INPUT)) {
        check_lease_ended(number);
        database_close_line(room, true);
    }
    switch (decision) {
    case WIN:
    case NEW_RUN:
    case TAKE_OVER:
        write_win(decision, asked);
        return STORE_WON;
    case AGAIN:
        cover_branch(BRANCH_CLAIM_AGAIN);
        return STORE_WON;
    case EXHAUSTED:
        write_park(room, REASON_EXHAUSTED);
        room->row_pending = true;
        database_follow(number);
        return STORE_PARKED;
    case EMPTY:
        write_park(room, REASON_EMPTY);
        return STORE_PARKED;
    case INPUT:
        room->row_pending = room->row_pending || row->status == ROW_PROCESSING;
        write_wait(room, REASON_INPUT);
        database_follow(number);
        return STORE_WAITING;
    case UNMATCHED:
        write_wait(room, REASON_UNMATCHED);
        return STORE_UNMATCHED;
    case FOREIGN:
        write_wait(room, REASON_FOREIGN);
        return STORE_FOREIGN;
    case BUSY:
        write_wait(room, REASON_BUSY);
        return STORE_BUSY;
    case END:
        write_done(room, REASON_NONE);
        return STORE_DONE;
    case VANISHED:
        write_done(room, REASON_GONE);
        database_follow(number);
        return STORE_GONE;
    case HELD:
        return STORE_HELD;
    case WAITING:
        return STORE_WAITING;
    case ANALYSED:
        return STORE_ANALYSED;
    case GONE:
        return STORE_GONE;
    case PARKED:
        return STORE_PARKED;
    case DONE:
    case GLANCE_NOTHING:
        break;
    }
    return STORE_DONE;
}

/* Our row was deleted and another has its sid: there is nothing to give back. */
static void forget_stray(struct room *room, const struct row *row)
{
    if (room->row_pending && row->exists && room->feedback != 0 && row->id != room->feedback &&
        room->state != ROOM_PARKED)
        room->row_pending = false;
}

struct answered database_claim(const struct asked *asked)
{
    struct room *room = &database.rooms[asked->room];
    const struct row *row = &database.rows[asked->room];
    struct answered answer = {.finished = STORE_DONE, .run = UINT32_MAX};
    enum decision decision = glance(room, row, asked->token);
    if (decision != GLANCE_NOTHING) {
        answer.outcome = decision == DONE ? STORE_DONE : decision == HELD ? STORE_HELD : STORE_PARKED;
        return answer;
    }
    if (!room->exists)
        *room = (struct room){.exists = true,
                              .state = ROOM_WAITING,
                              .reason = REASON_NEW,
                              .reason_since = world.now_ms,
                              .due_at = world.now_ms,
                              .line = -1};
    forget_stray(room, row);
    decision = decide(asked->room, room, row, asked->token, asked->worker);
    answer.outcome = write_decision(decision, asked);
    answer.run = room->run;
    answer.attempt = room->attempt;
    answer.calls = room->calls;
    return answer;
}
