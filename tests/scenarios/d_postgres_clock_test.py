"""Postgres' clock jumps by an hour, forth and back: a room that is in hand may be called for once more, or waits; none is lost."""

import pathlib
import shutil
import tempfile
import time

import pytest
from harness import programs

HOUR = 3600


class Clock:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="roomclaim-clock-"))
        self.folder.chmod(0o755)  # the user postgres must reach it
        self._file = self.folder / "seconds"

    def settings(self):
        return {"LD_PRELOAD": str(programs.preloaded(self.folder, "clock_jumps")), "CLOCK_JUMPS": str(self._file)}

    def jumps_to(self, seconds):
        draft = self.folder / "draft"
        draft.write_text(str(seconds))
        draft.chmod(0o644)
        draft.rename(self._file)


@pytest.fixture
def clock(monkeypatch):
    """Of the Postgres that a fixture starts behind this one."""
    made = Clock()
    for name, value in made.settings().items():
        monkeypatch.setenv(name, value)
    yield made
    shutil.rmtree(made.folder)


def told_by(world):
    return world.value("SELECT extract(epoch FROM clock_timestamp())::float8") - time.time()


@pytest.mark.shows("F62")
def test_forth_and_back(clock, own_postgres_world, monkeypatch):
    monkeypatch.undo()
    world = own_postgres_world
    in_hand, ahead, failing, plain = world.given_rooms(4)
    world.model.script(in_hand, "hold", "hold")
    # The other one is to find the lease over: this one would leave its own call alone.
    world.start_consumer(llm__timeout="20s", claim__lease="25s", sweep__interval="1h")
    world.publish(in_hand)
    world.expect_call_begun(in_hand)
    world.start_consumer(llm__timeout="20s", claim__lease="25s")

    clock.jumps_to(HOUR)
    assert abs(told_by(world) - HOUR) < 60
    world.expect_call_begun(in_hand, 2)  # its lease was over at once
    world.model.release()
    world.expect_completed(in_hand)
    world.expect_model_calls(in_hand, 2)

    world.model.script(ahead, "hold")
    world.publish(ahead)
    world.expect_call_begun(ahead)
    world.model.script(failing, ("status", {"status": 500, "retry_after": 2}))
    world.publish(failing)
    world.expect_state(failing, "waiting")
    clock.jumps_to(0)
    assert abs(told_by(world)) < 60
    world.publish(plain)
    world.expect_completed(plain)
    world.model.release()
    world.expect_completed(ahead)
    world.expect_settled()
    assert world.state(failing)[0] == "waiting"  # for an hour
    world.make_due(failing)
    world.start_consumer()  # it begins with a sweep of all, also of what was written by a clock ahead
    world.expect_completed(failing)
    for room, calls in ((ahead, 1), (failing, 2), (plain, 1)):
        world.expect_model_calls(room, calls)
    assert world.dead_letters() == []
