"""The application writes the row of a room whose webhook has come, and rolls back: the room waits for its time, and ends."""

import pytest

INSERT = """INSERT INTO "UserFeedback" (id, "roomSid", transcript) VALUES (gen_random_uuid(), %s, 'gone')"""


@pytest.mark.shows("F21")
def test_the_room_expires(world):
    world.start_consumer(unmatched__ttl="2s")
    room, other = world.new_sid(), world.given_room()
    with world.another_connection() as application:
        application.execute(INSERT, (room,))
        world.publish(room)
        world.publish(other)
        world.expect_completed(other)
        world.expect_state(room, "waiting", "unmatched")
        application.rollback()

    world.expect_state(room, "expired")
    world.expect_metric("roomclaim_swept_total", "unmatched_expired")
    world.expect_settled()
    world.expect_model_calls(room, 0)
    assert world.dead_letters() == []
