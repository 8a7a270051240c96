/* The labels' values come from the tables of what they name. */
#include "producer-shim/metrics_table.h"

#include "common/event.h"
#include "common/publisher.h"
#include "producer-shim/answers.h"

static const char *const answer_words[] = {
#define X(id, status, retry, word, help) word,
    ANSWER_TABLE(X)
#undef X
};
static const char *const event_words[] = {
#define X(id, name) name,
    EVENT_TYPE_TABLE(X)
#undef X
};
static const char *const fault_words[] = {
#define X(id, name, help) name,
    EVENT_FAULT_TABLE(X)
#undef X
};
static const char *const verdict_words[] = {
#define X(id, word, help) word,
    TOKEN_VERDICT_TABLE(X)
#undef X
};
static const char *const outcome_words[] = {
#define X(id, name, help) name,
    PUBLISH_OUTCOME_TABLE(X)
#undef X
};

void shim_metrics_init(void)
{
    static const struct metric_def defs[] = {
#define X(id, text, what, by, words, n, factor, about) \
    [METRIC_##id] = {.name = text,                     \
                     .help = about,                    \
                     .kind = METRIC_##what,            \
                     .label = by,                      \
                     .values = words,                  \
                     .value_count = n,                 \
                     .scale = factor},
        SHIM_METRICS_TABLE(X)
#undef X
    };
    metrics_init(defs, ARRAY_LEN(defs));
}
