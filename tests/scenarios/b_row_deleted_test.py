"""The application deletes a room's row while the model is being asked about it."""

import pytest


@pytest.mark.shows("F79")
def test_while_its_call_is_under_way(world):
    world.start_consumer()
    room = world.given_room()
    world.model.script(room, "hold")
    world.publish(room)
    world.expect_call_begun(room)

    world.sql('DELETE FROM "UserFeedback" WHERE "roomSid" = %s', room)
    world.model.release()

    world.expect_state(room, "done")
    world.expect_settled()
    assert world.state(room)[:2] == ("done", "gone")
    world.expect_model_calls(room, 1)
    assert world.sql("SELECT room_sid FROM roomclaim.analysis") == []
    assert world.sql("SELECT outcome, input_hash FROM roomclaim.call") == [("ok", None)]
    world.expect_dead_letters(0)
