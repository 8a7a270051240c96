#include "consumer/store_sql.h"

#include "common/alloc.h"
#include "common/hex.h"
#include "consumer/json_text.h"

#include <stdio.h>
#include <stdlib.h>

/* One function: its call, and which parameters follow the arrays. */
struct call_info {
    const char *sql;
    void (*bind)(struct pg_array *columns, const struct store_item *item);
    int columns;
    bool worker, policy; /* behind the arrays, in this order */
    bool answers;        /* a row an element; otherwise all are acknowledged alike */
};

static void bind_usage(struct pg_array *columns, const struct store_item *item)
{
    pg_array_add_text(&columns[0], slice_of(item->model));
    pg_array_add_int(&columns[1], item->usage.prompt_tokens);
    pg_array_add_int(&columns[2], item->usage.cached_tokens);
    pg_array_add_int(&columns[3], item->usage.output_tokens);
    pg_array_add_int(&columns[4], item->usage.thinking_tokens);
    pg_array_add_int(&columns[5], item->cost_micros);
}

static void bind_record(struct pg_array *columns, const struct store_item *item)
{
    pg_array_add_text(&columns[0], slice_of(item->event_id));
    pg_array_add_text(&columns[1], slice_of(item->topic));
    if (item->topic == NULL) {
        pg_array_add_null(&columns[2]);
        pg_array_add_null(&columns[3]);
        return;
    }
    pg_array_add_int(&columns[2], item->partition);
    pg_array_add_int(&columns[3], item->offset);
}

static void bind_room(struct pg_array *columns, const struct store_item *item)
{
    pg_array_add_text(&columns[0], slice_of(item->room));
}

static void bind_claimed_room(struct pg_array *columns, const struct store_item *item)
{
    bind_room(columns, item);
    pg_array_add_text(&columns[1], item->token[0] ? slice_of(item->token) : (struct slice){.ptr = NULL});
}

static void bind_claim(struct pg_array *columns, const struct store_item *item)
{
    bind_claimed_room(columns, item);
    pg_array_add_text(&columns[2], slice_of(item->origin));
    bind_record(columns + 3, item);
}

static void bind_store(struct pg_array *columns, const struct store_item *item)
{
    bind_claimed_room(columns, item);
    pg_array_add_text(&columns[2], item->result);
    pg_array_add_text(&columns[3], slice_of(item->verdict));
    bind_usage(columns + 4, item);
}

static void bind_release(struct pg_array *columns, const struct store_item *item)
{
    bind_claimed_room(columns, item);
    pg_array_add_bool(&columns[2], item->counted);
    pg_array_add_int(&columns[3], item->delay_ms);
    pg_array_add_text(&columns[4], slice_of(item->verdict));
    pg_array_add_text(&columns[5], slice_of(item->error));
    bind_usage(columns + 6, item);
}

static void bind_park(struct pg_array *columns, const struct store_item *item)
{
    bind_claimed_room(columns, item);
    pg_array_add_text(&columns[2], slice_of(item->reason));
    pg_array_add_text(&columns[3], slice_of(item->error));
    pg_array_add_text(&columns[4], slice_of(item->verdict));
    bind_usage(columns + 5, item);
    bind_record(columns + 11, item);
}

static void add_hex(struct pg_array *column, struct slice bytes)
{
    char *hex AUTO(free_ptr) = xmalloc(2 * bytes.len + 1);
    hex_write(hex, bytes.ptr, bytes.len);
    pg_array_add_text(column, (struct slice){.ptr = hex, .len = 2 * bytes.len});
}

static void bind_dead(struct pg_array *columns, const struct store_item *item)
{
    pg_array_add_text(&columns[0], slice_of(item->topic));
    pg_array_add_int(&columns[1], item->partition);
    pg_array_add_int(&columns[2], item->offset);
    add_hex(&columns[3], item->key);
    pg_array_add_text(&columns[4], slice_of(item->reason));
    pg_array_add_text(&columns[5], slice_of(item->error));
}

