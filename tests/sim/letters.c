#include "letters.h"

#include "broker.h"
#include "common/publisher.h"
#include "cover.h"
#include "database.h"
#include "plan.h"

#include <stdlib.h>

enum { REPORTS_MAX = 256 };

struct sending {
    struct publisher *publisher;
    int partition, room;
    int64_t offset;
    bool stored;
    struct publish_report report;
    publish_done *done;
    void *arg;
};

struct publisher {
    struct process *process;
    unsigned incarnation;
    struct sending *reports[REPORTS_MAX];
    unsigned head, tail;
};

struct publisher *publisher_new(const struct config *config, struct error *ret_err)
{
    (void)config, (void)ret_err;
    struct publisher *publisher = world_alloc(sizeof *publisher);
    publisher->process = process_current;
    publisher->incarnation = process_current->incarnation;
    return publisher;
}

void publisher_free(struct publisher *p, int64_t grace_ms)
{
    (void)p, (void)grace_ms;
}

int publisher_fd(struct publisher *p)
{
    (void)p;
    return LETTERS_FD;
}

static int64_t header_number(const struct record_header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(headers[i].name, name) == 0)
            return strtoll(headers[i].value.ptr, NULL, 10);
    }
    return -1;
}

static void arrive(void *arg, int64_t number)
{
    (void)number;
    struct sending *sending = arg;
    struct publisher *publisher = sending->publisher;
    if (sending->stored) {
        const struct record *record = broker_letter(sending->partition, sending->offset);
        const int room = record != NULL ? record->room : sending->room;
        if (room >= 0)
            database.rooms[room].letters++;
    }
    if (!publisher->process->alive || publisher->process->incarnation != publisher->incarnation)
        return;
    if (publisher->tail - publisher->head == REPORTS_MAX) {
        violate("too many reports of dead letters wait");
        return;
    }
    publisher->reports[publisher->tail++ % REPORTS_MAX] = sending;
    process_wake_fd(publisher->process, LETTERS_FD);
}

void publisher_send(struct publisher *p, const char *topic, struct slice key, const struct record_header *headers,
                    size_t header_count, struct slice value, publish_done *done, void *arg)
{
    (void)topic;
    struct sending *sending = world_alloc(sizeof *sending);
    *sending = (struct sending){.publisher = p,
                                .partition = (int)header_number(headers, header_count, "__dlq.errors.partition"),
                                .offset = header_number(headers, header_count, "__dlq.errors.offset"),
                                .room = room_number_of(key),
                                .stored = true,
                                .report = {.outcome = PUBLISH_ACKED, .reason = ""},
                                .done = done,
                                .arg = arg};
    if (plan_fault(FAULT_LETTER_UNKNOWN, 300)) {
        sending->stored = world_chance(500);
        sending->report.outcome = PUBLISH_UNKNOWN;
    } else if (plan_fault(FAULT_LETTER_REFUSED, value.len > 0 ? 500 : 300)) {
        sending->stored = false;
        sending->report.outcome = PUBLISH_REFUSED;
    }
    trace("dead letter: room %d of %d/%lld: %s", sending->room, sending->partition, (long long)sending->offset,
          sending->report.outcome == PUBLISH_ACKED ? "acked" : "not acked");
    world_after(world_between(1, 100), NULL, arrive, sending, 0);
}

unsigned publisher_poll(struct publisher *p, int timeout_ms)
{
    (void)timeout_ms;
    unsigned count = 0;
    for (; p->head != p->tail; count++) {
        struct sending *sending = p->reports[p->head++ % REPORTS_MAX];
        sending->done(sending->arg, &sending->report);
    }
    return count;
}
