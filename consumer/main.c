/* roomclaim-consumer: reads the topic of webhooks and has the feedback of each finished room analysed, once. */
#include "common/admin.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/process.h"
#include "consumer/loop.h"
#include "consumer/meters.h"
#include "consumer/points.h"
#include "consumer/service.h"
#include "consumer/status.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    STUCK_AFTER_MS = 30000, /* a loop that has not turned for so long is stuck */
    SWEEP_LATE_MIN_MS = 5000,
    FILES_BESIDE_CALLS = 128,
    ENDS_WITHIN_S = 15, /* after the last offset is committed: librdkafka's destroy has been seen to hang */
};

static const char late_words[] = "roomclaim-consumer: the Kafka client does not end; ending all the same\n";

static const char usage[] =
    "roomclaim-consumer [--config FILE] [--set section.key=value]...\n"
    "Reads LiveKit's webhooks from Kafka and has each finished room's feedback analysed, once.\n";

static bool is_alive(void *arg)
{
    const struct service *service = arg;
    return !atomic_load(&service->stuck) && clock_mono_ms() - atomic_load(&service->beat_ms) < STUCK_AFTER_MS;
}

static bool sweep_is_late(const struct service *service)
{
    return metric_get(M_SWEEP_AGE, 0) > MAX(3 * service->config->sweep_interval_ms, SWEEP_LATE_MIN_MS);
}

static bool is_ready(void *arg, const char **ret_reason)
{
    const struct service *service = arg;
    *ret_reason = !atomic_load(&service->kafka_up)        ? "kafka"
                  : !atomic_load(&service->database_up)   ? "database"
                  : atomic_load(&service->operator_fault) ? "model"
                  : sweep_is_late(service)                ? "sweep"
                                                          : NULL;
    return *ret_reason == NULL;
}

static char *make_page(void *arg)
{
    const struct service *service = arg;
    return status_page(service->config);
}

/* The command line, for reading the configuration again. */
static struct {
    int argc;
    char **argv;
} command_line;

static const struct own_option own_options[] = {{.name = "--states", .help = "print the diagram of a job's states"},
                                                {.name = NULL}};

static struct config *read_config(int *ret_exit)
{
    return config_from_command_line(CONFIG_CONSUMER, usage, command_line.argc, command_line.argv, own_options, NULL,
                                    NULL, ret_exit);
}

/* SIGHUP: the model's new key, or the old one if the configuration is not good any more. */
static void on_hangup(uv_signal_t *handle, int number)
{
    (void)number;
    struct service *service = handle->data;
    int unused = EXIT_DONE;
    struct config *config = read_config(&unused);
    if (config == NULL) {
        log_error("key not re-read: going on with the old one");
        return;
    }
    caller_set_key(service->caller, config->llm_api_key);
    config_free(config);
    log_info("key re-read");
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct service *service = handle->data;
    if (service->stopping) {
        log_warn("stopped a second time: ending at once", LOG_INT("signal", number));
        _exit(EXIT_FORCED);
    }
    service_stop(service, EXIT_DONE);
}

/* Calls take a descriptor each: a limit that can't be reached is refused now, not in the middle of the night. */
static bool enough_files(const struct config *config, struct error *ret_err)
{
    const size_t want = (size_t)config->consumer_max_in_flight + FILES_BESIDE_CALLS;
    const size_t have = process_raise_nofile(want);
    if (have < want)
        error_set(
            ret_err, ERROR_OPERATOR,
            "consumer.max_in_flight = %lld needs %zu open files, the limit is %zu: raise LimitNOFILE or ulimit -n",
            (long long)config->consumer_max_in_flight, want, have);
    return have >= want;
}

static int run(struct service *service, const struct config *config)
{
    struct error err;
    const struct admin_hooks hooks = {.arg = service, .alive = is_alive, .ready = is_ready, .page = make_page};
    struct admin *admin = admin_new(config->consumer_admin_listen, &hooks, &err);
    if (admin == NULL && err.class != ERROR_NONE) {
        log_error("cannot start", LOG_STR("error", err.text));
        return EXIT_UNAVAILABLE;
    }
    static const struct {
        int number;
        uv_signal_cb handler;
    } handlers[] = {{SIGTERM, on_signal}, {SIGINT, on_signal}, {SIGHUP, on_hangup}};
    static uv_signal_t signals[ARRAY_LEN(handlers)]; /* the loop lets go of them after this returns */
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        loop_must(uv_signal_init(service->loop, &signals[i]), "signals");
        signals[i].data = service;
        loop_must(uv_signal_start(&signals[i], handlers[i].handler, handlers[i].number), "signals");
    }
    log_info("consuming", LOG_STR("topic", config->kafka_topic), LOG_STR("group", config->kafka_group),
             LOG_STR("instance", config->consumer_instance_id), LOG_STR("model", config->llm_model));
    notify_ready();
    const int code = service_run(service);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        uv_close((uv_handle_t *)&signals[i], NULL);
    admin_free(admin);
    log_info("stopped", LOG_INT("code", code));
    return code;
}

int main(int argc, char **argv)
{
    fault_start(consumer_points, ARRAY_LEN(consumer_points), argc, argv);
    if (argc == 2 && strcmp(argv[1], "--states") == 0) { /* needs no configuration */
        job_print_diagram(stdout);
        return EXIT_DONE;
    }
    command_line.argc = argc;
    command_line.argv = argv;
    int code = EXIT_DONE;
    struct config *config = read_config(&code);
    if (config == NULL)
        return code;
    process_harden();
    fault_leak();
    meters_init();
    uv_loop_t loop;
    loop_must(uv_loop_init(&loop), "itself");
    struct error err;
    code = EXIT_CONFIG;
    struct service *service = enough_files(config, &err) ? service_new(&loop, config, &err, &code) : NULL;
    if (service != NULL) {
        code = run(service, config);
        process_end_within(ENDS_WITHIN_S, code == EXIT_DONE ? EXIT_FORCED : code, late_words);
        service_free(service);
    } else {
        log_error("cannot start", LOG_STR("error", err.text));
    }
    uv_loop_close(&loop);
    metrics_fini();
    config_free(config);
    return code;
}
