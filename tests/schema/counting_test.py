"""What counts: attempts, calls, waits, and what happens to a room whose row changes while it is worked on."""

import uuid

import pytest
from schema.claims import kinds

FAR = "25 hours"
STRANGER = uuid.UUID(int=1)


def won(claims, room="a", **options):
    claims.due(room)
    answer = claims.claim(room, **options)
    assert answer.outcome == "won", answer
    return answer


def counts(claims, room="a"):
    held = claims.room(room)
    return held.attempt, held.calls


def ended(claims, room="a"):
    held = claims.room(room)
    return held.state, held.reason, held.dlq_pending, claims.status(room)


def provider_answers(claims, room="other"):
    """Another room is analysed well, now."""
    claims.put_row(room)
    won(claims, room)
    assert claims.store(room).outcome == "stored"


# ---- attempts and calls ----


def test_each_claim_counts_an_attempt_and_a_call(claims):
    claims.put_row("a")
    answer = won(claims)
    assert (answer.run, answer.attempt, answer.calls) == (1, 1, 1)
    claims.release("a")
    answer = won(claims)
    assert (answer.run, answer.attempt, answer.calls) == (1, 2, 2)


@pytest.mark.parametrize(
    "counted, verdict, want",
    [(True, "unfit", (1, 1)), (False, "rate_limited", (0, 1)), (False, "not_sent", (0, 0))],
)
def test_release_keeps_or_takes_back(claims, counted, verdict, want):
    claims.put_row("a")
    won(claims)
    answers = [claims.release("a", counted=counted, verdict=verdict) for _ in range(2)]
    assert [(each.outcome, each.attempt) for each in answers] == [("released", want[0])] * 2
    assert counts(claims) == want
    assert [(line.outcome, line.ended_at is None) for line in claims.calls("a")] == [(verdict, False)]
    assert claims.status("a") == "initiated"


def test_release_waits_as_long_as_it_was_told(claims):
    claims.put_row("a")
    won(claims)
    claims.release("a", delay_ms=60000)
    assert claims.claim("a").outcome == "waiting"
    assert won(claims).attempt == 2


@pytest.mark.parametrize("on_exhausted", ["initiated", "dropped"])
def test_release_parks_when_the_attempts_are_used_up(claims, on_exhausted):
    policy = {"max_attempts": 2, "on_exhausted": on_exhausted}
    claims.put_row("a")
    won(claims)
    assert claims.release("a", **policy).outcome == "released"
    won(claims)
    assert [claims.release("a", **policy).outcome for _ in range(2)] == ["parked", "parked"]
    assert ended(claims) == ("parked", "exhausted", True, on_exhausted)
    assert claims.claim("a").outcome == "parked"


@pytest.mark.parametrize("on_exhausted", ["initiated", "dropped"])
def test_the_last_lease_that_ends_parks(claims, on_exhausted):
    policy = {"max_attempts": 2, "on_exhausted": on_exhausted}
    claims.put_row("a")
    won(claims)
    claims.lease_over("a")
    assert kinds(claims.sweep(slots=0, **policy)) == [("expired", "a")]
    assert (*ended(claims), counts(claims)) == ("waiting", "backoff", False, "initiated", (1, 1))
    won(claims)
    claims.lease_over("a")
    assert kinds(claims.sweep(**policy)) == [("dlq", "a"), ("parked", "a")]
    assert ended(claims) == ("parked", "exhausted", True, on_exhausted)
    assert claims.tally("a") == (2, 0, 2)


def test_a_claim_parks_what_is_used_up(claims):
    claims.put_row("a", "processing")
    claims.put_room("a", "used up")
    assert claims.claim("a").outcome == "parked"
    assert ended(claims) == ("parked", "exhausted", True, "initiated")
    assert claims.tally("a") == (1, 0, 1)


def test_what_is_not_counted_never_exhausts(claims):
    claims.put_row("a")
    for _ in range(4):
        won(claims)
        assert claims.release("a", counted=False, verdict="rate_limited", max_attempts=1).outcome == "released"
    assert counts(claims) == (0, 4)


# ---- the provider's fault, or the room's ----

USED_UP = {"max_calls": {"max_calls": 2}, "give_up_after": {"give_up_after_ms": 1000}}


