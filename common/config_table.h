/* Every setting, once. Fields, parser, defaults, range checks, --help, --print-config, config/roomclaim.conf and the
 * table in docs/configuration.md are made from here.
 *
 * X(section, key, TYPE, default, min, max, flags, help)
 *   STRING   char *,        never NULL; "" is empty
 *   INT      int64_t
 *   BOOL     bool           true or false
 *   DURATION int64_t in ms, field name + _ms;    text: 200ms 3s 5m 24h 7d, or "never" where max is CONFIG_NEVER
 *   SIZE     int64_t bytes, field name + _bytes; text: 512B 64KiB 1MiB 2GiB
 *   LIST     struct config_list: strings; in a file [ "a", "b" ], elsewhere a,b
 *   PAIRS    struct config_pairs: in a file [ "name=value", ... ] (or { name = "value"; } for names without a dot),
 *            elsewhere name=value,name=value; a comma inside an item is written with a backslash before it
 * flags: S = shim, C = consumer, T, K = the tool's commands that need Postgres, or Kafka; SECRET = masked, refused by
 * --set, taken from a file or a systemd credential too; SECRET_PART = the same for the passwords inside it; REQUIRED =
 * the programs that read it do not start without it.
 */
#ifndef ROOMCLAIM_CONFIG_TABLE_H
#define ROOMCLAIM_CONFIG_TABLE_H

