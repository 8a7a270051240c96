/* Is the topic one that this service can work on? Asked once, before the loop runs. */
#ifndef ROOMCLAIM_TOPIC_H
#define ROOMCLAIM_TOPIC_H

#include "common/base.h"
#include "common/error.h"

#include <librdkafka/rdkafka.h>

/* False with *ret_err when a broker says that the topic does not exist, may not be read, or is compacted (a compacted
 * topic loses webhooks). A broker that is away or can't tell is no reason to refuse: logged, true. Blocks at most
 * timeout_ms for each of the two questions. */
bool topic_usable(rd_kafka_t *rk, const char *topic, int timeout_ms, struct error *ret_err);

#endif
