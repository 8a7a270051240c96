/* The spool on a real file: transactions, limits, who may have it, and every kind of damage. */
#include "common/spool.h"

#include "check.h"
#include "common/alloc.h"
#include "common/log.h"
#include "common/text.h"

#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RECORDS = 40 };

static char folder[] = "/tmp/spool_test.XXXXXX";
static char path[64], wal[72];
static struct spool_opening opening;
static struct error err;

/* ---- files ---- */

struct bytes {
    char *ptr;
    size_t len;
};

static struct bytes file_bytes(const char *name)
{
    FILE *file = fopen(name, "rb");
    if (!file)
        return (struct bytes){.ptr = xcalloc(1, 1)};
    (void)fseek(file, 0, SEEK_END);
    const long len = ftell(file);
    rewind(file);
    struct bytes b = {.ptr = xcalloc((size_t)len + 1, 1), .len = (size_t)len};
    CHECK_INT(fread(b.ptr, 1, b.len, file), b.len);
    (void)fclose(file);
    return b;
}

static void write_file(const char *name, const char *ptr, size_t len)
{
    FILE *file = fopen(name, "wb");
    CHECK_INT(fwrite(ptr, 1, len, file), len);
    (void)fclose(file);
}

static unsigned each_file(bool (*visit)(const char *name))
{
    unsigned count = 0;
    DIR *dir = opendir(folder);
    for (const struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.' && visit(entry->d_name);
    closedir(dir);
    return count;
}

static bool remove_it(const char *name)
{
    char full[600];
    snprintf(full, sizeof full, "%s/%s", folder, name);
    return unlink(full) == 0;
}

static bool is_damaged_copy(const char *name)
{
    return strstr(name, ".damaged-") != NULL;
}

/* ---- words of the tests ---- */

static struct spool *open_with(struct spool_options options)
{
    options.allow_memory = true;
    return spool_open(path, &options, &opening, &err);
}

static struct spool *given_a_spool(void)
{
    each_file(remove_it);
    struct spool *spool = open_with((struct spool_options){.max_bytes = 0});
    CHECK(spool != NULL);
    return spool;
}

static enum spool_result put(struct spool *spool, const char *key, const char *value, int64_t *ret_id)
{
    const struct record_header headers[] = {{"ce_id", SLICE("EV_1")}, {"empty", {.ptr = NULL}}};
    const struct spool_record record = {.put_ms = 1000,
                                        .topic = "t",
                                        .key = slice_of(key),
                                        .headers = headers,
                                        .header_count = 2,
                                        .value = slice_of(value)};
    return spool_put(spool, &record, ret_id);
}

static int64_t put_one(struct spool *spool, const char *key, const char *value)
{
    int64_t id = -1;
    CHECK_INT(spool_begin(spool), SPOOL_OK);
    CHECK_INT(put(spool, key, value, &id), SPOOL_OK);
    CHECK_INT(spool_commit(spool), SPOOL_OK);
    return id;
}

/* Record i: key RM_i, a value of 100 bytes that begins with the key. */
static void put_many(struct spool *spool, int count)
{
    for (int i = 0; i < count; i++) {
        char key[16], value[128];
        snprintf(key, sizeof key, "RM_%d", i);
        snprintf(value, sizeof value, "%-100s", key);
        put_one(spool, key, value);
    }
}

/* What a reading found. */
static struct {
    int sound, damaged, wrong;
    int64_t last_id;
    char last[64];
} seen;

static bool look(void *arg, const struct spool_record *record)
{
    char value[128], key[64];
    (void)arg;
    snprintf(key, sizeof key, "%.*s", (int)record->key.len, record->key.len ? record->key.ptr : "");
    snprintf(value, sizeof value, "%-100s", key);
    seen.damaged += record->damaged;
    seen.sound += !record->damaged;
    seen.wrong += !record->damaged && (!slice_equal(record->value, slice_of(value)) || record->header_count != 2 ||
                                       strcmp(record->topic, "t") != 0);
    seen.wrong += record->id <= seen.last_id;
    seen.last_id = record->id;
    snprintf(seen.last, sizeof seen.last, "%s", key);
    return true;
}

static int records_in(struct spool *spool)
{
    memset(&seen, 0, sizeof seen);
    CHECK_INT(spool_read(spool, 0, look, NULL), SPOOL_OK);
    return seen.sound + seen.damaged;
}

/* ---- records ---- */

static bool compare(void *arg, const struct spool_record *record)
{
    const int64_t *id = arg;
    CHECK_INT(record->id, *id);
    CHECK_INT(record->put_ms, 1000);
    CHECK_STR(record->topic, "t");
    CHECK(slice_equal(record->key, SLICE("RM_a")));
    CHECK_INT(record->value.len, 0);
    CHECK_INT(record->header_count, 2);
    CHECK_STR(record->headers[0].name, "ce_id");
    CHECK(slice_equal(record->headers[0].value, SLICE("EV_1")));
    CHECK_STR(record->headers[1].name, "empty");
    CHECK_INT(record->headers[1].value.len, 0);
    CHECK(!record->damaged);
    seen.sound++;
    return true;
}

static void what_is_put_comes_back(void)
{
    struct spool *spool = given_a_spool();
    int64_t id = put_one(spool, "RM_a", "");
    for (int i = 0; i < 2; i++) {
        memset(&seen, 0, sizeof seen);
        CHECK_INT(spool_read(spool, 0, compare, &id), SPOOL_OK);
        CHECK_INT(seen.sound, 1);
        CHECK_INT(spool_stock(spool)->records, 1);
        CHECK_INT(spool_stock(spool)->oldest_ms, 1000);
        CHECK(spool_stock(spool)->bytes > 5);
        spool_close(spool);
        spool = open_with((struct spool_options){.must_exist = true});
        CHECK(spool != NULL);
    }
    spool_close(spool);
    struct stat st;
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK(stat(wal, &st) != 0);
}

static void a_rollback_leaves_nothing(void)
{
    struct spool *spool = given_a_spool();
    const int64_t before = put_one(spool, "RM_a", "1");
    const struct spool_stock stock = *spool_stock(spool);
    CHECK_INT(spool_begin(spool), SPOOL_OK);
    CHECK_INT(put(spool, "RM_b", "2", NULL), SPOOL_OK);
    CHECK_INT(spool_remove(spool, before), SPOOL_OK);
    spool_rollback(spool);
    CHECK(memcmp(&stock, spool_stock(spool), sizeof stock) == 0);
    CHECK_INT(records_in(spool), 1);
    CHECK_INT(seen.last_id, before);
    CHECK(put_one(spool, "RM_c", "3") > before);
    spool_close(spool);
}

static void removed_and_buried(void)
{
    struct spool *spool = given_a_spool();
    const int64_t a = put_one(spool, "RM_a", "1"), b = put_one(spool, "RM_b", "2"), c = put_one(spool, "RM_c", "3");
    CHECK(a < b && b < c);
    const int64_t bytes = spool_stock(spool)->bytes;
    CHECK_INT(spool_begin(spool), SPOOL_OK);
    CHECK_INT(spool_remove(spool, a), SPOOL_OK);
    CHECK_INT(spool_remove(spool, a), SPOOL_OK); /* it is gone: nothing is counted twice */
    CHECK_INT(spool_bury(spool, b, "refused", 2000), SPOOL_OK);
    CHECK_INT(spool_bury(spool, b, "refused", 2000), SPOOL_OK);
    CHECK_INT(spool_commit(spool), SPOOL_OK);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(spool_stock(spool)->records, 1);
        CHECK_INT(spool_stock(spool)->dead, 1);
        CHECK_INT(spool_stock(spool)->bytes, bytes / 3 * 2);
        CHECK_INT(records_in(spool), 1);
        CHECK_INT(seen.last_id, c);
        spool_close(spool);
        spool = open_with((struct spool_options){.max_bytes = 0});
    }
    spool_close(spool);
}

