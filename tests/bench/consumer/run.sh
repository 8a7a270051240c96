#!/usr/bin/env bash
# Runs the consumer in a benchmark that names its parts by KAFKA, TOPIC, GROUP, PG, LLM_URL, LLM_MODEL, LLM_KEY and
# CONCURRENCY: maps these onto our settings, migrates, and starts the release build. All else stays at its default.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "$0")")/../../.." && pwd)
[ -x "$root/build/bin/roomclaim-consumer" ] || "$root/dev" build >&2
export KAFKA_BOOTSTRAP_SERVERS=$KAFKA ROOMCLAIM_KAFKA_TOPIC=$TOPIC ROOMCLAIM_KAFKA_GROUP=$GROUP DATABASE_URL=$PG
export ROOMCLAIM_LLM_BASE_URL=$LLM_URL ROOMCLAIM_LLM_MODEL=$LLM_MODEL GEMINI_API_KEY=$LLM_KEY
export ROOMCLAIM_CONSUMER_MAX_IN_FLIGHT=$CONCURRENCY ROOMCLAIM_CONSUMER_ADMIN_LISTEN=127.0.0.1:0
"$root/build/bin/roomclaim" migrate --execute >&2
exec "$root/build/bin/roomclaim-consumer"
