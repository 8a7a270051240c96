"""Tokens: the same call twice gives the same answer and changes nothing, and only the token of the last claim may end a room's
work, however late.
"""

import uuid

import pytest


def put_claimed(claims, sid="r", **policy):
    claims.put_row(sid)
    claim = claims.claim(sid, **policy)
    assert claim.outcome == "won"
    return claim


def steal(claims, sid="r"):
    """Another worker takes the room over when its lease is over. Returns the token that it was stolen from."""
    stolen = claims.tokens[sid]
    claims.lease_over(sid)
    with claims.session() as other:
        assert other.claim(sid).outcome == "won"
    assert claims.tokens[sid] != stolen
    return stolen


def unchanged(claims, call):
    before = claims.snapshot()
    answer = call()
    assert claims.snapshot() == before
    return answer


# ---- the same again ----


def test_claim_again(claims):
    first = put_claimed(claims)
    again = unchanged(claims, lambda: claims.claim("r", claims.tokens["r"]))
    assert again == first
    assert (again.attempt, again.calls, again.input) == (1, 1, ["Hello."])


def test_claim_again_after_the_second_attempt(claims):
    put_claimed(claims)
    claims.release("r")
    second = claims.claim("r")
    assert (second.outcome, second.attempt) == ("won", 2)
    assert unchanged(claims, lambda: claims.claim("r", claims.tokens["r"])) == second


@pytest.mark.parametrize("outcome", ["unmatched", "foreign", "busy", "waiting", "ambiguous"])
def test_what_was_recorded_is_answered_again(claims, outcome):
    """It is looked at again, so its due_at may move; the answer and everything else stay."""
    if outcome != "unmatched":
        claims.put_row(
            "r", "processing" if outcome == "foreign" else "initiated", "" if outcome == "waiting" else "Hello."
        )
    if outcome == "ambiguous":
        claims.put_row("r")
    token = uuid.uuid4()
    with claims.session() as application:
        application.connection.autocommit = False
        if outcome == "busy":
            application.sql('SELECT 1 FROM "UserFeedback" FOR UPDATE')
        assert claims.claim("r", token).outcome == outcome
        first = claims.room("r")
        again = claims.claim("r", token)
        application.connection.rollback()
    assert again.outcome == ("parked" if outcome == "ambiguous" else outcome)
    second = claims.room("r")
    assert second._replace(due_at=None, tries=0) == first._replace(due_at=None, tries=0)
    assert (second.attempt, second.calls, claims.calls("r")) == (0, 0, [])


def test_store_again(claims):
    put_claimed(claims)
    assert claims.store("r").outcome == "stored"
    assert unchanged(claims, lambda: claims.store("r", result='{"other": 1}')).outcome == "stored"
    assert claims.analyses("r")[0].result == {"sentiment": "positive"}


def test_store_again_after_finish(claims):
    put_claimed(claims)
    claims.store("r")
    assert claims.finish("r").outcome == "completed"
    assert unchanged(claims, lambda: claims.store("r")).outcome == "stored"


def test_store_again_after_the_row_was_opened_again(claims):
    """The next run doesn't take the last one's result for its own."""
    put_claimed(claims)
    claims.store("r")
    claims.finish("r")
    token = claims.tokens["r"]
    claims.sql("""UPDATE "UserFeedback" SET status = 'processing'""")
    assert claims.claim("r").outcome == "foreign"
    assert claims.room("r").run == 2
    assert unchanged(claims, lambda: claims.store("r", token)).outcome == "stored"
    claims.set_status("r", "initiated")
    assert claims.claim("r").outcome == "won"
    assert unchanged(claims, lambda: claims.store("r", token)).outcome == "fenced"


def test_finish_again(claims):
    put_claimed(claims)
    claims.store("r")
    assert claims.finish("r").outcome == "completed"
    assert unchanged(claims, lambda: claims.finish("r")).outcome == "done"


@pytest.mark.parametrize("counted, verdict, attempt, calls", [
    (True, "unfit", 1, 1),
    (False, "rate_limited", 0, 1),
    (False, "not_sent", 0, 0),
])  # fmt: skip
def test_release_again(claims, counted, verdict, attempt, calls):
    put_claimed(claims)
    first = claims.release("r", counted=counted, verdict=verdict, delay_ms=60000)
    assert (first.outcome, first.attempt) == ("released", attempt)
    again = unchanged(claims, lambda: claims.release("r", counted=counted, verdict=verdict, delay_ms=60000))
    assert again == first
    room = claims.room("r")
    assert (room.attempt, room.calls, claims.status("r")) == (attempt, calls, "initiated")
    assert [call.outcome for call in claims.calls("r")] == [verdict]


