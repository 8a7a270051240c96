"""The webhook comes before the application has written the room's row: it is kept, and done when the row is there."""

import pytest


@pytest.mark.shows("F20")
@pytest.mark.valgrind
def test_the_room_is_done_once_its_row_exists(world):
    world.start_consumer()
    room = world.new_sid()
    world.publish(room, copies=2)
    world.expect_state(room, "waiting", "unmatched")
    world.expect_settled()  # it waits in Postgres, not in the topic
    world.expect_model_calls(room, 0)

    world.given_room(room)

    world.expect_completed(room, within=30)
    world.expect_model_calls(room, 1)


@pytest.mark.shows("F20")
def test_a_row_in_an_open_transaction_is_not_waited_for(world):
    world.start_consumer()
    room, other = world.new_sid(), world.given_room()
    with world.another_connection() as application:
        application.execute(
            'INSERT INTO "UserFeedback" (id, "roomSid", transcript) VALUES (gen_random_uuid(), %s, %s)', (room, "late")
        )
        world.publish(room)
        world.publish(other)
        world.expect_completed(other)
        world.expect_settled()
        application.commit()
    world.expect_completed(room, within=30)
