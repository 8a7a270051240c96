/* How the parts are put together, and taken apart: service_new and service_free. The hooks that the parts call are
 * service.c's. */
#ifndef ROOMCLAIM_PARTS_H
#define ROOMCLAIM_PARTS_H

#include "consumer/service.h"

void service_on_assigned(void *arg);
void service_on_revoked(void *arg, int32_t partition);
void service_on_fatal(void *arg, const struct error *err);
void service_on_left(void *arg);
void service_on_store_health(void *arg, bool healthy, const struct error *err);

#endif
