"""The table of the application's row and our room: what claim answers in each cell, and what it leaves behind; and what finish
says of each row. One case a cell.
"""

import contextlib
import re

import pytest
from schema.claims import SHAPES, Claims

# Room before, claim's answer, room after (state reason run/attempt), the row's status after, and the ledger after: lines, of
# these open, of these lost.
TABLE = {
    "missing": """
        none         unmatched   waiting unmatched 1/0     -            0 0 0
        due          unmatched   waiting unmatched 1/1     -            1 0 0
        not due      unmatched   waiting unmatched 1/1     -            1 0 0
        unmatched    unmatched   waiting unmatched 1/0     -            0 0 0
        foreign      unmatched   waiting unmatched 1/0     -            0 0 0
        busy         unmatched   waiting unmatched 1/0     -            0 0 0
        row pending  unmatched   waiting unmatched 1/1     -            1 0 0
        own          held        processing - 1/1          -            1 1 0
        other        held        processing - 1/1          -            1 1 0
        over         gone        done gone 1/1             -            1 0 1
        used up      gone        done gone 1/5             -            1 0 1
        analysed     gone        analysed - 1/1            -            1 0 0
        done         done        done - 1/1                -            1 0 0
        parked       parked      parked exhausted 1/5      -            1 0 0
        expired      done        expired - 1/0             -            0 0 0
    """,
    "initiated": """
        none         won         processing - 1/1          processing   1 1 0
        due          won         processing - 1/2          processing   2 1 0
        not due      waiting     waiting backoff 1/1       initiated    1 0 0
        unmatched    won         processing - 1/1          processing   1 1 0
        foreign      won         processing - 1/1          processing   1 1 0
        busy         won         processing - 1/1          processing   1 1 0
        row pending  won         processing - 1/2          processing   2 1 0
        own          won         processing - 1/1          initiated    1 1 0
        other        held        processing - 1/1          initiated    1 1 0
        over         won         processing - 1/2          processing   2 1 1
        used up      parked      parked exhausted 1/5      initiated    1 0 1
        analysed     analysed    analysed - 1/1            initiated    1 0 0
        done         won         processing - 2/1          processing   2 1 0
        parked       parked      parked exhausted 1/5      initiated    1 0 0
        expired      won         processing - 1/1          processing   1 1 0
    """,
    "not ready": """
        none         waiting     waiting input 1/0         initiated    0 0 0
        due          waiting     waiting input 1/1         initiated    1 0 0
        not due      waiting     waiting backoff 1/1       initiated    1 0 0
        unmatched    waiting     waiting input 1/0         initiated    0 0 0
        foreign      waiting     waiting input 1/0         initiated    0 0 0
        busy         waiting     waiting input 1/0         initiated    0 0 0
        row pending  waiting     waiting input 1/1         initiated    1 0 0
        own          won         processing - 1/1          initiated    1 1 0
        other        held        processing - 1/1          initiated    1 1 0
        over         waiting     waiting input 1/1         initiated    1 0 1
        used up      parked      parked exhausted 1/5      initiated    1 0 1
        analysed     analysed    analysed - 1/1            initiated    1 0 0
        done         waiting     waiting input 2/0         initiated    1 0 0
        parked       parked      parked exhausted 1/5      initiated    1 0 0
        expired      waiting     waiting input 2/0         initiated    0 0 0
    """,
    # A lease that is over is left to the sweep when the row is locked: its due_at is past.
    "locked": """
        none         busy        waiting busy 1/0          initiated    0 0 0
        due          busy        waiting busy 1/1          initiated    1 0 0
        not due      waiting     waiting backoff 1/1       initiated    1 0 0
        unmatched    busy        waiting busy 1/0          initiated    0 0 0
        foreign      busy        waiting busy 1/0          initiated    0 0 0
        busy         busy        waiting busy 1/0          initiated    0 0 0
        row pending  busy        waiting busy 1/1          initiated    1 0 0
        own          won         processing - 1/1          initiated    1 1 0
        other        held        processing - 1/1          initiated    1 1 0
        over         held        processing - 1/1          initiated    1 1 0
        used up      held        processing - 1/5          initiated    1 1 0
        analysed     analysed    analysed - 1/1            initiated    1 0 0
        done         busy        waiting busy 2/0          initiated    1 0 0
        parked       parked      parked exhausted 1/5      initiated    1 0 0
        expired      busy        waiting busy 2/0          initiated    0 0 0
    """,
    "processing": """
        none         foreign     waiting foreign 1/0       processing   0 0 0
        due          foreign     waiting foreign 1/1       processing   1 0 0
        not due      foreign     waiting foreign 1/1       processing   1 0 0
        unmatched    foreign     waiting foreign 1/0       processing   0 0 0
        foreign      foreign     waiting foreign 1/0       processing   0 0 0
        busy         foreign     waiting foreign 1/0       processing   0 0 0
        row pending  won         processing - 1/2          processing   2 1 0
        own          won         processing - 1/1          processing   1 1 0
        other        held        processing - 1/1          processing   1 1 0
        over         won         processing - 1/2          processing   2 1 1
        used up      parked      parked exhausted 1/5      initiated    1 0 1
        analysed     analysed    analysed - 1/1            processing   1 0 0
        done         foreign     waiting foreign 2/0       processing   1 0 0
        parked       parked      parked exhausted 1/5      processing   1 0 0
        expired      foreign     waiting foreign 2/0       processing   0 0 0
    """,
    "processing not ready": """
        row pending  waiting     waiting input 1/1         initiated    1 0 0
        own          won         processing - 1/1          processing   1 1 0
        over         waiting     waiting input 1/1         initiated    1 0 1
        used up      parked      parked exhausted 1/5      initiated    1 0 1
    """,
    "processing locked": """
        row pending  busy        waiting busy 1/1          processing   1 0 0
        own          won         processing - 1/1          processing   1 1 0
        over         held        processing - 1/1          processing   1 1 0
        used up      held        processing - 1/5          processing   1 1 0
    """,
    "completed": """
        none         done        -                         completed    0 0 0
        due          done        done - 1/1                completed    1 0 0
        not due      done        done - 1/1                completed    1 0 0
        unmatched    done        done - 1/0                completed    0 0 0
        foreign      done        done - 1/0                completed    0 0 0
        busy         done        done - 1/0                completed    0 0 0
        row pending  done        done - 1/1                completed    1 0 0
        own          held        processing - 1/1          completed    1 1 0
        other        held        processing - 1/1          completed    1 1 0
        over         done        done - 1/1                completed    1 0 1
        used up      done        done - 1/5                completed    1 0 1
        analysed     done        done - 1/1                completed    1 0 0
        done         done        done - 1/1                completed    1 0 0
        parked       done        parked exhausted 1/5      completed    1 0 0
        expired      done        expired - 1/0             completed    0 0 0
    """,
    # An analysed room is answered so that the caller finishes it, and finish deletes the analysis.
    "dropped": """
        none         done        -                         dropped      0 0 0
        due          done        done - 1/1                dropped      1 0 0
        not due      done        done - 1/1                dropped      1 0 0
        unmatched    done        done - 1/0                dropped      0 0 0
        foreign      done        done - 1/0                dropped      0 0 0
        busy         done        done - 1/0                dropped      0 0 0
        row pending  done        done - 1/1                dropped      1 0 0
        own          held        processing - 1/1          dropped      1 1 0
        other        held        processing - 1/1          dropped      1 1 0
        over         done        done - 1/1                dropped      1 0 1
        used up      done        done - 1/5                dropped      1 0 1
        analysed     analysed    analysed - 1/1            dropped      1 0 0
        done         done        done - 1/1                dropped      1 0 0
        parked       parked      parked exhausted 1/5      dropped      1 0 0
        expired      done        expired - 1/0             dropped      0 0 0
    """,
    "NULL": """
        none         foreign     waiting foreign 1/0       -            0 0 0
        due          foreign     waiting foreign 1/1       -            1 0 0
        not due      foreign     waiting foreign 1/1       -            1 0 0
        unmatched    foreign     waiting foreign 1/0       -            0 0 0
        foreign      foreign     waiting foreign 1/0       -            0 0 0
        busy         foreign     waiting foreign 1/0       -            0 0 0
        row pending  foreign     waiting foreign 1/1       -            1 0 0
        own          held        processing - 1/1          -            1 1 0
        other        held        processing - 1/1          -            1 1 0
        over         foreign     waiting foreign 1/1       -            1 0 1
        used up      foreign     waiting foreign 1/5       -            1 0 1
        analysed     analysed    analysed - 1/1            -            1 0 0
        done         foreign     waiting foreign 2/0       -            1 0 0
        parked       parked      parked exhausted 1/5      -            1 0 0
        expired      foreign     waiting foreign 2/0       -            0 0 0
    """,
    # The row whose key the room knows is meant, if it knows one; its status is shown.
    "two": """
        none         ambiguous   parked ambiguous 1/0      initiated    0 0 0
        due          won         processing - 1/2          processing   2 1 0
        not due      waiting     waiting backoff 1/1       initiated    1 0 0
        unmatched    ambiguous   parked ambiguous 1/0      initiated    0 0 0
        foreign      won         processing - 1/1          processing   1 1 0
        busy         won         processing - 1/1          processing   1 1 0
        row pending  won         processing - 1/2          processing   2 1 0
        own          won         processing - 1/1          initiated    1 1 0
        other        held        processing - 1/1          initiated    1 1 0
        over         won         processing - 1/2          processing   2 1 1
        used up      parked      parked exhausted 1/5      initiated    1 0 1
        analysed     analysed    analysed - 1/1            initiated    1 0 0
        done         won         processing - 2/1          processing   2 1 0
        parked       parked      parked exhausted 1/5      initiated    1 0 0
        expired      ambiguous   parked ambiguous 1/0      initiated    0 0 0
    """,
    # Also when one of the two is at its end, or is not ready: which of them is meant is not known.
    "two, one completed": """
        none         ambiguous   parked ambiguous 1/0      completed    0 0 0
        unmatched    ambiguous   parked ambiguous 1/0      completed    0 0 0
        expired      ambiguous   parked ambiguous 1/0      completed    0 0 0
    """,
    # The room knows a third row, which is gone.
    "two strangers": """
        due          ambiguous   parked ambiguous 1/1      initiated    1 0 0
        over         ambiguous   parked ambiguous 1/1      initiated    1 0 1
        analysed     gone        analysed - 1/1            initiated    1 0 0
    """,
    # The row that the room knows is gone, and there is another one.
    "another": """
        due          won         processing - 1/2          processing   2 1 0
        row pending  won         processing - 1/2          processing   2 1 0
        own          held        processing - 1/1          initiated    1 1 0
        other        held        processing - 1/1          initiated    1 1 0
        over         won         processing - 1/2          processing   2 1 1
        used up      parked      parked exhausted 1/5      initiated    1 0 1
        analysed     gone        analysed - 1/1            initiated    1 0 0
        done         won         processing - 2/1          processing   2 1 0
    """,
    "another processing": """
        due          foreign     waiting foreign 1/1       processing   1 0 0
        row pending  foreign     waiting foreign 1/1       processing   1 0 0
        own          held        processing - 1/1          processing   1 1 0
        over         foreign     waiting foreign 1/1       processing   1 0 1
        used up      foreign     waiting foreign 1/5       processing   1 0 1
        analysed     gone        analysed - 1/1            processing   1 0 0
        done         foreign     waiting foreign 2/0       processing   1 0 0
    """,
    "another completed": """
        due          done        done - 1/1                completed    1 0 0
        over         done        done - 1/1                completed    1 0 1
        analysed     gone        analysed - 1/1            completed    1 0 0
        done         done        done - 1/1                completed    1 0 0
    """,
}
STATES = ("none", "due", "not due", "unmatched", "foreign", "busy", "row pending", "own", "other", "over", "used up",
          "analysed", "done", "parked", "expired")  # fmt: skip
