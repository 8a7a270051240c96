"""A connection that breaks after the request was sent: each sending is a call on record, none is repeated in secret."""

from harness.processes import until


def test_a_cut_call_is_not_repeated_behind_our_back(world):
    world.start_consumer()
    before, room = world.given_rooms(2)
    world.publish(before)
    world.expect_completed(before)  # leaves a connection that is kept: only such calls would be repeated
    world.model.script(room, "cut", "ok")
    world.publish(room)
    world.expect_completed(room)
    world.expect_settled()
    world.expect_model_calls(room, 2)
    world.expect_calls_on_record(room, "cut", "ok")


def test_the_limit_of_attempts_counts_every_sending(world):
    world.start_consumer(claim__max_attempts=1, consumer__max_in_flight=10)
    rooms = world.given_rooms(10)
    world.model.rule("ok", latency_ms=300)
    for room in rooms:
        world.publish(room)
    world.expect_completed(*rooms)  # ten connections are kept
    room, good = world.given_rooms(2)
    world.model.script(room, *["cut"] * 6)
    world.publish(good)
    world.expect_completed(good)
    world.publish(room)
    until(lambda: on_record(world, room) > 0, 15, "the first call is on record")
    assert len(world.model.calls(room)) <= on_record(world, room)


def on_record(world, room):
    return world.value("SELECT count(*) FROM roomclaim.call WHERE room_sid = %s AND outcome IS NOT NULL", room)
