"""What the application may do to its rows at any time is no fault of ours: such a run is green."""

import pytest

from checker.history import APPLICATION, START, TWO, History
from checker.invariants import check
from checker.run import read


def reset_in_the_end(h):
    h.row(START + 14, APPLICATION, "A", "initiated")


def reset_and_told_of_again(h):
    """A late copy of the webhook that was there before."""
    h.row(START + 14, APPLICATION, "A", "initiated")
    h.load += [dict(line, id=99, t=line["t"] + 25) for line in h.load[:2]]


def reset_in_flight(h):
    place = next(i for i, v in enumerate(h.audit) if v["table"] == "analysis" and v["new"]["room_sid"] == "A")
    h.rows["A"] = {"id": "id-A", "roomSid": "A", "status": "processing"}
    h.row(START + 5.3, APPLICATION, "A", "initiated")
    h.audit.insert(place, h.audit.pop())
    h.row(START + 14, APPLICATION, "A", "completed")


def opened_again(h):
    h.row(START + 14, APPLICATION, "A", "initiated")
    h.webhook(START + 15, "A", offset=4, event_id="EV_A2")
    h.rooms["A"] = h.rooms["A"] | {"run": 2, "attempt": 0}
    h.claim(START + 16, TWO, "A", run=2)
    h.call(START + 16.1, "A", out=START + 16.3)
    h.store(START + 16.4, TWO, "A", run=2)
    h.commit(START + 17, 5)
    h.expect["sometimes"] += ["reopened", "application:reset"]


def deleted_in_the_end(h):
    h.row_gone(START + 14, APPLICATION, "A")
    h.row_gone(START + 14, APPLICATION, "C")


def dropped_in_the_end(h):
    h.row(START + 14, APPLICATION, "A", "dropped")


def never_ours_and_reset(h):
    """Its webhook met a completed row: there was nothing to write down."""
    h.row(START, APPLICATION, "E", "initiated")
    h.row(START + 1, APPLICATION, "E", "completed")
    h.webhook(START + 3, "E", offset=4)
    h.row(START + 14, APPLICATION, "E", "initiated")
    h.commit(START + 16, 5)


def another_handler_has_it(h):
    h.row(START + 11.5, APPLICATION, "D", "processing")
    h.room(START + 14, TWO, "D", state="waiting", reason="foreign", due_at=START + 60)


EXCUSED = (reset_in_the_end, reset_and_told_of_again, reset_in_flight, opened_again, deleted_in_the_end, dropped_in_the_end,
           never_ours_and_reset, another_handler_has_it)  # fmt: skip


@pytest.mark.parametrize("change", EXCUSED)
def test_what_the_application_may_do_is_green(tmp_path, change):
    history = History()
    change(history)
    assert check(read(history.write(tmp_path))) == []


def test_a_room_that_is_opened_and_told_of_again_at_once_is_ours(tmp_path):
    history = History()
    history.row(START + 14, APPLICATION, "A", "initiated")
    history.webhook(START + 14.3, "A", offset=4, event_id="EV_A2")
    history.commit(START + 16, 5)
    assert "I2" in {found[0] for found in check(read(history.write(tmp_path)))}


def late_call(h, woken):
    """B's first worker falls asleep between its claim and its call, which it makes when another has the room."""
    h.model = [line for line in h.model if line["room"] != "B"]
    h.call(START + 10.5, "B", out=START + 10.8)
    h.call(START + 10.78, "B", out=START + 10.85)
    h.faults = [{"t": START + 6.05, "kind": "pause", "party": "2-consumer", "room": None, "point": None, "hit": True,
                 "until": START + woken}]  # fmt: skip
    h.expect["sometimes"].remove("fault:kill")


@pytest.mark.parametrize(("woken", "broken"), [(10.75, []), (8.0, ["I4"])])
def test_the_call_of_a_worker_that_wakes_up(tmp_path, woken, broken):
    history = History()
    late_call(history, woken)
    assert [found[0] for found in check(read(history.write(tmp_path)))] == broken
