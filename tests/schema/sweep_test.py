"""The sweep: what each part finds, who gets what, that sweeps never wait for each other, and what a pass costs."""

import pytest
from schema.claims import kinds

MOST = 500  # rooms a part of one pass


def put_many(claims, count, row=None, table=True, **columns):
    """Rooms that are due since an hour, 1 ms apart, with rows of that status if any. columns are SQL."""
    columns = {"due_at": "clock_timestamp() - interval '1 hour' + n * interval '1 ms'", **columns}
    if row:
        claims.sql(
            'INSERT INTO "UserFeedback" ("roomSid", status, transcript) '
            f"SELECT 'RM_' || n, '{row}', 'words' FROM generate_series(1, {count}) AS n"
        )
    claims.sql(
        f"INSERT INTO roomclaim.room (room_sid, {', '.join(columns)}) "
        f"SELECT 'RM_' || n, {', '.join(columns.values())} FROM generate_series(1, {count}) AS n"
    )


# ---- each kind ----


def test_nothing_is_found_before_its_time(claims):
    for name, shape in {
        "a": "not due",
        "b": "live",
        "c": "unmatched",
        "d": "done",
        "e": "parked",
        "f": "expired",
    }.items():
        claims.put_row(name) if shape != "unmatched" else None
        claims.put_room(name, shape)
    claims.sweep()
    before = claims.snapshot()
    assert kinds(claims.sweep(everything=False)) == []
    assert claims.snapshot() == before


def test_a_lease_that_ended(claims):
    claims.put_row("a", "processing")
    claims.put_room("a", "over", run=3)
    (swept,) = claims.sweep(slots=0)
    assert swept == ("expired", "a", "webhook", 0, "backoff", "EV_1", "t", 0, 7, 1, 3)
    held = claims.room("a")
    assert (held.state, held.worker, claims.status("a"), claims.tally("a")) == ("waiting", None, "initiated", (1, 0, 1))
    assert claims.due_in("a") == 0


def test_a_lease_that_ended_is_due_at_once(claims):
    claims.put_row("a", "processing")
    claims.put_room("a", "over")
    assert kinds(claims.sweep()) == [("due", "a"), ("expired", "a")]


def test_the_last_lease_that_ended(claims):
    claims.put_row("a", "processing")
    claims.put_room("a", "used up")
    swept = claims.sweep()
    assert kinds(swept) == [("dlq", "a"), ("parked", "a")]
    assert {each[2:] for each in swept} == {("webhook", 0, "exhausted", "EV_1", "t", 0, 7, 5, 1)}


def test_expire_false_expires_nothing(claims):
    claims.put_row("a", "processing")
    claims.put_room("a", "over")
    claims.put_row("b")
    claims.put_room("b", "due")
    for _ in range(2):
        assert ("expired", "a") not in kinds(claims.sweep(expire=False))
    assert (claims.room("a").state, claims.status("a")) == ("processing", "processing")
    assert kinds(claims.sweep(expire=True)) == [("due", "a"), ("expired", "a")]


@pytest.mark.parametrize("status", ["processing", "initiated", "completed"])
def test_a_result_that_is_not_shown_yet(claims, status):
    claims.put_row("a", status)
    claims.put_room("a", "analysed")
    (swept,) = claims.sweep(slots=0)
    assert (swept.kind, swept.room, swept.reason) == ("finished", "a", "completed")
    assert (claims.room("a").state, claims.status("a")) == ("done", "completed")


def test_a_result_whose_row_is_locked_waits_and_is_shown_later(claims):
    claims.put_row("a", "processing")
    claims.put_room("a", "analysed")
    with claims.row_locked("a"):
        for delay in (1, 2, 5, 10):
            claims.due("a")
            assert kinds(claims.sweep()) == []
            assert (claims.room("a").state, claims.due_in("a")) == ("analysed", delay)
    claims.due("a")
    assert kinds(claims.sweep()) == [("finished", "a")]
    assert (claims.status("a"), len(claims.calls("a"))) == ("completed", 1)


