"""The application's row goes initiated, processing, completed, and by no other way."""

import pytest


def test_a_room_goes_through_processing_to_completed(world):
    history = world.given_status_history()
    room = world.given_room()
    world.start_consumer()
    world.publish(room, copies=3)
    world.expect_completed(room)
    world.expect_settled()
    assert history(room) == ["processing", "completed"]


@pytest.mark.parametrize("status", ["completed", "dropped", "processing"])
def test_a_row_that_is_not_initiated_is_left_alone(world, status):
    history = world.given_status_history()
    room = world.given_room(status=status)
    world.start_consumer()
    world.publish(room, copies=2)
    world.expect_settled()
    assert world.status(room) == status
    assert history(room) == []
    world.expect_model_calls(room, 0)


def test_a_row_that_the_application_drops_meanwhile_stays_dropped(world):
    room = world.given_room()
    world.model.script(room, "hold")
    world.start_consumer()
    world.publish(room)
    world.expect_call_begun(room)

    world.sql('UPDATE "UserFeedback" SET status = %s WHERE "roomSid" = %s', "dropped", room)
    world.model.release()

    world.expect_state(room, "done")
    world.expect_settled()
    assert world.status(room) == "dropped"