def test_release_that_parks_again(claims):
    put_claimed(claims)
    first = claims.release("r", max_attempts=1)
    assert (first.outcome, first.reason) == ("parked", "exhausted")
    assert unchanged(claims, lambda: claims.release("r", max_attempts=1)) == first


def test_park_again(claims):
    put_claimed(claims)
    assert claims.park("r").outcome == "parked"
    assert unchanged(claims, lambda: claims.park("r")).outcome == "parked"
    room = claims.room("r")
    assert (room.state, room.reason, room.dlq_pending, claims.status("r")) == ("parked", "rejected", True, "initiated")


def test_park_again_when_the_letter_was_acknowledged(claims):
    put_claimed(claims)
    claims.park("r")
    assert claims.dlq_acked("r") == 1
    assert unchanged(claims, lambda: claims.park("r")).outcome == "parked"


def test_park_without_a_claim_again(claims):
    place = {"event_id": "EV_9", "topic": "t", "partition": 3, "offset": 99}
    assert claims.park("r", token=None, reason="poison", **place).outcome == "parked"
    room = claims.room("r")
    assert (room.state, room.reason, room.event_id, room.record_offset) == ("parked", "poison", "EV_9", 99)
    assert unchanged(claims, lambda: claims.park("r", token=None, reason="poison", **place)).outcome == "parked"
    assert claims.calls("r") == []


def test_dlq_acked_again(claims):
    put_claimed(claims)
    claims.park("r")
    assert claims.dlq_acked("r") == 1
    assert claims.room("r").due_at is None
    assert unchanged(claims, lambda: claims.dlq_acked("r")) == 0


# ---- a closed token ----


def close_by_release(claims):
    claims.release("r")


def close_by_park(claims):
    claims.park("r")


def close_by_store(claims):
    claims.store("r")


def close_by_finish(claims):
    claims.store("r")
    claims.finish("r")


def close_by_sweep(claims):
    claims.lease_over("r")
    claims.sweep(slots=0)


def close_by_reopening(claims):
    close_by_finish(claims)
    claims.set_status("r", "initiated")


def close_by_retry(claims):
    claims.park("r")
    assert claims.enqueue("r").outcome == "queued"


CLOSINGS = [
    close_by_release,
    close_by_park,
    close_by_store,
    close_by_finish,
    close_by_sweep,
    close_by_reopening,
    close_by_retry,
]


@pytest.mark.parametrize("close", CLOSINGS)
def test_a_closed_token_cant_win_again(claims, close):
    put_claimed(claims)
    close(claims)
    token = claims.tokens["r"]
    claims.due("r")
    assert unchanged(claims, lambda: claims.claim("r", token)).outcome != "won"


def test_a_closed_token_cant_win_after_anothers_claim(claims):
    put_claimed(claims)
    closed = steal(claims)
    assert unchanged(claims, lambda: claims.claim("r", closed)).outcome == "held"
    claims.release("r", token=claims.room("r").token)
    assert unchanged(claims, lambda: claims.claim("r", closed)).outcome == "waiting"


def test_a_token_whose_lease_is_over_but_not_closed_cant_win_again(claims):
    put_claimed(claims)
    claims.lease_over("r")
    assert unchanged(claims, lambda: claims.claim("r", claims.tokens["r"])).outcome == "held"


# ---- a stolen token ----


@pytest.mark.parametrize("verb", ["release", "park"])
def test_a_stolen_token_is_fenced(claims, verb):
    put_claimed(claims)
    stolen = steal(claims)
    assert unchanged(claims, lambda: getattr(claims, verb)("r", token=stolen)).outcome == "fenced"
    assert [call.outcome for call in claims.calls("r")] == ["lost", None]


@pytest.mark.parametrize("finished", [False, True])
def test_a_stolen_result_is_fenced_and_what_it_cost_is_on_record(claims, finished):
    put_claimed(claims)
    stolen = steal(claims)
    if finished:
        claims.store("r")
        claims.finish("r")
    before = claims.snapshot()
    assert [claims.store("r", token=stolen).outcome for _ in range(2)] == ["fenced", "fenced"]
    after = claims.snapshot()
    assert [table for table in after if after[table] != before[table]] == ["roomclaim.call"]
    line = claims.calls("r")[0]
    assert (line.outcome, line.prompt_tokens, line.cost_micros) == ("ok", 100, 7)


