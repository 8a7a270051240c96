"""The shim's clock differs from LiveKit's: up to a minute is nothing; beyond it a webhook that is not lost yet comes again."""

import time

import pytest
from harness import livekit, programs

LIFETIME_S = 300
NEAR = 10  # seconds: a busy machine is no clock
CASES = {
    "a minute behind": (-60 + NEAR, 200, None),
    "more than that": (-60 - NEAR, 503, "not_yet"),
    "ten minutes behind": (-600, 401, "future"),
    "a minute ahead of the token's end": (LIFETIME_S + 60 - NEAR, 200, None),
    "more ahead": (LIFETIME_S + 60 + NEAR, 401, "expired"),
    "ten minutes ahead": (600, 401, "expired"),
}


@pytest.mark.shows("F61")
@pytest.mark.parametrize("case", CASES)
def test_a_wrong_clock(world, case):
    ahead_s, status, reason = CASES[case]
    shim = world.start_shim(**programs.clock_at(world.folder, time.time() + ahead_s))
    room = world.new_sid()
    body = livekit.room_finished(room)
    answer = livekit.post(shim.url, body, livekit.token(body, shim.api_key, shim.api_secret, lifetime=LIFETIME_S))
    assert answer.status == status
    assert len(world.kafka.records(world.topic)) == (status == 200)
    if reason:
        assert reason in answer.body.decode()
        assert shim.metrics()["roomclaim_token_refused_total", reason] == 1
        assert shim.said("webhook refused")
