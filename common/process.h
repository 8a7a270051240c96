/* What a daemon does to its own process before anything else, and the limit of its open files. */
#ifndef ROOMCLAIM_PROCESS_H
#define ROOMCLAIM_PROCESS_H

#include "base.h"

/* No core dumps and no ptrace by the same user (secrets are in memory), no new privileges, files for the owner only,
 * a write to a closed socket is an error and not a signal. Builds with sanitizers or fault points stay traceable,
 * because their leak check needs ptrace. Logs what the kernel refuses; that ends nothing. */
void process_harden(void);

/* Raises the soft limit of open files to want, as far as the hard limit goes. Returns the limit reached. */
size_t process_raise_nofile(size_t want);

/* Ends the process with this code if it still runs after so many seconds, whatever it hangs in; words (static, with a
 * newline) go to stderr before. For the end, where a library may wait for ever. */
void process_end_within(unsigned seconds, int code, const char *words);

#endif
