"""Rows that are reset, made anew or moved to another sid while their room is being worked on: each is looked at again, none of
ours stays processing, and no result is shown in a row that it doesn't belong to.
"""

import contextlib

import pytest
from schema.claims import kinds


def won(claims, room="a", **settings):
    answer = claims.claim(room, **settings)
    assert answer.outcome == "won"
    return answer


def reanalysing(claims, status="completed", **settings):
    """A reanalysis whose call is under way."""
    claims.put_row("a", status)
    claims.put_room("a", "done")
    assert claims.enqueue("a", origin="reanalyse", priority=2).outcome == "queued"
    won(claims, **settings)


def analysed_as_any(claims, run):
    """The sweep hands the room out, and it is analysed as any other."""
    assert ("due", "a") in kinds(claims.sweep())
    answer = won(claims, origin="sweep")
    assert (answer.run, answer.attempt, answer.calls, claims.status("a")) == (run, 1, 1, "processing")
    assert [claims.store("a").outcome, claims.finish("a").outcome] == ["stored", "completed"]
    held = claims.room("a")
    assert (held.state, held.reanalysis, held.due_at, claims.status("a")) == ("done", False, None, "completed")
    assert [each.run for each in claims.analyses("a") if each.current] == [run]


# ---- a reset while a reanalysis is under way ----


def by_finish(claims):
    assert claims.store("a").outcome == "stored"
    assert claims.finish("a").outcome == "completed"
    assert claims.store("a", result='{"n": 2}').outcome == "stored"  # again: it is not the next run's
    assert claims.room("a").state != "analysed"


def by_swept_finish(claims):
    claims.store("a")
    claims.due("a")
    assert ("finished", "a") in kinds(claims.sweep(slots=0))


def by_release(claims):
    assert [claims.release("a", max_attempts=1).outcome for _ in range(2)] == ["released"] * 2


def by_park(claims):
    assert claims.park("a").outcome == "fenced"


def by_lease(claims):
    claims.lease_over("a")
    assert kinds(claims.sweep(slots=0, max_attempts=1)) == [("expired", "a")]


def by_claim(claims):
    claims.lease_over("a")
    assert claims.claim("a", max_attempts=1).outcome == "waiting"


ENDS = [by_finish, by_swept_finish, by_release, by_park, by_lease, by_claim]


@pytest.mark.parametrize("end", ENDS)
def test_a_row_that_was_reset_meanwhile_is_analysed_after_it(claims, end):
    reanalysing(claims)
    claims.set_status("a", "initiated")
    with claims.session() as other:
        other.tokens = {}
        assert other.claim("a").outcome == "held"  # its webhook; nobody else will tell of the reset
    end(claims)
    held = claims.room("a")
    assert (held.state, held.run, held.reanalysis, held.row_pending, held.dlq_pending) == (
        "waiting",
        3,
        False,
        None,
        False,
    )
    assert (claims.due_in("a"), claims.status("a")) == (0, "initiated")
    analysed_as_any(claims, run=3)


@pytest.mark.parametrize("end", [by_finish, by_release, by_park, by_lease])
def test_a_reset_that_is_not_committed_when_a_reanalysis_ends(claims, end):
    reanalysing(claims)
    with claims.row_locked("a") as application:
        application.execute("""UPDATE "UserFeedback" SET status = 'initiated'""")
        end(claims)
        application.commit()
    analysed_as_any(claims, run=3)


@pytest.mark.parametrize("end", ENDS[:-1])
@pytest.mark.parametrize("status", ["completed", "dropped"])
def test_a_row_at_its_end_leaves_the_room_done(claims, status, end):
    reanalysing(claims, status)
    end(claims)
    held = claims.room("a")
    assert (held.state, held.run, held.reanalysis, held.due_at) == ("done", 2, False, None)
    assert kinds(claims.sweep()) == []


