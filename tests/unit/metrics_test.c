/* Metrics: the exposed text, cells, and adding from threads. */
#include "check.h"

#include "common/alloc.h"
#include "common/metrics.h"

#include <pthread.h>

enum { HITS, ANSWERS, LAG, AGE, TOOK, PARTS };

static const char *const codes[] = {"200", "a\"b\\c\nd"};
static const struct metric_def defs[] = {
    [HITS] = {.name = "t_hits_total", .help = "all\nhits \\ \"q\"", .kind = METRIC_COUNTER},
    [ANSWERS] = {"t_answers_total", "answers", METRIC_COUNTER, "code", codes, ARRAY_LEN(codes), 0},
    [LAG] = {"t_lag_seconds", "lag", METRIC_GAUGE, "partition", NULL, 0, 0.001},
    [AGE] = {.name = "t_age", .help = "age", .kind = METRIC_GAUGE},
    [TOOK] = {.name = "t_took_seconds", .help = "took", .kind = METRIC_HISTOGRAM},
    [PARTS] = {.name = "t_parts_total", .help = "parts", .kind = METRIC_COUNTER, .label = "partition"},
};

static void expect(const char *text, const char *line, bool there)
{
    CHECK_LABEL(line);
    char with_ends[300];
    (void)snprintf(with_ends, sizeof with_ends, "\n%s\n", line);
    if ((strstr(text, with_ends) != NULL) != there)
        CHECK_FAIL("%s", there ? "is missing" : "should not be there");
}

static char *render(void)
{
    size_t len = 0;
    char *text = metrics_render(&len);
    CHECK_INT(len, strlen(text));
    CHECK(len > 0 && text[len - 1] == '\n');
    return text;
}

static void renders_counters_and_gauges(void)
{
    metrics_init(defs, ARRAY_LEN(defs));
    metric_inc(HITS, 0);
    metric_add(HITS, 0, 41);
    metric_inc(ANSWERS, 1);
    metric_set(LAG, 3, 1500);
    metric_set(LAG, 4, 1);
    metric_unset(LAG, 4);
    metric_inc(PARTS, 5);
    metric_inc(PARTS, 99999); /* shares the last cell */
    metric_unset(AGE, 0);
    AUTO(free_ptr) char *text = render();
    expect(text, "# TYPE t_hits_total counter", true);
    expect(text, "t_hits_total 42", true);
    expect(text, "t_answers_total{code=\"200\"} 0", true);
    expect(text, "t_answers_total{code=\"a\\\"b\\\\c\\nd\"} 1", true);
    expect(text, "t_lag_seconds{partition=\"3\"} 1.5", true);
    expect(text, "t_lag_seconds{partition=\"4\"} 0", false);
    expect(text, "t_parts_total{partition=\"5\"} 1", true);
    expect(text, "t_parts_total{partition=\"other\"} 1", true);
    expect(text, "t_parts_total{partition=\"6\"} 0", false);
    expect(text, "t_age 0", false);
    expect(text, "roomclaim_build_info{version=\"" ROOMCLAIM_VERSION "\"} 1", true);
    CHECK_LABEL("head");
    CHECK(strncmp(text, "# HELP t_hits_total all\\nhits \\\\ \"q\"\n", 36) == 0);
    CHECK(strstr(text, "\nprocess_resident_memory_bytes ") && !strstr(text, "process_resident_memory_bytes 0\n"));
    metrics_fini();
}

static void renders_histograms(void)
{
    static const int64_t observed_us[] = {0, 1000, 1001, 500000, 119000000, 999000000};
    metrics_init(defs, ARRAY_LEN(defs));
    for (size_t i = 0; i < ARRAY_LEN(observed_us); i++)
        metric_observe_us(TOOK, 0, observed_us[i]);
    AUTO(free_ptr) char *text = render();
    expect(text, "# TYPE t_took_seconds histogram", true);
    expect(text, "t_took_seconds_bucket{le=\"0.001\"} 2", true); /* a bound belongs to its bucket */
    expect(text, "t_took_seconds_bucket{le=\"0.002\"} 3", true);
    expect(text, "t_took_seconds_bucket{le=\"0.5\"} 4", true);
    expect(text, "t_took_seconds_bucket{le=\"120\"} 5", true);
    expect(text, "t_took_seconds_bucket{le=\"+Inf\"} 6", true);
    expect(text, "t_took_seconds_sum 1118.502001", true);
    expect(text, "t_took_seconds_count 6", true);
    CHECK_INT(metric_get(TOOK, 0), 6);
    metrics_fini();
}

static void does_nothing_without_a_table(void)
{
    metric_inc(HITS, 0);
    metric_set(LAG, 3, 1);
    metric_observe_us(TOOK, 0, 1);
    CHECK_INT(metric_get(HITS, 0), 0);
}

enum { THREADS = 4, ROUNDS = 50000 };

static void *add_many(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        metric_inc(HITS, 0);
        metric_observe_us(TOOK, 0, i);
    }
    return arg;
}

static void counts_from_threads(void)
{
    pthread_t threads[THREADS];
    metrics_init(defs, ARRAY_LEN(defs));
    for (size_t i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, add_many, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    CHECK_INT(metric_get(HITS, 0), THREADS * ROUNDS);
    CHECK_INT(metric_get(TOOK, 0), THREADS * ROUNDS);
    metrics_fini();
}

CHECK_MAIN({"does nothing without a table", does_nothing_without_a_table},
           {"renders counters and gauges", renders_counters_and_gauges}, {"renders histograms", renders_histograms},
           {"counts from threads", counts_from_threads})
