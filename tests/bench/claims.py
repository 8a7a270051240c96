#!/usr/bin/env python3
"""How many rooms a second the claim functions take on one connection: claim, store, finish, in batches.

Runs on the Postgres of ROOMCLAIM_TEST_PG (./dev bench claims starts one), in a database of its own. Synchronous commits.
"""

import json
import os
import pathlib
import sys
import time
import uuid

import psycopg

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import programs  # noqa: E402
from harness.postgres import create_database, drop_database, with_database  # noqa: E402

ROOMS = {1: 1000, 10: 5000, 100: 20000}
POLICY = json.dumps(
    {
        "lease_ms": 120000, "max_attempts": 5, "max_calls": 20, "give_up_after_ms": 86400000, "input_wait_ms": 600000,
        "on_exhausted": "initiated", "adopt_after_ms": None, "unmatched_ttl_ms": 86400000, "retry_initial_ms": 2000,
        "retry_max_ms": 300000, "provider": "gemini", "model": "bench", "prompt_version": "bench",
    }
)  # fmt: skip
CLAIM = """SELECT count(*) FILTER (WHERE outcome = 'won') FROM roomclaim.claim_v1(
    %(rooms)s::text[], %(tokens)s::uuid[], %(origins)s::text[], %(none)s::text[], %(none)s::text[], %(none)s::int[],
    %(none)s::bigint[], 'bench', %(policy)s::jsonb)"""
STORE = """SELECT count(*) FILTER (WHERE outcome = 'stored') FROM roomclaim.store_v1(
    %(rooms)s::text[], %(tokens)s::uuid[], %(results)s::text[], %(verdicts)s::text[], %(models)s::text[],
    %(ones)s::bigint[], %(ones)s::bigint[], %(ones)s::bigint[], %(ones)s::bigint[], %(ones)s::bigint[], %(policy)s::jsonb)"""
FINISH = """SELECT count(*) FILTER (WHERE outcome = 'completed')
    FROM roomclaim.finish_v1(%(rooms)s::text[], %(policy)s::jsonb)"""
RESULT = json.dumps({"sentiment": "positive", "summary": "The user liked it.", "topics": ["audio"]})


def batch(rooms):
    size = len(rooms)
    return {
        "rooms": rooms, "tokens": [str(uuid.uuid4()) for _ in rooms], "origins": ["webhook"] * size,
        "none": [None] * size, "results": [RESULT] * size, "verdicts": ["ok"] * size, "models": ["bench"] * size,
        "ones": [1] * size, "policy": POLICY,
    }  # fmt: skip


def measure(db, size, count):
    rooms = [f"RM_{size}x{n}" for n in range(count)]
    with db.cursor() as cursor, cursor.copy('COPY "UserFeedback" (id, "roomSid", transcript) FROM STDIN') as rows:
        for room in rooms:
            rows.write_row((uuid.uuid4(), room, "the call was clear but the sound dropped twice"))
    db.execute("VACUUM ANALYZE")
    begun = time.monotonic()
    for at in range(0, count, size):
        values = batch(rooms[at : at + size])
        for step in (CLAIM, STORE, FINISH):
            done = db.execute(step, values).fetchone()[0]
            if done != len(values["rooms"]):
                raise SystemExit(f"{step.split('.')[1].split('(')[0]} did {done} of {len(values['rooms'])}")
    return count / (time.monotonic() - begun)


def main():
    server, name = os.environ["ROOMCLAIM_TEST_PG"], f"bench_{uuid.uuid4().hex[:8]}"
    url = with_database(server, name)
    create_database(server, name)
    try:
        done = programs.run("roomclaim", "migrate", "--execute", "--bootstrap", settings={"DATABASE_URL": url})
        if done.returncode:
            raise SystemExit(done.stderr)
        with psycopg.connect(url, autocommit=True) as db:
            for size, count in ROOMS.items():
                print(
                    f"claim, store, finish in batches of {size:<4} {measure(db, size, count):8.0f} rooms/s on one connection"
                )
    finally:
        drop_database(server, name)


if __name__ == "__main__":
    main()
