#include "consumer/meters.h"

#include "common/publisher.h"
#include "consumer/job.h"
#include "consumer/store.h"

#define NAMES(array, TABLE) const char *const array[] = {TABLE(NAME)}
#define NAME(id, text) text,

static NAMES(record_kind_names, RECORD_KIND_TABLE);
static NAMES(guard_names, GUARD_TABLE);
static NAMES(call_outcome_names, CALL_OUTCOME_TABLE);
static NAMES(token_type_names, TOKEN_TYPE_TABLE);
static NAMES(commit_outcome_names, COMMIT_OUTCOME_TABLE);
NAMES(sweep_kind_names, SWEEP_KIND_TABLE);
NAMES(room_state_names, ROOM_STATE_TABLE);

static const char *const verdict_names[] = {
#define X(id, name, then, counted, failure, help) name,
    CALL_VERDICT_TABLE(X)
#undef X
};

static const char *const publish_outcome_names[] = {
#define X(id, name, help) name,
    PUBLISH_OUTCOME_TABLE(X)
#undef X
};

static const char *const job_state_names[] = {
#define X(id, name, next, help) name,
    JOB_STATE_TABLE(X)
#undef X
};

static const struct metric_def defs[METER_COUNT] = {
#define X(id, name_, kind_, label_, values_, count_, scale_, help_) \
    [M_##id] = {.name = (name_),                                    \
                .help = (help_),                                    \
                .kind = METRIC_##kind_,                             \
                .label = (label_),                                  \
                .values = (values_),                                \
                .value_count = (count_),                            \
                .scale = (scale_)},
    METERS_TABLE(X)
#undef X
};

void meters_init(void)
{
    metrics_init(defs, METER_COUNT);
}
