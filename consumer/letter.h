/* The dead letter of a job: what is the next thing to do about it, and the sending.
 *
 * A record that can't be used and a room that is parked go to <topic>.dlq. Not acknowledged: again at the next tick.
 * Refused for good: again without its value; refused again: into roomclaim.dead. A parked room's row is told at the
 * end.
 */
#ifndef ROOMCLAIM_LETTER_H
#define ROOMCLAIM_LETTER_H

#include "consumer/job.h"

enum letter_step { LETTER_SEND, LETTER_SEND_LATER, LETTER_PUT_DEAD, LETTER_ACKNOWLEDGE, LETTER_DONE };

/* Decides by how the last I/O of the job in state dead_lettering ended. */
enum letter_step letter_next(struct job *job);

/* Sends; finished(job) is called when the report is in, never before this returns. */
void letter_send(struct job *job, void (*finished)(struct job *job));

#endif
