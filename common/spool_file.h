/* Inside of the spool: the SQLite file under it. For spool*.c alone.
 *
 * spool_file.c opens, checks and closes the file and runs its statements, spool_salvage.c moves a damaged one aside and
 * takes over what can be read of it, spool.c is what callers see.
 */
#ifndef ROOMCLAIM_SPOOL_FILE_H
#define ROOMCLAIM_SPOOL_FILE_H

#include "spool.h"

#include <sqlite3.h>

#define SPOOL_RECORD_COLUMNS "id, put_ms, topic, key, headers, sum, value"
#define SPOOL_DEAD_COLUMNS "id, dead_ms, reason, put_ms, topic, key, headers, sum, value"
#define SPOOL_LENGTHS "length(topic) + length(key) + length(headers) + length(value)"

#define SPOOL_STATEMENT_TABLE(X)                                                                      \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                       \
    X(COMMIT, "COMMIT")                                                                               \
    X(ROLLBACK, "ROLLBACK")                                                                           \
    X(PUT, "INSERT INTO record (" SPOOL_RECORD_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")       \
    X(SIZE, "SELECT " SPOOL_LENGTHS " FROM record WHERE id = ?1")                                     \
    X(REMOVE, "DELETE FROM record WHERE id = ?1")                                                     \
    X(BURY, "INSERT INTO dead (" SPOOL_DEAD_COLUMNS ") "                                              \
            "SELECT NULL, ?2, ?3, put_ms, topic, key, headers, sum, value FROM record WHERE id = ?1") \
    X(READ, "SELECT " SPOOL_RECORD_COLUMNS " FROM record WHERE id > ?1 ORDER BY id")                  \
    X(OLDEST, "SELECT put_ms FROM record ORDER BY id LIMIT 1")                                        \
    X(REASONS, "SELECT reason, count(*) FROM dead GROUP BY reason ORDER BY reason")                   \
    X(REDRIVE, "INSERT INTO record (" SPOOL_RECORD_COLUMNS ") "                                       \
               "SELECT ?1 + id, ?2, topic, key, headers, sum, value FROM dead")                       \
    X(DISCARD, "DELETE FROM dead")

enum spool_statement {
#define X(id, sql) SPOOL_SQL_##id,
    SPOOL_STATEMENT_TABLE(X)
#undef X
        SPOOL_SQL_COUNT
};

struct spool {
    char *path;
    struct spool_options options;
    sqlite3 *db; /* NULL: closed, or an attempt to replace it failed */
    sqlite3_stmt *sql[SPOOL_SQL_COUNT];
    int64_t next_id;
    struct spool_stock stock, before;                           /* before: of the open transaction */
    bool in_transaction, room_known, has_room;                  /* has_room: the disk, for this transaction */
    char aside[sizeof(((struct spool_opening *)0)->set_aside)]; /* moved there, and not replaced yet */
    char words[sizeof(((struct error *)0)->text)];              /* of the last failure */
};

/* Opens the file at spool->path as it is, or makes it, and counts what is in it. False with *ret_err: REJECT when it is
 * damaged. The spool is closed then. */
bool spool_file_open(struct spool *spool, struct error *ret_err) MUST_CHECK;
/* clean: the log is copied into the main file. Without it both stay as they are, whatever is in them. */
void spool_file_close(struct spool *spool, bool clean);
/* Counts, and finds the next id. Returns a code of SQLite. */
int spool_file_count(struct spool *spool) MUST_CHECK;
/* One of the spool's statements with what is bound to it; a failure's words are kept. */
enum spool_result spool_file_run(struct spool *spool, enum spool_statement id);
/* What a code of SQLite means; of a failure the words are kept. */
enum spool_result spool_file_result(struct spool *spool, int code);
/* Sets *ret_err with the spool's path. Returns false. */
bool spool_file_refuse(const struct spool *spool, enum error_class class, const char *what, struct error *ret_err);

#endif
