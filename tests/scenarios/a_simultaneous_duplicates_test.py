"""The same webhook arrives three times at the very same moment: one model call, one analysis."""

import pytest


@pytest.mark.valgrind
def test_three_webhooks_at_once_are_one_model_call(world):
    world.model.rule("ok", latency_ms=300)
    world.start_shim()
    world.start_consumer()
    room = world.given_room()

    assert world.webhook(room, copies=3) == [200] * 3

    world.expect_completed(room)
    world.expect_settled()
    world.expect_model_calls(room, 1)
    assert len(world.kafka.records(world.topic)) == 3
    assert world.suppressed() == 2


def test_the_seeds_own_route_takes_webhooks_too(world):
    world.start_shim()
    world.start_consumer()
    room = world.given_room()
    assert world.webhook(room, copies=2, path="/api/webhooks/livekit") == [200, 200]
    world.expect_completed(room)
    world.expect_settled()
    world.expect_model_calls(room, 1)
