"""Two nodes that believed in one room send different event ids with one sid: the sid is what counts."""

from harness import livekit


def test_different_event_ids_with_one_sid_are_one_call(world):
    world.model.rule("ok", latency_ms=200)
    world.start_shim()
    world.start_consumer()
    room = world.given_room()
    bodies = [livekit.room_finished(room) for _ in range(3)]
    assert len(set(bodies)) == 3

    for body in bodies:
        assert world.webhook(room, body=body) == [200]

    world.expect_completed(room)
    world.expect_settled()
    world.expect_model_calls(room, 1)
