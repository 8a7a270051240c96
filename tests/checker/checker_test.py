"""A run in which all went well is green; for each invariant there are histories that turn that one red, and no other."""

import pathlib
import subprocess
import sys

import pytest

from checker.history import APPLICATION, ONE, START, TWO, History
from checker.invariants import INVARIANTS, check
from checker.mutants import MUTANTS
from checker.run import Unusable, read
from checker.summary import figures

TESTS = pathlib.Path(__file__).resolve().parent.parent
CASES = []


def case(id):
    """A forged history: a function that changes a good one."""

    def add(function):
        CASES.append(pytest.param(id, function, id=f"{id}-{function.__name__}"))
        return function

    return add


def without_record(history, room):
    history.topic = [r for r in history.topic if not (r["topic"] == "t" and r["room"] == room)]


@case("I1")
def answered_and_gone(h):
    h.load += [dict(line, id=99, event_id="EV_X", event="participant_joined") for line in h.load[:2]]


@case("I1")
def other_bytes(h):
    h.topic[0]["sha256"] = "sha-of-something-else"


@case("I1")
def forged_and_answered(h):
    h.load += [dict(line, id=99, event_id="EV_X", event="room_started", forged=True) for line in h.load[:2]]


@case("I2")
def lost_after_the_topic(h):
    h.webhook(START + 3, "E", offset=4, partition=1)
    h.row(START, APPLICATION, "E", "initiated")
    h.expect["without_consumers"] = True


@case("I2")
def stuck_in_backoff(h):
    h.room(START + 14, TWO, "D", state="waiting", reason="backoff", due_at=START + 60)


@case("I2")
def parked_and_completed(h):
    h.row(START + 14, TWO, "C", "completed")


@case("I2")
def reset_and_asked_again(h):
    h.row(START + 6, APPLICATION, "A", "initiated")
    h.webhook(START + 12, "A", offset=4, event_id="EV_A2")
    h.commit(START + 16, 5)


@case("I2")
def edited_is_not_reset(h):
    """What the application has done to another column is no reason for a status of ours."""
    h.row(START, APPLICATION, "E", "initiated")
    h.webhook(START + 3, "E", offset=4)
    h.claim(START + 14, TWO, "E")
    h.room(START + 14.2, TWO, "E", state="done", reason=None, due_at=None)
    h.row(START + 14.2, TWO, "E", "initiated")
    h.row(START + 15, APPLICATION, "E", "initiated", transcript="another one")
    h.commit(START + 16, 5)


@case("I2")
def no_record_and_asked_after_the_reset(h):
    h.row(START, APPLICATION, "E", "initiated")
    h.row(START + 1, APPLICATION, "E", "completed")
    h.row(START + 2, APPLICATION, "E", "initiated")
    h.webhook(START + 12, "E", offset=4)
    h.commit(START + 16, 5)


@case("I2")
def the_row_came_and_was_not_seen(h):
    h.row(START + 13, APPLICATION, "D", "initiated")


@case("I3")
def completed_is_claimed_again(h):
    h.row(START + 14, TWO, "A", "processing")
    h.row(START + 15, APPLICATION, "A", "completed")


@case("I3")
def parked_comes_back_by_itself(h):
    h.room(START + 14, TWO, "C", state="waiting", reason="backoff", due_at=START + 14)
    h.room(START + 15, "operator/", "C", state="parked", reason="rejected", due_at=None)


@case("I3")
def done_is_opened_again(h):
    h.room(START + 14, TWO, "A", state="waiting", reason="matched", due_at=START + 14)
    h.room(START + 15, TWO, "A", state="done", reason=None, due_at=None)


@case("I4")
def called_twice_without_a_cause(h):
    h.faults[0]["t"] = START + 2
    h.audit[0]["t"] = START - 1


@case("I4")
def anothers_fault_is_no_cause(h):
    h.faults[0]["party"] = "3-consumer"


@case("I4")
def the_models_fault_is_told_by_its_ledger(h):
    h.faults[0] |= {"party": "model"}


@case("I4")
def a_short_pause_is_no_cause(h):
    """The lease lasts until 10: the holder had the time to store what the model had said."""
    h.faults[0] |= {"kind": "pause:consumer", "until": START + 7.9}
    h.expect["sometimes"].remove("fault:kill")


@case("I4")
def a_connection_that_came_back_is_no_cause(h):
    h.faults[0] |= {"kind": "hang:postgres-link", "until": START + 7.9}
    h.expect["sometimes"].remove("fault:kill")


@case("I4")
def a_shims_fault_is_no_cause(h):
    h.faults[0]["party"] = "1-shim"


