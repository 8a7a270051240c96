"""A consumer is stopped on its way to the model, after it has looked at its lease: when it wakes up, it sends nothing."""

import signal

import pytest
from harness.processes import until

WHERE = ["analysing", "call_begun"]


@pytest.mark.shows("F04")
@pytest.mark.parametrize("where", WHERE)
def test_no_call_behind_the_lease(world, where):
    late = world.start_consumer(ROOMCLAIM_FAULT=f"{where}:stop")
    room = world.given_room()
    world.publish(room)
    world.expect_stopped(late)
    world.expect_model_calls(room, 0)

    world.start_consumer()
    world.expect_completed(room, within=30)
    late.child.send(signal.SIGCONT)

    world.expect_metric("roomclaim_fenced_total")
    world.expect_model_calls(room, 1)


@pytest.mark.shows("F05")
@pytest.mark.parametrize("where", WHERE)
def test_nobody_else_took_it(world, where):
    late = world.start_consumer(
        ROOMCLAIM_FAULT=f"{where}:stop", llm__timeout="1s", claim__lease="4s", sweep__interval="60s"
    )
    room = world.given_room()
    world.publish(room)
    world.expect_stopped(late)
    until(
        lambda: world.value("SELECT clock_timestamp() > due_at FROM roomclaim.room WHERE room_sid = %s", room),
        15,
        "the lease is over",
    )

    late.child.send(signal.SIGCONT)
    world.expect_completed(room)
    world.expect_settled()
    world.expect_model_calls(room, 1)
    assert [line["verdict"] for line in late.said("room goes back to be tried again")] == ["not_sent"]
