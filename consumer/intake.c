#include "consumer/intake.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/mutant.h"
#include "consumer/ends.h"
#include "consumer/loop.h"
#include "consumer/meters.h"
#include "consumer/partition.h"
#include "consumer/topic.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    EVENTS_A_ROUND = 1000,  /* then the loop has its turn */
    POLL_MS = 500,          /* librdkafka wants to be polled also when nothing comes */
    REVOKE_COMMIT_MS = 150, /* how long a revoke waits for its commit */
    START_TIMEOUT_MS = 5000,
    WAKE_BYTES = 1 << 20, /* half of kafka.c's queue */
};

struct intake {
    uv_loop_t *loop;
    const struct config *config;
    struct intake_hooks hooks;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    int event_fd;
    uv_poll_t poll;
    uv_timer_t poll_timer, commit_timer, revoke_timer;
    struct ends *ends; /* asked while nothing is fetched */
    struct partition *partitions;
    int32_t partition_count;
    rd_kafka_topic_partition_list_t *revoking; /* waits for the commit; NULL: no revoke under way */
    size_t unwoken_bytes;                      /* of values, read since librdkafka was last woken */
    bool commit_outstanding, paused, connected, joined, closing, closed;
    unsigned open_handles;
};

static struct partition *partition_at(struct intake *intake, int32_t id)
{
    if (id >= intake->partition_count) {
        const int32_t count = id + 1;
        intake->partitions = xgrow(intake->partitions, (size_t)count, sizeof *intake->partitions);
        memset(intake->partitions + intake->partition_count, 0,
               (size_t)(count - intake->partition_count) * sizeof *intake->partitions);
        intake->partition_count = count;
    }
    return &intake->partitions[id];
}

/* commits */

static rd_kafka_topic_partition_list_t *watermarks(const struct intake *intake)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(intake->partition_count);
    for (int32_t id = 0; id < intake->partition_count; id++) {
        const struct partition *p = &intake->partitions[id];
        int64_t mark = p->offsets != NULL ? offsets_watermark(p->offsets) : -1;
        if (MUTANT(4) && p->offsets != NULL)
            mark = offsets_newest(p->offsets) + 1;
        if (mark <= p->committed)
            continue;
        rd_kafka_topic_partition_list_add(list, intake->config->kafka_topic, id)->offset = mark;
        intake->partitions[id].commit_epoch = p->epoch;
    }
    return list;
}

/* Commits what has moved. False: nothing to do, or one is outstanding. */
static bool commit_watermarks(struct intake *intake)
{
    if (intake->commit_outstanding)
        return false;
    rd_kafka_topic_partition_list_t *list = watermarks(intake);
    if (list->cnt > 0 &&
        rd_kafka_commit_queue(intake->rk, list, intake->queue, NULL, NULL) == RD_KAFKA_RESP_ERR_NO_ERROR)
        intake->commit_outstanding = true;
    rd_kafka_topic_partition_list_destroy(list);
    if (intake->commit_outstanding)
        fault_point("commit_sent");
    return intake->commit_outstanding;
}

static void note_committed(struct intake *intake, const rd_kafka_topic_partition_t *item)
{
    struct partition *p = partition_at(intake, item->partition);
    if (item->err == RD_KAFKA_RESP_ERR_NO_ERROR && p->offsets != NULL && p->commit_epoch == p->epoch)
        p->committed = MAX(p->committed, item->offset);
}

static void unassign(struct intake *intake);

/* A refused commit is dropped: the next watermark covers it. */
static void on_commit(struct intake *intake, rd_kafka_event_t *event)
{
    const rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    intake->commit_outstanding = false;
    metric_inc(M_COMMITS, code == RD_KAFKA_RESP_ERR_NO_ERROR ? COMMIT_OK : COMMIT_FAILED);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        fault_point("commit_acked");
        for (int i = 0; list != NULL && i < list->cnt; i++)
            note_committed(intake, &list->elems[i]);
    } else {
        log_info("offset commit refused; the next one covers it", LOG_STR("error", rd_kafka_err2str(code)));
    }
    if (intake->revoking != NULL && (code != RD_KAFKA_RESP_ERR_NO_ERROR || !commit_watermarks(intake)))
        unassign(intake);
}

static void on_commit_timer(uv_timer_t *timer)
{
    struct intake *intake = timer->data;
    if (intake->revoking == NULL)
        commit_watermarks(intake);
}

