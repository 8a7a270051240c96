"""Postgres goes away in mid-work: the replies in hand are stored when it is back, not paid for again."""

import pytest


@pytest.mark.shows("F75")
@pytest.mark.parametrize("how", ["stop", "crash"])
def test_a_reply_in_hand_is_stored_afterwards(own_postgres_world, how):
    world = own_postgres_world
    consumer = world.start_consumer(claim__lease="20s")
    rooms = world.given_rooms(5)
    world.model.rule("hold")
    for room in rooms:
        world.publish(room)
    for room in rooms:
        world.expect_call_begun(room)

    getattr(world.postgres, how)()
    world.model.release()
    world.expect_not_ready(consumer)
    world.postgres.start()
    world.reconnect()

    world.expect_completed(*rooms, within=30)
    world.expect_settled()
    assert world.model.stats()["calls"] == 5
    assert world.dead_letters() == []