WHOLE = ("missing", "initiated", "not ready", "locked", "processing", "completed", "dropped", "NULL", "two")
CELLS = [
    (row, *re.split(r"\s{2,}", line.strip())) for row, lines in TABLE.items() for line in lines.strip().splitlines()
]


def test_every_cell_has_an_outcome():
    for row in WHOLE:
        assert [state for cell_row, state, *_ in CELLS if cell_row == row] == list(STATES)
    assert {"own", "other", "none", *SHAPES} - {"live", "input", "replay", "retry"} == set(STATES)


def put_rows(claims, sid, row):
    """The application's rows; the first one's key is returned."""
    status = {"NULL": None, "two, one completed": "completed"}.get(row, row.removeprefix("another ").split()[0])
    if status == "missing":
        return None
    if status not in ("processing", "completed", "dropped", None):
        status = "initiated"
    first = claims.put_row(sid, status, transcript=None if "not ready" in row else "Hello.")
    if "two" in row:
        claims.put_row(sid)
    return first


def put_cell(claims, sid, row, state):
    """Returns the first row's key and the token to claim with."""
    first = put_rows(claims, sid, row)
    if state == "none":
        return first, None
    shape = "live" if state in ("own", "other") else state
    unknown = row == "two strangers" or row.startswith("another")
    known = first if SHAPES[shape].get("feedback") and not unknown else None
    if known is None and SHAPES[shape].get("feedback"):
        known = "00000000-0000-4000-8000-000000000000"
    token = claims.put_room(sid, shape, known)
    return first, token if state == "own" else None


