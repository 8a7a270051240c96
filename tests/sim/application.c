#include "application.h"

#include "broker.h"
#include "cover.h"
#include "database.h"
#include "plan.h"

#include <stdio.h>

static unsigned events; /* ids of webhooks */

struct webhook {
    char body[96];
    unsigned edition; /* of the row that it is about */
};

static struct webhook *make_webhook(int room)
{
    struct webhook *webhook = world_alloc(sizeof *webhook);
    snprintf(webhook->body, sizeof webhook->body,
             "{\"event\":\"room_finished\",\"id\":\"EV_%u\",\"room\":{\"sid\":\"%s\"}}", ++events, room_name(room));
    webhook->edition = database.rows[room].edition;
    return webhook;
}

static void append(int room, const struct webhook *webhook)
{
    const bool other_key = world_chance(20);
    const int partition = (room + other_key) % PARTITIONS;
    struct record *record =
        broker_append(partition, SORT_WEBHOOK, room, other_key ? "else" : room_name(room), webhook->body);
    record->edition = webhook->edition;
    if (world_chance(50))
        record->origin = world_chance(500) ? "reconcile" : "webhook";
}

static void append_again(void *arg, int64_t room)
{
    append((int)room, arg);
}

/* A webhook, and maybe copies of it, now or later. */
static void send_webhook(void *arg, int64_t room)
{
    (void)arg;
    struct webhook *webhook = make_webhook((int)room);
    append((int)room, webhook);
    if (!plan_fault(FAULT_DUPLICATES, 600))
        return;
    for (unsigned copies = 1 + world_below(3); copies > 0; copies--)
        world_after(world_chance(500) ? world_below(30) : world_below(12000), NULL, append_again, webhook, room);
}

static void make_row(void *arg, int64_t room)
{
    (void)arg;
    struct row *row = &database.rows[room];
    if (row->exists)
        return;
    trace("application: row %d is made", (int)room);
    *row = (struct row){.exists = true, .ready = true, .id = row->id + 1, .edition = row->edition};
    if (plan_fault(FAULT_INPUT_LATE, 400))
        row->ready = false;
}

static void make_ready(void *arg, int64_t room)
{
    (void)arg;
    database.rows[room].ready = true;
}

/* The row is opened again, and a webhook says so. */
static void reset(struct row *row, int room)
{
    if (row->locked)
        return;
    trace("application: row %d is reset", room);
    row->status = ROW_INITIATED;
    row->foreign = false;
    row->edition++;
    send_webhook(NULL, room);
}

static void unlock(void *arg, int64_t room)
{
    (void)arg;
    database.rows[room].locked = false;
}

static void stop_refusing(void *arg, int64_t room)
{
    (void)arg;
    database.rows[room].refuses = false;
}

static void make_again(void *arg, int64_t room)
{
    struct row *row = &database.rows[room];
    if (row->exists)
        return;
    make_row(arg, room);
    row->edition++;
    send_webhook(NULL, room);
}

static void foreign_ends(void *arg, int64_t room)
{
    (void)arg;
    struct row *row = &database.rows[room];
    if (row->exists && row->foreign)
        row->status = ROW_COMPLETED;
    row->foreign = false;
}

static void take_foreign(struct row *row, int room)
{
    if (row->status != ROW_INITIATED || row->locked)
        return;
    row->status = ROW_PROCESSING;
    row->foreign = true;
    if (world_chance(700))
        world_after(world_below(20000), NULL, foreign_ends, NULL, room);
}

static void delete_row(struct row *row, int room)
{
    if (row->locked)
        return;
    trace("application: row %d is deleted", room);
    row->exists = row->foreign = false;
    if (world_chance(400))
        world_after(world_below(8000), NULL, make_again, NULL, room);
}

/* Something that the application, or an operator, does to a row. */
static void meddle(void *arg, int64_t number)
{
    (void)arg, (void)number;
    const int room = (int)world_below(plan.rooms);
    struct row *row = &database.rows[room];
    if (world.healed)
        return;
    if (row->exists && plan_fault(FAULT_ROW_RESET, 250)) {
        reset(row, room);
    } else if (row->exists && !row->locked && plan_fault(FAULT_ROW_DROPPED, 150)) {
        trace("application: row %d is dropped", room);
        row->status = ROW_DROPPED;
        row->foreign = false;
    } else if (row->exists && plan_fault(FAULT_ROW_DELETED, 150)) {
        delete_row(row, room);
    } else if (row->exists && plan_fault(FAULT_ROW_LOCKED, 250)) {
        trace("application: row %d is held", room);
        row->locked = true;
        world_after(world_between(10, 8000), NULL, unlock, NULL, room);
    } else if (row->exists && plan_fault(FAULT_ROW_REFUSES, 250)) {
        row->refuses = true;
        world_after(world_between(10, 8000), NULL, stop_refusing, NULL, room);
    } else if (row->exists && plan_fault(FAULT_ROW_FOREIGN, 250)) {
        take_foreign(row, room);
    } else if (plan_fault(FAULT_ROW_RETRIED, 500)) {
        for (int i = 0; i < (int)plan.rooms; i++)
            database_retry(i);
    } else if (plan_fault(FAULT_STOP_BUTTON, 300)) {
        database.paused = !database.paused;
    }
    world_after(world_between(100, 2500), NULL, meddle, NULL, 0);
}

static void junk(void *arg, int64_t number)
{
    (void)arg, (void)number;
    static const struct {
        enum record_sort sort;
        const char *body;
    } kinds[] = {{SORT_POISON, "{not json"},
                 {SORT_POISON, "{\"event\":\"room_finished\",\"room\":{}}"},
                 {SORT_OTHER, "{\"event\":\"room_started\",\"id\":\"EV_o\",\"room\":{\"sid\":\"RM_0\"}}"},
                 {SORT_TOMBSTONE, NULL}};
    if (plan_fault(FAULT_JUNK, 1000)) {
        const unsigned kind = world_below(ARRAY_LEN(kinds));
        broker_append((int)world_below(PARTITIONS), kinds[kind].sort, -1, "junk", kinds[kind].body);
    }
}

static void plan_room(int room)
{
    const int64_t at_ms = plan_fault(FAULT_BURST, 1000) ? 300 : world_below(15000);
    database.rows[room] = (struct row){.edition = 0};
    if (!plan_fault(FAULT_ROW_MISSING, 200))
        world_after(plan_fault(FAULT_ROW_LATE, 300) ? at_ms + world_below(12000) : 0, NULL, make_row, NULL, room);
    world_after(at_ms + world_below(6000), NULL, make_ready, NULL, room);
    world_after(at_ms, NULL, send_webhook, NULL, room);
}

void application_begin(void)
{
    events = 0;
    for (int room = 0; room < (int)plan.rooms; room++)
        plan_room(room);
    for (unsigned i = world_below(6); i > 0; i--)
        world_after(world_below(15000), NULL, junk, NULL, 0);
    world_after(world_between(100, 3000), NULL, meddle, NULL, 0);
}

void application_heal(void)
{
    database.paused = false;
    for (int i = 0; i < ROOMS_MAX; i++) {
        database.rows[i].locked = database.rows[i].refuses = false;
        database.rows[i].ready = true;
    }
}
