"""room_finished often beats the transcript's last write: the room waits for its input, and is parked if none comes."""

import pytest


@pytest.mark.parametrize("before", [None, ""])
def test_the_room_is_done_once_its_input_is_there(world, before):
    world.start_consumer()
    room = world.given_room(transcript=before)
    world.publish(room)
    world.expect_state(room, "waiting", "input")
    world.expect_settled()
    assert world.status(room) == "initiated"
    world.expect_model_calls(room, 0)

    world.sql('UPDATE "UserFeedback" SET transcript = %s WHERE "roomSid" = %s', "now it is here", room)

    world.expect_completed(room)
    world.expect_model_calls(room, 1)


def test_a_room_whose_input_never_comes_is_parked(world):
    world.start_consumer(claim__input_wait="300ms")
    room = world.given_room(transcript="")
    world.publish(room)
    world.expect_parked(room, "empty")
    world.expect_model_calls(room, 0)
    world.expect_dead_letters(1)
