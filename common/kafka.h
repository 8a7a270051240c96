/* Setting up a librdkafka client from the configuration.
 *
 * kafka.properties passes any librdkafka property through, but for those that correctness needs: config.c refuses
 * them (exit 78). librdkafka's own log lines go through log.c. Errors map to a class by one table.
 */
#ifndef ROOMCLAIM_KAFKA_H
#define ROOMCLAIM_KAFKA_H

#include "config.h"
#include "error.h"

#include <librdkafka/rdkafka.h>

enum kafka_role { KAFKA_PRODUCER, KAFKA_CONSUMER };

/* Returns an owned configuration (rd_kafka_conf_destroy, or rd_kafka_new takes it), or NULL with *ret_err naming
 * the property. Sets bootstrap servers, client id, our defaults for the role, then kafka.properties. */
rd_kafka_conf_t *kafka_conf_new(const struct config *config, enum kafka_role role, struct error *ret_err) MUST_CHECK;

/* Makes librdkafka's threads look at once whether there is something to fetch. Versions before 2.2 do so once a second
 * only, after a queue was full or a partition paused. Of all calls that wake them the one without an effect is to set
 * the credentials that it has. */
void kafka_wake(rd_kafka_t *rk);

/* RETRY, REJECT (this record), OPERATOR (not authorised, unknown topic) or FATAL. */
enum error_class kafka_error_class(rd_kafka_resp_err_t code);

/* Borrows librdkafka's statistics. True when a connection to a broker stands; false also for what is no statistics. */
bool kafka_any_broker_up(struct slice statistics);

/* True for a property that config refuses in kafka.properties; *ret_why (may be NULL) is a static sentence. */
bool kafka_property_reserved(const char *name, const char **ret_why);

#endif
