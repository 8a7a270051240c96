/* What the store decides without a database: whose fault an SQLSTATE is, what a call looks like. */
#include "tests/unit/check.h"

#include "consumer/call.h"
#include "consumer/pg.h"
#include "consumer/store_sql.h"

#include <curl/curl.h>

/* shows F76, F77 */
static void sqlstates_have_a_class(void)
{
    static const struct {
        const char *sqlstate;
        enum error_class want;
    } cases[] = {
        {"21000", ERROR_REJECT},   {"22P02", ERROR_REJECT},   {"22021", ERROR_REJECT},   {"23514", ERROR_REJECT},
        {"23505", ERROR_REJECT},   {"54000", ERROR_REJECT},   {"P0001", ERROR_REJECT},   {"P0002", ERROR_REJECT},
        {"08006", ERROR_RETRY},    {"40P01", ERROR_RETRY},    {"40001", ERROR_RETRY},    {"53100", ERROR_RETRY},
        {"53300", ERROR_RETRY},    {"55P03", ERROR_RETRY},    {"57014", ERROR_RETRY},    {"57P01", ERROR_RETRY},
        {"25006", ERROR_OPERATOR}, {"42501", ERROR_OPERATOR}, {"42P01", ERROR_OPERATOR}, {"42703", ERROR_OPERATOR},
        {"3F000", ERROR_OPERATOR}, {"XX000", ERROR_OPERATOR}, {"P0004", ERROR_REJECT},   {"AP001", ERROR_REJECT},
        {"RC001", ERROR_OPERATOR}, {"0A000", ERROR_OPERATOR}, {"", ERROR_OPERATOR},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].sqlstate);
        CHECK_INT(pg_error_class(cases[i].sqlstate), cases[i].want);
    }
}

/* shows F85 */
static void broken_transfers_have_a_verdict(void)
{
    static const struct {
        int code;
        bool sent;
        enum call_verdict want;
    } cases[] = {
        {CURLE_COULDNT_RESOLVE_HOST, false, CALL_UNREACHABLE},
        {CURLE_COULDNT_CONNECT, false, CALL_UNREACHABLE},
        {CURLE_PEER_FAILED_VERIFICATION, false, CALL_UNREACHABLE},
        {CURLE_OPERATION_TIMEDOUT, false, CALL_UNREACHABLE},
        {CURLE_OPERATION_TIMEDOUT, true, CALL_TIMEOUT},
        {CURLE_GOT_NOTHING, true, CALL_CUT},
        {CURLE_RECV_ERROR, true, CALL_CUT},
        {CURLE_PARTIAL_FILE, true, CALL_CUT},
        {CURLE_SEND_ERROR, true, CALL_CUT},
        {CURLE_UNSUPPORTED_PROTOCOL, false, CALL_OPERATOR},
        {CURLE_ABORTED_BY_CALLBACK, false, CALL_NOT_SENT}, /* woken behind the deadline */
        {CURLE_ABORTED_BY_CALLBACK, true, CALL_CUT},       /* curl wanted to send it again */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(curl_easy_strerror((CURLcode)cases[i].code));
        CHECK_INT(call_verdict_of_curl(cases[i].code, cases[i].sent), cases[i].want);
    }
}

static void a_claim_names_what_it_has(void)
{
    struct store_item with = {.room = "RM_a",
                              .token = "t1",
                              .origin = "webhook",
                              .event_id = "EV_1",
                              .topic = "topic",
                              .partition = 3,
                              .offset = 42};
    struct store_item without = {.room = "RM_b", .token = "t2", .origin = "sweep"};
    struct store_item *items[] = {&with, &without};
    struct batch_sql sql = {0};
    struct pg_query query;
    batch_sql_build(&sql, STORE_OP_CLAIM, items, 2, "worker", "{}", &query);
    CHECK_INT(query.param_count, 9);
    CHECK_STR(query.params[0], "{\"RM_a\",\"RM_b\"}");
    CHECK_STR(query.params[1], "{\"t1\",\"t2\"}");
    CHECK_STR(query.params[3], "{\"EV_1\",NULL}");
    CHECK_STR(query.params[4], "{\"topic\",NULL}");
    CHECK_STR(query.params[5], "{3,NULL}");
    CHECK_STR(query.params[6], "{42,NULL}");
    CHECK_STR(query.params[7], "worker");
    CHECK_STR(query.params[8], "{}");
    batch_sql_build(&sql, STORE_OP_CLAIM, items, 0, "worker", "{}", &query);
    CHECK_STR(query.params[0], "{}");
    batch_sql_fini(&sql);
}

static void an_unclaimed_room_is_parked_without_a_token(void)
{
    struct store_item item = {.room = "RM_a", .reason = "refused", .error = "words", .verdict = "ok"};
    struct store_item *items[] = {&item};
    struct batch_sql sql = {0};
    struct pg_query query;
    batch_sql_build(&sql, STORE_OP_PARK, items, 1, "worker", "{}", &query);
    CHECK_INT(query.param_count, 16);
    CHECK_STR(query.params[1], "{NULL}");
    CHECK_STR(query.params[2], "{\"refused\"}");
    batch_sql_fini(&sql);
}

CHECK_MAIN({"SQLSTATEs have a class", sqlstates_have_a_class},
           {"broken transfers have a verdict", broken_transfers_have_a_verdict},
           {"a claim names what it has", a_claim_names_what_it_has},
           {"an unclaimed room is parked without a token", an_unclaimed_room_is_parked_without_a_token})
