"""Whoever takes one certain room dies: it is parked when its attempts are used up, and the others go on all the while."""

import pytest

ATTEMPTS = 3


@pytest.mark.shows("F07")
def test_the_room_is_parked_and_the_others_go_on(world):
    deadly = world.given_room()
    world.model.script(deadly, *["hold"] * (ATTEMPTS + 1))
    world.publish(deadly, partition=0)
    for attempt in range(1, ATTEMPTS + 1):
        consumer = world.start_consumer(claim__max_attempts=ATTEMPTS)
        world.expect_call_begun(deadly, attempt)
        other = world.given_room()
        world.publish(other, partition=0)  # behind the deadly one
        world.expect_completed(other)
        consumer.kill()
        world.make_due(deadly)  # the dead one's lease is over

    world.start_consumer(claim__max_attempts=ATTEMPTS)
    world.expect_parked(deadly, "exhausted")
    world.expect_settled()
    [(key, _, headers)] = world.expect_dead_letters(1)
    assert (key.decode(), headers["roomclaim-reason"]) == (deadly, b"exhausted")
    world.expect_model_calls(deadly, ATTEMPTS)
    world.expect_calls_on_record(deadly, *["lost"] * ATTEMPTS)
    assert world.status(deadly) == "initiated"
    world.expect_nothing_processing()