def seen(claims, sid, first, outcome):
    room = claims.room(sid)
    after = f"{room.state} {room.reason or '-'} {room.run}/{room.attempt}" if room else "-"
    status = next((row.status for row in claims.rows(sid) if row.id == first), None) or "-"
    return outcome, after, status, " ".join(map(str, claims.tally(sid)))


def sound(claims, sid, answer):
    """What holds in every cell."""
    room = claims.room(sid)
    if answer.outcome == "won":
        assert answer.input in (["Hello."], [None])
        assert (answer.attempt, answer.run) == (room.attempt, room.run)
        assert answer.feedback_id == room.feedback_id
        assert claims.calls(sid)[-1].token == room.token
        assert room.row_pending is None
        assert room.worker == "w1"
    if room and room.state == "parked" and room.reason == "ambiguous":
        assert room.dlq_pending
    if room and room.state in ("waiting", "processing", "analysed"):
        assert room.due_at


@pytest.mark.parametrize("row, state, outcome, after, status, ledger", CELLS, ids=[f"{c[0]}-{c[1]}" for c in CELLS])
def test_cell(claims, row, state, outcome, after, status, ledger):
    first, token = put_cell(claims, "r", row, state)
    with claims.row_locked("r") if "locked" in row else contextlib.nullcontext():
        answer = claims.claim("r", token) if token else claims.claim("r")
    assert seen(claims, "r", first, answer.outcome) == (outcome, after, status, ledger)
    sound(claims, "r", answer)


