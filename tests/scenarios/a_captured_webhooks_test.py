"""What a real LiveKit server sent, byte for byte: signed anew, and with the shim's clock set to when it was sent."""

import re

from harness import livekit, programs

PASSWORD = re.compile(rb'"turnPassword":"[^"]*", ')
KEY, SECRET = "devkey", "secret-secret-secret-secret-secret-32"


def expect_topic_holds(world, captured):
    records = world.kafka.records(world.topic)
    assert sorted(value for _, value, _ in records) == sorted(PASSWORD.sub(b"", c.body) for c in captured)
    for key, value, headers in records:
        assert key in value
        assert headers["ce_type"] == b"io.livekit." + re.search(rb'"event":"(\w+)"', value)[1]


def test_the_same_bodies_signed_anew(world, captured):
    shim = world.start_shim()
    world.start_consumer()
    ended = {re.search(rb'"sid":"(RM_\w+)"', c.body)[1].decode() for c in captured if b'"room_finished"' in c.body}
    rooms = [world.given_room(sid) for sid in sorted(ended)]

    for c in captured:
        assert livekit.post(shim.url, c.body, livekit.token(c.body, shim.api_key, shim.api_secret)).status == 200, (
            c.name
        )

    world.expect_completed(*rooms)
    world.expect_settled()
    for room in rooms:
        world.expect_model_calls(room, 1)
    expect_topic_holds(world, captured)


def test_the_same_requests_at_the_time_they_were_sent(world, captured):
    for together in sent_together(captured):
        clock = programs.clock_at(world.folder, together[-1].received_at)
        shim = world.start_shim(LIVEKIT_API_KEY=KEY, LIVEKIT_API_SECRET=SECRET, **clock)
        for c in together:
            assert livekit.post(shim.url, c.body, c.token).status == 200, c.name
        shim.stop()
    expect_topic_holds(world, captured)


def sent_together(captured, span=200):
    """Groups whose tokens, which live for 300 s, are all valid when the last of the group came."""
    groups = []
    for c in sorted(captured, key=lambda c: c.received_at):
        if not groups or c.received_at - groups[-1][0].received_at > span:
            groups.append([])
        groups[-1].append(c)
    return groups
