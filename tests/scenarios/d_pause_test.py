"""A consumer that is stopped past its lease and wakes up can't overwrite what another one did."""

import signal

import pytest


@pytest.mark.shows("F04")
def test_a_late_worker_is_fenced(world):
    late = world.start_consumer(ROOMCLAIM_FAULT="storing:stop")
    room = world.given_room()
    world.publish(room)
    world.expect_stopped(late)

    world.start_consumer()
    world.expect_completed(room, within=30)
    result = world.value("SELECT result FROM roomclaim.analysis WHERE room_sid = %s", room)
    late.child.send(signal.SIGCONT)

    world.expect_metric("roomclaim_fenced_total")
    world.expect_model_calls(room, 2)
    assert world.sql("SELECT result FROM roomclaim.analysis WHERE room_sid = %s", room) == [(result,)]
    assert world.status(room) == "completed"
