/* Every metric of the consumer, once; common/metrics.h has the mechanics. */
#ifndef ROOMCLAIM_METERS_H
#define ROOMCLAIM_METERS_H

#include "common/metrics.h"

/* What a record turned out to be. */
#define RECORD_KIND_TABLE(X)          \
    X(ROOM_FINISHED, "room_finished") \
    X(OTHER_EVENT, "other_event")     \
    X(TOMBSTONE, "tombstone")         \
    X(POISON, "poison")               \
    X(KEY_MISMATCH, "key_mismatch")

/* Which guard told that a room_finished needs no call. */
#define GUARD_TABLE(X)                                                         \
    X(PARTITION, "partition") /* the room is in flight in this process */      \
    X(RECENT, "recent")       /* this process saw it completed a moment ago */ \
    X(CLAIM, "claim")         /* Postgres said so */

#define CALL_OUTCOME_TABLE(X) \
    X(STORED, "stored")       \
    X(FAILED, "failed")       \
    X(DISCARDED, "discarded")
#define TOKEN_TYPE_TABLE(X) \
    X(PROMPT, "prompt")     \
    X(CACHED, "cached")     \
    X(OUTPUT, "output")     \
    X(THINKING, "thinking")
#define COMMIT_OUTCOME_TABLE(X) \
    X(OK, "ok")                 \
    X(FAILED, "failed")

#define SWEEP_KIND_TABLE(X)                   \
    X(DUE, "due")                             \
    X(EXPIRED, "expired")                     \
    X(PARKED, "parked")                       \
    X(FINISHED, "finished")                   \
    X(DLQ, "dlq")                             \
    X(UNMATCHED_EXPIRED, "unmatched_expired") \
    X(FOLLOWED, "followed")                   \
    X(MORE, "more")

#define ROOM_STATE_TABLE(X)     \
    X(WAITING, "waiting")       \
    X(PROCESSING, "processing") \
    X(ANALYSED, "analysed")     \
    X(DONE, "done")             \
    X(PARKED, "parked")         \
    X(EXPIRED, "expired")

#define METER_ENUM(name, TABLE) enum name { TABLE(METER_ENUM_ROW_##name) name##_COUNT }
#define METER_ENUM_ROW_RECORD(id, text) RECORD_##id,
#define METER_ENUM_ROW_GUARD(id, text) GUARD_##id,
#define METER_ENUM_ROW_CALL_OUTCOME(id, text) CALL_OUTCOME_##id,
#define METER_ENUM_ROW_TOKEN(id, text) TOKEN_##id,
#define METER_ENUM_ROW_COMMIT(id, text) COMMIT_##id,
#define METER_ENUM_ROW_SWEEP(id, text) SWEEP_##id,
#define METER_ENUM_ROW_ROOM(id, text) ROOM_##id,
METER_ENUM(RECORD, RECORD_KIND_TABLE);
METER_ENUM(GUARD, GUARD_TABLE);
METER_ENUM(CALL_OUTCOME, CALL_OUTCOME_TABLE);
METER_ENUM(TOKEN, TOKEN_TYPE_TABLE);
METER_ENUM(COMMIT, COMMIT_OUTCOME_TABLE);
METER_ENUM(SWEEP, SWEEP_KIND_TABLE);
METER_ENUM(ROOM, ROOM_STATE_TABLE);