#define CONFIG_TABLE(X)                                                                                               \
    X(kafka, bootstrap_servers, STRING, "", 0, 4096, S | C | K | REQUIRED, "brokers, host:port separated by commas")  \
    X(kafka, topic, STRING, "livekit-webhooks", 1, 249, S | C | K, "the topic of webhooks, keyed by room sid")        \
    X(kafka, group, STRING, "roomclaim", 1, 255, C, "consumer group")                                                 \
    X(kafka, assignor, STRING, "auto", 0, 64, C,                                                                      \
      "auto, range, roundrobin or cooperative-sticky; auto is range below librdkafka 2.10")                           \
    X(kafka, properties, PAIRS, "", 0, 100, S | C | K | SECRET_PART,                                                  \
      "any librdkafka property but those that correctness needs")                                                     \
    X(kafka, dead_letter_topic, STRING, "", 0, 249, S | C | K, "where poison goes; empty: <topic>.dlq")               \
    X(database, url, STRING, "", 0, 4096, C | T | SECRET_PART | REQUIRED, "libpq URI or conninfo")                    \
    X(database, table, STRING, "public.\"UserFeedback\"", 1, 200, T, "the application's table")                       \
    X(database, id_column, STRING, "id", 1, 63, T, "its primary key")                                                 \
    X(database, room_column, STRING, "roomSid", 1, 63, T, "the room's sid")                                           \
    X(database, status_column, STRING, "status", 1, 63, T, "initiated, processing, completed, dropped")               \
    X(database, input_columns, LIST, "transcript", 1, 16, T, "columns whose text goes to the model")                  \
    X(database, input_ready, STRING, "", 0, 2000, T,                                                                  \
      "SQL condition on the row (alias f) that its input is complete; empty: first input column not null, not empty") \
    X(database, result_column, STRING, "", 0, 63, T, "jsonb column that also gets the result; empty: none")           \
    X(livekit, api_key, STRING, "", 0, 128, S, "LiveKit API key (the token's issuer)")                                \
    X(livekit, api_secret, STRING, "", 0, 512, S | SECRET, "LiveKit API secret; under 32 bytes is warned about")      \
    X(livekit, keys, PAIRS, "", 0, 16, S | SECRET, "further keys for rotation: key = \"secret\"")                     \
    X(shim, listen, STRING, "127.0.0.1:8080", 1, 255, S, "where webhooks arrive")                                     \
    X(shim, paths, LIST, "/webhook,/api/webhooks/livekit", 1, 16, S, "paths that take webhooks")                      \
    X(shim, admin_listen, STRING, "127.0.0.1:9464", 0, 255, S, "health and metrics; \"\" = off, port 0 = any")        \
    X(shim, body_limit, SIZE, "1020KiB", 1024, 67108864, S, "largest body (1 MiB - 4 KiB, under max.message.bytes)")  \
    X(shim, answer_within, DURATION, "5s", 500, 14000, S, "every webhook is answered within this")                    \
    X(shim, leeway, DURATION, "60s", 0, 300000, S, "tolerated clock difference for a token's times")                  \
    X(shim, max_connections, INT, "4096", 1, 65536, S, "open connections")                                            \
    X(shim, max_in_flight, INT, "20000", 1, 1000000, S, "webhooks that wait for Kafka; more are answered 503")        \
    X(shim, cut_turn_password, BOOL, "true", 0, 0, S, "cut room.turnPassword out of what is published")               \
    X(shim, events, LIST, "", 0, 64, S, "event types to publish; empty: all; others are answered 200")                \
    X(shim, room_names, LIST, "", 0, 64, S, "shell patterns of room names to publish; empty: all")                    \
    X(shim, spool_path, STRING, "", 0, 255, S, "file for webhooks that Kafka doesn't take; empty: none, answer 503")  \
    X(shim, spool_after, DURATION, "1s", 10, 14000, S, "Kafka may take this long before the spool is used")           \
    X(shim, spool_max_size, SIZE, "1GiB", 4096, 1099511627776, S, "bytes of all records in the spool")                \
    X(shim, spool_max_age, DURATION, "7d", 60000, 31536000000, S, "older records of the spool are set aside in it")   \
    X(shim, spool_in_memory, BOOL, "false", 0, 0, S, "accept a spool on tmpfs, which a restart of the host loses")    \
    X(shim, shutdown_grace, DURATION, "6s", 0, 600000, S, "time to answer what is in hand after SIGTERM")             \
    X(consumer, admin_listen, STRING, "127.0.0.1:9465", 0, 255, C, "health, metrics, status page; \"\" = off")        \
    X(consumer, instance_id, STRING, "", 0, 200, C, "name in claims and logs; empty: host name + pid")                \
    X(consumer, max_in_flight, INT, "64", 1, 100000, C, "rooms claimed or at the model at once")                      \
    X(consumer, max_waiting, INT, "5000", 10, 1000000, C,                                                             \
      "records read but not yet claimed; more pause the partition")                                                   \
    X(consumer, max_waiting_size, SIZE, "16MiB", 65536, 4294967296, C, "the same in bytes")                           \
    X(consumer, recent_rooms, INT, "20000", 0, 10000000, C, "completed rooms remembered; 0 = off")                    \
    X(consumer, recent_for, DURATION, "10s", 0, 86400000, C, "for how long")                                          \
    X(consumer, commit_interval, DURATION, "1s", 50, 60000, C, "offsets are committed this often")                    \
    X(consumer, shutdown_grace, DURATION, "0ms", 0, 3600000, C,                                                       \
      "time to finish calls after SIGTERM; 0ms = llm.timeout")                                                        \
    X(claim, lease, DURATION, "120s", 1000, 86400000, C, "a claim is somebody else's after this")                     \
    X(claim, margin, DURATION, "10s", 100, 3600000, C, "lease must exceed llm.timeout by this")                       \
    X(claim, max_attempts, INT, "5", 1, 1000, C, "counted attempts before a room is parked")                          \
    X(claim, max_calls, INT, "20", 1, 10000, C, "calls of any outcome before a room is parked")                       \
    X(claim, give_up_after, DURATION, "24h", 1000, 31536000000, C, "parked after this long without success")          \
    X(claim, input_wait, DURATION, "10m", 0, 31536000000, C, "how long a room waits for its input")                   \
    X(claim, on_exhausted, STRING, "initiated", 1, 32, C,                                                             \
      "status of a room's row when it is parked: initiated, dropped")                                                 \
    X(claim, adopt_after, DURATION, "never", 1000, CONFIG_NEVER, C, "take over another handler's processing row")     \
    X(sweep, interval, DURATION, "10s", 100, 3600000, C, "how often due rooms and ended leases are looked for")       \
    X(unmatched, ttl, DURATION, "24h", 0, 31536000000, C, "a webhook waits this long for its row; 0ms: not at all")   \
    X(breaker, failures, INT, "5", 1, 1000, C, "provider failures in a row that open the breaker")                    \
    X(breaker, probe_initial, DURATION, "30s", 10, 86400000, C, "first probe after this")                             \
    X(breaker, probe_max, DURATION, "10m", 10, 86400000, C, "probes at least this often")                             \
    X(retry, initial, DURATION, "2s", 10, 86400000, C, "first back-off, doubled each time, full jitter")              \
    X(retry, max, DURATION, "5m", 10, 86400000, C, "longest back-off")                                                \
    X(llm, provider, STRING, "gemini", 1, 32, C, "gemini")                                                            \
    X(llm, base_url, STRING, "", 0, 2048, C, "empty: the provider's own; plain http only to loopback")                \
    X(llm, model, STRING, "gemini-3.5-flash-lite", 1, 200, C, "model")                                                \
    X(llm, api_key, STRING, "", 0, 512, C | SECRET | REQUIRED, "the provider's key; goes into a header, never a URL") \
    X(llm, timeout, DURATION, "60s", 100, 3600000, C, "longest call, first byte to last")                             \
    X(llm, connect_timeout, DURATION, "5s", 100, 600000, C, "longest connect, TLS included")                          \
    X(llm, prompt_file, STRING, "", 0, 4096, C, "instructions; empty: built in")                                      \
    X(llm, schema_file, STRING, "", 0, 4096, C, "JSON schema of the reply; empty: built in")                          \
    X(llm, prompt_version, STRING, "", 0, 64, C, "recorded with each call; empty: hash of prompt and schema")         \
    X(llm, max_input, SIZE, "256KiB", 1024, 67108864, C, "the room's text is cut at this")                            \
    X(llm, max_reply, SIZE, "1MiB", 1024, 67108864, C, "a longer reply is refused")                                   \
    X(llm, max_output_tokens, INT, "2048", 16, 1000000, C, "limit given to the model")                                \
    X(llm, thinking, STRING, "", 0, 16, C, "Gemini 3.x thinkingLevel (minimal, low, ...); empty: the model's own")    \
    X(llm, price_input, STRING, "0.30", 0, 32, C, "USD per million prompt tokens")                                    \
    X(llm, price_cached, STRING, "0.03", 0, 32, C, "USD per million cached prompt tokens")                            \
    X(llm, price_output, STRING, "2.50", 0, 32, C, "USD per million output tokens, thinking included")                \
    X(log, level, STRING, "info", 1, 16, S | C | K | T, "debug, info, warn or error")                                 \
    X(log, format, STRING, "logfmt", 1, 16, S | C | K | T, "logfmt or json")                                          \
    X(security, profile, STRING, "standard", 1, 16, S | C,                                                            \
      "standard warns about unencrypted connections to Kafka and Postgres, production refuses them")

#endif
