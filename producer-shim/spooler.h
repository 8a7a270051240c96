/* The shim's spool at work: webhooks that Kafka does not take are synced to disk, and sent on when it is back.
 *
 * A thread of its own owns the file. What is put while it syncs shares the next sync (group commit). While Kafka
 * answers, it drains the spool through the publisher. Everything else is called by the shim's loop.
 */
#ifndef ROOMCLAIM_SPOOLER_H
#define ROOMCLAIM_SPOOLER_H

#include "common/config.h"
#include "common/publisher.h"
#include "common/spool.h"

struct spooler;

/* OK: the record is on disk, and will be in Kafka. */
typedef void spooler_done(void *arg, enum spool_result result);

/* What the gauges show. */
struct spooler_state {
    int64_t records, dead, bytes, oldest_ms; /* of spool_stock */
    int64_t drained, buried, failures;       /* since the start; failures: of transactions */
};

/* Opens shim.spool_path and starts the thread. Borrows both. Returns owned, or NULL with *ret_err. */
struct spooler *spooler_new(const struct config *config, struct publisher *publisher, struct error *ret_err) MUST_CHECK;
/* Ends the thread; what was put is synced before, or told to have failed. With a disk that hangs, it ends the process
 * with EXIT_FORCED after a while: all webhooks must be answered before. Then the publisher must be freed, so that all
 * reports are in, and then the spooler: a batch under way is settled by that. What is left stays on disk. NULL is fine.
 */
void spooler_stop(struct spooler *spooler);
void spooler_free(struct spooler *spooler);

/* Copies the record; done(arg) comes once, from spooler_poll. With too many bytes waiting for the disk it fails at
 * once.
 */
void spooler_put(struct spooler *spooler, const struct spool_record *record, spooler_done *done, void *arg);

/* Whether a record of this key may lie in the spool, or be on its way out of it: then the next must go the same way.
 * Now and then true for a key that doesn't: it costs that record the detour, no more. */
bool spooler_holds(const struct spooler *spooler, struct slice key);
/* The last batch that was sent did not arrive whole: Kafka is no faster way. */
bool spooler_is_stalled(const struct spooler *spooler);
/* The last transaction succeeded, and took all that was put; none hangs. */
bool spooler_is_well(const struct spooler *spooler);
void spooler_state(const struct spooler *spooler, struct spooler_state *ret_state);

int spooler_fd(const struct spooler *spooler); /* readable: spooler_poll has something to do */
void spooler_poll(struct spooler *spooler);

#endif