/* X(id, name, kind, label, values, value_count, scale, help) */
#define METERS_TABLE(X)                                                                                                \
    X(RECORDS, "roomclaim_records_total", COUNTER, "kind", record_kind_names, RECORD_COUNT, 0,                         \
      "records read from the topic, by what they were")                                                                \
    X(SUPPRESSED, "roomclaim_duplicates_suppressed_total", COUNTER, "guard", guard_names, GUARD_COUNT, 0,              \
      "room_finished records that needed no model call, by the guard that told")                                       \
    X(CLAIMS, "roomclaim_claims_total", COUNTER, "outcome", store_outcome_names, STORE_OUTCOME_COUNT, 0,               \
      "claims by what Postgres answered")                                                                              \
    X(FINISHED, "roomclaim_rooms_finished_total", COUNTER, "outcome", store_outcome_names, STORE_OUTCOME_COUNT, 0,     \
      "stored results by what became of the application's row")                                                        \
    X(CALLS, "roomclaim_model_calls_total", COUNTER, "outcome", call_outcome_names, CALL_OUTCOME_COUNT, 0,             \
      "model calls: stored, failed, or discarded because the claim was another's by then")                             \
    X(VERDICTS, "roomclaim_model_verdicts_total", COUNTER, "verdict", verdict_names, CALL_VERDICT_COUNT, 0,            \
      "how model calls ended")                                                                                         \
    X(CALL_SECONDS, "gen_ai_client_operation_duration_seconds", HISTOGRAM, NULL, NULL, 0, 0,                           \
      "duration of model calls, all outcomes")                                                                         \
    X(TOKENS, "gen_ai_client_token_usage_total", COUNTER, "type", token_type_names, TOKEN_COUNT, 0,                    \
      "tokens billed, by type")                                                                                        \
    X(COST, "roomclaim_model_cost_usd_total", COUNTER, NULL, NULL, 0, 0.000001, "cost of model calls by llm.price_*")  \
    X(ROOM_SECONDS, "messaging_process_duration_seconds", HISTOGRAM, NULL, NULL, 0, 0,                                 \
      "from reading a room_finished to its durable disposition")                                                       \
    X(SETTLED, "roomclaim_jobs_settled_total", COUNTER, NULL, NULL, 0, 0, "jobs with a durable disposition")           \
    X(TRANSITIONS, "roomclaim_job_transitions_total", COUNTER, "state", job_state_names, JOB_STATE_COUNT, 0,           \
      "jobs that entered a state")                                                                                     \
    X(FENCED, "roomclaim_fenced_total", COUNTER, NULL, NULL, 0, 0, "writes refused because the claim was another's")   \
    X(DEAD_LETTERS, "roomclaim_dead_letters_total", COUNTER, "outcome", publish_outcome_names, PUBLISH_OUTCOME_COUNT,  \
      0, "dead letters sent")                                                                                          \
    X(SWEPT, "roomclaim_swept_total", COUNTER, "kind", sweep_kind_names, SWEEP_COUNT, 0, "what the sweep found")       \
    X(SWEEP_AGE, "roomclaim_sweep_age_seconds", GAUGE, NULL, NULL, 0, 0.001, "since the last finished sweep")          \
    X(IN_FLIGHT, "roomclaim_in_flight", GAUGE, NULL, NULL, 0, 0, "rooms claimed or at the model")                      \
    X(IN_FLIGHT_LIMIT, "roomclaim_in_flight_limit", GAUGE, NULL, NULL, 0, 0, "consumer.max_in_flight")                 \
    X(WAITING, "roomclaim_waiting", GAUGE, NULL, NULL, 0, 0, "records read but not yet claimed")                       \
    X(WAITING_BYTES, "roomclaim_waiting_bytes", GAUGE, NULL, NULL, 0, 0, "the same in bytes")                          \
    X(FOLLOWERS, "roomclaim_followers", GAUGE, NULL, NULL, 0, 0, "duplicates that wait for a room in flight here")     \
    X(PAUSED, "roomclaim_paused", GAUGE, NULL, NULL, 0, 0, "1 while the partitions are paused")                        \
    X(STOP_BUTTON, "roomclaim_stop_button", GAUGE, NULL, NULL, 0, 0, "1 while an operator has paused all model calls") \
    X(BREAKER, "roomclaim_breaker_state", GAUGE, NULL, NULL, 0, 0, "0 closed, 1 open, 2 probing")                      \
    X(DATABASE, "roomclaim_database_up", GAUGE, NULL, NULL, 0, 0, "1 while Postgres does its work")                    \
    X(KAFKA, "roomclaim_kafka_up", GAUGE, NULL, NULL, 0, 0, "1 while a broker answers")                                \
    X(LAG, "roomclaim_lag_records", GAUGE, "partition", NULL, 0, 0, "records from the watermark to the end")           \
    X(LAG_SECONDS, "roomclaim_lag_seconds", GAUGE, "partition", NULL, 0, 0.001,                                        \
      "age of the oldest record that is not settled")                                                                  \
    X(REBALANCES, "roomclaim_rebalances_total", COUNTER, NULL, NULL, 0, 0, "assignments and revocations")              \
    X(GAPS, "roomclaim_offsets_gone_back_total", COUNTER, NULL, NULL, 0, 0,                                            \
      "times that a partition's offsets went back: its topic was re-created")                                          \
    X(LOST, "roomclaim_records_lost_total", COUNTER, NULL, NULL, 0, 0,                                                 \
      "records that were deleted from the topic before they were read")                                                \
    X(COMMITS, "roomclaim_commits_total", COUNTER, "outcome", commit_outcome_names, COMMIT_COUNT, 0, "offset commits") \
    X(ROOMS, "roomclaim_rooms", GAUGE, "state", room_state_names, ROOM_COUNT, 0,                                       \
      "rooms in Postgres by state, as of the last summary")                                                            \
    X(OLDEST, "roomclaim_oldest_unfinished_seconds", GAUGE, NULL, NULL, 0, 0.001, "age of the oldest unfinished room")

enum meter {
#define X(id, name, kind, label, values, value_count, scale, help) M_##id,
    METERS_TABLE(X)
#undef X
        METER_COUNT
};

extern const char *const sweep_kind_names[SWEEP_COUNT];
extern const char *const room_state_names[ROOM_COUNT];

/* Registers them with common/metrics. */
void meters_init(void);

#endif
