"""Batches: one element that is at fault, the order of the elements, their number, and what may be missing in them."""

import contextlib
import random
import time
import uuid

import psycopg
import pytest
from schema.claims import kinds

OURS = ("21", "22", "23", "54", "P0001")  # what callers take for the room's own fault


def outcomes(answers):
    return [answer.outcome for answer in answers]


def is_ours(error):
    return error.sqlstate == "P0001" or error.sqlstate[:2] in OURS


@contextlib.contextmanager
def refusing(claims, status, room="bad", code="P0001"):
    """A trigger of the application, that does not let this room's row become so. Or a CHECK: code "CHECK"."""
    wrong = f""""roomSid" = '{room}' AND status = '{status}'"""
    if code == "CHECK":
        claims.sql(f'ALTER TABLE "UserFeedback" ADD CONSTRAINT refuses CHECK (({wrong}) IS NOT TRUE) NOT VALID')
    else:
        claims.sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END $$"
        )
        claims.sql(
            'CREATE TRIGGER refuses BEFORE UPDATE ON "UserFeedback" FOR EACH ROW '
            f"""WHEN (NEW."roomSid" = '{room}' AND NEW.status = '{status}') EXECUTE FUNCTION refuse()"""
        )
    try:
        yield
    finally:
        claims.sql('ALTER TABLE "UserFeedback" DROP CONSTRAINT IF EXISTS refuses')
        claims.sql("DROP FUNCTION IF EXISTS refuse CASCADE")


FAULTS = ["P0001", "CHECK", "22012", "23505", "21000", "54001"]
ROOMS = ["good 1", "bad", "good 2"]


def put_rows(claims, rooms=ROOMS):
    for room in rooms:
        claims.put_row(room)


def all_won(claims, rooms=ROOMS):
    put_rows(claims, rooms)
    assert set(outcomes(claims.claim(rooms))) == {"won"}


# ---- a guilty element ----


@pytest.mark.parametrize("code", FAULTS)
def test_claim_fails_as_a_whole_with_the_rooms_fault(claims, code):
    put_rows(claims)
    before = claims.snapshot()
    with refusing(claims, "processing", code=code):
        with pytest.raises(psycopg.Error) as raised:
            claims.claim(ROOMS)
        assert is_ours(raised.value)
        assert claims.snapshot() == before
        assert outcomes(claims.claim(["good 2", "good 1"])) == ["won", "won"]
        assert claims.park("bad", token=None, event_id="EV_9", topic="t", partition=3, offset=8).outcome == "parked"
    held = claims.room("bad")
    assert (held.state, held.reason, held.dlq_pending, held.row_pending) == ("parked", "rejected", True, None)
    assert (held.event_id, held.topic, held.record_partition, held.record_offset) == ("EV_9", "t", 3, 8)
    assert (claims.status("bad"), claims.calls("bad")) == ("initiated", [])


@pytest.mark.parametrize("verb", ["claim", "park"])
def test_a_sid_that_no_index_takes(claims, verb):
    put_rows(claims)
    before = claims.snapshot()
    long = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=6000))
    with pytest.raises(psycopg.Error) as raised:
        if verb == "claim":
            claims.claim(["good 1", long, "good 2"])
        else:
            claims.park(["new", long], token=None)
    assert raised.value.sqlstate == "54000"
    assert claims.snapshot() == before


@pytest.mark.parametrize("result", ["{", "", '{"a": "\\u0000"}', '"\\ud800"'])
def test_store_fails_as_a_whole_with_the_results_fault(claims, result):
    all_won(claims)
    before = claims.snapshot()
    with pytest.raises(psycopg.Error) as raised:
        claims.store(ROOMS, result=["{}", result, "{}"])
    assert is_ours(raised.value)
    assert claims.snapshot() == before
    assert outcomes(claims.store(["good 1", "good 2"])) == ["stored", "stored"]
    assert claims.park("bad", reason="refused").outcome == "parked"


