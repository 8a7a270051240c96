"""The model's answer comes byte by byte: the time limit is for the whole call, however lively it is."""

import pytest


@pytest.mark.shows("F82")
def test_the_limit_is_for_the_whole_call(world):
    room = world.given_room()
    world.model.script(room, "drip")
    world.start_consumer(llm__timeout="800ms")
    world.publish(room)
    world.expect_completed(room)
    world.expect_settled()
    dripped, answered = world.model.calls(room)
    assert (dripped["kind"], answered["kind"]) == ("drip", "ok")
    assert 0.7 < dripped["out"] - dripped["in"] < 2
    world.expect_calls_on_record(room, "timeout", "ok")