@pytest.mark.parametrize("limit", USED_UP)
@pytest.mark.parametrize("well", ["since the previous call", "before it", "only this room"])
def test_calls_park_a_room_only_if_the_provider_answered_another(claims, limit, well):
    claims.put_row("a")
    if well == "before it":
        provider_answers(claims)
    won(claims)
    claims.release("a", counted=False, verdict="overloaded")
    if well == "since the previous call":
        provider_answers(claims)
    if well == "only this room":
        claims.sql("UPDATE roomclaim.call SET outcome = 'ok'")
    claims.aged("a", FAR)
    won(claims)
    answer = claims.release("a", counted=False, verdict="overloaded", **USED_UP[limit])
    if well == "since the previous call":
        assert (answer.outcome, *ended(claims)) == ("parked", "parked", "provider", True, "initiated")
    else:
        assert (answer.outcome, *ended(claims)) == ("released", "waiting", "backoff", False, "initiated")


def test_calls_below_the_limit_do_not_park(claims):
    claims.put_row("a")
    won(claims)
    claims.release("a", counted=False, verdict="overloaded")
    provider_answers(claims)
    won(claims)
    assert claims.release("a", counted=False, verdict="overloaded", max_calls=3).outcome == "released"


def test_a_call_that_was_not_sent_never_parks(claims):
    claims.put_row("a")
    won(claims)
    claims.release("a", counted=False, verdict="overloaded")
    provider_answers(claims)
    claims.aged("a", FAR)
    won(claims)
    assert claims.release("a", counted=False, verdict="not_sent", max_calls=1).outcome == "released"


def test_the_previous_call_is_one_of_this_run(claims):
    """A call of an older run says nothing about how long the provider has been well."""
    claims.put_row("a", "completed")
    claims.put_room("a", "done", run=1)
    provider_answers(claims)
    claims.set_status("a", "initiated")
    assert won(claims).run == 2
    assert claims.release("a", counted=False, verdict="overloaded", max_calls=1).outcome == "released"


# ---- input that is not ready ----


def test_input_is_waited_for_with_back_off_and_then_parked(claims):
    claims.put_row("a", transcript="")
    delays = []
    for _ in range(6):
        claims.due("a")
        assert claims.claim("a").outcome == "waiting"
        assert claims.claim("a").outcome == "waiting"  # before its time: no further look
        held = claims.room("a")
        assert (held.state, held.reason, held.attempt, held.calls) == ("waiting", "input", 0, 0)
        delays.append(claims.due_in("a"))
    assert delays == [5, 10, 20, 40, 60, 60]
    claims.aged("a", "11 minutes")
    claims.due("a")
    assert claims.claim("a").outcome == "parked"
    assert ended(claims) == ("parked", "empty", True, "initiated")
    assert claims.calls("a") == []


def test_input_that_comes_is_taken(claims):
    claims.put_row("a", transcript=None)
    assert claims.claim("a").outcome == "waiting"
    claims.sql('UPDATE "UserFeedback" SET transcript = %s', "words")
    claims.aged("a", "11 minutes")
    answer = won(claims)
    assert (answer.input, answer.attempt, answer.calls) == (["words"], 1, 1)


@pytest.mark.parametrize("shape", ["over", "row pending"])
def test_input_that_was_taken_away_is_waited_for_too(claims, shape):
    claims.put_row("a", "processing", transcript="")
    claims.put_room("a", shape)
    assert claims.claim("a").outcome == "waiting"
    held = claims.room("a")
    assert (held.state, held.reason, held.row_pending) == ("waiting", "input", None)
    assert (claims.status("a"), claims.tally("a")[1]) == ("initiated", 0)


# ---- rows that are missing, or another handler's ----


@pytest.mark.parametrize("status, reason", [(None, "unmatched"), ("processing", "foreign")])
@pytest.mark.parametrize("by", ["claim", "sweep"])
def test_back_off_of_what_is_not_ours(claims, status, reason, by):
    if status:
        claims.put_row("a", status)
    assert claims.claim("a").outcome == reason
    delays = [claims.due_in("a")]
    for _ in range(11):
        claims.due("a")
        if by == "claim":
            assert claims.claim("a").outcome == reason
        else:
            assert kinds(claims.sweep()) == []
        delays.append(claims.due_in("a"))
    assert delays == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    held = claims.room("a")
    assert (held.state, held.reason, held.attempt, held.calls) == ("waiting", reason, 0, 0)


def test_unmatched_expires_after_its_time(claims):
    claims.claim("a")
    claims.due("a")
    assert kinds(claims.sweep()) == []
    claims.aged("a", FAR)
    claims.due("a")
    assert kinds(claims.sweep()) == [("unmatched_expired", "a")]
    assert ended(claims) == ("expired", None, False, None)
    assert claims.claim("a").outcome == "done"
    claims.put_row("a")
    assert won(claims).attempt == 1


