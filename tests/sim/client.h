/* librdkafka as the consumer sees it: one client a process, its queue of events, what it fetches and what it commits.
 */
#ifndef ROOMCLAIM_SIM_CLIENT_H
#define ROOMCLAIM_SIM_CLIENT_H

#include "process.h"

void client_born(struct process *p);
void client_died(struct process *p);
/* It is silent for so long: the group may take it for dead. */
void client_asleep(struct process *p, int64_t ms);

/* From the group's coordinator: partitions as bits. */
void client_assigned(struct process *p, unsigned partitions);
void client_revoked(struct process *p, unsigned partitions);
/* It was taken for dead, and what it had is somebody else's. */
void client_out(struct process *p);
/* There may be something to fetch. */
void client_fetch_soon(struct process *p);

#endif
