/* roomclaim spool FILE: what a shim's spool holds; with --drain it is published, as the shim itself would do it. The
 * dead, which the shim sends no more, can be put back before that, or thrown away. */
#ifndef ROOMCLAIM_SPOOL_COMMAND_H
#define ROOMCLAIM_SPOOL_COMMAND_H

#include "common/config.h"

struct spool_command_options {
    bool drain, redrive, discard;
};

/* Returns the exit code of the process; *ret_err says why it is not EXIT_DONE: no such file, a shim has it, Kafka did
 * not take all of it. What was published is removed; the rest stays. */
int spool_command_run(const struct config *config, const struct spool_command_options *options, const char *path,
                      struct error *ret_err) MUST_CHECK;

#endif
