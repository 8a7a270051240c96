/* SQLite's write-ahead log, read from outside: whether it holds committed work that SQLite will not find.
 *
 * SQLite reads the log up to the first frame that is not right, and takes the rest for the torn end of a crash, without
 * a word. But each commit is synced before the next begins, so a commit behind such a frame means damage.
 */
#ifndef ROOMCLAIM_SPOOL_WAL_H
#define ROOMCLAIM_SPOOL_WAL_H

#include "base.h"

/* Only while nobody writes to the log. False when there is none. */
bool spool_wal_is_broken(const char *path) MUST_CHECK;

#endif
