/* The model's provider and the way to it: takes the place of consumer/call.c, and keeps a ledger of its own. */
#ifndef ROOMCLAIM_SIM_MODEL_H
#define ROOMCLAIM_SIM_MODEL_H

#include "consumer/models/provider.h"
#include "process.h"

enum { MODEL_CALLS_MAX = 512 };

struct model_call {
    struct process *process;
    unsigned incarnation;
    int room, line; /* line: of the claim's ledger */
    enum call_verdict verdict;
    int64_t started_ms, ended_ms; /* ended 0: under way */
    bool probe;
    int64_t failing_ms; /* of its process when it began: a probe tells only of that failure */
};

struct model {
    struct model_call calls[MODEL_CALLS_MAX];
    unsigned count;
    int64_t good_ms; /* when a call was last answered well */
};

extern struct model model;

void model_begin(void);
/* The call whose reply this text is; -1: of none. */
int model_call_of(struct slice text);

#endif
