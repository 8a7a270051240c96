"""One room_finished posted a hundred times at once: a hundred times 200, one call, one analysis, completed."""

import pytest


@pytest.mark.shows("F23")
def test_a_hundred_posts_are_one_analysis(world):
    world.model.rule("ok", latency_ms=200)
    world.start_shim()
    world.start_consumer()
    room = world.given_room()

    assert world.webhook(room, copies=100) == [200] * 100

    world.expect_completed(room)
    world.expect_settled()
    world.expect_model_calls(room, 1)
    assert len(world.kafka.records(world.topic)) == 100
    assert world.suppressed() == 99