#define USAGE_CASTS(a, b, c, d, e, f) \
    "$" #a "::text[],$" #b "::bigint[],$" #c "::bigint[],$" #d "::bigint[],$" #e "::bigint[],$" #f "::bigint[]"

static const struct call_info calls[STORE_OP_COUNT] = {
    [STORE_OP_CLAIM] = {"SELECT * FROM roomclaim.claim_v1($1::text[],$2::uuid[],$3::text[],$4::text[],$5::text[],"
                        "$6::int[],$7::bigint[],$8::text,$9::jsonb)",
                        bind_claim, 7, true, true, true},
    [STORE_OP_STORE] = {"SELECT * FROM roomclaim.store_v1($1::text[],$2::uuid[],$3::text[],$4::text[]," USAGE_CASTS(
                            5, 6, 7, 8, 9, 10) ",$11::jsonb)",
                        bind_store, 10, false, true, true},
    [STORE_OP_RELEASE] = {"SELECT * FROM roomclaim.release_v1($1::text[],$2::uuid[],$3::bool[],$4::bigint[],"
                          "$5::text[],$6::text[]," USAGE_CASTS(7, 8, 9, 10, 11, 12) ",$13::jsonb)",
                          bind_release, 12, false, true, true},
    [STORE_OP_PARK] =
        {"SELECT * FROM roomclaim.park_v1($1::text[],$2::uuid[],$3::text[],$4::text[],$5::text[]," USAGE_CASTS(
             6, 7, 8, 9, 10, 11) ",$12::text[],$13::text[],$14::int[],$15::bigint[],$16::jsonb)",
         bind_park, 15, false, true, true},
    [STORE_OP_DLQ_ACKED] = {"SELECT roomclaim.dlq_acked_v1($1::text[])", bind_room, 1, false, false, false},
    [STORE_OP_DEAD_PUT] = {"SELECT roomclaim.dead_put_v1(t, p, o, decode(k, 'hex'), r, m) FROM unnest($1::text[],"
                           "$2::int[],$3::bigint[],$4::text[],$5::text[],$6::text[]) AS dead(t, p, o, k, r, m)",
                           bind_dead, 6, false, false, false},
};

void batch_sql_fini(struct batch_sql *sql)
{
    for (size_t i = 0; i < PG_PARAMS_MAX; i++)
        pg_array_fini(&sql->columns[i]);
}

void batch_sql_build(struct batch_sql *sql, enum store_op op, struct store_item *const *items, size_t count,
                     const char *worker, const char *policy, struct pg_query *ret_query)
{
    const struct call_info *call = &calls[op];
    for (int i = 0; i < call->columns; i++)
        pg_array_clear(&sql->columns[i]);
    for (size_t i = 0; i < count; i++)
        call->bind(sql->columns, items[i]);
    *ret_query = (struct pg_query){.sql = call->sql, .param_count = call->columns};
    for (int i = 0; i < call->columns; i++)
        ret_query->params[i] = pg_array_text(&sql->columns[i]);
    if (call->worker)
        ret_query->params[ret_query->param_count++] = worker;
    if (call->policy)
        ret_query->params[ret_query->param_count++] = policy;
}

void batch_sql_build_finish(struct batch_sql *sql, const char *policy, struct pg_query *ret_query)
{
    *ret_query = (struct pg_query){.sql = "SELECT * FROM roomclaim.finish_v1($1::text[],$2::jsonb)",
                                   .param_count = 2,
                                   .params = {pg_array_text(&sql->columns[0]), policy}};
}

/* A column that is not there reads as "" or -1: no outcome that we know, so the batch waits for an operator. */
static const char *text_at(const PGresult *rows, int row, const char *column)
{
    const int field = PQfnumber(rows, column);
    return field >= 0 ? PQgetvalue(rows, row, field) : "";
}

