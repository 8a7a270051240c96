#include "cli/spool_command.h"

#include "common/clock.h"
#include "common/drain.h"
#include "common/publisher.h"
#include "common/spool.h"

#include <stdio.h>

enum { POLL_MS = 100, TELL_EVERY_MS = 1000 };

struct drainage {
    struct spool *spool;
    struct publisher *publisher;
    struct drain *drain;
    int64_t told_ms, sent, buried;
};

static void on_reported(void *arg)
{
    (void)arg; /* drain_is_reported tells */
}

static void print_reason(void *arg, const char *reason, int64_t count)
{
    (void)arg;
    (void)printf("  %-8s %lld\n", reason, (long long)count);
}

static void print_stock(struct spool *spool)
{
    const struct spool_stock *stock = spool_stock(spool);
    char oldest[CLOCK_ISO_SIZE] = "-";
    if (stock->oldest_ms > 0)
        clock_format_iso(stock->oldest_ms, oldest);
    (void)printf("records  %lld\nbytes    %lld\noldest   %s\ndead     %lld\n", (long long)stock->records,
                 (long long)stock->bytes, oldest, (long long)stock->dead);
    (void)spool_reasons(spool, print_reason, NULL);
}

static int spool_failed(const struct spool *spool, struct error *ret_err)
{
    error_set(ret_err, ERROR_OPERATOR, "the spool: %s", spool_words(spool));
    return EXIT_FAILED;
}

static void show_progress(struct drainage *d)
{
    const int64_t now_ms = clock_mono_ms();
    if (now_ms - d->told_ms < TELL_EVERY_MS)
        return;
    d->told_ms = now_ms;
    (void)fprintf(stderr, "published %lld, left %lld\n", (long long)d->sent, (long long)spool_stock(d->spool)->records);
}

/* Waits for the batch's reports and takes out of the spool what Kafka has. */
static enum spool_result settle(struct drainage *d)
{
    struct drain_tally tally;
    while (!drain_is_reported(d->drain))
        publisher_poll(d->publisher, POLL_MS);
    enum spool_result result = spool_begin(d->spool);
    if (result == SPOOL_OK)
        result = drain_settle(d->drain, d->spool, clock_wall_ms(), &tally);
    if (result == SPOOL_OK)
        result = spool_commit(d->spool);
    if (result != SPOOL_OK) {
        spool_rollback(d->spool);
        return result;
    }
    drain_finish(d->drain);
    d->sent += tally.sent;
    d->buried += tally.buried;
    return SPOOL_OK;
}

/* One pass over the spool, batch by batch. */
static enum spool_result pass(struct drainage *d)
{
    bool over = false;
    enum spool_result result = SPOOL_OK;
    while (result == SPOOL_OK && !over) {
        result = drain_start(d->drain, d->spool, clock_wall_ms(), &over);
        if (drain_under_way(d->drain))
            result = settle(d);
        show_progress(d);
    }
    return result;
}

/* Passes go on while they bring something. */
static int empty(struct drainage *d, struct error *ret_err)
{
    int64_t before = -1;
    enum spool_result result = SPOOL_OK;
    while (result == SPOOL_OK && spool_stock(d->spool)->records > 0 && d->sent + d->buried > before) {
        before = d->sent + d->buried;
        result = pass(d);
    }
    (void)printf("published %lld, buried %lld, left %lld\n", (long long)d->sent, (long long)d->buried,
                 (long long)spool_stock(d->spool)->records);
    if (result != SPOOL_OK)
        return spool_failed(d->spool, ret_err);
    if (spool_stock(d->spool)->records == 0)
        return EXIT_DONE;
    error_set(ret_err, ERROR_RETRY, "Kafka did not take all of it: look at kafka.bootstrap_servers, and run it again");
    return EXIT_UNAVAILABLE;
}

static int drain_all(const struct config *config, struct spool *spool, struct error *ret_err)
{
    struct drainage d = {.spool = spool, .publisher = publisher_new(config, ret_err)};
    const struct drain_hooks hooks = {.reported = on_reported};
    if (!d.publisher)
        return EXIT_CONFIG;
    d.drain = drain_new(d.publisher, &hooks, 0);
    const int code = empty(&d, ret_err);
    publisher_free(d.publisher, 0);
    drain_free(d.drain);
    return code;
}

static int deal_with_dead(const struct spool_command_options *options, struct spool *spool, struct error *ret_err)
{
    int64_t count = 0;
    const enum spool_result result =
        options->redrive ? spool_redrive(spool, clock_wall_ms(), &count) : spool_discard(spool, &count);
    if (result != SPOOL_OK)
        return spool_failed(spool, ret_err);
    (void)printf("%s %lld\n", options->redrive ? "redriven" : "discarded", (long long)count);
    return EXIT_DONE;
}

int spool_command_run(const struct config *config, const struct spool_command_options *options, const char *path,
                      struct error *ret_err)
{
    struct spool_opening opening;
    if (options->redrive && options->discard) {
        error_set(ret_err, ERROR_OPERATOR, "--redrive and --discard: the dead records can't go both ways; give one");
        return EXIT_USAGE;
    }
    const struct spool_options how = {.allow_memory = true, .must_exist = true};
    struct spool *spool = spool_open(path, &how, &opening, ret_err);
    if (!spool)
        return EXIT_UNAVAILABLE;
    if (opening.set_aside[0] != '\0')
        (void)fprintf(stderr, "the file was damaged; it is kept as %s, %lld records of it could be read\n",
                      opening.set_aside, (long long)opening.salvaged);
    print_stock(spool);
    int code = EXIT_DONE;
    if (options->redrive || options->discard)
        code = deal_with_dead(options, spool, ret_err);
    if (code == EXIT_DONE && options->drain)
        code = drain_all(config, spool, ret_err);
    spool_close(spool);
    return code;
}