@case("I4")
def the_application_is_no_cause(h):
    h.faults.clear()
    h.expect["sometimes"].remove("fault:kill")
    h.row(START + 6.2, APPLICATION, "B", "initiated")


@case("I4")
def called_without_a_claim(h):
    h.call(START + 11.15, "C", out=START + 11.2, status=500, kind="status")


@case("I4")
def not_counted(h):
    for version in h.audit:
        if version["table"] == "room" and version["new"]["room_sid"] == "A":
            version["new"]["attempt"] = 0
            if version["old"]:
                version["old"]["attempt"] = 0


@case("I4")
def more_attempts_than_allowed(h):
    h.expect["max_attempts"] = 1


@case("I5")
def stored_by_another(h):
    for version in h.audit:
        if version["table"] == "room" and version["new"]["room_sid"] == "B" and version["new"]["state"] == "analysed":
            version["by"] = ONE


@case("I5")
def stored_with_another_token(h):
    for version in h.audit:
        if version["table"] == "room" and version["new"]["room_sid"] == "A" and version["new"]["state"] == "analysed":
            version["new"] = version["new"] | {"token": None}


@case("I5")
def stored_twice(h):
    h.version(START + 14, TWO, "analysis", h.analysis(START + 5.6, "A"), h.analysis(START + 14, "A"))


@case("I5")
def given_back_by_another(h):
    for version in h.audit:
        if version["table"] == "room" and version["new"]["room_sid"] == "B" and version["new"]["state"] == "waiting":
            version["t"] = START + 9
    for version in h.audit:
        if version["table"] == "room" and version["new"]["state"] == "parked":
            version["by"] = ONE


@case("I6")
def a_lease_is_forgotten(h):
    h.room(START + 14, "operator/", "X", state="processing", reason=None, due_at=START + 15)


@case("I6")
def a_room_without_a_time(h):
    h.room(START + 14, "operator/", "X", state="processing", reason=None, due_at=None)


@case("I6")
def a_row_is_left_behind(h):
    h.row(START + 14, ONE, "X", "processing")


@case("I6")
def a_row_is_left_behind_and_edited(h):
    h.row(START + 14, ONE, "X", "processing")
    h.row(START + 15, APPLICATION, "X", "processing", transcript="another one")


@case("I7")
def passed_during_its_first_call(h):
    h.row(START, APPLICATION, "E", "initiated")
    h.webhook(START + 4.5, "E", offset=4)
    h.claim(START + 17, TWO, "E")
    h.commit(START + 17.1, 5)
    h.call(START + 17, "E", out=START + 17.5)
    h.store(START + 17.6, TWO, "E")


@case("I7")
def committed_before_it_is_known(h):
    h.offsets.insert(1, dict(h.offsets[0], t=START + 6.3, offset=4))
    h.offsets.pop()


@case("I7")
def poison_before_its_letter(h):
    h.topic.append(dict(h.topic[0], offset=4, event=None, room=None, event_id=None, poison="no JSON object"))
    h.letter(START + 16, None, 4)
    h.commit(START + 15, 5)


@case("I8")
def committed_backwards(h):
    h.commit(START + 14, 2)
    h.commit(START + 15, 4)


@case("I9")
def in_two_partitions(h):
    h.webhook(START + 12, "A", offset=0, event_id="EV_A2", partition=1)
    h.commit(START + 16, 1, partition=1)


@case("I9")
def a_later_one_overtakes(h):
    h.webhook(START + 0.5, "A", offset=5, event_id="EV_A0", event="room_started")
    h.commit(START + 16, 6)


@case("I9")
def past_the_spool(h):
    h.load += [
        dict(line, id=99, event_id="EV_A0", event="room_started", t=line["t"] - 0.5, sha256=None) for line in h.load[:2]
    ]
    h.spool.append({"shim": "s", "room": "A", "event_id": "EV_A0", "sha256": "x", "dead": False})


@case("I10")
def copies_differ(h):
    h.topic.append(dict(h.topic[0], offset=4, sha256="sha-of-something-else"))
    h.commit(START + 16, 5)


@case("I10")
def parked_without_a_letter(h):
    h.topic = [r for r in h.topic if r["topic"] == "t"]


@case("I10")
def a_letter_without_its_place(h):
    letter = next(r for r in h.topic if r["topic"] == "t.dlq")
    del letter["headers"]["__dlq.errors.offset"]


@case("I11")
def anothers_result(h):
    for version in h.audit:
        if version["table"] == "analysis" and version["new"]["room_sid"] == "B":
            version["new"]["result"] = h.result("A")