/* rebalances */

static bool cooperative(const struct intake *intake)
{
    const char *protocol = rd_kafka_rebalance_protocol(intake->rk);
    return protocol != NULL && strcmp(protocol, "COOPERATIVE") == 0;
}

static void log_rebalance_error(rd_kafka_error_t *error)
{
    if (error == NULL)
        return;
    log_warn("the group's assignment could not be answered", LOG_STR("error", rd_kafka_error_string(error)));
    rd_kafka_error_destroy(error);
}

static void assign(struct intake *intake, rd_kafka_topic_partition_list_t *list)
{
    if (cooperative(intake))
        log_rebalance_error(rd_kafka_incremental_assign(intake->rk, list));
    else if (rd_kafka_assign(intake->rk, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        log_warn("the group's assignment could not be taken");
    if (intake->paused && list->cnt > 0) /* a pause does not survive a rebalance by itself */
        rd_kafka_pause_partitions(intake->rk, list);
}

/* Asks where the group stood, to tell records that were deleted before they could be read. */
static void ask_committed(const struct intake *intake, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_ListConsumerGroupOffsets_t *request =
        rd_kafka_ListConsumerGroupOffsets_new(intake->config->kafka_group, list);
    rd_kafka_ListConsumerGroupOffsets(intake->rk, &request, 1, NULL, intake->queue);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
}

static void on_assign(struct intake *intake, rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        partition_start(partition_at(intake, list->elems[i].partition));
    }
    assign(intake, list);
    ask_committed(intake, list);
    intake->joined = intake->connected = true; /* a broker coordinates: the next statistics may be seconds away */
    log_info("partitions assigned", LOG_INT("partitions", list->cnt));
    intake->hooks.assigned(intake->hooks.arg);
}

/* The revoke's end: the partitions are given up. */
static void unassign(struct intake *intake)
{
    rd_kafka_topic_partition_list_t *list = TAKE(intake->revoking);
    uv_timer_stop(&intake->revoke_timer);
    for (int i = 0; i < list->cnt; i++) {
        struct partition *p = partition_at(intake, list->elems[i].partition);
        if (!MUTANT(9))
            partition_end(p);
        metric_unset(M_LAG, (unsigned)list->elems[i].partition);
        metric_unset(M_LAG_SECONDS, (unsigned)list->elems[i].partition);
    }
    if (cooperative(intake))
        log_rebalance_error(rd_kafka_incremental_unassign(intake->rk, list));
    else
        rd_kafka_assign(intake->rk, NULL);
    rd_kafka_topic_partition_list_destroy(list);
}

static void on_revoke_timer(uv_timer_t *timer)
{
    struct intake *intake = timer->data;
    log_warn("the offset commit of a revoke was not answered in time; its records may be read again");
    unassign(intake);
}

/* From now on nothing settles here any more; what is settled is committed, if the assignment is still ours. */
static void on_revoke(struct intake *intake, const rd_kafka_topic_partition_list_t *list)
{
    const bool lost = rd_kafka_assignment_lost(intake->rk);
    if (intake->revoking != NULL)
        unassign(intake);
    for (int i = 0; i < list->cnt; i++) {
        struct partition *p = partition_at(intake, list->elems[i].partition);
        p->assigned = false;
        p->epoch++;
        intake->hooks.revoked(intake->hooks.arg, list->elems[i].partition);
    }
    fault_point("revoked");
    log_info("partitions revoked", LOG_INT("partitions", list->cnt), LOG_BOOL("lost", lost));
    intake->revoking = rd_kafka_topic_partition_list_copy(list);
    if (lost || (!commit_watermarks(intake) && !intake->commit_outstanding))
        unassign(intake);
    else
        uv_timer_start(&intake->revoke_timer, on_revoke_timer, REVOKE_COMMIT_MS, 0);
}

static void on_rebalance(struct intake *intake, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    metric_inc(M_REBALANCES, 0);
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        on_assign(intake, list);
    else
        on_revoke(intake, list);
}

/* records */

/* An offset below what was settled: the log has gone back (the topic was made anew, or lost its end). All of it is read
 * as new, for the claim tells what was done before; skipping it would lose rooms. */
static void start_over(struct partition *p, const rd_kafka_message_t *message)
{
    log_error("the partition's offsets have gone back: was the topic re-created? Its records are read as new",
              LOG_INT("partition", message->partition), LOG_INT("offset", message->offset),
              LOG_INT("expected", p->next));
    metric_inc(M_GAPS, 0);
    partition_start(p);
}

static void on_committed(struct intake *intake, rd_kafka_event_t *event)
{
    size_t count = 0;
    const rd_kafka_ListConsumerGroupOffsets_result_t *result = rd_kafka_event_ListConsumerGroupOffsets_result(event);
    if (result == NULL)
        return;
    const rd_kafka_group_result_t **groups = rd_kafka_ListConsumerGroupOffsets_result_groups(result, &count);
    if (count == 0)
        return;
    const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(groups[0]);
    for (int i = 0; list != NULL && i < list->cnt; i++) {
        struct partition *p = partition_at(intake, list->elems[i].partition);
        if (p->assigned && list->elems[i].offset >= 0)
            partition_resumed(p, list->elems[i].offset, clock_mono_ms());
    }
}

static void note_time(struct partition *p, const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    const int64_t written_ms = rd_kafka_message_timestamp(message, &type);
    if (type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE)
        partition_mark(p, message->offset, written_ms);
}

static void on_message(struct intake *intake, const rd_kafka_message_t *message)
{
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        log_warn("Kafka reports an error on a partition", LOG_INT("partition", message->partition),
                 LOG_INT("offset", message->offset), LOG_STR("error", rd_kafka_message_errstr(message)));
        return;
    }
    struct partition *p = partition_at(intake, message->partition);
    if (!p->assigned)
        return; /* of an assignment that is over */
    const int64_t now_ms = clock_mono_ms();
    if (!partition_delivered(p, message->offset, now_ms)) {
        start_over(p, message);
        if (!partition_delivered(p, message->offset, now_ms))
            return; /* can't be: nothing is known of a fresh one */
    }
    if (!offsets_add(p->offsets, message->offset))
        return; /* delivered before, and still in hand */
    note_time(p, message);
    const struct record_place place = {.partition = message->partition, .epoch = p->epoch, .offset = message->offset};
    fault_point("record_polled");
    intake->hooks.record(intake->hooks.arg, &place, message);
}

