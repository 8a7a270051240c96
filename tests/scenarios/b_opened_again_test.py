"""The application sets a finished row back to `initiated`: the next webhook of that room starts another run."""

from harness import livekit


def test_at_once_after_the_room_was_completed(world):
    world.start_consumer()
    room = world.given_room()
    world.publish(room)
    world.expect_completed(room)
    world.sql('UPDATE "UserFeedback" SET status = %s WHERE "roomSid" = %s', "initiated", room)

    world.publish(room)  # another event, so it is not answered from memory

    world.expect_status(room, "completed")
    world.expect_settled()
    world.expect_model_calls(room, 2)


def test_the_same_event_again_is_answered_from_memory(world):
    world.start_consumer()
    room = world.given_room()
    body = livekit.room_finished(room)
    world.publish(room, body=body)
    world.expect_completed(room)
    world.publish(room, body=body, copies=3)
    world.expect_settled()
    world.expect_metric("roomclaim_duplicates_suppressed_total", "recent", at_least=3)
    world.expect_model_calls(room, 1)
