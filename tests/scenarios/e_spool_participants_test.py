"""Kafka is away while a room's participants leave: with a spool each event is answered at once, so the last one is not late."""

import json
import time

import pytest
from harness import livekit
from harness.spooling import TOPIC, WITHIN, expect_drained, post, start

EVENTS = ["participant_left"] * 30 + ["room_finished"]
AT_ONCE_S = 1


@pytest.mark.shows("F4C")
def test_room_finished_does_not_wait_behind_them(tmp_path, mock, topics_of):
    away = start(tmp_path, "away")
    room = livekit.new_id("RM_")
    took = []
    for name in EVENTS:
        body = livekit.room_finished(room) if name == "room_finished" else livekit.room_event(name, room)
        begun = time.monotonic()
        assert post(away, body) == 200
        took.append(time.monotonic() - begun)
    assert max(took[1:]) < AT_ONCE_S and took[0] < WITHIN, took  # the first may find out that Kafka is away
    away.kill()

    back = start(tmp_path, "back", mock.bootstrap)
    expect_drained(back)
    seen = [json.loads(value)["event"] for key, value, _ in topics_of(mock).records(TOPIC) if key.decode() == room]
    assert seen == EVENTS
    back.finish()
