/* A damaged spool: its file goes aside as it is, and what can be read of it goes on in a new one. */
#include "spool_file.h"

#include "alloc.h"
#include "clock.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct salvage {
    struct spool *into;
    sqlite3 *from;
    const char *table, *columns;
    sqlite3_stmt *put;
    int64_t taken, last_id;
};

static bool is_empty(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_size == 0;
}

/* SQLite makes one when it looks. */
static void remove_empty_log(const char *path)
{
    AUTO(free_ptr) char *wal = xasprintf("%s-wal", path);
    if (is_empty(wal))
        unlink(wal);
}

/* The main file first: an empty one beside a log is known for what it is, a file without its log is not. */
static bool move_parts(const struct spool *spool)
{
    static const char *const parts[] = {"", "-wal", "-shm", "-journal"};
    bool moved = false;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        AUTO(free_ptr) char *from = xasprintf("%s%s", spool->path, parts[i]);
        AUTO(free_ptr) char *to = xasprintf("%s%s", spool->aside, parts[i]);
        if (rename(from, to) == 0)
            moved = true;
        else if (errno != ENOENT)
            return false;
    }
    return moved;
}

static bool move_aside(struct spool *spool, struct error *ret_err)
{
    char stamp[CLOCK_ISO_SIZE];
    clock_format_iso(clock_wall_ms(), stamp);
    snprintf(spool->aside, sizeof spool->aside, "%s.damaged-%s", spool->path, stamp);
    remove_empty_log(spool->path);
    if (access(spool->aside, F_OK) != 0 && move_parts(spool)) /* never over what was moved there before */
        return true;
    spool->aside[0] = '\0';
    return spool_file_refuse(spool, ERROR_FATAL, "it is damaged and can't be moved aside", ret_err);
}

/* Copies what a pass over the damaged table yields. False: the new file takes no more. */
static bool salvage_pass(struct salvage *s, const char *direction)
{
    AUTO(free_ptr)
    char *sql = xasprintf("SELECT %s FROM %s WHERE id > ?1 ORDER BY id %s", s->columns, s->table, direction);
    sqlite3_stmt *read = NULL;
    bool takes = true;
    if (sqlite3_prepare_v2(s->from, sql, -1, &read, NULL) == SQLITE_OK) {
        sqlite3_bind_int64(read, 1, s->last_id);
        while (takes && sqlite3_step(read) == SQLITE_ROW) {
            for (int i = 0; i < sqlite3_column_count(read); i++)
                sqlite3_bind_value(s->put, i + 1, sqlite3_column_value(read, i));
            s->taken += sqlite3_step(s->put) == SQLITE_DONE;
            sqlite3_reset(s->put);
            s->last_id = MAX(s->last_id, sqlite3_column_int64(read, 0));
            takes = !sqlite3_get_autocommit(s->into->db); /* a full disk ends the transaction */
        }
    }
    sqlite3_finalize(read);
    return takes;
}

/* From the start to the damage, then from the end back to it. Returns how many rows. */
static int64_t salvage_table(struct salvage *s, const char *table, const char *columns, const char *places)
{
    AUTO(free_ptr) char *sql = xasprintf("INSERT INTO %s (%s) VALUES (%s)", table, columns, places);
    s->table = table;
    s->columns = columns;
    s->taken = 0;
    s->last_id = INT64_MIN;
    if (sqlite3_prepare_v2(s->into->db, sql, -1, &s->put, NULL) == SQLITE_OK && salvage_pass(s, "ASC"))
        salvage_pass(s, "DESC");
    sqlite3_finalize(TAKE(s->put));
    return s->taken;
}

/* The file aside is read and stays as it is: of an empty one SQLite would delete the log. */
static sqlite3 *open_aside(const char *path)
{
    sqlite3 *db = NULL;
    if (!is_empty(path) && sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK) {
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL); /* no index of the log on disk */
    }
    return db;
}

/* Returns how many records were taken over. */
static int64_t salvage(struct spool *into, const char *path)
{
    int64_t taken = 0;
    struct salvage s = {.into = into, .from = open_aside(path)};
    if (s.from && spool_file_run(into, SPOOL_SQL_BEGIN) == SPOOL_OK) {
        salvage_table(&s, "dead", SPOOL_DEAD_COLUMNS, "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9");
        taken = salvage_table(&s, "record", SPOOL_RECORD_COLUMNS, "?1, ?2, ?3, ?4, ?5, ?6, ?7");
        if (spool_file_run(into, SPOOL_SQL_COMMIT) != SPOOL_OK) {
            spool_file_run(into, SPOOL_SQL_ROLLBACK);
            taken = 0;
        }
    }
    sqlite3_close(s.from);
    remove_empty_log(path);
    return taken;
}

bool spool_replace(struct spool *spool, struct spool_opening *ret_opening, struct error *ret_err)
{
    *ret_opening = (struct spool_opening){.salvaged = 0};
    ret_err->class = ERROR_NONE;
    spool_file_close(spool, false);
    bool done = (spool->aside[0] != '\0' || move_aside(spool, ret_err)) && spool_file_open(spool, ret_err);
    if (done) {
        memcpy(ret_opening->set_aside, spool->aside, sizeof ret_opening->set_aside);
        ret_opening->salvaged = salvage(spool, spool->aside);
        done = spool_file_result(spool, spool_file_count(spool)) == SPOOL_OK;
        if (!done)
            spool_file_refuse(spool, ERROR_FATAL, spool->words, ret_err);
    }
    if (done || ret_err->class == ERROR_REJECT)
        spool->aside[0] = '\0'; /* the next damage has a place of its own */
    if (!done)
        snprintf(spool->words, sizeof spool->words, "%s", ret_err->text);
    return done;
}