def test_unmatched_counts_from_when_it_became_so(claims):
    claims.put_row("a", "processing")
    claims.claim("a")
    claims.aged("a", FAR)
    claims.delete_row("a")
    claims.due("a")
    assert kinds(claims.sweep()) == []
    assert (claims.room("a").reason, claims.due_in("a")) == ("unmatched", 10)


def test_unmatched_ttl_zero_records_nothing(claims):
    before = claims.snapshot()
    assert claims.claim("a", unmatched_ttl_ms=0).outcome == "unmatched"
    assert claims.snapshot() == before


def test_a_row_that_comes_makes_its_room_due(claims):
    claims.claim("a")
    claims.put_row("a")
    claims.due("a")
    assert kinds(claims.sweep(slots=0)) == []
    assert kinds(claims.sweep()) == [("due", "a")]
    assert claims.claim("a", origin="sweep").origin == "webhook"


def test_a_webhook_that_comes_again_takes_what_was_unmatched(claims):
    claims.claim("a")
    claims.put_row("a")
    assert claims.claim("a").outcome == "won"


def test_foreign_is_never_adopted_by_default(claims):
    claims.put_row("a", "processing")
    claims.claim("a")
    claims.aged("a", "400 days")
    claims.due("a")
    assert kinds(claims.sweep()) == []
    assert claims.claim("a").outcome == "foreign"


@pytest.mark.parametrize("by", ["claim", "sweep"])
def test_foreign_is_adopted_after_its_time_only(claims, by):
    claims.put_row("a", "processing")
    assert claims.claim("a", adopt_after_ms=3600000).outcome == "foreign"
    claims.aged("a", "50 minutes")
    claims.due("a")
    assert kinds(claims.sweep(adopt_after_ms=3600000)) == []
    assert claims.claim("a", adopt_after_ms=3600000).outcome == "foreign"
    claims.aged("a", "20 minutes")
    if by == "sweep":
        claims.due("a")
        assert kinds(claims.sweep(adopt_after_ms=3600000)) == [("due", "a")]
    assert claims.claim("a", adopt_after_ms=3600000).outcome == "won"
    assert claims.room("a").feedback_id == claims.row("a").id


def test_foreign_ends_with_its_row(claims):
    claims.put_row("a", "processing")
    claims.claim("a")
    claims.set_status("a", "completed")
    claims.due("a")
    claims.sweep()
    assert ended(claims) == ("done", None, False, "completed")


# ---- two rows ----


def test_two_rows_are_ambiguous_and_parked(claims):
    claims.put_row("a")
    claims.put_row("a")
    assert claims.claim("a").outcome == "ambiguous"
    assert ended(claims) == ("parked", "ambiguous", True, ["initiated", "initiated"])
    assert claims.claim("a").outcome == "parked"
    assert claims.calls("a") == []


def test_two_rows_of_a_room_that_waited_unmatched(claims):
    claims.claim("a")
    claims.put_row("a")
    claims.put_row("a", "completed")
    claims.due("a")
    assert kinds(claims.sweep()) == [("due", "a")]
    assert claims.claim("a", origin="sweep").outcome == "ambiguous"


def test_of_two_rows_the_one_that_was_seen_is_meant(claims):
    known = claims.put_row("a")
    won(claims)
    claims.put_row("a")
    claims.store("a")
    assert claims.finish("a").outcome == "completed"
    assert [row.status for row in claims.rows("a") if row.id == known] == ["completed"]
    assert sorted(claims.status("a")) == ["completed", "initiated"]


# ---- rows that change while a call is under way ----


@pytest.mark.shows("F79")
def test_row_deleted_in_flight(claims):
    claims.put_row("a")
    won(claims)
    mine = claims.tokens["a"]
    claims.delete_row("a")
    assert claims.claim("a", token=STRANGER).outcome == "held"
    assert claims.store("a", token=mine).outcome == "stored"
    assert claims.finish("a").outcome == "gone"
    assert claims.finish("a").outcome == "done"
    assert (ended(claims), claims.analyses("a")) == (("done", "gone", False, None), [])
    (line,) = claims.calls("a")
    assert (line.input_hash, line.outcome, line.cost_micros) == (None, "ok", 7)


def test_a_deleted_row_takes_all_its_analyses_with_it(claims):
    claims.put_row("a", "completed")
    claims.put_room("a", "done")
    claims.set_status("a", "initiated")
    won(claims)
    claims.delete_row("a")
    claims.store("a")
    assert claims.finish("a").outcome == "gone"
    assert claims.analyses("a") == []
    assert [line.input_hash for line in claims.calls("a")] == [None, None]