def test_another_handlers_row_is_watched_after_a_reanalysis(claims):
    reanalysing(claims, "processing")
    by_finish(claims)
    assert (claims.room("a").reason, kinds(claims.sweep())) == ("foreign", [])
    claims.set_status("a", "initiated")
    claims.due("a")
    analysed_as_any(claims, run=3)


def test_a_late_result_of_a_reanalysis_counts_for_the_row_that_was_reset(claims):
    reanalysing(claims)
    claims.set_status("a", "initiated")
    by_lease(claims)
    assert [claims.store("a").outcome, claims.finish("a").outcome] == ["stored", "completed"]
    assert (claims.status("a"), claims.room("a").state, claims.tally("a")[1:]) == ("completed", "done", (0, 0))


def test_a_room_whose_claim_fails_after_a_reanalysis_is_parked(claims):
    reanalysing(claims)
    by_finish(claims)
    claims.set_status("a", "initiated")
    assert claims.park("a", token=None).outcome == "parked"
    held = claims.room("a")
    assert (held.state, held.reason, held.dlq_pending, held.run) == ("parked", "rejected", True, 3)


def test_a_reanalysis_whose_claim_fails_ends_as_done(claims):
    claims.put_row("a", "completed")
    claims.put_room("a", "done")
    claims.enqueue("a", origin="reanalyse", priority=2)
    assert claims.park("a", token=None).outcome == "fenced"
    held = claims.room("a")
    assert (held.state, held.reason, held.reanalysis, held.due_at) == ("done", "reanalysis_failed", False, None)


# ---- a row that is deleted, and made anew ----


def replace_row(claims, status="initiated"):
    claims.delete_row("a")
    claims.put_row("a", status, transcript="Another one.")


def test_a_result_is_not_shown_in_another_row(claims):
    claims.put_row("a")
    won(claims)
    replace_row(claims)
    assert claims.claim("a", token=claims.tokens["a"]).outcome == "held"  # its input is not this claim's
    assert [claims.store("a").outcome, claims.finish("a").outcome] == ["stored", "gone"]
    assert (claims.status("a"), claims.analyses("a"), claims.calls("a")[0].input_hash) == ("initiated", [], None)
    assert claims.store("a").outcome == "stored"
    analysed_as_any(claims, run=2)


@pytest.mark.parametrize(
    ("status", "after"),
    [("processing", ("waiting", "foreign", 2)), ("completed", ("done", "gone", 1)), ("dropped", ("done", "gone", 1))],
)
def test_another_row_that_is_not_ours_to_take(claims, status, after):
    claims.put_row("a")
    won(claims)
    replace_row(claims, status)
    claims.store("a")
    assert (claims.claim("a").outcome, claims.room("a").state) == ("gone", "analysed")
    claims.due("a")
    assert ("finished", "a") in kinds(claims.sweep(slots=0))
    held = claims.room("a")
    assert ((held.state, held.reason, held.run), claims.analyses("a"), claims.status("a")) == (after, [], status)


def test_a_reanalysis_of_a_row_that_is_made_anew(claims):
    reanalysing(claims)
    replace_row(claims)
    claims.store("a")
    assert (claims.finish("a").outcome, claims.analyses("a")) == ("gone", [])
    analysed_as_any(claims, run=3)


def test_the_analysis_of_the_run_before_a_dropped_one_is_current_again(claims):
    claims.put_row("a")
    claims.put_room("a", "done")
    won(claims)
    claims.store("a")
    claims.set_status("a", "dropped")
    assert claims.finish("a").outcome == "dropped"
    assert [(each.run, each.current) for each in claims.analyses("a")] == [(1, True)]


# ---- our row is under another sid, and another row under its own ----


def moved(claims, *others):
    """Our row of the room a is under the sid b now; rows of these statuses are under a. Its lease is over."""
    claims.put_row("a")
    won(claims)
    claims.sql("""UPDATE "UserFeedback" SET "roomSid" = 'b'""")
    for status in others:
        claims.put_row("a", status)


