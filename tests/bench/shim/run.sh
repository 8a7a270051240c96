#!/usr/bin/env bash
# Runs the shim in a benchmark that names its parts by KAFKA, TOPIC, PORT, LIVEKIT_API_KEY and LIVEKIT_API_SECRET: maps
# these onto our settings and starts the release build. The body is published unchanged; all else stays at its default.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "$0")")/../../.." && pwd)
[ -x "$root/build/bin/roomclaim-shim" ] || "$root/dev" build >&2
export KAFKA_BOOTSTRAP_SERVERS=$KAFKA ROOMCLAIM_KAFKA_TOPIC=$TOPIC ROOMCLAIM_SHIM_LISTEN=127.0.0.1:$PORT
export LIVEKIT_API_KEY LIVEKIT_API_SECRET ROOMCLAIM_SHIM_CUT_TURN_PASSWORD=false ROOMCLAIM_SHIM_ADMIN_LISTEN=127.0.0.1:0
exec "$root/build/bin/roomclaim-shim"