@pytest.mark.parametrize("code", FAULTS)
def test_finish_refuses_the_guilty_and_completes_the_others(claims, code):
    all_won(claims)
    claims.store(ROOMS)
    with refusing(claims, "completed", code=code):
        assert outcomes(claims.finish(ROOMS)) == ["completed", "refused", "completed"]
        held = claims.room("bad")
        assert (held.state, held.reason, claims.status("bad")) == ("analysed", "refused", "processing")
        claims.due("bad")
        assert [(each.kind, each.reason) for each in claims.sweep()] == [("finished", "refused")]
        assert len(claims.calls("bad")) == 1
    claims.due("bad")
    assert [(each.kind, each.reason) for each in claims.sweep()] == [("finished", "completed")]
    assert (claims.room("bad").state, claims.status("bad")) == ("done", "completed")


def test_finish_in_a_batch_of_all_kinds(claims):
    rooms = ["f", "bad", "e", "c", "b", "a"]
    all_won(claims, rooms)
    claims.store(rooms)
    claims.delete_row("e")
    claims.set_status("c", "dropped")
    claims.set_status("f", "completed")
    with refusing(claims, "completed"), claims.row_locked("b"):
        answers = outcomes(claims.finish([*rooms, "nobody"]))
        assert answers == ["completed", "refused", "gone", "dropped", "busy", "completed", "done"]


def test_a_refused_room_is_given_up_with_its_analysis_kept(claims):
    """Its row goes back as of any parked room, so that a retry can claim it."""
    all_won(claims)
    claims.store(ROOMS)
    with refusing(claims, "completed"):
        claims.finish(ROOMS)
        claims.aged("bad", "25 hours")
        claims.due("bad")
        assert kinds(claims.sweep()) == [("dlq", "bad"), ("finished", "bad")]
    held = claims.room("bad")
    assert (held.state, held.reason, held.dlq_pending, held.row_pending) == ("parked", "refused", True, None)
    assert (len(claims.analyses("bad")), claims.status("bad")) == (1, "initiated")
    assert claims.enqueue("bad").outcome == "queued"
    assert claims.claim("bad", origin="sweep").outcome == "won"


@pytest.mark.parametrize("verb", ["finish", "release", "park"])
def test_a_fault_of_another_class_is_not_the_rooms(claims, verb):
    """It is raised, and nothing is changed: the caller waits."""
    all_won(claims)
    claims.store(ROOMS) if verb == "finish" else None
    before = claims.snapshot()
    with refusing(claims, "completed" if verb == "finish" else "initiated", code="55000"):
        with pytest.raises(psycopg.Error) as raised:
            getattr(claims, verb)(ROOMS)
        assert raised.value.sqlstate == "55000"
        assert claims.snapshot() == before


# ---- a row that refuses, or is locked, while our own tables go on ----


@pytest.fixture(params=["P0001", "CHECK", "locked"])
def hindered(request, claims):
    """A context in which the row of the room "bad" can't be given back."""
    if request.param == "locked":
        return lambda: claims.row_locked("bad")
    return lambda: refusing(claims, "initiated", code=request.param)


def end_by(claims, verb):
    if verb == "release":
        assert set(outcomes(claims.release(ROOMS, delay_ms=3600000))) == {"released"}
    elif verb == "park":
        assert set(outcomes(claims.park(ROOMS))) == {"parked"}
    else:
        for room in ROOMS:
            claims.lease_over(room)
        most = 1 if verb == "last lease" else 5
        want = {"parked", "dlq"} if verb == "last lease" else {"expired"}
        assert {each.kind for each in claims.sweep(slots=0, max_attempts=most) if each.kind != "followed"} == want


@pytest.mark.parametrize("verb", ["release", "park", "lease", "last lease"])
def test_the_row_follows_when_it_can(claims, hindered, verb):
    all_won(claims)
    with hindered():
        end_by(claims, verb)
        for room in ROOMS:
            held = claims.room(room)
            assert (held.state, held.row_pending) == (
                "waiting" if verb in ("release", "lease") else "parked",
                "initiated" if room == "bad" else None,
            )
            assert claims.status(room) == ("processing" if room == "bad" else "initiated")
        claims.due("bad")
        assert ("followed", "bad") not in kinds(claims.sweep(slots=0))
        assert claims.status("bad") == "processing"
    claims.due("bad")
    assert ("followed", "bad") in kinds(claims.sweep(slots=0))
    assert (claims.status("bad"), claims.room("bad").row_pending) == ("initiated", None)
    if verb in ("release", "lease"):
        assert claims.claim("bad").outcome == "won"
        assert claims.room("bad").attempt == 2


