/* The table of cells behind the metrics, and their text. Adding to a cell is one relaxed atomic operation.
 *
 * A histogram keeps one cell for each bucket and one for the sum; the count is the sum of the buckets, so that
 * a scrape in the middle of an observation is never inconsistent.
 */
#include "metrics.h"

#include "alloc.h"
#include "clock.h"
#include "text.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Upper bounds; from one HTTP answer to the longest model call. */
static const struct {
    int64_t us;
    const char *text;
} buckets[] = {
    {1000, "0.001"},  {2000, "0.002"},  {5000, "0.005"},  {10000, "0.01"},    {20000, "0.02"}, {50000, "0.05"},
    {100000, "0.1"},  {200000, "0.2"},  {500000, "0.5"},  {1000000, "1"},     {2000000, "2"},  {5000000, "5"},
    {10000000, "10"}, {30000000, "30"}, {60000000, "60"}, {120000000, "120"},
};

enum {
    BUCKETS = ARRAY_LEN(buckets) + 1, /* and +Inf */
    SUM = BUCKETS,                    /* the cell behind the buckets */
    HISTOGRAM_CELLS = BUCKETS + 1,
};

struct metric {
    _Atomic int64_t *cells;
    atomic_bool *present; /* a cell is printed only when set; NULL: always */
    unsigned labels;      /* number of label values, 1 without a label */
    unsigned stride;      /* cells a label value */
};

static struct {
    const struct metric_def *defs;
    struct metric *metrics;
    size_t count; /* 0 before metrics_init: then everything below does nothing */
    int64_t start_ms;
} table;

static bool is_indexed(const struct metric_def *def)
{
    return def->label && !def->values;
}

void metrics_init(const struct metric_def *defs, size_t count)
{
    metrics_fini();
    table.defs = defs;
    table.metrics = xcalloc(count, sizeof *table.metrics);
    for (size_t i = 0; i < count; i++) {
        struct metric *m = &table.metrics[i];
        m->labels = is_indexed(&defs[i]) ? METRIC_INDEX_MAX : defs[i].label ? defs[i].value_count : 1;
        m->stride = defs[i].kind == METRIC_HISTOGRAM ? HISTOGRAM_CELLS : 1;
        m->cells = xcalloc((size_t)m->labels * m->stride, sizeof *m->cells);
        if (!is_indexed(&defs[i]) && defs[i].kind != METRIC_GAUGE)
            continue;
        m->present = xcalloc(m->labels, sizeof *m->present);
        for (unsigned label = 0; label < m->labels; label++)
            atomic_init(&m->present[label], !is_indexed(&defs[i]));
    }
    table.start_ms = clock_wall_ms();
    table.count = count;
}

void metrics_fini(void)
{
    for (size_t i = 0; i < table.count; i++) {
        free(table.metrics[i].cells);
        free(table.metrics[i].present);
    }
    free(table.metrics);
    table.metrics = NULL;
    table.count = 0;
}

/* The cell of a label value, or NULL before metrics_init. A label that is too high shares the last cell. */
static _Atomic int64_t *find_cell(unsigned id, unsigned label, bool present)
{
    if (id >= table.count)
        return NULL;
    struct metric *m = &table.metrics[id];
    const unsigned at = MIN(label, m->labels - 1);
    if (m->present)
        atomic_store_explicit(&m->present[at], present, memory_order_relaxed);
    return &m->cells[(size_t)at * m->stride];
}

void metric_add(unsigned id, unsigned label, int64_t n)
{
    _Atomic int64_t *cell = find_cell(id, label, true);
    if (cell)
        atomic_fetch_add_explicit(cell, n, memory_order_relaxed);
}

void metric_set(unsigned id, unsigned label, int64_t n)
{
    _Atomic int64_t *cell = find_cell(id, label, true);
    if (cell)
        atomic_store_explicit(cell, n, memory_order_relaxed);
}

void metric_unset(unsigned id, unsigned label)
{
    _Atomic int64_t *cell = find_cell(id, label, false);
    if (cell)
        atomic_store_explicit(cell, 0, memory_order_relaxed);
}