static int64_t int_at(const PGresult *rows, int row, const char *column)
{
    const int field = PQfnumber(rows, column);
    return field < 0 || PQgetisnull(rows, row, field) ? -1 : strtoll(PQgetvalue(rows, row, field), NULL, 10);
}

/* STORE_OUTCOME_COUNT when the word is unknown. */
static enum store_outcome outcome_of(const char *word)
{
    enum store_outcome outcome = 0;
    while (outcome < STORE_OUTCOME_COUNT && strcmp(store_outcome_names[outcome], word) != 0)
        outcome++;
    return outcome;
}

static void read_claim(const PGresult *rows, int row, struct store_item *item)
{
    item->run = int_at(rows, row, "run");
    item->attempt = int_at(rows, row, "attempt");
    item->calls = int_at(rows, row, "calls");
    snprintf(item->parked_reason, sizeof item->parked_reason, "%s", text_at(rows, row, "reason"));
    free(TAKE(item->input)); /* of an answer that could not be used as a whole */
    if (item->outcome == STORE_WON)
        item->input = pg_array_parse(text_at(rows, row, "input"), &item->input_count);
}

static void read_release(const PGresult *rows, int row, struct store_item *item)
{
    item->attempt = int_at(rows, row, "attempt");
    snprintf(item->parked_reason, sizeof item->parked_reason, "%s",
             item->outcome == STORE_PARKED ? text_at(rows, row, "reason") : "");
}

/* The item that row answers, or NULL. */
static struct store_item *item_at(const PGresult *rows, int row, struct store_item *const *items, size_t count)
{
    const int64_t idx = int_at(rows, row, "idx");
    return idx >= 1 && (size_t)idx <= count ? items[idx - 1] : NULL;
}

bool batch_sql_read(enum store_op op, const PGresult *rows, struct store_item *const *items, size_t count,
                    struct error *ret_err)
{
    for (size_t i = 0; i < count; i++)
        items[i]->outcome = calls[op].answers ? STORE_OUTCOME_COUNT : STORE_ACKNOWLEDGED;
    for (int row = 0; calls[op].answers && row < PQntuples(rows); row++) {
        struct store_item *item = item_at(rows, row, items, count);
        if (item == NULL)
            continue;
        item->outcome = outcome_of(text_at(rows, row, "outcome"));
        item->finished = STORE_DONE;
        if (op == STORE_OP_CLAIM)
            read_claim(rows, row, item);
        else if (op == STORE_OP_RELEASE)
            read_release(rows, row, item);
    }
    for (size_t i = 0; i < count; i++) {
        if (items[i]->outcome == STORE_OUTCOME_COUNT) {
            error_set(ret_err, ERROR_OPERATOR,
                      "%s has no answer that this version knows for room %s: is the schema of "
                      "another version? Run roomclaim migrate",
                      calls[op].sql, items[i]->room);
            return false;
        }
    }
    return true;
}

void batch_sql_read_finish(const PGresult *rows, struct store_item *const *items, size_t count)
{
    for (int row = 0; row < PQntuples(rows); row++) {
        struct store_item *item = item_at(rows, row, items, count);
        const enum store_outcome outcome = outcome_of(text_at(rows, row, "outcome"));
        if (item != NULL && item->outcome == STORE_STORED && outcome != STORE_OUTCOME_COUNT)
            item->finished = outcome;
    }
}

void upkeep_sql_build(const char *worker, const char *slots, bool expire, bool everything, const char *policy,
                      struct pg_query ret_queries[3])
{
    ret_queries[0] = (struct pg_query){.sql = "SELECT name, value FROM roomclaim.settings_v1()"};
    ret_queries[1] =
        (struct pg_query){.sql = "SELECT * FROM roomclaim.sweep_v1($1::text,$2::int,$3::bool,$4::bool,$5::jsonb)",
                          .param_count = 5,
                          .params = {worker, slots, expire ? "t" : "f", everything ? "t" : "f", policy}};
    ret_queries[2] = (struct pg_query){
        .sql = "SELECT state, coalesce(reason, '') AS reason, rooms, "
               "(extract(epoch FROM clock_timestamp() - oldest) * 1000)::bigint AS age_ms FROM roomclaim.summary_v1()"};
}

