/* Metrics in Prometheus' text format, declared in one table a program.
 *
 * A program lists its metrics in an X-macro table (name, kind, label, the label's values, help) and hands the array
 * to metrics_init. Cells are C11 atomics: any thread may write, the admin server's thread reads. A label is never a
 * room, a key, an offset or an error text; its values are a fixed list, or small numbers (a partition).
 */
#ifndef ROOMCLAIM_METRICS_H
#define ROOMCLAIM_METRICS_H

#include "base.h"

enum metric_kind {
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_HISTOGRAM, /* of microseconds, printed in seconds with the buckets in metrics.c */
};

enum { METRIC_INDEX_MAX = 1024 }; /* most values of a label that is a number; higher ones share the last cell */

struct metric_def {
    const char *name; /* as exposed, with its unit's suffix */
    const char *help; /* one line */
    enum metric_kind kind;
    const char *label;         /* NULL: no label */
    const char *const *values; /* the label's values; NULL with a label: the value is the index, in decimal */
    unsigned value_count;      /* with values: how many */
    double scale;              /* printed value = cell * scale; 0 means 1 (a gauge in ms printed in s: 0.001) */
};

/* Borrows defs for the life of the process. The ids that the functions below take are indexes into defs. */
void metrics_init(const struct metric_def *defs, size_t count);
void metrics_fini(void);

void metric_add(unsigned id, unsigned label, int64_t n); /* counters and gauges; label 0 when there is none */
void metric_set(unsigned id, unsigned label, int64_t n); /* gauges */
void metric_unset(unsigned id,
                  unsigned label); /* a gauge whose value is unknown (a partition that is gone) is not printed */
void metric_observe_us(unsigned id, unsigned label, int64_t us);
bool metric_known(unsigned id, unsigned label);  /* false: metric_unset, or a number that was never set */
int64_t metric_get(unsigned id, unsigned label); /* of a histogram: the number of observations */

#define metric_inc(id, label) metric_add((id), (label), 1)

/* Returns owned text, NUL-terminated, its length in *ret_len. Includes roomclaim_build_info and process_* basics. */
char *metrics_render(size_t *ret_len) MUST_CHECK;

#endif