@pytest.mark.parametrize("status", ["dropped", None])
def test_row_dropped_in_flight(claims, status):
    claims.put_row("a")
    won(claims)
    claims.set_status("a", status)
    claims.store("a")
    assert claims.finish("a").outcome == "dropped"
    assert (ended(claims), claims.analyses("a")) == (("done", "dropped", False, status), [])
    (line,) = claims.calls("a")
    assert (line.outcome, line.cost_micros, line.input_hash is None) == ("ok", 7, False)


def test_row_reset_in_flight_still_has_one_result(claims):
    claims.put_row("a")
    won(claims)
    mine = claims.tokens["a"]
    claims.set_status("a", "initiated")
    assert claims.claim("a", token=STRANGER, worker="w2").outcome == "held"
    claims.store("a", token=mine)
    assert claims.finish("a").outcome == "completed"
    assert (claims.status("a"), len(claims.calls("a")), len(claims.analyses("a"))) == ("completed", 1, 1)


@pytest.mark.parametrize("ends", ["finish", "release", "park", "lease"])
def test_sid_changed_in_flight(claims, ends):
    """The row is found by its key and goes back, so that its new room can have it."""
    known = claims.put_row("a")
    won(claims)
    claims.sql('UPDATE "UserFeedback" SET "roomSid" = %s', "b")
    if ends == "finish":
        claims.store("a")
        assert claims.finish("a").outcome == "gone"
        assert claims.analyses("a") == []
    elif ends == "release":
        assert claims.release("a").outcome == "released"
    elif ends == "park":
        assert claims.park("a").outcome == "parked"
    else:
        claims.lease_over("a")
        assert kinds(claims.sweep(slots=0)) == [("expired", "a")]
    assert claims.status("b") == "initiated"
    assert claims.room("a").row_pending is None
    answer = won(claims, "b")
    assert answer.feedback_id == known


def test_a_row_whose_room_changed_while_it_is_locked_goes_back_later(claims):
    claims.put_row("a")
    won(claims)
    claims.sql('UPDATE "UserFeedback" SET "roomSid" = %s', "b")
    claims.store("a")
    with claims.row_locked("b"):
        claims.finish("a")
        assert claims.status("b") == "processing"
    claims.due("a")
    claims.sweep()
    assert claims.status("b") == "initiated"
    assert claims.room("a").due_at is None


# ---- new runs ----


def test_reopened_row_is_a_new_run_and_keeps_the_old_analysis(claims):
    claims.put_row("a")
    won(claims)
    claims.store("a")
    claims.finish("a")
    claims.set_status("a", "initiated")
    answer = won(claims)
    assert (answer.run, answer.attempt, answer.calls) == (2, 1, 1)
    assert [(each.run, each.current) for each in claims.analyses("a")] == [(1, True)]
    claims.store("a")
    assert claims.finish("a").outcome == "completed"
    assert [(each.run, each.current) for each in claims.analyses("a")] == [(1, False), (2, True)]


def reanalysing(claims, status="completed"):
    claims.put_row("a", status)
    claims.put_room("a", "done")
    assert claims.enqueue("a", origin="reanalyse", priority=2).outcome == "queued"


def row_version(claims):
    return claims.sql('SELECT xmin::text, status::text FROM "UserFeedback"')


@pytest.mark.parametrize("status, after", [("completed", "done"), ("processing", "waiting"), ("initiated", "waiting")])
def test_reanalysis_never_touches_the_row(claims, status, after):
    reanalysing(claims, status)
    before = row_version(claims)
    assert kinds(claims.sweep()) == [("due", "a")]
    answer = claims.claim("a", origin="sweep")
    assert (answer.outcome, answer.run, answer.origin) == ("won", 2, "reanalyse")
    assert claims.room("a").priority == 2
    assert [(each.run, each.current) for each in claims.analyses("a")] == [(1, True)]
    assert claims.store("a", result='{"n": 2}').outcome == "stored"
    assert [(each.run, each.current) for each in claims.analyses("a")] == [(1, False), (2, True)]
    assert claims.finish("a").outcome == "completed"
    assert (claims.room("a").state, row_version(claims)) == (after, before)


