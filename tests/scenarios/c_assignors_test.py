"""Both ways of sharing partitions out: eager, where all is given back at each rebalance, and cooperative, where the rest
goes on meanwhile."""

import pytest

pytestmark = pytest.mark.parametrize("assignor", ["range", "cooperative-sticky"])


def test_two_share_the_work(world, assignor):
    world.model.rule("ok", latency_ms=50)
    consumers = [world.start_consumer(kafka__assignor=assignor, consumer__max_in_flight=4) for _ in range(2)]
    world.expect_members(2)
    rooms = world.given_rooms(24)
    for room in rooms:
        world.publish(room, copies=2)

    world.expect_completed(*rooms, within=40)
    world.expect_settled()
    assert world.model.stats()["calls"] == len(rooms)
    for consumer in consumers:
        assert consumer.metrics()["roomclaim_model_calls_total", "stored"] > 0


@pytest.mark.shows("F10")
def test_the_same_room_in_every_partition(world, assignor):
    for _ in range(2):
        world.start_consumer(kafka__assignor=assignor, llm__timeout="20s", claim__lease="25s")
    world.expect_members(2)
    room = world.given_room()
    world.model.script(room, "hold")

    first, *others = range(world.partitions)
    world.publish(room, partition=first)
    world.expect_call_begun(room)
    for partition in others:
        world.publish(room, partition=partition)

    world.expect_metric("roomclaim_duplicates_suppressed_total", "claim")
    world.model.release()
    world.expect_completed(room)
    world.expect_settled()
    world.expect_model_calls(room, 1)
    assert world.suppressed() == world.partitions - 1


def rooms_in_a_call(world, count):
    rooms = world.given_rooms(count)
    world.model.rule("hold")
    for i, room in enumerate(rooms):
        world.publish(room, partition=i % world.partitions)
    for room in rooms:
        world.expect_call_begun(room)
    return rooms


@pytest.mark.shows("F31")
def test_joining_and_leaving_with_calls_in_flight(world, assignor):
    settings = {"kafka__assignor": assignor, "llm__timeout": "20s", "claim__lease": "25s"}
    first = world.start_consumer(**settings)
    rooms = rooms_in_a_call(world, 6)
    world.start_consumer(**settings)
    world.expect_members(2)
    world.start_consumer(**settings)
    world.expect_members(3)

    world.model.release()
    world.expect_completed(*rooms)
    first.stop()

    world.expect_members(2)
    later = world.given_rooms(6)
    for i, room in enumerate(later):
        world.publish(room, partition=i % world.partitions)
    world.expect_completed(*later)
    world.expect_settled()
    assert world.model.stats()["calls"] == len(rooms) + len(later)
    for line in (line for consumer in world.consumers for line in consumer.log()):
        assert "could not be" not in line["msg"], line


def test_one_of_two_is_killed(world, assignor):
    first = world.start_consumer(kafka__assignor=assignor)
    second = world.start_consumer(kafka__assignor=assignor)
    world.expect_members(2)
    rooms = rooms_in_a_call(world, 6)
    first.kill()
    world.model.release()

    world.expect_members(1)
    world.expect_completed(*rooms)
    world.expect_settled()
    world.expect_nothing_processing()
    assert second.metrics()["roomclaim_model_calls_total", "stored"] > 0
    assert world.model.stats()["max_per_room"] <= 2