void intake_settle(struct intake *intake, const struct record_place *place)
{
    struct partition *p = partition_at(intake, place->partition);
    if ((p->epoch == place->epoch || MUTANT(9)) && p->offsets != NULL)
        partition_settle(p, place->offset);
}

/* events */

static void on_error(struct intake *intake, rd_kafka_event_t *event)
{
    const rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    struct error err;
    if (rd_kafka_event_error_is_fatal(event)) {
        char words[256] = "";
        const rd_kafka_resp_err_t cause = rd_kafka_fatal_error(intake->rk, words, sizeof words);
        error_set(&err, ERROR_FATAL, "the consumer group cannot go on: %s (%s)", words, rd_kafka_err2name(cause));
        intake->hooks.fatal(intake->hooks.arg, &err);
        return;
    }
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        intake->connected = false;
    log_warn("Kafka is not well; trying on", LOG_STR("code", rd_kafka_err2name(code)),
             LOG_STR("error", rd_kafka_event_error_string(event)));
}

static void on_stats(struct intake *intake, rd_kafka_event_t *event)
{
    intake->connected = kafka_any_broker_up(slice_of(rd_kafka_event_stats(event)));
}

static void on_fetch(struct intake *intake, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message;
    while ((message = rd_kafka_event_message_next(event)) != NULL) {
        on_message(intake, message);
        intake->unwoken_bytes += message->len;
    }
    intake->connected = true;
    if (intake->unwoken_bytes < WAKE_BYTES)
        return;
    intake->unwoken_bytes = 0;
    kafka_wake(intake->rk);
}

static void on_event(struct intake *intake, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_FETCH:
        on_fetch(intake, event);
        break;
    case RD_KAFKA_EVENT_REBALANCE:
        on_rebalance(intake, event);
        break;
    case RD_KAFKA_EVENT_OFFSET_COMMIT:
        on_commit(intake, event);
        break;
    case RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT:
        on_committed(intake, event);
        break;
    case RD_KAFKA_EVENT_STATS:
        on_stats(intake, event);
        break;
    case RD_KAFKA_EVENT_ERROR:
        on_error(intake, event);
        break;
    default:
        break;
    }
}

static void wake_again(const struct intake *intake)
{
    const uint64_t one = 1;
    if (write(intake->event_fd, &one, sizeof one) < 0)
        return; /* full: readable as it is */
}

