/* The spool's file. Which error of SQLite means what is decided here. */
#include "spool_file.h"

#include "alloc.h"
#include "spool_wal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    TMPFS_ID = 0x01021994,
    RAMFS_ID = -2054924042, /* 0x858458f6 */
    APPLICATION_ID = 0x726d636c,
    FORMAT = 1,
    CACHE_KIB = 1024,
    LOG_LIMIT_BYTES = 4 << 20, /* the write-ahead log is copied about here, and shrinks to it afterwards */
};

static const char *const statements[] = {
#define X(id, sql) sql,
    SPOOL_STATEMENT_TABLE(X)
#undef X
};

static const char tables[] = "CREATE TABLE IF NOT EXISTS record ("
                             " id INTEGER PRIMARY KEY, put_ms INTEGER NOT NULL, topic TEXT NOT NULL, key BLOB NOT NULL,"
                             " headers BLOB NOT NULL, sum BLOB NOT NULL, value BLOB NOT NULL);"
                             "CREATE TABLE IF NOT EXISTS dead ("
                             " id INTEGER PRIMARY KEY, dead_ms INTEGER NOT NULL, reason TEXT NOT NULL,"
                             " put_ms INTEGER NOT NULL, topic TEXT NOT NULL, key BLOB NOT NULL, headers BLOB NOT NULL,"
                             " sum BLOB NOT NULL, value BLOB NOT NULL);";

enum spool_result spool_file_result(struct spool *spool, int code)
{
    enum spool_result result = SPOOL_FAILED;
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return SPOOL_OK;
    case SQLITE_FULL:
        result = SPOOL_FULL;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        result = SPOOL_DAMAGED;
        break;
    }
    snprintf(spool->words, sizeof spool->words, "%s", sqlite3_errmsg(spool->db));
    return result;
}

bool spool_file_refuse(const struct spool *spool, enum error_class class, const char *what, struct error *ret_err)
{
    error_set(ret_err, class, "the spool %s: %s", spool->path, what);
    return false;
}

enum spool_result spool_file_run(struct spool *spool, enum spool_statement id)
{
    sqlite3_stmt *statement = spool->sql[id];
    if (!statement)
        return SPOOL_FAILED; /* closed */
    const enum spool_result result = spool_file_result(spool, sqlite3_step(statement));
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return result;
}

static int run_text(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int ask_number(sqlite3 *db, const char *sql, int64_t *ret_number)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW)
            *ret_number = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* ---- what is in it ---- */

static int prepare_all(struct spool *spool)
{
    int code = SQLITE_OK;
    for (size_t i = 0; i < SPOOL_SQL_COUNT && code == SQLITE_OK; i++)
        code = sqlite3_prepare_v3(spool->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &spool->sql[i], NULL);
    return code;
}

int spool_file_count(struct spool *spool)
{
    struct spool_stock stock = {0};
    int64_t dead_bytes = 0, last = 0;
    const struct {
        const char *sql;
        int64_t *ret;
    } questions[] = {
        {"SELECT count(*) FROM record", &stock.records},
        {"SELECT count(*) FROM dead", &stock.dead},
        {"SELECT sum(" SPOOL_LENGTHS ") FROM record", &stock.bytes},
        {"SELECT sum(" SPOOL_LENGTHS ") FROM dead", &dead_bytes},
        {"SELECT put_ms FROM record ORDER BY id LIMIT 1", &stock.oldest_ms},
        {"SELECT max(id) FROM record", &last},
    };
    int code = SQLITE_OK;
    for (size_t i = 0; i < ARRAY_LEN(questions) && code == SQLITE_OK; i++)
        code = ask_number(spool->db, questions[i].sql, questions[i].ret);
    stock.bytes += dead_bytes;
    spool->stock = stock;
    spool->next_id = MAX(spool->next_id, last + 1); /* never an id again, though its record may be lost by now */
    return code;
}

/* Of damage, quick_check tells by a row, not by a code. */
static int check_pages(sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
        const unsigned char *words = code == SQLITE_ROW ? sqlite3_column_text(statement, 0) : NULL;
        if (code == SQLITE_ROW)
            code = words && strcmp((const char *)words, "ok") == 0 ? SQLITE_OK : SQLITE_CORRUPT;
    }
    sqlite3_finalize(statement);
    return code;
}

static bool is_readable(const struct spool *spool, int *code)
{
    AUTO(free_ptr) char *wal = xasprintf("%s-wal", spool->path);
    *code = spool_wal_is_broken(wal) ? SQLITE_CORRUPT : check_pages(spool->db);
    return *code == SQLITE_OK;
}

/* ---- opening ---- */

enum owner { OWNER_NOBODY, OWNER_WE, OWNER_OTHERS };

/* A file of another program, or of a later format, is not ours to move. */
static int check_format(sqlite3 *db, enum owner *ret_owner)
{
    int64_t application = 0, format = 0, objects = 0;
    int code = ask_number(db, "PRAGMA application_id", &application);
    if (code == SQLITE_OK)
        code = ask_number(db, "PRAGMA user_version", &format);
    if (code == SQLITE_OK)
        *ret_owner = application == APPLICATION_ID && format == FORMAT ? OWNER_WE : OWNER_OTHERS;
    if (code == SQLITE_OK)
        code = ask_number(db, "SELECT count(*) FROM sqlite_master", &objects);
    if (code == SQLITE_OK && application == 0 && objects == 0)
        *ret_owner = OWNER_NOBODY;
    return code;
}

