"""tests/verify-duplicates, as an operator runs it on a running installation."""

import os
import pathlib
import subprocess

from harness import programs
from harness.postgres import with_database

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "verify-duplicates"


def verify(world, room, *more, database=None):
    reader = database or with_database(world.server, world.name, "test_reader")
    command = [SCRIPT, "--room", room, "--url", world.shims[0].url, "--database", reader, *more]
    keys = {"LIVEKIT_API_KEY": programs.API_KEY, "LIVEKIT_API_SECRET": programs.API_SECRET}
    return subprocess.run(
        command, env=os.environ | keys, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def test_it_says_how_many_calls_came_of_the_copies(world):
    world.model.rule("ok", latency_ms=200)
    world.start_shim()
    world.start_consumer()
    room = world.given_room()

    done = verify(world, room, "--copies", "20")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "answered: 20 x 200" in done.stdout and "20 webhooks, 1 model call" in done.stdout
    world.expect_model_calls(room, 1)
    assert verify(world, room).returncode == 1  # it has its call already


def test_it_fails_when_a_call_was_made_twice(world):
    world.start_shim()
    world.start_consumer()
    room = world.given_room()
    world.model.script(room, "misfit")
    done = verify(world, room)
    assert done.returncode == 1 and "2 model calls" in done.stdout


def test_it_says_what_it_can_not_reach(world):
    world.start_shim()
    room = world.given_room()
    assert verify(world, room, "--within", "0.5").returncode == 1  # no consumer runs
    assert verify(world, room, database="postgresql://nobody@127.0.0.1:9/none").returncode == 69
    assert verify(world, room, "--copies", "none").returncode == 64
