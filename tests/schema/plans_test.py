"""Plans: a session keeps the plans that it made while the tables were empty, and is as fast with them at 300,000 rooms; and a
room costs no more in a large batch than in a small one.

What is compared is the number of pages touched for a room: it does not depend on what else the machine does.
"""

import itertools
import time

import pytest
from schema.claims import LAST

SIZE = 50  # rooms a batch
numbers = itertools.count()
LIMIT = 3  # times as many pages, for deeper indexes and more dead tuples

# Every tenth room waits, the others are done.
FILL = """
INSERT INTO "UserFeedback" ("roomSid", status, transcript)
SELECT 'OLD_' || n, CASE WHEN n % 10 = 0 THEN 'initiated' ELSE 'completed' END::feedback_status, 'x'
  FROM generate_series(1, {many}) AS n;
INSERT INTO roomclaim.room (room_sid, state, reason, feedback_id, due_at)
SELECT "roomSid", CASE status WHEN 'initiated' THEN 'waiting' ELSE 'done' END, CASE status WHEN 'initiated' THEN 'backoff' END,
       id::text, CASE status WHEN 'initiated' THEN now() + interval '1 day' END
  FROM "UserFeedback" WHERE "roomSid" LIKE 'OLD%';
INSERT INTO roomclaim.call (started_at, room_sid, run, attempt, token, worker, ended_at, outcome)
SELECT now() - interval '1 hour', room_sid, 1, 1, gen_random_uuid(), 'w', now(), 'ok'
  FROM roomclaim.room WHERE room_sid LIKE 'OLD%';
INSERT INTO roomclaim.analysis (room_sid, run, result)
SELECT room_sid, 1, '{{}}' FROM roomclaim.room WHERE state = 'done' AND room_sid LIKE 'OLD%';
"""


def some_rooms(claims, count=SIZE):
    rooms = [f"RM_{next(numbers):06}" for _ in range(count)]
    claims.sql('INSERT INTO "UserFeedback" ("roomSid", transcript) SELECT unnest(%s::text[]), %s', rooms, "x")
    return rooms


def touched(claims):
    """Pages of tables and indexes that were touched in this database until now."""
    claims.sql("SELECT pg_stat_force_next_flush()")
    pages = "heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0)"
    return claims.sql(f"SELECT sum({pages})::bigint AS pages FROM pg_statio_user_tables")[0].pages