void metric_observe_us(unsigned id, unsigned label, int64_t us)
{
    _Atomic int64_t *cells = find_cell(id, label, true);
    if (!cells)
        return;
    assert(table.defs[id].kind == METRIC_HISTOGRAM);
    size_t bucket = 0;
    while (bucket < ARRAY_LEN(buckets) && us > buckets[bucket].us)
        bucket++;
    atomic_fetch_add_explicit(&cells[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&cells[SUM], us, memory_order_relaxed);
}

static int64_t get_cell(const struct metric *m, unsigned label, unsigned cell)
{
    return atomic_load_explicit(&m->cells[(size_t)label * m->stride + cell], memory_order_relaxed);
}

bool metric_known(unsigned id, unsigned label)
{
    if (id >= table.count || label >= table.metrics[id].labels)
        return false;
    const atomic_bool *present = table.metrics[id].present;
    return present == NULL || atomic_load_explicit(&present[label], memory_order_relaxed);
}

int64_t metric_get(unsigned id, unsigned label)
{
    if (id >= table.count)
        return 0;
    const struct metric *m = &table.metrics[id];
    const unsigned at = MIN(label, m->labels - 1);
    const unsigned last = m->stride == 1 ? 1 : BUCKETS;
    int64_t total = 0;
    for (unsigned i = 0; i < last; i++)
        total += get_cell(m, at, i);
    return total;
}

/* Backslash and newline, in a label value also the quote. */
static void put_escaped(struct text *out, const char *s, bool in_label)
{
    for (; *s != '\0'; s++) {
        if (*s == '\n')
            text_puts(out, "\\n");
        else if (*s == '\\' || (*s == '"' && in_label))
            text_printf(out, "\\%c", *s);
        else
            text_put(out, s, 1);
    }
}

/* name{label="value",le="bound"}; each part only where there is one. */
static void put_name(struct text *out, const struct metric_def *def, const char *suffix, unsigned label, const char *le)
{
    text_printf(out, "%s%s", def->name, suffix);
    if (!def->label && !le)
        return;
    text_puts(out, "{");
    if (def->label) {
        text_printf(out, "%s=\"", def->label);
        if (def->values)
            put_escaped(out, def->values[label], true);
        else if (label == METRIC_INDEX_MAX - 1)
            text_puts(out, "other");
        else
            text_printf(out, "%u", label);
        text_puts(out, "\"");
    }
    if (le)
        text_printf(out, "%sle=\"%s\"", def->label ? "," : "", le);
    text_puts(out, "}");
}

static void put_value(struct text *out, int64_t value, double scale)
{
    if (scale == 0)
        text_printf(out, " %" PRId64 "\n", value);
    else
        text_printf(out, " %.15g\n", (double)value * scale);
}

static void put_histogram(struct text *out, const struct metric_def *def, const struct metric *m, unsigned label)
{
    int64_t total = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        total += get_cell(m, label, i);
        put_name(out, def, "_bucket", label, i < ARRAY_LEN(buckets) ? buckets[i].text : "+Inf");
        put_value(out, total, 0);
    }
    put_name(out, def, "_sum", label, NULL);
    put_value(out, get_cell(m, label, SUM), 1e-6);
    put_name(out, def, "_count", label, NULL);
    put_value(out, total, 0);
}

static void put_metric(struct text *out, const struct metric_def *def, const struct metric *m)
{
    static const char *const kinds[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    text_printf(out, "# HELP %s ", def->name);
    put_escaped(out, def->help, false);
    text_printf(out, "\n# TYPE %s %s\n", def->name, kinds[def->kind]);
    for (unsigned label = 0; label < m->labels; label++) {
        if (m->present && !atomic_load_explicit(&m->present[label], memory_order_relaxed))
            continue;
        if (def->kind == METRIC_HISTOGRAM) {
            put_histogram(out, def, m, label);
        } else {
            put_name(out, def, "", label, NULL);
            put_value(out, get_cell(m, label, 0), def->scale);
        }
    }
}

static void put_process_value(struct text *out, const char *name, const char *kind, const char *help, double value)
{
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, kind, name, value);
}

static double resident_bytes(void)
{
    char text[128] = "";
    const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    const ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    if (len <= 0)
        return 0;
    char *second = strchr(text, ' ');
    return second ? (double)strtol(second, NULL, 10) * (double)sysconf(_SC_PAGESIZE) : 0;
}

static double open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    unsigned count = 0;
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count - 1; /* without the folder's own */
}

static void put_process(struct text *out)
{
    struct timespec cpu = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    text_puts(out, "# HELP roomclaim_build_info the version that runs\n# TYPE roomclaim_build_info gauge\n");
    text_puts(out, "roomclaim_build_info{version=\"" ROOMCLAIM_VERSION "\"} 1\n");
    put_process_value(out, "process_start_time_seconds", "gauge", "start of the process since 1970",
                      (double)table.start_ms / 1e3);
    put_process_value(out, "process_cpu_seconds_total", "counter", "user and system CPU time",
                      (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
    put_process_value(out, "process_resident_memory_bytes", "gauge", "resident memory", resident_bytes());
    put_process_value(out, "process_open_fds", "gauge", "open file descriptors", open_fds());
}

char *metrics_render(size_t *ret_len)
{
    struct text out = {0};
    for (size_t i = 0; i < table.count; i++)
        put_metric(&out, &table.defs[i], &table.metrics[i]);
    put_process(&out);
    *ret_len = out.len;
    return text_take(&out);
}
