"""SIGTERM in mid-work: calls are finished within the grace, or left to their lease; either way the next one goes on."""

import pytest


@pytest.mark.shows("F09")
def test_a_call_that_ends_within_the_grace_is_stored(world):
    first = world.start_consumer()
    rooms = world.given_rooms(6)
    world.model.rule("ok", latency_ms=700)
    for room in rooms:
        world.publish(room)
    for room in rooms:
        world.expect_call_begun(room)
    first.stop()
    world.expect_nothing_processing()

    world.start_consumer()

    world.expect_completed(*rooms)
    world.expect_settled()
    assert world.model.stats()["calls"] == 6


@pytest.mark.shows("F09")
def test_a_call_that_does_not_end_is_left_to_its_lease(world):
    first = world.start_consumer(consumer__shutdown_grace="300ms")
    room = world.given_room()
    world.model.script(room, "hang")
    world.publish(room)
    world.expect_call_begun(room)

    first.stop(expect=2)

    world.start_consumer()
    world.expect_completed(room)
    world.expect_model_calls(room, 2)
    world.expect_settled()


def test_a_backlog_survives_a_restart(world):
    first = world.start_consumer(consumer__max_in_flight=2)
    rooms = world.given_rooms(30)
    world.model.rule("ok", latency_ms=50)
    for room in rooms:
        world.publish(room)
    world.expect_completed_at_least(5)
    first.stop()
    world.start_consumer()
    world.expect_completed(*rooms, within=30)
    world.expect_settled()
    assert world.model.stats()["calls"] == 30