static void count_reason(void *arg, const char *reason, int64_t count)
{
    text_printf(arg, "%s %lld;", reason, (long long)count);
}

static void check_reasons(struct spool *spool, const char *want)
{
    struct text got AUTO(text_free) = {0};
    CHECK_INT(spool_reasons(spool, count_reason, &got), SPOOL_OK);
    CHECK_STR(got.len > 0 ? got.ptr : "", want);
}

static void the_dead_go_back_or_away(void)
{
    each_file(remove_it);
    struct spool *spool = open_with((struct spool_options){.max_bytes = 0});
    const int64_t a = put_one(spool, "RM_a", "1"), b = put_one(spool, "RM_b", "2");
    const int64_t c = put_one(spool, "RM_c", "3"), bytes = spool_stock(spool)->bytes;
    int64_t count = -1;
    check_reasons(spool, "");
    CHECK_INT(spool_begin(spool), SPOOL_OK);
    CHECK_INT(spool_bury(spool, a, "refused", 2000), SPOOL_OK);
    CHECK_INT(spool_bury(spool, b, "too_old", 2000), SPOOL_OK);
    CHECK_INT(spool_commit(spool), SPOOL_OK);
    check_reasons(spool, "refused 1;too_old 1;");
    CHECK_INT(spool_redrive(spool, 7000, &count), SPOOL_OK);
    CHECK_INT(count, 2);
    check_reasons(spool, "");
    for (int i = 0; i < 2; i++) {
        CHECK_INT(spool_stock(spool)->records, 3);
        CHECK_INT(spool_stock(spool)->dead, 0);
        CHECK_INT(spool_stock(spool)->bytes, bytes);
        CHECK_INT(records_in(spool), 3);
        CHECK(seen.last_id > c); /* behind those that stayed */
        spool_close(spool);
        spool = open_with((struct spool_options){.max_bytes = 0});
    }
    const int64_t last = seen.last_id;
    CHECK_INT(spool_begin(spool), SPOOL_OK);
    CHECK_INT(spool_bury(spool, last, "refused", 2000), SPOOL_OK);
    CHECK_INT(spool_commit(spool), SPOOL_OK);
    CHECK_INT(spool_discard(spool, &count), SPOOL_OK);
    CHECK_INT(count, 1);
    CHECK_INT(spool_stock(spool)->dead, 0);
    CHECK_INT(spool_stock(spool)->records, 2);
    CHECK_INT(spool_stock(spool)->bytes, bytes / 3 * 2);
    CHECK_INT(spool_discard(spool, &count), SPOOL_OK);
    CHECK_INT(count, 0);
    spool_close(spool);
}

