/* The shim's fault points: the states of a webhook, and what lies between. For common/fault.h. */
#ifndef ROOMCLAIM_SHIM_POINTS_H
#define ROOMCLAIM_SHIM_POINTS_H

#include "common/fault.h"
#include "producer-shim/webhook.h"

/* X(name, help) */
#define SHIM_POINT_TABLE(X)                                                       \
    X("webhook_sent", "a webhook is with the Kafka client, and not acknowledged") \
    X("spool_written", "webhooks are written to the spool, and not synced")       \
    X("spool_synced", "webhooks are synced to the spool, and not answered")       \
    X("spool_drained", "Kafka has what the spool sent, and it is not removed there")

static const struct fault_name shim_points[] UNUSED = {
#define X(id, name, next, help) {"webhook_" name, "a webhook's state: " help},
    WEBHOOK_STATE_TABLE(X)
#undef X
#define X(name, help) {name, help},
        SHIM_POINT_TABLE(X)
#undef X
};

#endif