def test_a_dead_letter_is_offered_until_it_is_acknowledged(claims):
    claims.put_row("a")
    claims.claim("a", event_id="EV", topic="t", partition=1, offset=2)
    claims.park("a", reason="blocked")
    assert (kinds(claims.sweep()), claims.due_in("a")) == ([], 60)  # whoever parked it has the record in hand
    for _ in range(3):
        claims.due("a")
        (swept,) = claims.sweep(slots=0, expire=False)
        assert swept == ("dlq", "a", "webhook", 0, "blocked", "EV", "t", 1, 2, 1, 1)
        assert (kinds(claims.sweep()), claims.due_in("a")) == ([], 60)
    assert [claims.dlq_acked("a") for _ in range(2)] == [1, 0]
    held = claims.room("a")
    assert (held.state, held.dlq_pending, held.due_at) == ("parked", False, None)


def test_unmatched_that_expires(claims):
    claims.put_room("a", "unmatched")
    claims.aged("a", "2 days")
    claims.due("a")
    (swept,) = claims.sweep(slots=0)
    assert (swept.kind, swept.room, swept.event_id) == ("unmatched_expired", "a", "EV_1")
    held = claims.room("a")
    assert (held.state, held.due_at, held.dlq_pending) == ("expired", None, False)


def test_a_row_that_follows(claims):
    claims.put_row("a", "processing")
    claims.put_room("a", "parked", row_pending="dropped", due=-1)
    (swept,) = claims.sweep(slots=0)
    assert (swept.kind, swept.room) == ("followed", "a")
    assert (claims.status("a"), claims.room("a").row_pending, claims.room("a").due_at) == ("dropped", None, None)


def test_a_row_that_can_not_follow_is_tried_less_and_less(claims):
    claims.put_row("a", "processing")
    claims.put_room("a", "parked", row_pending="dropped", due=-1)
    with claims.row_locked("a"):
        for delay in (5, 10, 20, 40, 60, 60):
            claims.due("a")
            assert (kinds(claims.sweep()), claims.due_in("a")) == ([], delay)


# ---- the hand-out ----


def put_queue(claims):
    """Three rooms of each priority, the least urgent ones due first."""
    for age, (origin, priority) in enumerate([("webhook", 0), ("retry", 1), ("replay", 2)]):
        for n in range(3):
            room = f"{origin} {n}"
            claims.put_row(room)
            claims.put_room(room, "due", priority=priority, origin=origin, due=-60 * (age + 1) + n)


def test_live_before_retry_before_replay_and_the_oldest_first(claims):
    put_queue(claims)
    handed = [sorted(each.room for each in claims.sweep(slots=slots)) for slots in (2, 2, 3, 9)]
    assert handed == [
        ["webhook 0", "webhook 1"],
        ["retry 0", "webhook 2"],
        ["replay 0", "retry 1", "retry 2"],
        ["replay 1", "replay 2"],
    ]


def test_what_is_handed_out_comes_in_its_order(claims):
    put_queue(claims)
    swept = claims.sweep(slots=9)
    assert [each.priority for each in swept] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [each.origin for each in swept] == ["webhook"] * 3 + ["retry"] * 3 + ["replay"] * 3


def test_no_slots_no_hand_out(claims):
    put_queue(claims)
    assert claims.sweep(slots=0) == []
    assert len(claims.sweep(slots=100)) == 9


@pytest.mark.parametrize("shape", ["due", "unmatched", "foreign", "busy", "input", "replay", "row pending"])
def test_what_is_handed_out_belongs_to_its_worker_for_a_while(claims, shape):
    claims.put_row("a", "processing" if shape == "row pending" else "initiated")
    claims.put_room("a", shape)
    claims.due("a")
    assert ("due", "a") in kinds(claims.sweep(worker="w1"))
    assert claims.due_in("a") == 30
    assert kinds(claims.sweep(worker="w2")) == []
    assert claims.claim("a", worker="w2").outcome == "waiting"
    assert claims.claim("a", worker="w1", origin="sweep").outcome == "won"


def test_what_was_handed_out_in_vain_is_everybodys_again(claims):
    claims.put_row("a")
    claims.put_room("a", "due")
    claims.sweep(worker="w1")
    claims.due("a")
    assert kinds(claims.sweep(worker="w2")) == [("due", "a")]
    assert claims.claim("a", worker="w1").outcome == "waiting"
    assert claims.claim("a", worker="w2").outcome == "won"