static void the_limit_counts_all_bytes(void)
{
    each_file(remove_it);
    struct spool *spool = open_with((struct spool_options){.max_bytes = 100});
    const int64_t first = put_one(spool, "RM_a", "1");
    const int64_t each = spool_stock(spool)->bytes;
    int64_t fits = 100 / each - 1;
    CHECK_INT(spool_begin(spool), SPOOL_OK);
    for (int64_t i = 0; i < fits; i++)
        CHECK_INT(put(spool, "RM_b", "2", NULL), SPOOL_OK);
    CHECK_INT(put(spool, "RM_c", "3", NULL), SPOOL_LIMIT);
    CHECK_STR(spool_words(spool), "shim.spool_max_size is reached");
    CHECK_INT(spool_bury(spool, first, "refused", 1), SPOOL_OK);
    CHECK_INT(put(spool, "RM_c", "3", NULL), SPOOL_LIMIT); /* the dead count */
    CHECK_INT(spool_commit(spool), SPOOL_OK);              /* what was there before stays good */
    CHECK_INT(records_in(spool), fits);
    spool_close(spool);
}

/* ---- who may have it ---- */

/* In a process of its own, as a second shim is: locks do not hold against oneself. */
static void a_second_is_refused(void)
{
    struct spool *spool = given_a_spool();
    put_one(spool, "RM_a", "1");
    (void)fflush(NULL); /* valgrind writes out a copy of what is buffered, also at _exit */
    const pid_t child = fork();
    if (child == 0) {
        struct spool *second = open_with((struct spool_options){.max_bytes = 0});
        _exit(second == NULL && err.class == ERROR_OPERATOR && strstr(err.text, "another process has it") ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_INT(status, 0);
    put_one(spool, "RM_b", "2");
    CHECK_INT(records_in(spool), 2);
    CHECK_INT(each_file(is_damaged_copy), 0);
    spool_close(spool);
}

static void expect_refused(struct spool_options options, enum error_class class)
{
    struct spool *spool = open_with(options);
    CHECK(spool == NULL);
    CHECK_INT(err.class, class);
    CHECK(strstr(err.text, path) != NULL);
    CHECK_INT(each_file(is_damaged_copy), 0);
    spool_close(spool);
}

static void anothers_database_is_left_alone(void)
{
    static const char *const others[] = {
        "CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)",
        "PRAGMA application_id = 77",
        "PRAGMA application_id = 0x726d636c; PRAGMA user_version = 2; CREATE TABLE later (a)",
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        CHECK_LABEL(others[i]);
        each_file(remove_it);
        sqlite3 *db = NULL;
        CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
        CHECK_INT(sqlite3_exec(db, others[i], NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        struct bytes before = file_bytes(path);
        expect_refused((struct spool_options){.max_bytes = 0}, ERROR_OPERATOR);
        struct bytes after = file_bytes(path);
        CHECK(before.len == after.len && memcmp(before.ptr, after.ptr, before.len) == 0);
        free(before.ptr);
        free(after.ptr);
    }
}

static void what_is_not_there(void)
{
    each_file(remove_it);
    expect_refused((struct spool_options){.must_exist = true}, ERROR_OPERATOR);
    CHECK_INT(access(path, F_OK), -1);
    char kept[sizeof path];
    memcpy(kept, path, sizeof kept);
    snprintf(path, sizeof path, "%s/none/spool.db", folder);
    expect_refused((struct spool_options){.max_bytes = 0}, ERROR_OPERATOR);
    memcpy(path, kept, sizeof path);
}

/* ---- damage ---- */

static struct bytes whole;

static void given_a_closed_spool(void)
{
    struct spool *spool = given_a_spool();
    put_many(spool, RECORDS);
    spool_close(spool);
    whole = file_bytes(path);
}

/* Opens what is there and uses it. Returns how many of the old records came back. */
static int when_opened(bool may_refuse)
{
    struct spool *spool = open_with((struct spool_options){.max_bytes = 0});
    if (!spool) {
        CHECK(may_refuse);
        CHECK_INT(err.class, ERROR_OPERATOR);
        return -1;
    }
    const int found = records_in(spool);
    CHECK_INT(seen.wrong, 0);
    CHECK_INT(spool_stock(spool)->records, found);
    const bool aside = opening.set_aside[0] != '\0';
    CHECK_INT(aside, access(opening.set_aside, F_OK) == 0);
    CHECK(aside || seen.sound + seen.damaged == RECORDS || whole.len == 0);
    CHECK(aside || opening.salvaged == 0);
    CHECK(!aside || opening.salvaged == found);
    put_one(spool, "RM_after", "x");
    CHECK_INT(spool_stock(spool)->records, found + 1);
    spool_close(spool);
    return found;
}

/* shows F48 */
static void cut_off_anywhere(void)
{
    given_a_closed_spool();
    char *const bytes = whole.ptr;
    const size_t len = whole.len;
    for (size_t cut = 0; cut < len; cut += cut < 110 ? 13 : 331) {
        char label[64];
        snprintf(label, sizeof label, "%zu of %zu bytes", cut, len);
        CHECK_LABEL(label);
        each_file(remove_it);
        write_file(path, bytes, cut);
        whole.len = cut;
        when_opened(false);
        if (cut > 0) {
            struct bytes kept = file_bytes(opening.set_aside);
            CHECK(kept.len == cut && memcmp(kept.ptr, bytes, cut) == 0); /* as it was */
            free(kept.ptr);
        }
    }
    free(bytes);
}

/* The bytes that say whose file it is, and of which format: then it is not ours to move. */
static bool names_the_owner(size_t at)
{
    return (at >= 60 && at < 64) || (at >= 68 && at < 72);
}

/* shows F48 */
static void any_byte_flipped(void)
{
    given_a_closed_spool();
    int least = RECORDS;
    for (size_t at = 0; at < whole.len; at += at < 110 ? 1 : 61) {
        char label[64];
        snprintf(label, sizeof label, "byte %zu", at);
        CHECK_LABEL(label);
        each_file(remove_it);
        whole.ptr[at] ^= (char)(1U << at % 8);
        write_file(path, whole.ptr, whole.len);
        whole.ptr[at] ^= (char)(1U << at % 8);
        const int found = when_opened(names_the_owner(at));
        if (found >= 0 && at >= 8192)
            least = MIN(least, seen.sound);
    }
    CHECK(least >= RECORDS / 4); /* a leaf page is lost at most */
    free(whole.ptr);
}

/* A spool that was not closed: its log is all there is. */
static void given_a_killed_spool(struct bytes *ret_main, struct bytes *ret_log)
{
    struct spool *spool = given_a_spool();
    put_many(spool, RECORDS);
    *ret_main = file_bytes(path);
    *ret_log = file_bytes(wal);
    spool_close(spool);
    CHECK(ret_log->len > (size_t)RECORDS * 4096);
}

/* shows F48 */
static void a_torn_log_yields_what_is_before(void)
{
    struct bytes main, log;
    given_a_killed_spool(&main, &log);
    whole.len = 0; /* records may be missing without a word: nothing tells of them */
    int before = -1;
    for (size_t cut = 0; cut < log.len + 3000; cut += 3000) {
        char label[64];
        snprintf(label, sizeof label, "log of %zu bytes", MIN(cut, log.len));
        CHECK_LABEL(label);
        each_file(remove_it);
        write_file(path, main.ptr, main.len);
        write_file(wal, log.ptr, MIN(cut, log.len));
        const int found = when_opened(false);
        CHECK_STR(opening.set_aside, "");
        CHECK(found >= before);
        before = found;
        char last[16] = "";
        if (found > 0)
            snprintf(last, sizeof last, "RM_%d", found - 1);
        CHECK_STR(seen.last, last);
    }
    CHECK_INT(before, RECORDS);
    free(main.ptr);
    free(log.ptr);
}

/* SQLite takes all behind a bad frame for torn: here that would be acknowledged webhooks. */
static void a_damaged_log_is_told_from_a_torn_one(void)
{
    struct bytes main, log;
    given_a_killed_spool(&main, &log);
    for (size_t at = 0; at < log.len - 4096; at += at < 160 ? 7 : 7001) {
        char label[64];
        snprintf(label, sizeof label, "byte %zu of the log", at);
        CHECK_LABEL(label);
        each_file(remove_it);
        log.ptr[at] ^= 1;
        write_file(path, main.ptr, main.len);
        write_file(wal, log.ptr, log.len);
        whole.len = 1;
        when_opened(false);
        char kept[600];
        snprintf(kept, sizeof kept, "%s-wal", opening.set_aside);
        struct bytes aside = file_bytes(kept);
        CHECK(aside.len == log.len && memcmp(aside.ptr, log.ptr, log.len) == 0);
        free(aside.ptr);
        log.ptr[at] ^= 1;
    }
    free(main.ptr);
    free(log.ptr);
}

static void a_log_without_its_file_is_kept(void)
{
    struct bytes main, log;
    given_a_killed_spool(&main, &log);
    each_file(remove_it);
    write_file(wal, log.ptr, log.len);
    whole.len = 1;
    CHECK_INT(when_opened(false), 0);
    CHECK(opening.set_aside[0] != '\0');
    CHECK_INT(each_file(is_damaged_copy), 2);
    free(main.ptr);
    free(log.ptr);
}

/* An id that a batch under way may remove must not come back with another record. */
static void ids_are_not_used_again_after_a_replacement(void)
{
    struct spool *spool = given_a_spool();
    put_many(spool, 3);
    const int64_t last = put_one(spool, "RM_last", "x");
    struct stat st;
    CHECK_INT(stat(wal, &st), 0);
    CHECK_INT(truncate(wal, st.st_size - 4096), 0); /* the last is lost */
    CHECK(spool_replace(spool, &opening, &err));
    CHECK_INT(opening.salvaged, 3);
    CHECK(put_one(spool, "RM_new", "y") > last);
    spool_close(spool);
}

static void a_failed_replacement_can_be_tried_again(void)
{
    struct spool *spool = given_a_spool();
    put_many(spool, 3);
    char away[80];
    snprintf(away, sizeof away, "%s.away", folder);
    CHECK_INT(rename(folder, away), 0);
    CHECK(!spool_replace(spool, &opening, &err));
    CHECK_INT(spool_begin(spool), SPOOL_DAMAGED);
    spool_rollback(spool);
    CHECK_INT(spool_read(spool, 0, look, NULL), SPOOL_DAMAGED);
    CHECK_INT(rename(away, folder), 0);
    CHECK(spool_replace(spool, &opening, &err));
    CHECK_INT(opening.salvaged, 3);
    CHECK_INT(records_in(spool), 3);
    spool_close(spool);
}

static int run(void)
{
    static const struct check_test tests[] = {
        {"what is put comes back", what_is_put_comes_back},
        {"a rollback leaves nothing", a_rollback_leaves_nothing},
        {"removed and buried", removed_and_buried},
        {"the dead go back or away", the_dead_go_back_or_away},
        {"the limit counts all bytes", the_limit_counts_all_bytes},
        {"a second is refused", a_second_is_refused},
        {"another's database is left alone", anothers_database_is_left_alone},
        {"what is not there", what_is_not_there},
        {"cut off anywhere", cut_off_anywhere},
        {"any byte flipped", any_byte_flipped},
        {"a torn log yields what is before", a_torn_log_yields_what_is_before},
        {"a damaged log is told from a torn one", a_damaged_log_is_told_from_a_torn_one},
        {"a log without its file is kept", a_log_without_its_file_is_kept},
        {"ids are not used again after a replacement", ids_are_not_used_again_after_a_replacement},
        {"a failed replacement can be tried again", a_failed_replacement_can_be_tried_again},
    };
    return check_run(tests, ARRAY_LEN(tests));
}

int main(void)
{
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/spool.db", folder);
    snprintf(wal, sizeof wal, "%s-wal", path);
    const int code = run();
    each_file(remove_it);
    rmdir(folder);
    return code;
}
