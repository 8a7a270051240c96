/* The event loop's own resources. Without one of them a part would be silent for ever, so the process ends instead,
 * with one line and exit code 1: as with memory (common/alloc.h), nothing that is in hand is lost by that.
 */
#ifndef ROOMCLAIM_CONSUMER_LOOP_H
#define ROOMCLAIM_CONSUMER_LOOP_H

#include "common/log.h"

#include <stdlib.h>
#include <unistd.h>

/* code: what libuv has returned, or -errno. what: the resource, for the operator. */
static inline void loop_must(int code, const char *what)
{
    if (code >= 0)
        return;
    log_error("a descriptor or memory for the event loop is missing, ending: raise LimitNOFILE or ulimit -n, and start "
              "again",
              LOG_STR("for", what), LOG_STR("error", strerror(-code)));
    _exit(EXIT_FAILURE);
}

#endif
