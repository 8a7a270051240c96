"""What happens to a group while it works: more partitions, and a static member that starts twice."""

import pytest
from harness.processes import until
from harness.programs import Consumer


def test_new_partitions_are_read(world):
    quick = Consumer.SETTINGS["kafka.properties"] + ",topic.metadata.refresh.interval.ms=300"
    consumer = world.start_consumer(kafka__properties=quick)
    room = world.given_room()
    world.publish(room)
    world.expect_completed(room)

    world.kafka.grow(world.topic, world.partitions + 3)
    rooms = world.given_rooms(6)
    for i, sid in enumerate(rooms):
        world.publish(sid, partition=i)

    world.expect_completed(*rooms)
    world.expect_settled()
    assert consumer.said("partitions assigned")[-1]["partitions"] == world.partitions + 3
    assert world.model.stats()["max_per_room"] == 1


@pytest.mark.shows("F36")
def test_a_static_member_that_starts_twice_is_fenced(world):
    static = Consumer.SETTINGS["kafka.properties"] + ",group.instance.id=the-same"
    first = world.start_consumer(kafka__properties=static)
    second = world.start_consumer(kafka__properties=static, wait=False)

    world.expect_end(first)
    assert first.ended == 1
    said = [line for line in first.log() if line["level"] == "error"]
    assert any("FENCED_INSTANCE_ID" in line.get("error", "") for line in said), said
    until(second.ready, 20, second.tail)
    room = world.given_room()
    world.publish(room)
    world.expect_completed(room)
    world.expect_settled()