/* All at once: a file with only half of this would be somebody else's at the next start. */
static int make_tables(sqlite3 *db)
{
    AUTO(free_ptr)
    char *sql = xasprintf("BEGIN; %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", tables,
                          APPLICATION_ID, FORMAT);
    return run_text(db, sql);
}

/* An old spool is opened without a write: its disk may be full. */
static int set_up(struct spool *spool, enum owner *ret_owner)
{
    char sizes[96];
    snprintf(sizes, sizeof sizes, "PRAGMA cache_size = -%d; PRAGMA journal_size_limit = %d", CACHE_KIB,
             LOG_LIMIT_BYTES);
    sqlite3_db_config(spool->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    int code = run_text(spool->db, "PRAGMA locking_mode = EXCLUSIVE");
    if (code == SQLITE_OK)
        code = run_text(spool->db, "BEGIN EXCLUSIVE; COMMIT"); /* now it is ours alone */
    if (code == SQLITE_OK)
        code = check_format(spool->db, ret_owner);
    if (code != SQLITE_OK || *ret_owner == OWNER_OTHERS || !is_readable(spool, &code))
        return code;
    code = run_text(spool->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    if (code == SQLITE_OK)
        code = run_text(spool->db, sizes);
    if (code == SQLITE_OK && *ret_owner == OWNER_NOBODY)
        code = make_tables(spool->db);
    if (code == SQLITE_OK)
        code = prepare_all(spool);
    return code == SQLITE_OK ? spool_file_count(spool) : code;
}

/* Our statements fit our file, and it could be opened for writing: if not so for SQLite, the file is damaged. */
static bool is_damage(int code, int extended, enum owner owner)
{
    const int plain = code & 0xff;
    return plain == SQLITE_CORRUPT || plain == SQLITE_NOTADB || extended == SQLITE_READONLY ||
           (plain == SQLITE_ERROR && owner == OWNER_WE);
}

/* Why it could not be opened. */
static bool refuse_open(const struct spool *spool, int code, enum owner owner, struct error *ret_err)
{
    if (code == SQLITE_OK)
        return spool_file_refuse(spool, ERROR_OPERATOR, "it is a database of something else, or of a later version",
                                 ret_err);
    if ((code & 0xff) == SQLITE_BUSY)
        return spool_file_refuse(spool, ERROR_OPERATOR, "another process has it; each shim needs a spool of its own",
                                 ret_err);
    const bool damage = is_damage(code, sqlite3_extended_errcode(spool->db), owner);
    return spool_file_refuse(spool, damage ? ERROR_REJECT : ERROR_OPERATOR, sqlite3_errstr(code), ret_err);
}

/* The folder must be there, and outlive the process; the file is made before SQLite does, for its mode. */
static bool check_place(const struct spool *spool, struct error *ret_err)
{
    AUTO(free_ptr) char *copy = xstrdup(spool->path);
    struct statfs fs;
    if (statfs(dirname(copy), &fs) != 0)
        return spool_file_refuse(spool, ERROR_OPERATOR, strerror(errno), ret_err);
    if (!spool->options.allow_memory && ((int)fs.f_type == TMPFS_ID || (int)fs.f_type == RAMFS_ID))
        return spool_file_refuse(spool, ERROR_OPERATOR,
                                 "it lies in memory (tmpfs) and would be gone with it; choose a disk, or set "
                                 "shim.spool_in_memory = true",
                                 ret_err);
    const int fd = open(spool->path, O_RDWR | O_CLOEXEC | (spool->options.must_exist ? 0 : O_CREAT), 0600);
    if (fd < 0)
        return spool_file_refuse(spool, ERROR_OPERATOR, strerror(errno), ret_err);
    close(fd);
    return true;
}

/* SQLite deletes the log beside an empty file: it would be gone without a trace. */
static bool has_lost_its_file(const struct spool *spool)
{
    AUTO(free_ptr) char *wal = xasprintf("%s-wal", spool->path);
    struct stat file, log;
    return stat(spool->path, &file) == 0 && file.st_size == 0 && stat(wal, &log) == 0 && log.st_size > 0;
}

bool spool_file_open(struct spool *spool, struct error *ret_err)
{
    enum owner owner = OWNER_NOBODY;
    if (!check_place(spool, ret_err))
        return false;
    if (has_lost_its_file(spool))
        return spool_file_refuse(spool, ERROR_REJECT, "it is empty, but its log is not", ret_err);
    int code = sqlite3_open_v2(spool->path, &spool->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = set_up(spool, &owner);
    if (code == SQLITE_OK && owner != OWNER_OTHERS)
        return true;
    refuse_open(spool, code, owner, ret_err);
    spool_file_close(spool, false);
    return false;
}

void spool_file_close(struct spool *spool, bool clean)
{
    for (size_t i = 0; i < SPOOL_SQL_COUNT; i++)
        sqlite3_finalize(TAKE(spool->sql[i]));
    if (spool->db && clean)
        sqlite3_db_config(spool->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    sqlite3_close(TAKE(spool->db));
    spool->in_transaction = false;
}
