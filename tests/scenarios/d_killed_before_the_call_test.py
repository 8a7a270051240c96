"""A consumer dies with a room that it has claimed and not called for: that room is paid once."""

import pytest


@pytest.mark.shows("F01")
@pytest.mark.parametrize("when", ["analysing", "call_begun"])
def test_one_call_in_all(world, when):
    first = world.start_consumer(ROOMCLAIM_FAULT=f"{when}:kill")
    room = world.given_room()
    world.publish(room)
    world.expect_end(first)
    assert first.said("fault"), "the fault did not happen"
    assert world.status(room) == "processing"
    world.expect_model_calls(room, 0)

    world.start_consumer()
    world.expect_completed(room)
    world.expect_settled()
    world.expect_model_calls(room, 1)
    world.expect_nothing_processing()
