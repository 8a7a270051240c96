"""Two consumers share the work of a topic, and contend for the same room only in Postgres."""

import pytest
from harness.processes import until


def test_two_consumers_share_forty_rooms(world):
    world.model.rule("ok", latency_ms=100)
    first, second = world.start_consumer(consumer__max_in_flight=4), world.start_consumer(consumer__max_in_flight=4)
    world.expect_members(2)
    rooms = world.given_rooms(40)
    for room in rooms:
        world.publish(room, copies=2)

    world.expect_completed(*rooms, within=40)
    world.expect_settled()
    assert world.model.stats()["calls"] == 40
    for consumer in (first, second):
        assert consumer.metrics()["roomclaim_model_calls_total", "stored"] > 0


@pytest.mark.shows("F10")
def test_the_same_room_in_every_partition_is_one_call(world):
    """All at the same moment. A claim that meets another half way is told `busy`, and asks again later."""
    for _ in range(2):
        world.start_consumer(llm__timeout="20s", claim__lease="25s")
    world.expect_members(2)
    room = world.given_room()
    world.model.script(room, "hold")

    world.publish(room, partition="all")

    world.expect_call_begun(room)
    until(lambda: beaten(world) >= 1, 15, lambda: "one is beaten at the claim")
    world.model.release()
    world.expect_completed(room)
    world.expect_settled()
    world.expect_model_calls(room, 1)
    assert beaten(world) == world.partitions - 1


def beaten(world):
    return world.suppressed() + world.metric("roomclaim_claims_total", "busy")