bool upkeep_sql_read_paused(const PGresult *rows)
{
    for (int row = 0; row < PQntuples(rows); row++) {
        if (strcmp(text_at(rows, row, "name"), "paused") == 0)
            return strcmp(text_at(rows, row, "value"), "true") == 0;
    }
    return false;
}

struct sweep_row *upkeep_sql_read_sweep(const PGresult *rows, size_t *ret_count)
{
    const int count = PQntuples(rows);
    struct sweep_row *out = xcalloc((size_t)count + 1, sizeof *out);
    for (int row = 0; row < count; row++) {
        out[row] = (struct sweep_row){.kind = text_at(rows, row, "kind"),
                                      .room = text_at(rows, row, "room"),
                                      .origin = text_at(rows, row, "origin"),
                                      .reason = text_at(rows, row, "reason"),
                                      .event_id = text_at(rows, row, "event_id"),
                                      .topic = text_at(rows, row, "topic"),
                                      .partition = (int32_t)int_at(rows, row, "record_partition"),
                                      .offset = int_at(rows, row, "record_offset"),
                                      .attempt = int_at(rows, row, "attempt")};
    }
    *ret_count = (size_t)count;
    return out;
}

struct summary_row *upkeep_sql_read_summary(const PGresult *rows, size_t *ret_count)
{
    const int count = PQntuples(rows);
    struct summary_row *out = xcalloc((size_t)count + 1, sizeof *out);
    for (int row = 0; row < count; row++) {
        out[row] = (struct summary_row){.state = text_at(rows, row, "state"),
                                        .reason = text_at(rows, row, "reason"),
                                        .rooms = int_at(rows, row, "rooms"),
                                        .age_ms = int_at(rows, row, "age_ms")};
    }
    *ret_count = (size_t)count;
    return out;
}

/* Takes value. */
static void add(struct json_object *object, const char *name, struct json_object *value)
{
    if (json_object_object_add(object, name, value) != 0)
        out_of_memory();
}

static void add_int(struct json_object *object, const char *name, int64_t value)
{
    add(object, name, made(json_object_new_int64(value)));
}

static void add_text(struct json_object *object, const char *name, const char *value)
{
    add(object, name, made(json_object_new_string(value)));
}

char *policy_json(const struct config *config, const char *prompt_version)
{
    struct json_object *policy = made(json_object_new_object());
    add_int(policy, "lease_ms", config->claim_lease_ms);
    add_int(policy, "max_attempts", config->claim_max_attempts);
    add_int(policy, "max_calls", config->claim_max_calls);
    add_int(policy, "give_up_after_ms", config->claim_give_up_after_ms);
    add_int(policy, "input_wait_ms", config->claim_input_wait_ms);
    add_int(policy, "unmatched_ttl_ms", config->unmatched_ttl_ms);
    add_int(policy, "retry_initial_ms", config->retry_initial_ms);
    add_int(policy, "retry_max_ms", config->retry_max_ms);
    if (config->claim_adopt_after_ms == CONFIG_NEVER)
        add(policy, "adopt_after_ms", NULL);
    else
        add_int(policy, "adopt_after_ms", config->claim_adopt_after_ms);
    add_text(policy, "on_exhausted", config->claim_on_exhausted);
    add_text(policy, "provider", config->llm_provider);
    add_text(policy, "model", config->llm_model);
    add_text(policy, "prompt_version", prompt_version);
    char *text = json_text_print(policy);
    json_object_put(policy);
    return text;
}
