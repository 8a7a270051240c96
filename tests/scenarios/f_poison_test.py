"""Records that nobody can use go to the dead letters, with their headers, and never stop a partition."""

import json

POISON = {
    "json": b"{not json",
    "empty": b"",
    "utf8": b'{"event":"room_finished", "room":{"sid":"RM_\xff"}}',
    "no_sid": b'{"event":"room_finished", "room":{"name":"x"}}',
    "bad_sid": b'{"event":"room_finished", "room":{"sid":"RM_ and blanks"}}',
    "shape": b'["room_finished"]',
    "depth": b'{"event":"room_finished", "x":' + b"[" * 40 + b"]" * 40 + b"}",
}


def test_poison_is_set_aside_and_the_rest_goes_on(world):
    rooms = world.given_rooms(2)
    world.start_consumer()
    world.publish(rooms[0], partition=0)
    for body in POISON.values():
        world.publish(
            "RM_poison", body=body, partition=0, headers=[("ce_type", b"io.livekit.room_finished"), ("x-kept", b"yes")]
        )
    world.publish(rooms[1], partition=0)

    world.expect_completed(*rooms)
    world.expect_settled()
    letters = world.expect_dead_letters(len(POISON))

    assert {headers["roomclaim-reason"].decode() for _, _, headers in letters} == set(POISON)
    for key, value, headers in letters:
        assert (key, value or b"") == (b"RM_poison", POISON[headers["roomclaim-reason"].decode()])
        assert headers["x-kept"] == b"yes"
        assert headers["__dlq.errors.topic"].decode() == headers["kafka_dlt-original-topic"].decode() == world.topic
        assert headers["__dlq.errors.partition"] == b"0" and int(headers["__dlq.errors.offset"]) > 0


def test_a_tombstone_is_ignored(world):
    room = world.given_room()
    world.start_consumer()
    world.publish(room, body=None, partition=1)
    world.tombstone(room, partition=1)
    world.expect_completed(room)
    world.expect_settled()
    assert world.dead_letters() == []


def test_a_key_that_is_not_the_sid_does_not_matter(world):
    rooms = world.given_rooms(2)
    world.start_consumer()
    world.publish(rooms[0], key=b"something else")
    world.publish(rooms[1], key=b"")
    world.expect_completed(*rooms)
    world.expect_settled()
    assert json.loads(world.kafka.records(world.topic)[0][1])["event"] == "room_finished"