@case("I11")
def nobodys_result(h):
    for version in h.audit:
        if version["table"] == "analysis":
            version["new"]["result"] = {"summary": "made up"}


@case("I11")
def not_of_the_schema(h):
    h.expect["schema"]["required"] = ["summary", "topics"]


@case("I12")
def a_secret_in_a_log(h):
    h.log += "the key is canary\n"


@case("I12")
def a_secret_in_a_header(h):
    h.topic[0]["headers"]["note"] = "canary"


@case("I13")
def memory_grows(h):
    h.parties[1]["rss_kb_end"] = 500_000


@case("I13")
def descriptors_grow(h):
    h.parties[1]["fds_end"] = 500


@case("I14")
def no_rest(h):
    h.expect["quiet_t"] = None


@case("I14")
def rest_too_late(h):
    h.expect["quiet_t"] = START + 80


@case("I14")
def lag_is_left(h):
    h.offsets.pop()


@case("I15")
def it_did_not_happen(h):
    h.expect["sometimes"].append("spooled")


@case("I15")
def a_fault_missed(h):
    h.faults.append({"t": START, "kind": "kill", "party": "1-shim", "room": None, "point": "x", "hit": False})


def test_a_good_run_is_green(tmp_path):
    run = read(History().write(tmp_path))
    assert check(run) == []
    told = figures(run)
    assert (told["rooms"], told["completed"], told["parked"], told["lost"], told["stuck"]) == (4, 2, 1, 0, 0)
    assert (told["model calls"], told["model calls per room without a fault on it"]) == (4, 1)


@pytest.mark.parametrize("kind", ["pause:consumer", "hang:postgres-link"])
def test_what_lasted_is_a_cause(tmp_path, kind):
    history = History()
    history.faults[0] |= {"kind": kind, "until": START + 8.1}
    history.expect["sometimes"].remove("fault:kill")
    assert check(read(history.write(tmp_path))) == []


@pytest.mark.parametrize(("id", "change"), CASES)
def test_exactly_one_turns_red(tmp_path, id, change):
    history = History()
    change(history)
    violations = check(read(history.write(tmp_path)))
    assert {found for found, _ in violations} == {id}, violations


def test_each_invariant_has_a_forged_history():
    assert {param.values[0] for param in CASES} == {i.id for i in INVARIANTS}


def test_each_mutant_names_an_invariant():
    assert [m.number for m in MUTANTS] == list(range(1, len(MUTANTS) + 1))
    assert {m.invariant for m in MUTANTS} <= {i.id for i in INVARIANTS}


FILES = ["load.jsonl", "topic.jsonl", "offsets.jsonl", "model.jsonl", "audit.jsonl", "spool.jsonl", "faults.jsonl",
         "tables.json", "expect.json", "parties.json"]  # fmt: skip
MAY_BE_EMPTY = ("spool.jsonl", "faults.jsonl")


def spoil(path, how):
    match how:
        case "missing":
            path.unlink()
        case "empty":
            path.write_text("")
        case "garbage":
            path.write_text("{")
        case "other":
            path.write_text('{"a": 1}\n')


@pytest.mark.parametrize("how", ["missing", "empty", "garbage", "other"])
@pytest.mark.parametrize("name", FILES)
def test_a_spoilt_folder_is_no_pass(tmp_path, name, how):
    folder = History().write(tmp_path)
    spoil(folder / name, how)
    if how == "empty" and name in MAY_BE_EMPTY:
        read(folder)
        return
    with pytest.raises(Unusable):
        read(folder)


def test_no_logs_or_no_secrets_is_no_pass(tmp_path):
    history = History()
    history.log = ""
    with pytest.raises(Unusable):
        read(history.write(tmp_path))
    (tmp_path / "b").mkdir()
    history = History()
    history.expect["secrets"] = []
    with pytest.raises(Unusable):
        read(history.write(tmp_path / "b"))


def run_checker(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "checker", *map(str, arguments)], cwd=TESTS, capture_output=True, text=True
    )


def test_the_program(tmp_path):
    folder = History().write(tmp_path)
    good = run_checker(folder)
    assert good.returncode == 0 and "rooms 4" in good.stdout
    spoil(folder / "load.jsonl", "empty")
    bad = run_checker(folder)
    assert bad.returncode == 1 and "load.jsonl is empty" in bad.stdout
    assert run_checker().returncode == 64


def test_it_knows_nothing_of_the_harness():
    for path in (TESTS / "checker").glob("*.py"):
        lines = path.read_text().splitlines()
        assert not [line for line in lines if line.startswith(("from harness", "import harness"))], path