def test_rooms_without_a_row_of_their_own_take_no_slot(claims):
    for room in ("lost", "other"):
        claims.put_room(room, "unmatched" if room == "lost" else "foreign")
    claims.put_row("other", "processing")
    claims.put_row("a")
    claims.put_room("a", "due", due=-1)
    for room in ("lost", "other"):
        claims.sql("UPDATE roomclaim.room SET due_at = due_at - interval '1 day' WHERE room_sid = %s", room)
    assert kinds(claims.sweep(slots=1)) == [("due", "a")]


def test_the_other_parts_need_no_slot(claims):
    claims.put_row("over", "processing")
    claims.put_room("over", "over")
    claims.put_row("analysed", "processing")
    claims.put_room("analysed", "analysed")
    claims.put_row("follow", "processing")
    claims.put_room("follow", "parked", row_pending="initiated", due=-1)
    claims.put_room("letter", "parked", dlq_pending=True, due=-1)
    assert kinds(claims.sweep(slots=0)) == [
        ("dlq", "letter"), ("expired", "over"), ("finished", "analysed"), ("followed", "follow")
    ]  # fmt: skip


# ---- a part that is full ----

FULL = {
    "expired": {"row": "processing", "state": "'processing'", "token": "gen_random_uuid()"},
    "finished": {"row": "processing", "state": "'analysed'"},
    "dlq": {"state": "'parked'", "dlq_pending": "true"},
    "unmatched_expired": {
        "state": "'waiting'", "reason": "'unmatched'", "reason_since": "clock_timestamp() - interval '2 days'"
    },
    "followed": {"row": "processing", "state": "'parked'", "row_pending": "'dropped'"},
}  # fmt: skip


@pytest.mark.parametrize("kind", FULL)
def test_a_full_part_says_more(claims, kind):
    put_many(claims, MOST + 1, **FULL[kind])
    if FULL[kind].get("row"):
        claims.sql(
            'UPDATE roomclaim.room r SET feedback_id = f.id FROM "UserFeedback" f WHERE f."roomSid" = r.room_sid'
        )
    passes = []
    for _ in range(3):
        found = [each.kind for each in claims.sweep(slots=0, everything=not passes)]
        passes.append((found.count(kind), "more" in found))
    assert passes == [(MOST, True), (1, False), (0, False)]


def test_what_waits_for_a_slot_does_not_say_more(claims):
    """Its row has come, but nobody has a slot: a caller that repeats at once would never rest."""
    put_many(claims, MOST + 1, row="initiated", state="'waiting'", reason="'unmatched'")
    said = [[each.kind for each in claims.sweep(slots=0)] for _ in range(3)]
    assert said == [["more"], [], []]
    assert len(claims.sweep(slots=MOST + 2)) == MOST + 1


# ---- several at once ----


def test_two_sweeps_share_without_waiting(claims):
    """One holds its transaction open meanwhile."""
    shapes = {"over": "processing", "analysed": "processing", "due": "initiated", "parked": "initiated"}
    for shape, status in shapes.items():
        for n in range(4):
            claims.put_row(f"{shape} {n}", status)
            columns = {"due": -1, "dlq_pending": True} if shape == "parked" else {}
            claims.put_room(f"{shape} {n}", shape, **columns)
    with claims.session("w2") as other:
        other.sql("SET statement_timeout = '2s'")
        with claims.connection.transaction():
            first = claims.sweep(slots=2)
            second = other.sweep(slots=9)
        claims.put_row("later", "processing")
        claims.put_room("later", "over")
        third = other.sweep(slots=9)
    assert [kind for kind, _ in kinds(first)] == ["dlq"] * 4 + ["due"] * 2 + ["expired"] * 4 + ["finished"] * 4
    assert [kind for kind, _ in kinds(second)] == ["due"] * 2
    assert not {each.room for each in first if each.kind == "due"} & {each.room for each in second}
    assert [kind for kind, _ in kinds(third)] == ["due"] * 5 + ["expired"]