def stops_processing(claims):
    """A trigger of the application that silently keeps rows in processing."""
    claims.sql("""CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER keeps BEFORE UPDATE ON "UserFeedback" FOR EACH ROW WHEN (OLD.status = 'processing') EXECUTE FUNCTION keep()""")


@pytest.mark.parametrize("end", ["release", "park", "sweep"])
def test_it_goes_back_when_the_claim_ends(claims, end):
    moved(claims, "initiated")
    if end == "sweep":
        claims.lease_over("a")
        assert kinds(claims.sweep(slots=0)) == [("expired", "a")]
    else:
        getattr(claims, end)("a")
    assert (claims.status("b"), claims.status("a"), claims.room("a").row_pending) == ("initiated", "initiated", None)


@pytest.mark.parametrize(
    ("others", "outcome"),
    [
        (["initiated"], "won"),
        (["processing"], "foreign"),
        (["completed"], "done"),
        ([None], "foreign"),
        (["initiated", "initiated"], "ambiguous"),
    ],
)
@pytest.mark.parametrize("shape", ["over", "row pending"])
def test_it_goes_back_before_the_other_one_is_claimed(claims, others, outcome, shape):
    moved(claims, *others)
    if shape == "row pending":
        with claims.row_locked("b"):
            claims.release("a")
        assert claims.room("a").row_pending == "initiated"
    claims.lease_over("a") if shape == "over" else claims.due("a")
    before = claims.status("a")
    assert claims.claim("a").outcome == outcome
    assert claims.status("b") == "initiated"
    assert claims.status("a") == ("processing" if outcome == "won" else before)
    assert claims.room("a").row_pending is None


@pytest.mark.parametrize("others", [["initiated"], ["completed"], ["initiated", "initiated"]])
@pytest.mark.parametrize("shape", ["over", "row pending"])
def test_it_is_not_forgotten_while_it_is_locked(claims, others, shape):
    moved(claims, *others)
    with claims.row_locked("b"):
        if shape == "row pending":
            claims.release("a")
            claims.due("a")
        else:
            claims.lease_over("a")
        assert claims.claim("a").outcome == ("held" if shape == "over" else "busy")
        claims.due("a")
        claims.sweep(slots=0)
        assert (claims.room("a").row_pending, claims.status("b")) == ("initiated", "processing")
    claims.due("a")
    claims.sql("UPDATE roomclaim.room SET row_due_at = now()")
    assert ("followed", "a") in kinds(claims.sweep(slots=0))
    assert (claims.status("b"), claims.room("a").row_pending) == ("initiated", None)


def test_it_is_not_forgotten_when_its_room_turns_out_to_be_done(claims):
    moved(claims, "processing")
    with claims.row_locked("b"):
        claims.release("a")
        claims.sql("UPDATE roomclaim.room SET reason = 'foreign'")
        claims.set_status("a", "completed")
        claims.due("a")
        claims.sweep(slots=0)
        assert (claims.room("a").state, claims.room("a").row_pending) == ("done", "initiated")
    claims.due("a")
    claims.sweep(slots=0)
    assert (claims.status("b"), claims.room("a").row_pending, claims.room("a").due_at) == ("initiated", None, None)


@pytest.mark.parametrize("sid", ["a", "b"])
def test_a_row_that_a_trigger_keeps_is_not_taken_for_given_back(make_database, claims, sid):
    claims.put_row("a")
    won(claims)
    claims.sql("""UPDATE "UserFeedback" SET "roomSid" = %s""", sid)
    stops_processing(claims)
    with contextlib.ExitStack() as stack:
        stack.callback(claims.sql, "DROP FUNCTION IF EXISTS keep CASCADE")
        assert claims.release("a").outcome == "released"
        assert (claims.status(sid), claims.room("a").row_pending) == ("processing", "initiated")
    claims.due("a")
    assert ("followed", "a") in kinds(claims.sweep(slots=0))
    assert claims.status(sid) == "initiated"
