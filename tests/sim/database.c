/* What the functions share, and the small ones. */
#include "database.h"

#include "plan.h"

struct database database;

const char *const reason_names[] = {
#define X(id, name) name,
    REASON_TABLE(X)
#undef X
};

void database_begin(void)
{
    database = (struct database){.lines = 0};
}

int64_t database_backoff_ms(unsigned tries, int64_t most_ms)
{
    return MIN((int64_t)5000 << MIN(tries, 20U), most_ms);
}

void database_set_reason(struct room *room, enum reason reason)
{
    if (room->reason != reason)
        room->reason_since = world.now_ms;
    room->reason = reason;
}

void database_close_line(struct room *room, bool lost)
{
    struct line *line = room->line >= 0 ? &database.ledger[room->line] : NULL;
    if (line == NULL || (line->ended_ms != 0 && !(line->lost && !lost)))
        return;
    line->ended_ms = world.now_ms;
    line->lost = lost;
}

static bool at_its_end(const struct room *room)
{
    return room->state == ROOM_DONE || room->state == ROOM_PARKED || room->state == ROOM_EXPIRED;
}

/* True if the row needs nothing more. */
static bool give_row_back(const struct room *room, struct row *row)
{
    if (!row->exists || row->id != room->feedback || row->status != ROW_PROCESSING)
        return true;
    if (row->locked)
        return false;
    row->status = ROW_INITIATED;
    return true;
}

void database_follow(int number)
{
    struct room *room = &database.rooms[number];
    if (!room->row_pending)
        return;
    if (give_row_back(room, &database.rows[number])) {
        room->row_pending = false;
        room->row_due_at = 0;
        if (at_its_end(room) && !room->dlq_pending)
            room->due_at = 0;
        return;
    }
    room->row_due_at = world.now_ms + database_backoff_ms(room->tries, 60000);
    if (at_its_end(room) && !room->dlq_pending)
        room->due_at = room->row_due_at;
    room->tries++;
}

void database_reopen(int number)
{
    struct room *room = &database.rooms[number];
    const struct row *row = &database.rows[number];
    if (room->state != ROOM_DONE || room->reason != REASON_GONE || !row->exists)
        return;
    if (!row->locked && (row->status == ROW_COMPLETED || row->status == ROW_DROPPED))
        return;
    room->state = ROOM_WAITING;
    database_set_reason(room, row->locked                    ? REASON_BUSY
                              : row->status == ROW_INITIATED ? REASON_MATCHED
                                                             : REASON_FOREIGN);
    room->due_at = room->run_started = world.now_ms;
    room->run++;
    room->attempt = room->calls = room->tries = 0;
    room->token[0] = '\0';
}

void database_dlq_acked(int number)
{
    struct room *room = &database.rooms[number];
    if (!room->dlq_pending)
        return;
    room->dlq_pending = false;
    if (at_its_end(room) && !room->row_pending)
        room->due_at = 0;
}

void database_retry(int number)
{
    struct room *room = &database.rooms[number];
    const struct row *row = &database.rows[number];
    if (room->state != ROOM_PARKED || !row->exists || row->status == ROW_COMPLETED || row->status == ROW_DROPPED)
        return;
    trace("an operator asks for room %d again", number);
    room->state = ROOM_WAITING;
    database_set_reason(room, REASON_RETRY);
    room->due_at = room->run_started = world.now_ms;
    room->worker[0] = '\0';
    room->dlq_pending = false;
    room->run++;
    room->attempt = room->calls = room->tries = 0;
}