class Work:
    """Calls every function for a batch. pages: verb -> pages a room."""

    def __init__(self, claims):
        self.claims, self.pages = claims, {}
        for part in (self.success, self.failure, self.end_of_rows, self.other_rows, self.no_rows):
            part(some_rooms(claims))

    def step(self, name, expected, verb, *arguments, **settings):
        before = touched(self.claims)
        answers = getattr(self.claims, verb)(*arguments, **settings)
        self.pages[name] = (touched(self.claims) - before) / SIZE
        if verb != "dlq_acked":
            answers = {each.kind if verb == "sweep" else each.outcome for each in answers}
        assert answers == expected, name

    def due(self, rooms):
        words = "UPDATE roomclaim.room SET due_at = now() - interval '1 s' WHERE room_sid = ANY (%s)"
        self.claims.sql(words, rooms)

    def success(self, rooms):
        self.step("claim", {"won"}, "claim", rooms)
        self.step("claim again", {"won"}, "claim", rooms, token=LAST)
        self.step("release", {"released"}, "release", rooms)
        self.step("hand out", {"due"}, "sweep", slots=SIZE, everything=False)
        self.step("claim what is due", {"won"}, "claim", rooms)
        self.step("store", {"stored"}, "store", rooms)
        self.step("store again", {"stored"}, "store", rooms)
        half = rooms[: SIZE // 2]
        self.step("finish", {"completed"}, "finish", half)
        self.due([room for room in rooms if room not in half])
        self.step("finish in the sweep", {"finished"}, "sweep", slots=0, everything=False)
        self.step("finish again", {"done"}, "finish", rooms)
        self.step("store what is done", {"stored"}, "store", rooms)
        self.step("claim what is done", {"done"}, "claim", rooms)
        self.claims.sql("""UPDATE "UserFeedback" SET status = 'initiated' WHERE "roomSid" = ANY (%s)""", rooms)
        self.step("enqueue", {"queued"}, "enqueue", rooms)
        self.step("claim a new run", {"won"}, "claim", rooms)
        self.claims.store(rooms)
        self.claims.finish(rooms)

    def failure(self, rooms):
        self.claims.claim(rooms)
        self.step("claim what is held", {"held"}, "claim", rooms)
        self.due(rooms)
        late = dict(self.claims.tokens)
        self.step("take over", {"won"}, "claim", rooms)
        self.step("store what is taken over", {"fenced"}, "store", rooms, token=[late[room] for room in rooms])
        self.step("release what is taken over", {"fenced"}, "release", rooms, token=[late[room] for room in rooms])
        self.due(rooms)
        self.step("expire", {"expired"}, "sweep", slots=0, everything=False)
        self.step("claim after that", {"won"}, "claim", rooms)
        self.step("release at the end of calls", {"released"}, "release", rooms, max_calls=3)
        self.claims.claim(rooms)
        self.step("park", {"parked"}, "park", rooms)
        self.step("store what is parked", {"fenced"}, "store", rooms)
        self.step("dlq_acked", SIZE, "dlq_acked", rooms)
        self.step("nothing to sweep", set(), "sweep", everything=False)

    def end_of_rows(self, rooms):
        self.claims.claim(rooms)
        self.claims.store(rooms)
        half = rooms[: SIZE // 2]
        self.claims.sql("""UPDATE "UserFeedback" SET status = 'dropped' WHERE "roomSid" = ANY (%s)""", half)
        self.step("finish what is dropped", {"dropped"}, "finish", half)
        self.claims.sql("""DELETE FROM "UserFeedback" WHERE "roomSid" = ANY (%s)""", rooms)
        self.step("finish what is gone", {"gone"}, "finish", rooms[SIZE // 2 :])

    def other_rows(self, rooms):
        self.claims.claim(rooms)
        self.other_row_for(rooms)
        self.due(rooms)
        self.step("take over for another row", {"won"}, "claim", rooms)
        self.claims.store(rooms)
        self.other_row_for(rooms)
        self.step("finish for another row", {"gone"}, "finish", rooms)
        self.step("claim after that was gone", {"won"}, "claim", rooms)

    def other_row_for(self, rooms):
        words = """UPDATE "UserFeedback" SET "roomSid" = 'MOVED_' || id WHERE "roomSid" = ANY (%s)"""
        self.claims.sql(words, rooms)
        self.claims.sql('INSERT INTO "UserFeedback" ("roomSid", transcript) SELECT unnest(%s::text[]), %s', rooms, "x")

    def no_rows(self, rooms):
        self.claims.sql("""DELETE FROM "UserFeedback" WHERE "roomSid" = ANY (%s)""", rooms)
        self.step("claim what has no row", {"unmatched"}, "claim", rooms)
        self.due(rooms)
        self.step("look for rows", set(), "sweep", everything=False)
        self.step("park what was never claimed", {"parked"}, "park", rooms, token=None)
        self.claims.dlq_acked(rooms)


def quickest(claims, size, times):
    """Seconds a room of claim, store and finish in batches of this size, each the best of some."""
    best = {}
    for _ in range(times):
        rooms = some_rooms(claims, size)
        for verb, expected in (("claim", "won"), ("store", "stored"), ("finish", "completed")):
            start = time.perf_counter()
            answers = getattr(claims, verb)(rooms)
            best[verb] = min(best.get(verb, 1), (time.perf_counter() - start) / size)
            assert {each.outcome for each in answers} == {expected}
    return best


@pytest.mark.parametrize(
    ("analysed_with", "many"), [(None, 300_000), (0, 20_000), (1, 20_000), (5, 20_000), (60, 20_000)]
)
def test_plans_made_on_small_tables_stay_good(claims, analysed_with, many):
    for table in claims.sql("SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'r' AND oid >= 16384"):
        claims.sql(f"ALTER TABLE {table.name} SET (autovacuum_enabled = off)")  # it would have them planned again
    if analysed_with is not None:
        quickest(claims, 1, analysed_with)
        claims.sql("ANALYZE")
    before = Work(claims).pages
    for _ in range(5):  # by default a plan is kept from the sixth time on
        Work(claims)
    claims.connection.execute(FILL.format(many=many))
    after = Work(claims).pages
    assert {verb: (before[verb], after[verb]) for verb in before if after[verb] > LIMIT * before[verb] + 20} == {}


def test_a_room_costs_no_more_in_a_large_batch(claims):
    quickest(claims, 50, 6)  # from now on with kept plans
    large, small = quickest(claims, 500, 5), quickest(claims, 50, 20)
    assert {verb: (small[verb], large[verb]) for verb in small if large[verb] > 3 * small[verb]} == {}


def test_what_callers_reach_is_never_compiled(claims):
    """With sequential scans forbidden one that can't be avoided has a cost beyond all limits: 50 ms of JIT a call."""
    found = claims.sql(
        "SELECT proname, coalesce(proconfig, '{}') FROM pg_proc WHERE prosecdef AND pronamespace = 'roomclaim'::regnamespace"
    )
    assert len(found) > 8
    assert [name for name, settings in found if "jit=off" not in settings] == []