def test_a_dead_letter_does_not_wait_for_the_row(claims, hindered):
    all_won(claims)
    with hindered():
        claims.park(ROOMS)
        claims.due("bad")
        assert kinds(claims.sweep()) == [("dlq", "bad")]
        assert claims.dlq_acked(["bad"]) == 1
        held = claims.room("bad")
        assert (held.dlq_pending, held.row_pending) == (False, "initiated")
        assert held.due_at is not None
        claims.due("bad")
        assert kinds(claims.sweep()) == []
    claims.due("bad")
    assert kinds(claims.sweep()) == [("followed", "bad")]
    assert claims.room("bad").due_at is None


def test_a_room_whose_row_refuses_to_go_back_is_claimed_all_the_same(claims):
    """A row in processing with row_pending is ours."""
    all_won(claims)
    with refusing(claims, "initiated"):
        claims.release(ROOMS)
        assert ("due", "bad") in kinds(claims.sweep())
        assert claims.claim("bad", origin="sweep").outcome == "won"
    assert claims.room("bad").row_pending is None
    claims.store("bad")
    assert claims.finish("bad").outcome == "completed"


def test_a_late_result_of_a_room_whose_row_was_still_to_follow(claims):
    all_won(claims)
    claims.lease_over("bad")
    with claims.row_locked("bad"):
        claims.sweep(slots=0)
        assert claims.room("bad").row_pending == "initiated"
        assert claims.store("bad").outcome == "stored"
        assert claims.room("bad").row_pending is None
        assert claims.finish("bad").outcome == "busy"
    assert claims.finish("bad").outcome == "completed"
    held = claims.room("bad")
    assert (held.state, held.row_pending, held.due_at, claims.status("bad")) == ("done", None, None, "completed")


def test_a_row_still_to_follow_that_the_application_completes(claims):
    """Seen first as foreign, with its own status, then at its end: the sweep must not stumble over it."""
    all_won(claims)
    with claims.row_locked("bad"):
        claims.release(ROOMS)
    claims.set_status("bad", None)
    assert claims.claim("bad").outcome == "foreign"
    claims.set_status("bad", "completed")
    claims.due("bad")
    claims.sweep()
    held = claims.room("bad")
    assert (held.state, held.row_pending, held.due_at, claims.status("bad")) == ("done", None, None, "completed")


def test_parking_what_was_not_claimed_keeps_what_the_row_is_to_become(claims):
    all_won(claims)
    with refusing(claims, "initiated"):
        claims.release(ROOMS)
        assert claims.park("bad", token=None).outcome == "parked"
    claims.due("bad")
    assert ("followed", "bad") in kinds(claims.sweep(slots=0))
    assert claims.status("bad") == "initiated"


# ---- the application's enum ----


@contextlib.contextmanager
def renamed(claims, label):
    claims.sql(f"ALTER TYPE feedback_status RENAME VALUE '{label}' TO 'other'")
    try:
        yield
    finally:
        claims.sql(f"ALTER TYPE feedback_status RENAME VALUE 'other' TO '{label}'")


@pytest.mark.parametrize("label", ["initiated", "processing", "completed", "dropped"])
@pytest.mark.parametrize("verb", ["claim", "finish", "release", "park", "sweep"])
def test_a_status_that_is_no_more_is_no_rooms_fault(claims, verb, label):
    """Everything waits: no room is parked, no result is taken for one of a dropped row."""
    if verb == "claim":
        put_rows(claims)
    else:
        all_won(claims)
    if verb == "sweep":
        claims.sql("UPDATE roomclaim.room SET due_at = now()")
    claims.store(ROOMS) if verb == "finish" else None
    before = claims.snapshot()
    with renamed(claims, label):
        with pytest.raises(psycopg.Error) as raised:
            claims.sweep() if verb == "sweep" else getattr(claims, verb)(ROOMS)
        assert raised.value.sqlstate == "RC002"
    assert claims.snapshot() == before


