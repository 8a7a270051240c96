/* What may go wrong in a schedule, drawn from its seed: each schedule has some of the faults, each at its own rate. */
#ifndef ROOMCLAIM_SIM_PLAN_H
#define ROOMCLAIM_SIM_PLAN_H

#include "consumer/models/provider.h"
#include "cover.h"
#include "process.h"

/* The consumers' configuration; small, so that all bounds are met. */
enum {
    SIM_LEASE_MS = 10000,
    SIM_MARGIN_MS = 2000,
    SIM_TIMEOUT_MS = 4000,
    SIM_SWEEP_MS = 2000,
    SIM_MAX_ATTEMPTS = 3,
    SIM_MAX_CALLS = 8,
    SIM_INPUT_WAIT_MS = 8000,
    SIM_UNMATCHED_MS = 30000,
    SIM_BREAKER_FAILURES = 3,
    SIM_PROBE_MS = 1500,
};

struct plan {
    bool may[FAULT_COUNT];
    unsigned rooms, processes;
    bool cooperative;
    int64_t end_ms; /* of the faults */
    int64_t model_from_ms, model_to_ms, key_from_ms, key_to_ms, database_from_ms, database_to_ms;
    int guilty_claim, guilty_store; /* rooms, or -1 */
    unsigned state_permille;
    bool no_restarts;
    int64_t max_in_flight;
};

extern struct plan plan;

void plan_begin(void);
/* The consumers end now, and stay ended. */
void plan_no_restarts(void);
void plan_config(struct config *config, const char *name);

/* Does the fault happen now? Counts it. */
bool plan_fault(enum fault fault, unsigned permille);
/* A job enters a state: -1 die, 0 go on, else stand still for so many ms. */
int64_t plan_at_state(const char *name);
bool plan_suspends(void);

bool plan_database_away(void);
int64_t plan_database_delay_ms(void);
int plan_guilty_room(enum fault fault);
enum call_verdict plan_verdict(void);
int64_t plan_call_ms(enum call_verdict verdict);

/* A room's sid, and back: -1 for none. */
const char *room_name(int room);
int room_number(const char *name);
int room_number_of(struct slice name);

#endif