def check_all_cells(claims, but=()):
    """All cells in one batch; but: cells whose room may be another than the table says."""
    made = {}
    for n, (row, state, *_) in enumerate(CELLS):
        sid = f"r{n * 7919 % 1000:03}"  # in another order than the cells
        made[sid] = put_cell(claims, sid, row, state)
    fresh = claims.sql("SELECT gen_random_uuid() AS token FROM generate_series(1, %s)", len(made))
    tokens = [token or fresh[n].token for n, (_, token) in enumerate(made.values())]
    with contextlib.ExitStack() as stack:
        for sid, cell in zip(made, CELLS, strict=True):
            if "locked" in cell[0]:
                stack.enter_context(claims.row_locked(sid))
        answers = claims.claim(list(made), tokens)
    for (sid, (first, _)), (row, state, *expected), answer in zip(made.items(), CELLS, answers, strict=True):
        found = seen(claims, sid, first, answer.outcome)
        if (row, state) in but:
            assert (found[0], found[2]) == (expected[0], expected[2]), (row, state)
        else:
            assert found == tuple(expected), (row, state)
        sound(claims, sid, answer)


def test_all_cells_in_one_batch(claims):
    """One call answers each as it would have been answered alone."""
    check_all_cells(claims)


def test_all_cells_without_the_glance(make_database):
    """What is answered without a lock would be answered under it too: another may have changed the room in between."""
    with Claims(make_database()) as claims:
        claims.sql("""CREATE OR REPLACE FUNCTION roomclaim.claim_glance(rooms text[], tokens uuid[], policy jsonb)
            RETURNS text[] LANGUAGE sql AS $$ SELECT array_fill(NULL::text, ARRAY[cardinality(rooms)]) $$""")
        check_all_cells(claims, but=[("completed", "none"), ("dropped", "none")])


def test_the_row_is_released_by_its_key_when_the_sid_has_changed(claims):
    claims.put_row("r", "processing")
    claims.put_room("r", "over")
    claims.sql("""UPDATE "UserFeedback" SET "roomSid" = 'moved'""")
    assert claims.claim("r").outcome == "gone"
    assert (claims.room("r").state, claims.status("moved")) == ("done", "initiated")


