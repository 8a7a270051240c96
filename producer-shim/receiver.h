/* The running shim: the publisher, the desk, the HTTP side and the admin port, and the one loop that serves them.
 *
 * receiver_run returns when a signal has asked for the end and what was in hand is answered, or when the grace for
 * that is over: then the rest is answered 503, and LiveKit sends it again. A second signal ends the process at once.
 */
#ifndef ROOMCLAIM_RECEIVER_H
#define ROOMCLAIM_RECEIVER_H

#include "common/config.h"
#include "common/error.h"

struct receiver;

/* Asked on SIGHUP for a fresh configuration, of which only the LiveKit keys are used. Returns owned, or NULL after
 * having said why. */
typedef struct config *receiver_reload(void *arg);

/* Listens on both ports. Borrows config. Returns owned, or NULL with *ret_err. Blocks the signals that it takes. */
struct receiver *receiver_new(const struct config *config, receiver_reload *reload, void *reload_arg,
                              struct error *ret_err) MUST_CHECK;
void receiver_free(struct receiver *receiver); /* NULL is fine */

void receiver_run(struct receiver *receiver);

#endif
