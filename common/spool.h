/* A spool: records that Kafka shall get and does not take now, in one SQLite file of our own.
 *
 * WAL, synchronous=FULL: what spool_commit answered OK to survives a crash of the machine. One process has the file, a
 * second is refused. Every record carries a checksum. A damaged file is moved aside, never deleted, and what can be
 * read of it is taken over into a new one. Records that Kafka refuses for good lie in a table of their own, the dead.
 *
 * One thread at a time. The file holds webhooks: mode 0600.
 */
#ifndef ROOMCLAIM_SPOOL_H
#define ROOMCLAIM_SPOOL_H

#include "base.h"
#include "error.h"
#include "publisher.h"

struct spool;

#define SPOOL_RESULT_TABLE(X)                                                      \
    X(OK, "ok", "done")                                                            \
    X(LIMIT, "limit", "shim.spool_max_size is reached")                            \
    X(NO_ROOM, "full", "the disk is nearly full: the rest is needed for removing") \
    X(FULL, "full", "the disk is full")                                            \
    X(FAILED, "failed", "the disk does not do what it is told")                    \
    X(DAMAGED, "damaged", "the file is not what was written")

enum spool_result {
#define X(id, name, help) SPOOL_##id,
    SPOOL_RESULT_TABLE(X)
#undef X
        SPOOL_RESULT_COUNT
};

struct spool_options {
    int64_t max_bytes; /* of all records, the dead ones too; 0: no limit */
    bool allow_memory; /* a tmpfs is good enough */
    bool must_exist;   /* a missing file is an error, not a new spool */
};

struct spool_record {
    int64_t id;     /* grows; never used twice by one spool_open */
    int64_t put_ms; /* wall clock */
    const char *topic;
    struct slice key;
    const struct record_header *headers;
    size_t header_count;
    struct slice value;
    bool damaged; /* read: the checksum does not fit; the fields are what is there */
};

/* What spool_open found and did. */
struct spool_opening {
    char set_aside[512]; /* where a damaged file was moved to; "" none was */
    int64_t salvaged;    /* records taken over from it */
};

/* What lies in it. */
struct spool_stock {
    int64_t records, dead, bytes; /* bytes: of both */
    int64_t oldest_ms;            /* put_ms of the oldest record, 0 none */
};

/* Opens path, or makes it. Returns owned, or NULL with *ret_err: OPERATOR when another process has it, the folder is
 * missing, or lies in memory; FATAL when it can neither be used nor moved aside. */
struct spool *spool_open(const char *path, const struct spool_options *options, struct spool_opening *ret_opening,
                         struct error *ret_err) MUST_CHECK;
/* Moves the file aside because of SPOOL_DAMAGED, and goes on with a new one. After a failure the spool does nothing but
 * answer DAMAGED, and it can be tried again. */
bool spool_replace(struct spool *spool, struct spool_opening *ret_opening, struct error *ret_err) MUST_CHECK;
void spool_close(struct spool *spool); /* NULL is fine */

/* Everything that follows between begin and commit is one transaction, and one sync. */
enum spool_result spool_begin(struct spool *spool);
enum spool_result spool_commit(struct spool *spool);
void spool_rollback(struct spool *spool);

/* Borrows all; *ret_id may be NULL. put_ms is the record's. LIMIT and NO_ROOM leave the transaction as it was, all
 * other failures spoil it. */
enum spool_result spool_put(struct spool *spool, const struct spool_record *record, int64_t *ret_id);
enum spool_result spool_remove(struct spool *spool, int64_t id);
/* Moves a record to the dead. reason: one word. */
enum spool_result spool_bury(struct spool *spool, int64_t id, const char *reason, int64_t now_ms);

/* Moves all of the dead back, behind the records, as if they were put now; removes them. In a transaction of their own.
 * *ret_count: how many. */
enum spool_result spool_redrive(struct spool *spool, int64_t now_ms, int64_t *ret_count);
enum spool_result spool_discard(struct spool *spool, int64_t *ret_count);
/* Called for each reason by which records are among the dead. */
typedef void spool_tell(void *arg, const char *reason, int64_t count);
enum spool_result spool_reasons(struct spool *spool, spool_tell *tell, void *arg);

/* Called for each record in order of id, from after_id on; the record lives until it returns. False ends the reading.
 */
typedef bool spool_visit(void *arg, const struct spool_record *record);
enum spool_result spool_read(struct spool *spool, int64_t after_id, spool_visit *visit, void *arg);

/* Counts of committed work and of the open transaction's. */
const struct spool_stock *spool_stock(const struct spool *spool);
/* The last failure in words: of the spool, until the next call. */
const char *spool_words(const struct spool *spool);
const char *spool_result_name(enum spool_result result);

#endif