def test_a_sweep_waits_for_no_row_of_the_application(claims):
    shapes = {"over": "processing", "analysed": "processing", "due": "initiated", "unmatched": "initiated"}
    for shape, status in shapes.items():
        claims.put_row(shape, status)
        claims.put_room(shape, shape)
        claims.due(shape)
    claims.sql("SET statement_timeout = '2s'")
    with claims.session("holder") as holder, holder.connection.transaction():
        holder.sql('SELECT 1 FROM "UserFeedback" FOR UPDATE')
        assert kinds(claims.sweep()) == [("due", "due"), ("due", "over"), ("due", "unmatched"), ("expired", "over")]
        assert claims.claim(["due", "over", "unmatched"], origin="sweep")[0].outcome == "busy"
    claims.sql("RESET statement_timeout")


# ---- what a pass costs ----


def pages(claims, **options):
    """Pages of the buffer cache that a pass looks at; it is rolled back."""
    with claims.connection.transaction(force_rollback=True):
        words = "SELECT * FROM roomclaim.sweep_v1('w', {slots}, true, {everything}, '{policy}')"
        options = {"slots": 0, "everything": False, "policy": claims._policy({}), **options}
        (line,) = claims.sql("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + words.format(**options))
        plan = line[0][0]["Plan"]
        return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


QUEUES = {
    "replayed": {"state": "'waiting'", "reason": "'replay'", "priority": "2"},
    "live": {"state": "'waiting'", "reason": "'backoff'"},
    "dead letters": {"state": "'parked'", "dlq_pending": "true"},
}


@pytest.mark.parametrize("queue", QUEUES)
def test_a_long_queue_does_not_make_a_pass_dear(claims, queue):
    """200,000 rooms that are due cost the parts that don't want them nothing, and the hand-out what it hands out."""
    claims.sweep()
    put_many(claims, 200000, **QUEUES[queue])
    claims.sql("ANALYZE roomclaim.room")
    claims.sql("UPDATE roomclaim.setting SET value = %s::jsonb", '"-infinity"')
    claims.sweep(everything=False)  # the session's own caches
    limit = 15000 if queue == "dead letters" else 1000  # of these a pass takes 500
    for everything in (False, True):
        assert pages(claims, slots=10, everything=everything) < limit


def mark(claims):
    return claims.sql(
        "SELECT extract(epoch FROM clock_timestamp() - (value #>> '{}')::timestamptz)::float AS age "
        "FROM roomclaim.setting WHERE name = 'sweep_mark'"
    )[0].age


def test_the_mark_keeps_a_pass_cheap_behind_a_long_transaction(claims):
    claims.sweep()
    ages = "clock_timestamp() - interval '10 minutes' - random() * interval '1 hour'"
    put_many(claims, 20000, state="'waiting'", reason="'backoff'", due_at=ages)
    with claims.session("long") as long, long.connection.transaction():
        long.sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        long.sql("SELECT 1 FROM roomclaim.room LIMIT 1")
        claims.sql("UPDATE roomclaim.room SET state = 'done', reason = NULL, due_at = NULL")
        claims.sql("UPDATE roomclaim.setting SET value = %s::jsonb", '"-infinity"')
        before = pages(claims)
        claims.sweep(everything=False)
        assert 120 <= mark(claims) < 130
        after = pages(claims)
        assert (before > 5000, after < 300) == (True, True), (before, after)
        claims.put_row("a")
        claims.claim("a")
        claims.release("a")
        assert kinds(claims.sweep(everything=False)) == [("due", "a")]


def test_the_mark_stays_below_what_is_still_to_be_done(claims):
    claims.put_row("a")
    claims.put_room("a", "due", due=-7200)
    for everything in (True, False):
        claims.sweep(slots=0, everything=everything)
        assert 7320 <= mark(claims) < 7330
    assert kinds(claims.sweep(everything=False)) == [("due", "a")]
    claims.sweep(everything=False)
    assert 120 <= mark(claims) < 130


def test_a_full_pass_finds_what_is_below_the_mark(claims):
    """What was long on its way, or has come by a clock that went back."""
    claims.sweep()
    claims.put_row("a")
    claims.put_room("a", "due", due=-7200)
    assert kinds(claims.sweep(everything=False)) == []
    assert kinds(claims.sweep(everything=True)) == [("due", "a")]


def test_the_mark_is_not_moved_by_every_pass(claims):
    claims.sweep()
    before = claims.snapshot()
    claims.sweep(everything=False)
    assert claims.snapshot() == before
