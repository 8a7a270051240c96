"""Faults put in on purpose. Each must turn the checker red, by the invariant that is named; without it the same scenario
is green. `./dev mutants` runs them all.

compiled: the number is a switch in the C sources (common/mutant.h). sql: [(function, text, its replacement)], put into
the functions after migrate. scenario: a function of tests/mutants/scenarios.py.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mutant:
    number: int
    words: str
    scenario: str
    invariant: str
    compiled: bool = False
    sql: tuple = ()


DECIDE = "cases := roomclaim.claim_decide(rooms, tokens, origins, event_ids, topics, partitions, offsets, locked, worker, policy);"
LOCK = "PERFORM 1 FROM roomclaim.room r WHERE r.room_sid = ANY (rooms) ORDER BY r.room_sid"

MUTANTS = [
    Mutant(1, "a result is stored without a look at the token", "late_result", "I5", sql=(
        ("store_v1", "WHERE r.token = p.token AND (r.state = 'processing' OR", "WHERE (r.state = 'processing' OR"),
        ("store_v1", "WHERE r.token = p.token AND p.room = ANY (fresh)", "WHERE p.room = ANY (fresh)"),
    )),
    Mutant(2, "a room is given back without a look at the token", "late_release", "I5", sql=(
        ("release_v1", "WHERE r.token = p.token AND r.state = 'processing'", "WHERE r.state = 'processing'"),
    )),
    Mutant(3, "200 before Kafka's delivery report", "killed_behind_the_answer", "I1", compiled=True),
    Mutant(4, "the latest polled offset is committed", "killed_with_records_waiting", "I7", compiled=True),
    Mutant(5, "a row in processing is passed, and no sweep ends its lease", "killed_in_the_call", "I6", sql=(
        ("sweep_v1", "IF expire THEN", "IF false THEN"),
        ("claim_decide", "WHEN NOT p.ready THEN 'input' ELSE 'take_over' END", "ELSE 'held' END"),
    )),
    Mutant(6, "an attempt is counted after its call", "killed_in_the_last_attempt", "I4", sql=(
        ("claim_write_rooms", "ELSE r.attempt END + w.won::int,", "ELSE r.attempt END,"),
        ("release_v1", "attempt = r.attempt - (NOT p.counted)::int", "attempt = r.attempt + p.counted::int"),
    )),
    Mutant(7, "the token is cleared when the result is stored", "a_few_rooms", "I5", sql=(
        ("store_v1", "SET state = 'analysed', reason = NULL", "SET state = 'analysed', token = NULL, reason = NULL"),
    )),
    Mutant(8, "the lease goes by the host's clock", "an_hour_behind", "I4", sql=(
        ("claim_write_rooms", "WHEN w.won THEN at + lease",
         "WHEN w.won THEN at + coalesce(current_setting('mutant.host_ahead', true), '0')::interval + lease"),
    )),
    Mutant(9, "what is settled after the partition went is committed all the same", "settled_after_the_revoke", "I8",
           compiled=True),
    Mutant(10, "a record is settled before its dead letter is acknowledged", "dead_letters_away", "I7", compiled=True),
    Mutant(11, "a token without the body's hash is good", "forged_webhook", "I1", compiled=True),
    Mutant(12, "SQLSTATE 22 is tried again", "data_that_postgres_refuses", "I14", compiled=True),
    Mutant(13, "decided before the lock", "two_take_over", "I4", sql=(
        ("claim_locked", "locked := roomclaim.application_lock(rooms);",
         "locked := array_fill(true, ARRAY[cardinality(rooms)]);"),
        ("claim_locked", LOCK + " FOR UPDATE;", LOCK + ";"),
        ("claim_locked", DECIDE, f"{DECIDE} PERFORM pg_sleep(0.5); {LOCK} FOR UPDATE;"),
    )),
]  # fmt: skip
