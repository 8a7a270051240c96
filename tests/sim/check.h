/* The promises, looked at from outside: by what Postgres, the model and Kafka see, not by what a consumer says.
 *
 * Most are checked at the moment in which they would be broken; at the end everything must have come to rest. */
#ifndef ROOMCLAIM_SIM_CHECK_H
#define ROOMCLAIM_SIM_CHECK_H

#include "database.h"
#include "model.h"
#include "process.h"

/* after every turn of a consumer's loop */
void check_running(const struct process *p);
/* It ended in order: all its memory is given back. */
void check_nothing_left(const struct process *p);

/* Claims and leases. */
void check_claim_sent(const struct job *job);
void check_claim_won(int room);
/* A lease ends: only for a worker that died, stood still, or lost touch with Postgres. */
void check_lease_ended(int room);

/* Calls: one for each claim, none too late, a second one in a run only for a cause. */
void check_call_starts(struct model_call *call, const struct job *job);
void check_call_ended(const struct model_call *call);
bool check_provider_was_well(int room);

/* Writes: what was paid for this room by this claim, and what counts. */
void check_store(const struct asked *asked);
void check_result(const struct asked *asked);
void check_release(const struct asked *asked);
void check_park(const struct asked *asked);
void check_dead_put(const struct asked *asked);

/* All records below offset have a disposition that survives the death of every consumer. */
void check_commit(int partition, int64_t offset);

/* Is everything at rest? *ret_why: what is not. */
bool check_quiet(const char **ret_why);
/* Once it is: every room at its end, every poison record on record. */
void check_end(void);

#endif
