"""A consumer stands still past its lease, and nobody takes its room: what it has in hand is good when it wakes up."""

import signal

import pytest
from harness.processes import until

LEASE_IS_OVER = "SELECT due_at < clock_timestamp() FROM roomclaim.room WHERE room_sid = %s"


@pytest.mark.shows("F05")
def test_its_result_is_stored(world):
    late = world.start_consumer(ROOMCLAIM_FAULT="storing:stop", claim__lease="4s", sweep__interval="60s")
    room = world.given_room()
    world.publish(room)
    world.expect_stopped(late)
    until(lambda: world.value(LEASE_IS_OVER, room), 15, "the lease is over")
    assert world.status(room) == "processing"

    late.child.send(signal.SIGCONT)
    world.expect_completed(room)
    world.expect_settled()
    world.expect_model_calls(room, 1)
    world.expect_calls_on_record(room, "ok")
    assert world.state(room)[2:] == (1, 1)
    assert world.metric("roomclaim_fenced_total") == 0
