"""The model has no room for a call and says when to come back: not before, and no attempt is used."""

import pytest

WAIT_S = 2


@pytest.mark.shows("F80")
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("how", [{"retry_after": WAIT_S}, {"retry_info": f"{WAIT_S}s"}], ids=["header", "body"])
def test_it_is_obeyed(world, status, how):
    room = world.given_room()
    world.model.script(room, (status, how))
    world.start_consumer()
    world.publish(room)
    world.expect_completed(room)
    world.expect_settled()
    refused, answered = world.model.calls(room)
    assert WAIT_S <= answered["in"] - refused["out"] < WAIT_S + 4
    assert world.state(room)[2] == 1
