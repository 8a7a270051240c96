/* What callers see of a spool: transactions and records. */
#include "spool.h"

#include "alloc.h"
#include "spool_file.h"
#include "spool_record.h"

#include <libgen.h>
#include <stdio.h>
#include <sys/statvfs.h>

/* Of the disk: else nothing could be removed when it is full. Twice the log, which is copied at 4 MiB. */
enum { RESERVE_BYTES = 8 << 20 };

const char *spool_result_name(enum spool_result result)
{
    static const char *const names[] = {
#define X(id, name, help) [SPOOL_##id] = name,
        SPOOL_RESULT_TABLE(X)
#undef X
    };
    return names[result];
}

const char *spool_words(const struct spool *spool)
{
    return spool->words;
}

const struct spool_stock *spool_stock(const struct spool *spool)
{
    return &spool->stock;
}

/* A refusal that SQLite knows nothing of. */
static enum spool_result refuse(struct spool *spool, enum spool_result result)
{
    static const char *const helps[] = {
#define X(id, name, help) [SPOOL_##id] = help,
        SPOOL_RESULT_TABLE(X)
#undef X
    };
    snprintf(spool->words, sizeof spool->words, "%s", helps[result]);
    return result;
}

struct spool *spool_open(const char *path, const struct spool_options *options, struct spool_opening *ret_opening,
                         struct error *ret_err)
{
    struct error why = {.class = ERROR_NONE};
    struct spool *spool = xcalloc(1, sizeof *spool);
    spool->path = xstrdup(path);
    spool->options = *options;
    *ret_opening = (struct spool_opening){.salvaged = 0};
    bool done = spool_file_open(spool, &why);
    spool->options.must_exist = false; /* from now on a missing file is one that was moved aside */
    if (!done && why.class == ERROR_REJECT)
        done = spool_replace(spool, ret_opening, &why);
    if (done)
        return spool;
    if (ret_err)
        *ret_err = why;
    spool_close(spool);
    return NULL;
}

void spool_close(struct spool *spool)
{
    if (!spool)
        return;
    spool_file_close(spool, true);
    free(spool->path);
    free(spool);
}

static void bind_bytes(sqlite3_stmt *statement, int at, struct slice bytes)
{
    sqlite3_bind_blob64(statement, at, bytes.len > 0 ? bytes.ptr : "", bytes.len, SQLITE_STATIC);
}

static struct slice column_bytes(sqlite3_stmt *statement, int at)
{
    const void *ptr = sqlite3_column_blob(statement, at);
    return (struct slice){.ptr = ptr, .len = (size_t)sqlite3_column_bytes(statement, at)};
}

/* ---- transactions ---- */

/* Ends what an earlier failure may have left open. */
static void roll_back(struct spool *spool)
{
    if (spool->db && !sqlite3_get_autocommit(spool->db))
        spool_file_run(spool, SPOOL_SQL_ROLLBACK);
}

enum spool_result spool_begin(struct spool *spool)
{
    if (!spool->db)
        return SPOOL_DAMAGED; /* spool_replace failed: it may be tried again */
    roll_back(spool);
    spool->before = spool->stock;
    spool->room_known = false;
    const enum spool_result result = spool_file_run(spool, SPOOL_SQL_BEGIN);
    spool->in_transaction = result == SPOOL_OK;
    return result;
}

void spool_rollback(struct spool *spool)
{
    if (!spool->in_transaction)
        return;
    char words[sizeof spool->words];
    memcpy(words, spool->words, sizeof words);
    roll_back(spool);
    memcpy(spool->words, words, sizeof words); /* of what failed before */
    spool->in_transaction = false;
    spool->stock = spool->before;
}

static void note_oldest(struct spool *spool)
{
    sqlite3_stmt *statement = spool->sql[SPOOL_SQL_OLDEST];
    spool->stock.oldest_ms = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
}

enum spool_result spool_commit(struct spool *spool)
{
    note_oldest(spool);
    const enum spool_result result = spool_file_run(spool, SPOOL_SQL_COMMIT);
    if (result == SPOOL_OK)
        spool->in_transaction = false;
    else
        spool_rollback(spool);
    return result;
}