@pytest.mark.parametrize("verb", ["release", "park"])
def test_a_stolen_token_is_fenced_when_the_thief_has_finished(claims, verb):
    put_claimed(claims)
    stolen = steal(claims)
    claims.store("r")
    claims.finish("r")
    assert unchanged(claims, lambda: getattr(claims, verb)("r", token=stolen)).outcome == "fenced"
    assert claims.status("r") == "completed"


@pytest.mark.parametrize("verb", ["store", "release", "park"])
def test_a_token_of_nobody_is_fenced(claims, verb):
    put_claimed(claims)
    assert unchanged(claims, lambda: getattr(claims, verb)("r", token=uuid.uuid4())).outcome == "fenced"
    assert unchanged(claims, lambda: getattr(claims, verb)("never seen", token=uuid.uuid4())).outcome == "fenced"


@pytest.mark.parametrize("state", ["live", "over", "analysed"])
def test_park_without_a_claim_is_fenced_where_somebody_is_at_work(claims, state):
    claims.put_row("r", "processing")
    claims.put_room("r", state)
    assert unchanged(claims, lambda: claims.park("r", token=None)).outcome == "fenced"


def test_in_one_batch_only_the_stolen_are_fenced(claims):
    for sid in "abc":
        put_claimed(claims, sid)
    steal(claims, "b")
    mine = [claims.tokens["a"], uuid.uuid4(), claims.tokens["c"]]
    assert [answer.outcome for answer in claims.store(list("abc"), token=mine)] == ["stored", "fenced", "stored"]
    assert [claims.room(sid).state for sid in "abc"] == ["analysed", "processing", "analysed"]


# ---- late, but not stolen ----


@pytest.mark.shows("F05")
def test_a_late_store_is_good_work(claims):
    put_claimed(claims)
    claims.lease_over("r")
    assert claims.store("r").outcome == "stored"
    assert claims.finish("r").outcome == "completed"
    assert [call.outcome for call in claims.calls("r")] == ["ok"]


def test_a_late_store_replaces_what_was_taken_for_lost(claims):
    put_claimed(claims)
    close_by_sweep(claims)
    assert ([call.outcome for call in claims.calls("r")], claims.status("r")) == (["lost"], "initiated")
    assert claims.store("r", usage=(1, 2, 3, 4, 5)).outcome == "stored"
    (line,) = claims.calls("r")
    assert (line.outcome, line.model_answered) == ("ok", "gemini-answered")
    assert line[-5:] == (1, 2, 3, 4, 5)
    assert unchanged(claims, lambda: claims.store("r")).outcome == "stored"
    assert claims.finish("r").outcome == "completed"
    assert claims.status("r") == "completed"


def test_a_late_store_after_the_hand_out(claims):
    """Another worker was told of the room, but has not claimed it: the result comes first."""
    put_claimed(claims)
    close_by_sweep(claims)
    with claims.session() as other:
        assert [(line.kind, line.room) for line in other.sweep()] == [("due", "r")]
        assert claims.store("r").outcome == "stored"
        assert other.claim("r").outcome == "analysed"
    assert len(claims.calls("r")) == 1


def test_a_late_store_is_good_work_while_the_row_is_still_to_follow(claims):
    put_claimed(claims)
    with claims.row_locked("r"):
        close_by_sweep(claims)
        assert claims.room("r").row_pending == "initiated"
        assert claims.store("r").outcome == "stored"
    assert claims.finish("r").outcome == "completed"
    claims.sweep()
    assert (claims.status("r"), claims.room("r").row_pending) == ("completed", None)


def test_a_late_store_on_a_parked_room_is_fenced(claims):
    """What the call cost is in the ledger all the same."""
    put_claimed(claims, max_attempts=1)
    claims.lease_over("r")
    claims.sweep(max_attempts=1)
    assert claims.room("r").state == "parked"
    assert claims.store("r").outcome == "fenced"
    assert (claims.room("r").state, claims.analyses("r"), claims.status("r")) == ("parked", [], "initiated")
    assert [call.outcome for call in claims.calls("r")] == ["ok"]
    assert unchanged(claims, lambda: claims.store("r")).outcome == "fenced"


def test_a_late_release_changes_nothing(claims):
    """The sweep has released it already, and counted it; only a result replaces what was taken for lost."""
    put_claimed(claims)
    close_by_sweep(claims)
    assert unchanged(claims, lambda: claims.release("r", counted=False, verdict="not_sent")).outcome == "released"
    assert [call.outcome for call in claims.calls("r")] == ["lost"]


def test_a_late_park_is_fenced(claims):
    put_claimed(claims)
    close_by_sweep(claims)
    assert unchanged(claims, lambda: claims.park("r")).outcome == "fenced"
