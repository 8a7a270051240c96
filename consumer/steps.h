/* What a job does in each state: one function a state, from one table.
 *
 * A step starts one I/O and returns WAIT, or looks at how it ended, moves the job and returns NEXT; the last one
 * returns DONE, and the job is gone. */
#ifndef ROOMCLAIM_STEPS_H
#define ROOMCLAIM_STEPS_H

#include "consumer/job.h"

/* Runs job from where it stands until it waits or ends. */
void steps_run(struct job *job);

#endif
