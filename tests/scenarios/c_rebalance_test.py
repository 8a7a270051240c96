"""A consumer joins or leaves while calls are in flight: they go on, and nobody calls again."""

import pytest


@pytest.mark.shows("F31")
@pytest.mark.parametrize("assignor", ["range", "cooperative-sticky"])
def test_a_joining_consumer_causes_no_extra_call(world, assignor):
    rooms = world.given_rooms(8)
    world.model.rule("hold")
    world.start_consumer(kafka__assignor=assignor, llm__timeout="20s", claim__lease="25s")
    for room in rooms:
        world.publish(room)
    for room in rooms:
        world.expect_call_begun(room)

    world.start_consumer(kafka__assignor=assignor, llm__timeout="20s", claim__lease="25s")
    world.expect_members(2)
    world.model.release()

    world.expect_completed(*rooms)
    world.expect_settled()
    for room in rooms:
        world.expect_model_calls(room, 1)


def test_a_leaving_consumer_finishes_what_it_has(world):
    first = world.start_consumer()
    room = world.given_room()
    world.model.script(room, ("ok", {"latency_ms": 1000}))
    world.publish(room)
    world.expect_call_begun(room)

    first.stop()

    assert world.status(room) == "completed"
    world.expect_model_calls(room, 1)
    world.start_consumer()
    world.expect_settled()
    world.expect_model_calls(room, 1)
