"""What could be forgotten, shown to the wrong room, counted too early or paid twice: one case a test."""

import uuid

import psycopg
import pytest
from harness.processes import until


def put_claimed(claims, room="a", **policy):
    claims.put_row(room)
    assert claims.claim(room, **policy).outcome == "won"


def swept_until(claims, condition, what):
    until(lambda: claims.sweep(slots=0, everything=False) is None or condition(), 20, what)


# ---- rows that were ours don't stay processing ----


@pytest.mark.parametrize("verb", ["release", "park"])
def test_a_row_follows_soon_though_its_room_waits_for_long(claims, verb):
    put_claimed(claims)
    with claims.row_locked("a"):
        claims.release("a", delay_ms=300_000) if verb == "release" else claims.park("a")
        due_at = claims.room("a").due_at
        assert claims.status("a") == "processing"
    swept_until(claims, lambda: claims.status("a") == "initiated", "the row follows")
    held = claims.room("a")
    assert (held.row_pending, held.row_due_at, held.due_at) == (None, None, due_at)


def test_a_row_that_is_another_rooms_by_now_is_not_touched(claims):
    put_claimed(claims)
    claims.sql("""UPDATE "UserFeedback" SET "roomSid" = 'b', status = 'initiated'""")
    assert claims.claim("b").outcome == "won"
    claims.lease_over("a")
    assert [each.kind for each in claims.sweep(slots=0)] == ["expired"]
    assert (claims.status("b"), claims.room("a").row_pending) == ("processing", None)


# ---- one winner, one result ----


def test_a_room_named_twice_in_a_batch_is_won_once(claims):
    claims.put_row("a")
    tokens = [uuid.uuid4(), uuid.uuid4()]
    answers = claims.claim(["a", "a"], token=tokens)
    assert sorted(answer.outcome for answer in answers) == ["held", "won"]
    won = tokens[[answer.outcome for answer in answers].index("won")]
    assert [line.token for line in claims.calls("a")] == [won] == [claims.room("a").token]


def test_a_result_that_nobody_wants_any_more_is_not_called_stored(claims):
    """The lease is over, the application has completed the row, a duplicate has found that out."""
    put_claimed(claims)
    claims.lease_over("a")
    claims.set_status("a", "completed")
    with claims.session() as other:
        other.tokens = {}
        assert other.claim("a").outcome == "done"
    assert [claims.store("a").outcome for _ in range(2)] == ["fenced", "fenced"]
    assert claims.analyses("a") == []


def test_a_token_that_gave_its_room_back_stores_nothing(claims):
    put_claimed(claims)
    claims.release("a")
    assert (claims.store("a").outcome, claims.room("a").state) == ("fenced", "waiting")


# ---- nothing is given up too early, or looked at too late ----


def test_a_room_that_waited_for_its_row_is_not_given_up_at_its_first_failure(claims):
    claims.put_room("a", "unmatched")
    claims.aged("a", "25 hours")
    put_claimed(claims)
    put_claimed(claims, "b")
    claims.store("b")
    assert claims.release("a", counted=False, verdict="rate_limited").outcome == "released"


def test_a_refusal_is_given_up_by_its_own_age(claims):
    put_claimed(claims)
    claims.store("a")
    claims.aged("a", "25 hours")
    claims.sql('ALTER TABLE "UserFeedback" ADD CONSTRAINT refuses CHECK (status <> $$completed$$) NOT VALID')
    try:
        assert (claims.finish("a").outcome, claims.room("a").state) == ("refused", "analysed")
        with claims.row_locked("a"):
            assert claims.finish("a").outcome == "busy"
        claims.aged("a", "25 hours")
        assert (claims.finish("a").outcome, claims.room("a").state) == ("refused", "parked")
    finally:
        claims.sql('ALTER TABLE "UserFeedback" DROP CONSTRAINT refuses')


@pytest.mark.parametrize("status", [None, "processing"])
def test_duplicates_of_a_webhook_do_not_make_the_next_look_later(claims, status):
    if status:
        claims.put_row("a", status)
    first = claims.claim("a").outcome
    before = claims.room("a")
    assert {claims.claim("a").outcome for _ in range(9)} == {first}
    after = claims.room("a")
    assert (after.due_at, after.tries) == (before.due_at, before.tries)


def test_two_rows_and_the_known_one_is_held_by_the_application(claims):
    known = claims.put_row("a")
    assert claims.claim("a").outcome == "won"
    claims.put_row("a")
    claims.release("a")
    claims.sql("SET lock_timeout = '2s'")
    with psycopg.connect(claims.url) as other:
        other.execute('SELECT 1 FROM "UserFeedback" WHERE id = %s FOR UPDATE', [known])
        assert claims.claim("a").outcome == "busy"
        other.rollback()