def test_the_row_of_a_changed_sid_follows_later_when_it_is_locked(claims):
    claims.put_row("r", "processing")
    claims.put_room("r", "over")
    claims.sql("""UPDATE "UserFeedback" SET "roomSid" = 'moved'""")
    with claims.row_locked("moved"):
        assert claims.claim("r").outcome == "gone"
        assert (claims.room("r").row_pending, claims.status("moved")) == ("initiated", "processing")
    claims.due("r")
    claims.sweep()
    assert (claims.room("r").row_pending, claims.status("moved")) == (None, "initiated")


@pytest.mark.parametrize("other_status", ["initiated", "completed"])
def test_of_two_rows_the_other_one_may_be_locked_or_at_its_end(claims, other_status):
    """The known row is the one that is held: nothing waits for it."""
    known = claims.put_row("r")
    claims.put_row("r", other_status)
    claims.put_room("r", "due", known)
    claims.sql("SET statement_timeout = '3s'")
    with claims.session() as application:
        application.connection.autocommit = False
        application.sql('SELECT 1 FROM "UserFeedback" WHERE id::text = %s FOR UPDATE', known)
        assert claims.claim("r").outcome == "busy"
        application.connection.rollback()
    assert claims.claim("r").outcome == "won"
    assert {row.id: row.status for row in claims.rows("r")}.pop(known) == "processing"


def test_a_new_run_keeps_the_old_analysis(claims):
    claims.put_row("r")
    claims.put_room("r", "done")
    assert claims.claim("r").run == 2
    assert [(a.run, a.current) for a in claims.analyses("r")] == [(1, True)]
    claims.store("r")
    assert [(a.run, a.current) for a in claims.analyses("r")] == [(1, False), (2, True)]


def test_input_that_never_comes(claims):
    claims.put_row("r", transcript="")
    claims.put_room("r", "input")
    claims.aged("r", "9 minutes")
    assert claims.claim("r").outcome == "waiting"
    claims.due("r")
    claims.aged("r", "2 minutes")
    assert claims.claim("r").outcome == "parked"
    room = claims.room("r")
    assert (room.state, room.reason, room.dlq_pending, claims.status("r")) == ("parked", "empty", True, "initiated")
    assert claims.calls("r") == []


@pytest.mark.parametrize("adopt_after_ms, outcome", [(None, "foreign"), (7200000, "foreign"), (3600000, "won")])
def test_another_handlers_row_is_adopted_only_when_that_is_wanted(claims, adopt_after_ms, outcome):
    claims.put_row("r", "processing")
    claims.put_room("r", "foreign")
    claims.aged("r", "61 minutes")
    claims.due("r")
    assert claims.claim("r", adopt_after_ms=adopt_after_ms).outcome == outcome


def test_rooms_without_a_row_leave_nothing_when_they_are_not_to_be_kept(claims):
    assert claims.claim("r", unmatched_ttl_ms=0).outcome == "unmatched"
    assert claims.room("r") is None


def test_exhausted_rows_may_be_dropped(claims):
    claims.put_row("r", "processing")
    claims.put_room("r", "used up")
    assert claims.claim("r", on_exhausted="dropped").outcome == "parked"
    assert (claims.room("r").state, claims.status("r"), claims.room("r").row_pending) == ("parked", "dropped", None)


@pytest.mark.parametrize("fails", [False, True])
def test_a_reanalysis_goes_by_the_room_alone(claims, fails):
    """The row stays completed, the old analysis current until there is a new one."""
    claims.put_row("r", "completed")
    claims.put_room("r", "done")
    before = claims.sql('SELECT t::text AS words FROM "UserFeedback" t')
    assert claims.enqueue("r", "reanalyse", 2).outcome == "queued"
    claim = claims.claim("r", origin="sweep")
    assert (claim.outcome, claim.run, claim.input) == ("won", 2, ["Hello."])
    assert [(a.run, a.current) for a in claims.analyses("r")] == [(1, True)]
    if fails:
        assert claims.park("r").outcome == "fenced"  # no dead letter is wanted for it
    else:
        assert claims.store("r").outcome == "stored"
        assert claims.finish("r").outcome == "completed"
    room = claims.room("r")
    assert (room.state, room.due_at, room.dlq_pending, room.row_pending) == ("done", None, False, None)
    assert [a.run for a in claims.analyses("r") if a.current] == [1 if fails else 2]
    assert claims.sql('SELECT t::text AS words FROM "UserFeedback" t') == before


