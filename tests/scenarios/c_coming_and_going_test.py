"""Consumers come and go under load: each room is called for once, and the checker finds no offset ahead of its work."""

import pytest
from harness.processes import until
from harness.recording import Recording

ROUNDS, ROOMS = 2, 24  # so many that each partition has some


@pytest.mark.shows("F30")
@pytest.mark.parametrize("assignor", ["range", "cooperative-sticky"])
def test_each_room_is_called_for_once(world, assignor):
    settings = {"kafka__assignor": assignor, "consumer__max_in_flight": 4, "claim__lease": "25s", "llm__timeout": "20s"}
    with Recording(world, lease_s=25, model_deadline_s=20) as run:
        world.model.rule("ok", latency_ms=250)
        world.start_shim()
        world.start_consumer(**settings)
        rooms = []
        for _ in range(ROUNDS):
            rooms += post_rooms(world, run)
            visitor = world.start_consumer(**settings)
            world.expect_members(2)
            rooms += post_rooms(world, run)
            until(lambda v=visitor: v.said("room completed"), 20, "the visitor has done one, and has more in hand")
            visitor.stop()
            world.expect_members(1)
        run.load.drain()
        run.expected(sometimes=["acknowledged", "completed"])
        run.finish()
    run.check()
    world.expect_completed(*rooms)
    for room in rooms:
        world.expect_model_calls(room, 1)


def post_rooms(world, run):
    rooms = world.given_rooms(ROOMS)
    for room in rooms:
        run.load.post(room)
    return rooms