/* librdkafka wakes the eventfd only when its queue was empty: so read on until it is, or come back. */
static void drain(struct intake *intake)
{
    unsigned count = 0;
    rd_kafka_event_t *event = NULL;
    while (count < EVENTS_A_ROUND && (event = rd_kafka_queue_poll(intake->queue, 0)) != NULL) {
        on_event(intake, event);
        rd_kafka_event_destroy(event);
        count++;
    }
    if (count == EVENTS_A_ROUND)
        wake_again(intake);
    if (intake->closing && !intake->closed && rd_kafka_consumer_closed(intake->rk)) {
        intake->closed = true;
        intake->hooks.closed(intake->hooks.arg);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct intake *intake = poll->data;
    uint64_t ignored;
    if (read(intake->event_fd, &ignored, sizeof ignored) > 0)
        drain(intake);
}

static void on_poll_timer(uv_timer_t *timer)
{
    drain(timer->data);
}

/* back-pressure */

static rd_kafka_topic_partition_list_t *assigned_partitions(const struct intake *intake)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(intake->partition_count);
    for (int32_t id = 0; id < intake->partition_count; id++) {
        if (intake->partitions[id].assigned)
            rd_kafka_topic_partition_list_add(list, intake->config->kafka_topic, id);
    }
    return list;
}

void intake_pause(struct intake *intake, bool paused)
{
    if (paused == intake->paused)
        return;
    intake->paused = paused;
    metric_set(M_PAUSED, 0, paused);
    rd_kafka_topic_partition_list_t *list = assigned_partitions(intake);
    if (list->cnt > 0 && paused)
        rd_kafka_pause_partitions(intake->rk, list);
    else if (list->cnt > 0 && rd_kafka_resume_partitions(intake->rk, list) == RD_KAFKA_RESP_ERR_NO_ERROR)
        kafka_wake(intake->rk);
    rd_kafka_topic_partition_list_destroy(list); /* it holds references that rd_kafka_destroy would wait for */
}

bool intake_paused(const struct intake *intake)
{
    return intake->paused;
}

bool intake_connected(const struct intake *intake)
{
    return intake->connected && intake->joined;
}

static void report_loss(struct partition *p, int32_t id, int64_t low)
{
    int64_t from = -1;
    const int64_t lost = partition_lost(p, low, clock_mono_ms(), &from);
    if (lost == 0)
        return;
    metric_add(M_LOST, 0, lost);
    log_error(
        "records were deleted before they were read: is retention shorter than the outage? `initiated` rows whose "
        "webhook is lost stay until somebody asks for them",
        LOG_INT("partition", id), LOG_INT("from", from), LOG_INT("to", from + lost - 1), LOG_INT("records", lost));
}

static void report_partition(const struct intake *intake, int32_t id, int64_t now_ms)
{
    struct partition *p = &intake->partitions[id];
    const struct ends_offsets asked = ends_of(intake->ends, id);
    int64_t low = -1, high = -1;
    if (rd_kafka_get_watermark_offsets(intake->rk, intake->config->kafka_topic, id, &low, &high) !=
        RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    low = MAX(low, asked.low);
    high = MAX(high, asked.high);
    report_loss(p, id, low);
    const int64_t settled = MAX(offsets_watermark(p->offsets), p->committed);
    const int64_t mark = settled >= 0 ? settled : low; /* nothing committed yet: from the start */
    if (high >= 0 && mark >= 0)
        metric_set(M_LAG, (unsigned)id, MAX(high - mark, 0));
    metric_set(M_LAG_SECONDS, (unsigned)id, MAX(now_ms - partition_oldest_ms(p, now_ms), 0));
}

static void ask_for_ends(const struct intake *intake)
{
    size_t count = 0;
    int32_t *ids = xcalloc((size_t)intake->partition_count + 1, sizeof *ids);
    for (int32_t id = 0; id < intake->partition_count; id++) {
        if (intake->partitions[id].assigned)
            ids[count++] = id;
    }
    ends_ask(intake->ends, ids, count, clock_mono_ms());
}

void intake_report(struct intake *intake, int64_t now_ms)
{
    if (intake->paused && !intake->closing)
        ask_for_ends(intake);
    for (int32_t id = 0; id < intake->partition_count; id++) {
        if (intake->partitions[id].assigned)
            report_partition(intake, id, now_ms);
    }
    metric_set(M_KAFKA, 0, intake->connected);
}

/* start and end */

static rd_kafka_t *make_client(const struct config *config, struct error *ret_err)
{
    rd_kafka_conf_t *conf = kafka_conf_new(config, KAFKA_CONSUMER, ret_err);
    if (conf == NULL)
        return NULL;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT |
                                       RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS);
    char words[256];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, words, sizeof words);
    if (rk == NULL) {
        error_set(ret_err, ERROR_OPERATOR, "Kafka consumer: %s", words);
        rd_kafka_conf_destroy(conf);
    }
    return rk;
}