# The row, finish's answer, then the room, the row, whether the analysis and the input's hash are still there.
FINISH = [
    ("missing", "gone", "done gone 1/1", "-", False, False),
    ("initiated", "completed", "done - 1/1", "completed", True, True),
    ("locked", "busy", "analysed busy 1/1", "initiated", True, True),
    ("processing", "completed", "done - 1/1", "completed", True, True),
    ("processing not ready", "completed", "done - 1/1", "completed", True, True),
    ("processing locked", "busy", "analysed busy 1/1", "processing", True, True),
    ("completed", "completed", "done - 1/1", "completed", True, True),
    ("completed locked", "completed", "done - 1/1", "completed", True, True),
    ("dropped", "dropped", "done dropped 1/1", "dropped", False, True),
    ("dropped locked", "dropped", "done dropped 1/1", "dropped", False, True),
    ("NULL", "dropped", "done dropped 1/1", "-", False, True),
    ("two", "completed", "done - 1/1", "completed", True, True),
    ("two strangers", "gone", "waiting matched 2/0", "initiated", False, False),
    ("another", "gone", "waiting matched 2/0", "initiated", False, False),
    ("another processing", "gone", "waiting foreign 2/0", "processing", False, False),
    ("another completed", "gone", "done gone 1/1", "completed", False, False),
]


@pytest.mark.parametrize("row, outcome, after, status, analysed, hashed", FINISH, ids=[f[0] for f in FINISH])
def test_finish(claims, row, outcome, after, status, analysed, hashed):
    first, _ = put_cell(claims, "r", row, "analysed")
    with claims.row_locked("r") if "locked" in row else contextlib.nullcontext():
        answer = claims.finish("r")
    assert seen(claims, "r", first, answer.outcome) == (outcome, after, status, "1 0 0")
    assert (bool(claims.analyses("r")), bool(claims.calls("r")[0].input_hash)) == (analysed, hashed)
    assert claims.calls("r")[0].outcome == "ok"
    if outcome != "busy":
        before = claims.snapshot()
        assert claims.finish("r").outcome == "done"
        assert claims.snapshot() == before


@pytest.mark.parametrize("state", [state for state in STATES if state != "analysed"])
def test_finish_has_nothing_to_do_in_other_states(claims, state):
    put_cell(claims, "r", "processing", state)
    before = claims.snapshot()
    assert claims.finish("r").outcome == "done"
    assert claims.snapshot() == before


REFUSALS = {
    "trigger": """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF new.status = 'completed' AND new."roomSid" = 'r' THEN RAISE 'no'; END IF; RETURN new; END $$;
        CREATE TRIGGER refusal BEFORE UPDATE ON "UserFeedback" FOR EACH ROW EXECUTE FUNCTION refuse()""",
    "CHECK": """ALTER TABLE "UserFeedback" ADD CONSTRAINT refusal CHECK (status <> 'completed' OR "roomSid" <> 'r')""",
}
CLEAN = """DROP TRIGGER IF EXISTS refusal ON "UserFeedback"; DROP FUNCTION IF EXISTS refuse();
    ALTER TABLE "UserFeedback" DROP CONSTRAINT IF EXISTS refusal"""


@pytest.fixture(params=REFUSALS)
def refusal(claims, request):
    """The application doesn't let the row of r be completed."""
    claims.sql(REFUSALS[request.param])
    yield
    claims.sql(CLEAN)


def test_what_is_refused_is_tried_again_until_it_is_given_up(claims, refusal):
    for sid in ("q", "r", "s"):
        claims.put_row(sid, "processing")
        claims.put_room(sid, "analysed")
    assert [answer.outcome for answer in claims.finish(["q", "r", "s"])] == ["completed", "refused", "completed"]
    room = claims.room("r")
    assert (room.state, room.reason, claims.status("r"), len(claims.analyses("r"))) == (
        "analysed", "refused", "processing", 1,
    )  # fmt: skip
    claims.aged("r", "25 hours")
    assert claims.finish("r").outcome == "refused"
    room = claims.room("r")
    assert (room.state, room.reason, room.dlq_pending, len(claims.analyses("r"))) == ("parked", "refused", True, 1)
