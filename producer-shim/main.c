/* roomclaim-shim: takes LiveKit's webhooks, checks them, and answers 200 once Kafka has them. */
#include "common/log.h"
#include "common/process.h"
#include "producer-shim/metrics_table.h"
#include "producer-shim/points.h"
#include "producer-shim/receiver.h"

static const char usage[] = "roomclaim-shim [--config FILE] [--set section.key=value]...\n"
                            "Takes LiveKit's webhooks, checks their signatures and puts them into a Kafka topic.\n"
                            "Answers 200 only for what Kafka has acknowledged.\n";

enum { ENDS_WITHIN_S = 15 }; /* after the last answer: librdkafka's destroy has been seen to hang */

struct command_line {
    int argc;
    char **argv;
};

static struct config *read_config(const struct command_line *line, int *ret_exit)
{
    return config_from_command_line(CONFIG_SHIM, usage, line->argc, line->argv, NULL, NULL, NULL, ret_exit);
}

static struct config *reload(void *arg)
{
    int unused = EXIT_DONE;
    return read_config(arg, &unused);
}

static int run(const struct config *config, struct command_line *line)
{
    struct error err = {.class = ERROR_NONE};
    struct receiver *receiver = receiver_new(config, reload, line, &err);
    if (!receiver) {
        log_error("cannot start", LOG_STR("error", err.text));
        return err.class == ERROR_OPERATOR ? EXIT_CONFIG : EXIT_UNAVAILABLE;
    }
    receiver_run(receiver);
    process_end_within(ENDS_WITHIN_S, EXIT_FORCED,
                       "roomclaim-shim: the Kafka client does not end; ending all the same\n");
    receiver_free(receiver);
    log_info("stopped");
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    fault_start(shim_points, ARRAY_LEN(shim_points), argc, argv);
    struct command_line line = {.argc = argc, .argv = argv};
    int code = EXIT_DONE;
    struct config *config = read_config(&line, &code);
    if (!config)
        return code;
    process_harden();
    fault_leak();
    shim_metrics_init();
    code = run(config, &line);
    metrics_fini();
    config_free(config);
    return code;
}