static bool subscribe(struct intake *intake, struct error *ret_err)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, intake->config->kafka_topic, RD_KAFKA_PARTITION_UA);
    const rd_kafka_resp_err_t code = rd_kafka_subscribe(intake->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        error_set(ret_err, ERROR_OPERATOR, "cannot subscribe to topic %s: %s", intake->config->kafka_topic,
                  rd_kafka_err2str(code));
    return code == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void watch_events(struct intake *intake)
{
    const uint64_t one = 1;
    intake->queue = rd_kafka_queue_get_consumer(intake->rk);
    intake->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop_must(intake->event_fd < 0 ? -errno : 0, "Kafka's events");
    rd_kafka_queue_io_event_enable(intake->queue, intake->event_fd, &one, sizeof one);
    loop_must(uv_poll_init(intake->loop, &intake->poll, intake->event_fd), "Kafka's events");
    uv_timer_init(intake->loop, &intake->poll_timer);
    uv_timer_init(intake->loop, &intake->commit_timer);
    uv_timer_init(intake->loop, &intake->revoke_timer);
    intake->poll.data = intake->poll_timer.data = intake->commit_timer.data = intake->revoke_timer.data = intake;
    uv_poll_start(&intake->poll, UV_READABLE, on_readable);
    uv_timer_start(&intake->poll_timer, on_poll_timer, POLL_MS, POLL_MS);
    const uint64_t interval_ms = (uint64_t)intake->config->consumer_commit_interval_ms;
    uv_timer_start(&intake->commit_timer, on_commit_timer, interval_ms, interval_ms);
}

struct intake *intake_new(uv_loop_t *loop, const struct config *config, const struct intake_hooks *hooks,
                          struct error *ret_err)
{
    rd_kafka_t *rk = make_client(config, ret_err);
    if (rk == NULL)
        return NULL;
    rd_kafka_poll_set_consumer(rk);
    struct intake *intake = xcalloc(1, sizeof *intake);
    *intake = (struct intake){.loop = loop, .config = config, .hooks = *hooks, .rk = rk};
    if (!topic_usable(rk, config->kafka_topic, START_TIMEOUT_MS, ret_err) || !subscribe(intake, ret_err)) {
        rd_kafka_destroy(rk);
        free(intake);
        return NULL;
    }
    intake->ends = ends_new(loop, rk, config->kafka_topic);
    watch_events(intake);
    return intake;
}

void intake_stop(struct intake *intake)
{
    intake->closing = true;
    uv_timer_start(&intake->poll_timer, on_poll_timer, 20, 20);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(intake->rk, intake->queue);
    if (error != NULL) {
        log_warn("leaving the group failed", LOG_STR("error", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
    }
}

static void handle_closed(uv_handle_t *handle)
{
    struct intake *intake = handle->data;
    if (--intake->open_handles > 0)
        return;
    close(intake->event_fd);
    for (int32_t id = 0; id < intake->partition_count; id++)
        partition_end(&intake->partitions[id]);
    free(intake->partitions);
    free(intake);
}

void intake_free(struct intake *intake)
{
    if (intake->revoking != NULL)
        rd_kafka_topic_partition_list_destroy(intake->revoking);
    rd_kafka_queue_io_event_enable(intake->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(intake->queue);
    ends_free(intake->ends);
    rd_kafka_destroy_flags(intake->rk, intake->closed ? RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE : 0);
    uv_handle_t *const handles[] = {(uv_handle_t *)&intake->poll, (uv_handle_t *)&intake->poll_timer,
                                    (uv_handle_t *)&intake->commit_timer, (uv_handle_t *)&intake->revoke_timer};
    intake->open_handles = ARRAY_LEN(handles);
    for (size_t i = 0; i < ARRAY_LEN(handles); i++)
        uv_close(handles[i], handle_closed);
}
