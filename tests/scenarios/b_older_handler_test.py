"""During a migration an older handler claims rows by the seed's own UPDATE, beside the consumer: each room is one's only."""

import threading

import pytest

CLAIM = """UPDATE "UserFeedback" SET status = 'processing' WHERE "roomSid" = %s AND status = 'initiated' RETURNING id"""
COMPLETE = """UPDATE "UserFeedback" SET status = 'completed' WHERE id = %s"""


def handle(world, rooms, begin, claimed):
    """As the application did it before: claim, work, complete."""
    with world.another_connection() as db:
        begin.wait()
        for room in rooms:
            row = db.execute(CLAIM, (room,)).fetchone()
            db.commit()
            if row:
                claimed.append(room)
                db.execute(COMPLETE, row)
                db.commit()


def test_both_side_by_side(world):
    rooms = world.given_rooms(60)
    world.model.rule("ok", latency_ms=20)
    world.start_consumer(consumer__max_in_flight=4)
    begin, claimed = threading.Barrier(2), []
    handler = threading.Thread(target=handle, args=(world, rooms[::-1], begin, claimed))
    handler.start()
    begin.wait()
    for room in rooms:
        world.publish(room)
    handler.join()

    world.expect_settled(within=40)
    ours = [room for room in rooms if room not in claimed]
    world.expect_completed(*ours, within=40)
    assert {world.status(room) for room in claimed} == {"completed"}
    assert claimed, "the handler had its share"
    for room in rooms:
        world.expect_model_calls(room, 0 if room in claimed else 1)


@pytest.mark.shows("F11")
def test_a_row_that_it_never_finishes_is_left_to_it(world):
    room, other = world.given_rooms(2)
    world.sql('UPDATE "UserFeedback" SET status = %s WHERE "roomSid" = %s', "processing", room)
    world.start_consumer()
    world.publish(room)
    world.publish(other)
    world.expect_completed(other)
    world.expect_settled()
    world.expect_state(room, "waiting", "foreign")
    assert world.status(room) == "processing"
    world.expect_model_calls(room, 0)
