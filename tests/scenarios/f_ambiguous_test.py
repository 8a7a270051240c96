"""Two rows with one sid: nobody can tell which is meant, so the room is parked, its dead letter carries the record."""

from harness import livekit


def test_a_room_with_two_rows_is_parked_with_its_record(world):
    world.sql('ALTER TABLE "UserFeedback" DROP CONSTRAINT IF EXISTS "UserFeedback_roomSid_key"')
    room, good = world.given_rooms(2)
    world.given_room(room)
    world.start_consumer()
    body = livekit.room_finished(room)
    world.publish(room, body=body, headers=[("ce_id", b"EV_kept")])
    world.publish(good)

    world.expect_parked(room, "ambiguous")
    world.expect_completed(good)
    world.expect_settled()
    [(key, value, headers)] = world.expect_dead_letters(1)
    assert (key, value) == (room.encode(), body)
    assert headers["roomclaim-reason"] == b"ambiguous" and headers["ce_id"] == b"EV_kept"
    world.expect_model_calls(room, 0)
    assert world.status(room) == "initiated"
