/* An embedded broker in a process of its own: librdkafka's mock cluster, for `./dev demo` and for tests without Java.
 *
 *     mock_broker PARTITIONS TOPIC... [API:ERROR...]
 *
 * API:ERROR are numbers of Kafka's protocol: the next request of that kind that no other such word is for gets that
 * error. Prints "bootstrap HOST:PORT" when it listens (loopback, a free port) and runs until SIGTERM or SIGINT.
 * Everything is in memory, at most 5 MiB a partition, and gone when it ends. It holds no timestamps index and no admin
 * functions.
 */
#include "common/base.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITIONS_MAX = 64, BROKERS = 1 };

/* Returns owned, or NULL after saying why. */
static rd_kafka_t *handle_new(void)
{
    char reason[256];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), reason, sizeof reason);
    if (!rk)
        fprintf(stderr, "mock_broker: %s\n", reason);
    return rk;
}

/* "8:16" */
static void error_push(rd_kafka_mock_cluster_t *cluster, const char *word)
{
    char *colon = NULL;
    const long api = strtol(word, &colon, 10);
    const rd_kafka_resp_err_t err = (rd_kafka_resp_err_t)strtol(colon + 1, NULL, 10);
    rd_kafka_mock_push_request_errors_array(cluster, (int16_t)api, 1, &err);
}

static bool topics_create(rd_kafka_mock_cluster_t *cluster, char **names, int count, int partitions)
{
    for (int i = 0; i < count; i++) {
        if (strchr(names[i], ':') != NULL) { /* no topic has one in its name */
            error_push(cluster, names[i]);
            continue;
        }
        const rd_kafka_resp_err_t err = rd_kafka_mock_topic_create(cluster, names[i], partitions, BROKERS);
        if (err) {
            fprintf(stderr, "mock_broker: topic %s: %s\n", names[i], rd_kafka_err2str(err));
            return false;
        }
    }
    return true;
}

static void wait_for_the_end(const sigset_t *ends)
{
    int which = 0;
    while (sigwait(ends, &which) != 0)
        continue;
}

int main(int argc, char **argv)
{
    const long partitions = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
    if (partitions < 1 || partitions > PARTITIONS_MAX) {
        fprintf(stderr, "usage: mock_broker PARTITIONS TOPIC...   (1 to %d partitions)\n", PARTITIONS_MAX);
        return 64;
    }
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL); /* before librdkafka starts threads: they inherit it */

    rd_kafka_t *rk = handle_new();
    if (!rk)
        return 1;
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(rk, BROKERS);
    const bool ok = cluster && topics_create(cluster, argv + 2, argc - 2, (int)partitions);
    if (ok) {
        printf("bootstrap %s\n", rd_kafka_mock_cluster_bootstraps(cluster));
        (void)fflush(stdout);
        wait_for_the_end(&ends);
    }
    if (cluster)
        rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(rk);
    return ok ? 0 : 1;
}
