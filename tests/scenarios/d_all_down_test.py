"""All consumers are away for so long that their leases are over: whoever starts then does all that has piled up."""

import pytest


@pytest.mark.shows("F12")
def test_the_backlog_is_done(world):
    in_hand, late = world.given_rooms(4), [world.new_sid() for _ in range(5)]
    world.model.rule("hold")
    away = [world.start_consumer() for _ in range(2)]
    for room in in_hand:
        world.publish(room)
    for room in in_hand:
        world.expect_call_begun(room)
    for consumer in away:
        consumer.kill()

    backlog = world.given_rooms(200)
    for room in late + backlog:
        world.publish(room, copies=2)
    for room in late:
        world.given_room(room)
    for room in in_hand:
        world.make_due(room)
    world.model.release()
    world.model.rule("ok")

    for _ in range(2):
        world.start_consumer()
    world.expect_completed(*in_hand, *late, *backlog, within=60)
    world.expect_settled(within=40)
    for room in in_hand:
        world.expect_model_calls(room, 2)
    assert world.model.stats()["calls"] == 2 * len(in_hand) + len(late) + len(backlog)
    world.expect_nothing_processing()
    assert world.dead_letters() == []
