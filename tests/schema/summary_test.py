"""summary_v1: rooms by state. Exact as long as the table is small, and for what is not at its end always."""

import pytest


def rooms_by_state(claims):
    found = {}
    for row in claims.summary():
        found[row.state] = found.get(row.state, 0) + row.rooms
    return found


def test_every_state_is_counted(claims):
    """At once: nothing has analysed the table yet."""
    shapes = {"due": 2, "unmatched": 1, "live": 1, "analysed": 1, "done": 3, "parked": 2, "expired": 4}
    for shape, many in shapes.items():
        for n in range(many):
            claims.put_room(f"RM_{shape}_{n}", shape)
    by_state = {"waiting": 3, "processing": 1, "analysed": 1, "done": 3, "parked": 2, "expired": 4}
    assert rooms_by_state(claims) == by_state
    claims.sql("ANALYZE roomclaim.room")
    assert rooms_by_state(claims) == by_state


def test_nothing_is_counted_in_an_empty_table(claims):
    assert claims.summary() == []


def test_reasons_and_the_oldest(claims):
    claims.put_room("a", "due")
    claims.put_room("b", "due")
    claims.put_room("c", "unmatched")
    claims.aged("b", "2 hours")
    found = {(row.state, row.reason): row for row in claims.summary()}
    assert {kind: row.rooms for kind, row in found.items()} == {("waiting", "backoff"): 2, ("waiting", "unmatched"): 1}
    assert found["waiting", "backoff"].oldest == claims.room("b").first_seen


def pages_read(claims):
    plan = (
        "SELECT heap_blks_hit + heap_blks_read AS n FROM pg_statio_user_tables WHERE relid = 'roomclaim.room'::regclass"
    )
    claims.sql("SELECT pg_stat_force_next_flush()")
    return claims.sql(plan)[0].n


@pytest.mark.parametrize("analysed", [False, True])
def test_many_rooms_at_their_end_are_estimated(claims, analysed):
    claims.sql(
        "INSERT INTO roomclaim.room (room_sid, state, event_id, topic) SELECT 'RM_' || n, CASE WHEN n <= 50000 THEN 'expired' "
        "ELSE 'done' END, 'EV_123456789012', 'livekit-webhooks-of-a-topic' FROM generate_series(1, 200000) AS n"
    )
    for n in range(7):
        claims.put_room(f"RM_q{n}", "due")
    if analysed:
        claims.sql("ANALYZE roomclaim.room")
    pages = claims.sql("SELECT pg_relation_size('roomclaim.room') / 8192 AS n")[0].n
    before = pages_read(claims)
    found = rooms_by_state(claims)
    read = pages_read(claims) - before
    assert found == {"waiting": 7, "done": pytest.approx(150000, rel=0.1), "expired": pytest.approx(50000, rel=0.1)}
    assert found == rooms_by_state(claims)
    assert pages > 3000 and read < 1300, f"{read} of {pages}"
