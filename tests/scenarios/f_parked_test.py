"""A room that can't be done is parked with a reason, its record goes to the dead letters, and its row is free again."""

import signal

import pytest
from harness import livekit


@pytest.mark.shows("F84")
@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("safety", "blocked"),
        ("prompt_blocked", "blocked"),
        ("max_tokens", "truncated"),
        (400, "rejected"),
        (413, "rejected"),
    ],
)
def test_a_refusal_parks_the_room_at_once(world, reply, reason):
    room = world.given_room()
    world.model.script(room, reply)
    world.start_consumer()
    body = livekit.room_finished(room)

    world.publish(room, body=body, copies=2)

    world.expect_parked(room, reason)
    world.expect_settled()
    world.expect_model_calls(room, 1)
    [(key, value, headers)] = world.expect_dead_letters(1)
    assert (key.decode(), value, headers["roomclaim-reason"].decode()) == (room, body, reason)
    assert world.status(room) == "initiated"


def test_attempts_end(world):
    room, other = world.given_rooms(2)
    world.model.script(room, *["misfit"] * 10)
    world.start_consumer(claim__max_attempts=3)
    world.publish(room)
    world.publish(other)
    world.expect_parked(room, "exhausted")
    world.expect_completed(other)
    world.expect_model_calls(room, 3)
    world.expect_dead_letters(1)
    world.expect_nothing_processing()


RELEASED_BY_ANOTHER = """
UPDATE roomclaim.room SET state = 'waiting', reason = 'backoff', token = gen_random_uuid(), worker = NULL,
       due_at = clock_timestamp() WHERE room_sid = '{room}';
UPDATE "UserFeedback" SET status = 'initiated' WHERE "roomSid" = '{room}';
"""


def test_a_duplicate_whose_leader_is_fenced_has_the_record_still(world):
    """A duplicate of the same event keeps no record of its own while it follows."""
    room = world.given_room()
    world.model.script(room, "ok", "prompt_blocked")
    body = livekit.room_finished(room)
    world.publish(room, body=body, copies=2)
    consumer = world.start_consumer(ROOMCLAIM_FAULT="storing:stop", sweep__interval="60s", wait=False)
    world.expect_stopped(consumer)

    world.sql(RELEASED_BY_ANOTHER.format(room=room))
    consumer.child.send(signal.SIGCONT)

    world.expect_parked(room, "blocked")
    world.expect_metric("roomclaim_fenced_total")
    [(key, value, headers)] = world.expect_dead_letters(1)
    assert (key.decode(), value, headers["roomclaim-reason"]) == (room, body, b"blocked")
    world.expect_model_calls(room, 2)
    world.expect_settled()