@pytest.mark.parametrize("failure", ["release", "lease and sweep", "lease and claim", "park", "emptied", "deleted"])
def test_reanalysis_that_fails_ends_as_done_with_the_old_analysis(claims, failure):
    reanalysing(claims)
    if failure == "emptied":
        claims.sql('UPDATE "UserFeedback" SET transcript = NULL')
    if failure == "deleted":
        claims.delete_row("a")
    before = row_version(claims)
    answer = claims.claim("a", max_attempts=1)
    assert answer.outcome == ("done" if failure in ("emptied", "deleted") else "won")
    if failure == "release":
        claims.release("a", max_attempts=1)
    elif failure == "park":
        claims.park("a")
    elif failure.startswith("lease"):
        claims.lease_over("a")
        if failure == "lease and sweep":
            assert kinds(claims.sweep(max_attempts=1)) == [("expired", "a")]
        else:
            assert claims.claim("a", max_attempts=1).outcome == "done"
    held = claims.room("a")
    assert (held.state, held.dlq_pending, held.row_pending, held.due_at) == ("done", False, None, None)
    assert [(each.run, each.current) for each in claims.analyses("a")] == [(1, True)]
    assert (row_version(claims), claims.tally("a")[1]) == (before, 0)


def test_reanalysis_of_a_row_deleted_in_flight_leaves_no_analysis(claims):
    reanalysing(claims)
    won(claims)
    claims.delete_row("a")
    claims.store("a")
    assert claims.finish("a").outcome == "gone"
    assert (claims.analyses("a"), claims.room("a").state) == ([], "done")


def test_a_repeated_store_of_the_old_run_changes_nothing(claims):
    claims.put_row("a")
    won(claims)
    claims.store("a")
    claims.finish("a")
    claims.enqueue("a", origin="reanalyse", priority=2)
    before = claims.snapshot()
    assert claims.store("a", result='{"n": 2}').outcome == "stored"
    assert claims.snapshot() == before


def test_a_late_result_of_a_parked_run_counts_once_it_is_retried(claims):
    claims.put_row("a")
    won(claims)
    claims.lease_over("a")
    claims.sweep(max_attempts=1)
    assert claims.store("a").outcome == "fenced"
    claims.enqueue("a")
    assert claims.store("a").outcome == "stored"
    assert claims.finish("a").outcome == "completed"


def test_retry_starts_a_new_run_with_attempts_of_its_own(claims):
    claims.put_row("a")
    won(claims)
    claims.release("a", max_attempts=1)
    assert claims.enqueue("a").outcome == "queued"
    answer = won(claims, origin="sweep")
    assert (answer.run, answer.attempt, answer.calls, answer.origin) == (2, 1, 1, "retry")
    assert claims.room("a").priority == 1
    assert claims.room("a").dlq_pending is False


@pytest.mark.parametrize("ends", ["release", "finish", "lease"])
def test_of_two_rows_one_is_locked(claims, ends):
    """Whichever it is: nobody waits for it."""
    known = claims.put_row("a")
    won(claims)
    claims.put_row("a")
    with claims.session("holder") as holder, holder.connection.transaction():
        holder.sql('SELECT 1 FROM "UserFeedback" WHERE id = %s FOR UPDATE', known)
        claims.sql("SET statement_timeout = '2s'")
        if ends == "release":
            assert claims.release("a").outcome == "released"
        elif ends == "finish":
            claims.store("a")
            assert claims.finish("a").outcome == "busy"
        else:
            claims.lease_over("a")
            assert kinds(claims.sweep(slots=0)) == [("expired", "a")]
        claims.sql("RESET statement_timeout")
    assert sorted(claims.status("a")) == ["initiated", "processing"]


@pytest.mark.parametrize("origin, priority", [("webhook", 0), ("redrive", 1), ("reconcile", 1)])
def test_what_is_not_a_webhook_stands_behind_webhooks(claims, origin, priority):
    claims.put_row("a", status="processing")
    assert claims.claim("a", origin=origin).outcome == "foreign"
    assert claims.room("a").priority == priority


def test_the_claim_says_why_it_parked_a_room(claims):
    claims.put_row("a")
    won(claims)
    claims.lease_over("a")
    answer = claims.claim("a", max_attempts=1)
    assert (answer.outcome, answer.reason) == ("parked", "exhausted")
    assert claims.claim("a").reason is None


def test_another_reason_has_a_back_off_of_its_own(claims):
    claims.put_row("a", transcript="")
    for _ in range(6):
        assert claims.claim("a").outcome == "waiting"
        claims.due("a")
    claims.sql('UPDATE "UserFeedback" SET status = \'processing\' WHERE "roomSid" = %s', "a")
    claims.due("a")
    assert claims.claim("a").outcome == "foreign"
    assert claims.due_in("a") < 12
