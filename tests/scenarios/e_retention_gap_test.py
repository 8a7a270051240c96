"""Retention deletes records before they are read: said, counted, and the rest goes on."""

import pytest


@pytest.mark.shows("F50")
def test_deleted_records_are_reported(world):
    consumer = world.start_consumer()
    rooms = world.given_rooms(8)
    for room in rooms[:3]:
        world.publish(room, partition=0)
    world.expect_completed(*rooms[:3])
    world.expect_settled()
    consumer.stop()
    for room in rooms[3:]:
        world.publish(room, partition=0)
    world.kafka.delete_before(world.topic, 0, 5)

    again = world.start_consumer()

    world.expect_completed(*rooms[5:])
    world.expect_metric("roomclaim_records_lost_total", at_least=2)
    [line] = again.said("records were deleted before they were read")
    assert (line["partition"], line["from"], line["to"], line["records"]) == (0, 3, 4, 2)
    world.expect_settled()
    assert [world.status(room) for room in rooms[3:5]] == ["initiated"] * 2


def test_an_ordinary_restart_reports_nothing(world):
    rooms = world.given_rooms(4)
    first = world.start_consumer()
    for room in rooms[:2]:
        world.publish(room)
    world.expect_completed(*rooms[:2])
    world.expect_settled()
    first.stop()
    for room in rooms[2:]:
        world.publish(room)
    second = world.start_consumer()
    world.expect_completed(*rooms)
    assert not second.said("records were deleted") and second.metrics()[("roomclaim_records_lost_total", "")] == 0