def test_an_enum_that_is_made_anew(claims):
    """As the tools for migrations take a value out of it: the connections that were there go on."""
    all_won(claims)
    claims.release(ROOMS)
    claims.claim(ROOMS)
    claims.store(ROOMS)
    claims.finish("good 1")
    claims.sql("""ALTER TABLE "UserFeedback" ALTER status DROP DEFAULT, ALTER status TYPE text;
        DROP TYPE feedback_status;
        CREATE TYPE feedback_status AS ENUM ('initiated', 'new', 'processing', 'completed', 'dropped');
        ALTER TABLE "UserFeedback" ALTER status TYPE feedback_status USING status::feedback_status,
            ALTER status SET DEFAULT 'initiated'""")
    assert claims.finish("bad").outcome == "completed"
    all_won(claims, ["new"])
    assert claims.release("new").outcome == "released"
    assert claims.status("new") == "initiated"


def test_a_value_that_a_trigger_refuses_is_the_rows_fault(claims):
    put_rows(claims)
    with refusing(claims, "processing", code="22P02"), pytest.raises(psycopg.Error) as raised:
        claims.claim(ROOMS)
    assert raised.value.sqlstate == "22P02"


# ---- what a caller must not do ----


@pytest.mark.parametrize("verb", ["claim", "store", "finish", "release", "park", "enqueue"])
def test_a_room_without_a_name_is_the_callers_fault(claims, verb):
    all_won(claims)
    before = claims.snapshot()
    tokens = {} if verb in ("finish", "enqueue") else {"token": [claims.tokens["bad"]] * 2}
    with pytest.raises(psycopg.Error) as raised:
        getattr(claims, verb)(["bad", None], **tokens)
    assert (raised.value.sqlstate, claims.snapshot()) == ("RC003", before)


def test_a_room_named_twice_with_the_same_token_is_answered_twice(claims):
    claims.put_row("a")
    token = uuid.uuid4()
    assert outcomes(claims.claim(["a", "a"], token=token)) == ["won", "won"]
    assert claims.tally("a") == (1, 1, 0)
    assert outcomes(claims.store(["a", "a"], token=token)) == ["stored", "stored"]
    assert outcomes(claims.finish(["a", "a"])) == ["completed", "completed"]
    assert (claims.room("a").attempt, len(claims.analyses("a")), claims.tally("a")) == (1, 1, (1, 0, 0))


@pytest.mark.parametrize("verb", ["release", "park"])
def test_a_room_given_up_twice_in_a_batch_counts_once(claims, verb):
    all_won(claims)
    want = {"release": "released", "park": "parked"}[verb]
    assert outcomes(getattr(claims, verb)(["bad", "bad"])) == [want, want]
    assert (claims.room("bad").attempt, claims.room("bad").calls) == (1, 1)


@pytest.mark.parametrize("slots", [-1, None])
def test_no_slots_at_all(claims, slots):
    put_rows(claims)
    claims.put_room("bad", "due")
    assert claims.sweep(slots=slots) == []


# ---- order, number, nothing ----


def test_each_answer_is_its_elements(claims):
    """Whatever the order of the elements, also where a batch is answered in parts."""
    want = {"new": "won", "end": "done", "lost": "unmatched", "other": "foreign", "blank": "waiting", "set aside": "parked",
            "held": "held", "kept": "analysed"}  # fmt: skip
    statuses = {"new": "initiated", "end": "completed", "other": "processing", "blank": "initiated", "held": "processing",
                "set aside": "initiated", "kept": "processing"}  # fmt: skip
    for seed in range(5):
        rooms = [f"{name} {seed}" for name in want]
        random.Random(seed).shuffle(rooms)
        for room in rooms:
            name = room[:-2]
            if name in statuses:
                claims.put_row(room, statuses[name], transcript=None if name == "blank" else f"of {room}")
            shape = {"set aside": "parked", "held": "live", "kept": "analysed"}.get(name)
            if shape:
                claims.put_room(room, shape)
        answers = claims.claim(rooms, event_id=[f"EV {room}" for room in rooms])
        assert outcomes(answers) == [want[room[:-2]] for room in rooms]
        assert [a.input for a in answers if a.outcome == "won"] == [[f"of new {seed}"]]
        assert claims.room(f"new {seed}").event_id == f"EV new {seed}"


