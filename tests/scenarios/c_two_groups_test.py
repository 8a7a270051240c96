"""Another group reads the same topic, beside the live one or afterwards: no room is called for again."""

import pytest
from harness import livekit


@pytest.mark.shows("F55")
def test_side_by_side(world):
    world.model.rule("ok", latency_ms=100)
    for group in (world.group, "other-" + world.group):
        world.start_consumer(kafka__group=group)
    rooms = world.given_rooms(60)
    for room in rooms:
        world.publish(room)
    world.expect_completed(*rooms, within=40)
    expect_read(world, world.group, "other-" + world.group)
    assert world.model.stats()["calls"] == len(rooms)
    assert {world.state(room)[2:] for room in rooms} == {(1, 1)}


@pytest.mark.shows("F54")
def test_all_over_again(world):
    first = world.start_consumer()
    rooms = world.given_rooms(300)
    for room in rooms:
        world.publish(room)
    world.expect_completed(*rooms, within=40)
    expect_read(world, world.group)
    first.stop()

    world.start_consumer(kafka__group="later-" + world.group)
    expect_read(world, "later-" + world.group)
    world.expect_metric("roomclaim_duplicates_suppressed_total", "claim", at_least=len(rooms))
    assert world.model.stats()["calls"] == len(rooms)


@pytest.mark.shows("F54")
def test_ten_thousand_completed_rooms(world):
    rooms = [world.new_sid() for _ in range(10_000)]
    world.sql(
        'INSERT INTO "UserFeedback" (id, "roomSid", status, transcript) '
        "SELECT gen_random_uuid(), room, 'completed', 'good' FROM unnest(%s::text[]) AS room",
        rooms,
    )
    world.kafka.produce(world.topic, [(room.encode(), livekit.room_finished(room), None, None) for room in rooms])

    world.start_consumer()

    world.expect_settled(within=40)
    world.expect_metric("roomclaim_duplicates_suppressed_total", "claim", at_least=len(rooms))
    assert world.model.stats()["calls"] == 0
    world.expect_dead_letters(0)


def expect_read(world, *groups):
    own = world.group
    for world.group in groups:
        world.expect_settled(within=40)
    world.group = own