/* ---- records ---- */

static int64_t record_bytes(const struct spool_record *record, size_t headers_len)
{
    return (int64_t)(strlen(record->topic) + record->key.len + headers_len + record->value.len);
}

/* What a transaction needs is small beside the reserve, so it is asked once for each. */
static bool disk_has_room(const struct spool *spool)
{
    struct statvfs disk;
    AUTO(free_ptr) char *copy = xstrdup(spool->path);
    return statvfs(dirname(copy), &disk) != 0 || (int64_t)(disk.f_bavail * disk.f_frsize) > RESERVE_BYTES;
}

enum spool_result spool_put(struct spool *spool, const struct spool_record *record, int64_t *ret_id)
{
    struct text headers AUTO(text_free) = {0};
    unsigned char sum[SPOOL_SUM_SIZE];
    spool_headers_pack(record->headers, record->header_count, &headers);
    const struct slice packed = {.ptr = headers.ptr, .len = headers.len};
    const int64_t bytes = record_bytes(record, packed.len);
    if (spool->options.max_bytes > 0 && spool->stock.bytes + bytes > spool->options.max_bytes)
        return refuse(spool, SPOOL_LIMIT);
    if (!spool->room_known)
        spool->has_room = disk_has_room(spool);
    spool->room_known = true;
    if (!spool->has_room)
        return refuse(spool, SPOOL_NO_ROOM);
    spool_record_sum(record->topic, record->key, packed, record->value, sum);
    sqlite3_stmt *put = spool->sql[SPOOL_SQL_PUT];
    sqlite3_bind_int64(put, 1, spool->next_id);
    sqlite3_bind_int64(put, 2, record->put_ms);
    sqlite3_bind_text(put, 3, record->topic, -1, SQLITE_STATIC);
    bind_bytes(put, 4, record->key);
    bind_bytes(put, 5, packed);
    sqlite3_bind_blob(put, 6, sum, sizeof sum, SQLITE_STATIC);
    bind_bytes(put, 7, record->value);
    const enum spool_result result = spool_file_run(spool, SPOOL_SQL_PUT);
    if (result != SPOOL_OK)
        return result;
    if (ret_id)
        *ret_id = spool->next_id;
    spool->next_id++;
    spool->stock.records++;
    spool->stock.bytes += bytes;
    return SPOOL_OK;
}

/* *ret_bytes: of a record that is there; -1 when it is not. */
static enum spool_result size_of(struct spool *spool, int64_t id, int64_t *ret_bytes)
{
    sqlite3_stmt *statement = spool->sql[SPOOL_SQL_SIZE];
    sqlite3_bind_int64(statement, 1, id);
    const int code = sqlite3_step(statement);
    *ret_bytes = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    const enum spool_result result = spool_file_result(spool, code);
    sqlite3_reset(statement);
    return result;
}

static enum spool_result delete (struct spool *spool, int64_t id) {
    sqlite3_bind_int64(spool->sql[SPOOL_SQL_REMOVE], 1, id); return spool_file_run(spool, SPOOL_SQL_REMOVE);
}

enum spool_result spool_remove(struct spool *spool, int64_t id)
{
    int64_t bytes = -1;
    enum spool_result result = size_of(spool, id, &bytes);
    if (result == SPOOL_OK && bytes >= 0)
        result = delete (spool, id);
    if (result == SPOOL_OK && bytes >= 0) {
        spool->stock.records--;
        spool->stock.bytes -= bytes;
    }
    return result;
}

enum spool_result spool_bury(struct spool *spool, int64_t id, const char *reason, int64_t now_ms)
{
    int64_t bytes = -1;
    enum spool_result result = size_of(spool, id, &bytes);
    if (result != SPOOL_OK || bytes < 0)
        return result;
    sqlite3_stmt *bury = spool->sql[SPOOL_SQL_BURY];
    sqlite3_bind_int64(bury, 1, id);
    sqlite3_bind_int64(bury, 2, now_ms);
    sqlite3_bind_text(bury, 3, reason, -1, SQLITE_STATIC);
    result = spool_file_run(spool, SPOOL_SQL_BURY);
    if (result == SPOOL_OK)
        result = delete (spool, id);
    if (result == SPOOL_OK) {
        spool->stock.records--;
        spool->stock.dead++;
    }
    return result;
}