def test_each_verb_answers_in_the_callers_order(claims):
    rooms = [f"room {n}" for n in range(20)]
    random.Random(7).shuffle(rooms)
    all_won(claims, rooms)
    stranger = random.Random(8).sample(rooms, 5)
    tokens = [None if room in stranger else claims.tokens[room] for room in rooms]
    want = ["fenced" if room in stranger else "stored" for room in rooms]
    results = [f'{{"of": "{room}"}}' for room in rooms]
    assert outcomes(claims.store(rooms, token=tokens, result=results)) == want
    want = ["done" if room in stranger else "completed" for room in rooms]
    assert outcomes(claims.finish(rooms)) == want
    for room in rooms:
        assert [each.result["of"] for each in claims.analyses(room)] == ([] if room in stranger else [room])
    want = ["released" if room in stranger else "fenced" for room in rooms]
    assert outcomes(claims.release(rooms)) == want
    want = ["parked" if room in stranger else "fenced" for room in rooms]
    claims.claim(stranger)
    assert outcomes(claims.park(rooms)) == want
    want = ["queued" if room in stranger else "done" for room in rooms]
    assert outcomes(claims.enqueue(rooms)) == want


def test_a_thousand_elements(claims):
    rooms = [f"room {n}" for n in range(1000)]
    random.Random(9).shuffle(rooms)
    claims.sql(
        'INSERT INTO "UserFeedback" ("roomSid", status, transcript) SELECT p, \'initiated\', p FROM unnest(%s::text[]) p',
        rooms,
    )
    began = time.monotonic()
    answers = claims.claim(rooms)
    assert [(a.outcome, a.input) for a in answers] == [("won", [room]) for room in rooms]
    half, rest = rooms[:500], rooms[500:]
    assert set(outcomes(claims.release(half))) == {"released"}
    assert set(outcomes(claims.store(rest))) == {"stored"}
    assert set(outcomes(claims.finish(rest))) == {"completed"}
    assert set(outcomes(claims.claim(half))) == {"won"}
    assert set(outcomes(claims.park(half))) == {"parked"}
    assert claims.dlq_acked(half) == 500
    assert set(outcomes(claims.enqueue(rooms))) == {"queued", "done"}
    assert time.monotonic() - began < 20  # no part of it goes with the square of the number


def test_nothing_asked_nothing_answered(claims):
    claims.sweep(slots=0)  # makes the mark, and what else a first sweep makes
    before = claims.snapshot()
    for verb in (claims.claim, claims.store, claims.finish, claims.release, claims.park, claims.enqueue):
        assert verb([]) == []
    assert claims.park([], token=None) == []
    assert claims.dlq_acked([]) == 0
    assert claims.sweep(slots=0, everything=False) == []
    assert claims.snapshot() == before


def test_rooms_without_a_record(claims):
    """Swept and enqueued rooms have no record: its columns are NULL, and what is known already is kept."""
    put_rows(claims)
    assert set(outcomes(claims.claim(ROOMS, event_id=[None, "EV", None], topic="t", partition=[None, 2, 3]))) == {"won"}
    held = claims.room("good 1")
    assert (held.event_id, held.topic, held.record_partition, held.record_offset) == (None, "t", None, None)
    claims.release(ROOMS)
    claims.claim(ROOMS, event_id="EV 2", topic=None, partition=9, offset=5)
    assert [claims.room(room).event_id for room in ROOMS] == ["EV 2", "EV", "EV 2"]
    assert [claims.room(room).record_partition for room in ROOMS] == [9, 2, 3]
    assert set(outcomes(claims.park(["new"], token=None))) == {"parked"}
    claims.due("new")
    (letter,) = claims.sweep()
    assert letter[:2] + letter[5:9] == ("dlq", "new", None, None, None, None)
