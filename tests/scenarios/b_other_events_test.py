"""Only room_finished starts anything; everything else is settled, in any order, with or without headers."""

import pytest
from harness import livekit

KINDS = ["room_started", "participant_joined", "track_published", "participant_left", "egress_ended", "made_up_kind"]


@pytest.mark.shows("F24")
def test_other_events_are_settled_and_nothing_else(world):
    world.start_consumer()
    room = world.given_room()
    for kind in KINDS:
        body = livekit.room_event(kind, room)
        world.publish(room, body=body)
        world.publish(room, body=body, headers=[("ce_type", f"io.livekit.{kind}".encode())])
    world.expect_settled()
    world.expect_model_calls(room, 0)
    assert world.status(room) == "initiated"

    world.publish(room, headers=[("ce_type", b"io.livekit.room_finished")])

    world.expect_completed(room)
    for kind in KINDS:
        world.publish(room, body=livekit.room_event(kind, room))
    world.expect_settled()
    world.expect_model_calls(room, 1)


def test_an_escaped_event_name_is_still_read(world):
    world.start_consumer()
    room = world.given_room()
    world.publish(room, body=livekit.room_finished(room).replace(b"room_finished", rb"room\u005ffinished"))
    world.expect_completed(room)