/* ---- the dead ---- */

static enum spool_result empty_dead(struct spool *spool, bool keep, int64_t now_ms)
{
    enum spool_result result = SPOOL_OK;
    if (keep) {
        sqlite3_stmt *redrive = spool->sql[SPOOL_SQL_REDRIVE];
        sqlite3_bind_int64(redrive, 1, spool->next_id);
        sqlite3_bind_int64(redrive, 2, now_ms);
        result = spool_file_run(spool, SPOOL_SQL_REDRIVE);
    }
    if (result == SPOOL_OK)
        result = spool_file_run(spool, SPOOL_SQL_DISCARD);
    return result == SPOOL_OK ? spool_file_result(spool, spool_file_count(spool)) : result;
}

static enum spool_result leave_none_dead(struct spool *spool, bool keep, int64_t now_ms, int64_t *ret_count)
{
    enum spool_result result = spool_begin(spool);
    *ret_count = 0;
    if (result == SPOOL_OK)
        result = empty_dead(spool, keep, now_ms);
    if (result == SPOOL_OK)
        result = spool_commit(spool);
    if (result == SPOOL_OK)
        *ret_count = spool->before.dead;
    else
        spool_rollback(spool);
    return result;
}

enum spool_result spool_redrive(struct spool *spool, int64_t now_ms, int64_t *ret_count)
{
    return leave_none_dead(spool, true, now_ms, ret_count);
}

enum spool_result spool_discard(struct spool *spool, int64_t *ret_count)
{
    return leave_none_dead(spool, false, 0, ret_count);
}

enum spool_result spool_reasons(struct spool *spool, spool_tell *tell, void *arg)
{
    sqlite3_stmt *row = spool->sql[SPOOL_SQL_REASONS];
    if (!row)
        return SPOOL_DAMAGED; /* as spool_begin */
    int code;
    while ((code = sqlite3_step(row)) == SQLITE_ROW)
        tell(arg, (const char *)sqlite3_column_text(row, 0), sqlite3_column_int64(row, 1));
    const enum spool_result result = spool_file_result(spool, code);
    sqlite3_reset(row);
    return result;
}

/* ---- reading ---- */

static bool show(sqlite3_stmt *row, spool_visit *visit, void *arg)
{
    struct record_header headers[SPOOL_HEADERS_MAX];
    const struct slice topic = column_bytes(row, 2), packed = column_bytes(row, 4), sum = column_bytes(row, 5);
    AUTO(free_ptr) char *topic_text = xmemdup0(topic.len > 0 ? topic.ptr : "", topic.len);
    struct spool_record record = {.id = sqlite3_column_int64(row, 0),
                                  .put_ms = sqlite3_column_int64(row, 1),
                                  .topic = topic_text,
                                  .key = column_bytes(row, 3),
                                  .headers = headers,
                                  .value = column_bytes(row, 6)};
    unsigned char is[SPOOL_SUM_SIZE];
    spool_record_sum(topic_text, record.key, packed, record.value, is);
    record.damaged = !spool_headers_unpack(packed, headers, &record.header_count) || sum.len != sizeof is ||
                     memcmp(sum.ptr, is, sizeof is) != 0;
    return visit(arg, &record);
}

enum spool_result spool_read(struct spool *spool, int64_t after_id, spool_visit *visit, void *arg)
{
    sqlite3_stmt *read = spool->sql[SPOOL_SQL_READ];
    if (!read)
        return SPOOL_DAMAGED; /* as spool_begin */
    sqlite3_bind_int64(read, 1, after_id);
    int code = sqlite3_step(read);
    while (code == SQLITE_ROW && show(read, visit, arg))
        code = sqlite3_step(read);
    const enum spool_result result = spool_file_result(spool, code);
    sqlite3_reset(read);
    return result;
}
