/* sweep: as schema/functions/sweep.sql, without the low mark. */
#include "check.h"
#include "cover.h"
#include "database.h"
#include "plan.h"

#include <stdio.h>

struct pass {
    struct swept *rows;
    size_t count;
};

static void say(struct pass *pass, enum SWEEP kind, int number)
{
    const struct room *room = &database.rooms[number];
    if (pass->count < SWEPT_MAX)
        pass->rows[pass->count++] =
            (struct swept){.kind = kind, .room = number, .reason = room->reason, .attempt = room->attempt};
}

static bool due_in(const struct room *room, enum ROOM state)
{
    return room->exists && room->state == state && room->due_at != 0 && room->due_at <= world.now_ms;
}

static void end_lease(struct pass *pass, int number)
{
    struct room *room = &database.rooms[number];
    check_lease_ended(number);
    cover_branch(BRANCH_LEASE_ENDED);
    database_close_line(room, true);
    const bool used_up = room->attempt >= SIM_MAX_ATTEMPTS;
    room->state = used_up ? ROOM_PARKED : ROOM_WAITING;
    database_set_reason(room, used_up ? REASON_EXHAUSTED : REASON_BACKOFF);
    room->worker[0] = '\0';
    room->row_pending = true;
    room->dlq_pending = used_up;
    room->due_at = world.now_ms;
    database_follow(number);
    say(pass, used_up ? SWEEP_PARKED : SWEEP_EXPIRED, number);
}

static bool is_rowless(const struct room *room)
{
    return room->reason == REASON_UNMATCHED || room->reason == REASON_FOREIGN;
}

/* Has it a row of ours to claim by now? */
static void look(struct pass *pass, int number)
{
    struct room *room = &database.rooms[number];
    const struct row *row = &database.rows[number];
    if (!row->exists) {
        if (room->reason == REASON_UNMATCHED && world.now_ms - room->reason_since >= SIM_UNMATCHED_MS) {
            room->state = ROOM_EXPIRED;
            room->due_at = room->row_pending ? world.now_ms : 0;
            room->tries++;
            say(pass, SWEEP_UNMATCHED_EXPIRED, number);
            database_set_reason(room, REASON_NONE);
            return;
        }
        room->due_at = world.now_ms + database_backoff_ms(room->tries++, 3600000);
        database_set_reason(room, REASON_UNMATCHED);
        return;
    }
    if (row->status == ROW_INITIATED || (row->status == ROW_PROCESSING && room->row_pending)) {
        database_set_reason(room, REASON_MATCHED);
        room->due_at = world.now_ms;
        room->tries = 0;
    } else if (row->status == ROW_PROCESSING) {
        room->due_at = world.now_ms + database_backoff_ms(room->tries++, 3600000);
        database_set_reason(room, REASON_FOREIGN);
    } else {
        room->state = ROOM_DONE;
        database_set_reason(room, REASON_NONE);
        room->row_pending = room->row_pending && row->id != room->feedback;
        room->due_at = room->row_pending ? world.now_ms : 0;
        room->tries++;
    }
}

static void follow_and_send(struct pass *pass, int number)
{
    struct room *room = &database.rooms[number];
    const int64_t row_due = room->row_due_at != 0 && (room->due_at == 0 || room->row_due_at < room->due_at)
                                ? room->row_due_at
                                : room->due_at;
    const bool letter = room->dlq_pending && room->due_at <= world.now_ms;
    if (room->row_pending && row_due <= world.now_ms) {
        database_follow(number);
        if (!room->row_pending)
            say(pass, SWEEP_FOLLOWED, number);
    }
    if (letter) {
        room->due_at = world.now_ms + 60000;
        say(pass, SWEEP_DLQ, number);
    }
}

static int oldest_due(void)
{
    int oldest = -1;
    for (int i = 0; i < ROOMS_MAX; i++) {
        const struct room *room = &database.rooms[i];
        if (due_in(room, ROOM_WAITING) && !is_rowless(room) &&
            (oldest < 0 || room->due_at < database.rooms[oldest].due_at))
            oldest = i;
    }
    return oldest;
}

static void hand_out(struct pass *pass, const char *worker, unsigned slots)
{
    for (int number = oldest_due(); number >= 0 && slots > 0; number = oldest_due(), slots--) {
        struct room *room = &database.rooms[number];
        snprintf(room->worker, sizeof room->worker, "%s", worker);
        room->due_at = world.now_ms + 30000;
        say(pass, SWEEP_DUE, number);
    }
}

size_t database_sweep(const char *worker, unsigned slots, bool expire, struct swept ret_rows[SWEPT_MAX])
{
    struct pass pass = {.rows = ret_rows};
    for (int i = 0; i < ROOMS_MAX; i++) {
        if (expire && due_in(&database.rooms[i], ROOM_PROCESSING))
            end_lease(&pass, i);
    }
    for (int i = 0; i < ROOMS_MAX; i++) {
        if (due_in(&database.rooms[i], ROOM_ANALYSED) && database_finish(i) != STORE_BUSY)
            say(&pass, SWEEP_FINISHED, i);
    }
    for (int i = 0; i < ROOMS_MAX; i++) {
        if (database.rooms[i].exists)
            follow_and_send(&pass, i);
        if (due_in(&database.rooms[i], ROOM_WAITING) && is_rowless(&database.rooms[i]))
            look(&pass, i);
    }
    hand_out(&pass, worker, slots);
    return pass.count;
}
