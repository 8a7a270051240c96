"""kill -9 of the consumer at any point: the room is completed after lease and sweep, no row stays processing."""

import pytest


@pytest.mark.shows("F02")
def test_killed_between_claim_and_answer(world):
    first = world.start_consumer()
    room = world.given_room()
    world.model.script(room, "hold")
    world.publish(room)
    world.expect_call_begun(room)

    first.kill()
    assert world.status(room) == "processing"
    world.start_consumer()

    world.expect_completed(room)
    assert world.state(room)[2] == 2  # the attempt
    world.expect_model_calls(room, 2)
    world.expect_calls_on_record(room, "lost", "ok")
    world.expect_settled()
    world.expect_nothing_processing()


@pytest.mark.shows("F03")
@pytest.mark.parametrize("when", ["claiming", "follower", "analysing", "storing", "settled"])
@pytest.mark.parametrize("how", ["kill", "error"])
def test_dies_on_entering_a_state(world, when, how):
    first = world.start_consumer(ROOMCLAIM_FAULT=f"{when}:{how}")
    room = world.given_room()
    world.publish(room, copies=2)
    world.expect_end(first)
    assert first.said("fault"), "the fault did not happen"

    world.start_consumer()

    world.expect_completed(room)
    world.expect_settled()
    world.expect_nothing_processing()
    assert len(world.model.calls(room)) <= 2


@pytest.mark.parametrize(("when", "reply"), [("releasing", 500), ("parking", "safety"), ("dead_lettering", "safety")])
def test_dies_on_the_way_out(world, when, reply):
    room = world.given_room()
    world.model.script(room, reply, *([reply] if reply == "safety" else []))
    first = world.start_consumer(ROOMCLAIM_FAULT=f"{when}:kill")
    world.publish(room)
    world.expect_end(first)

    world.start_consumer()

    if reply == "safety":
        world.expect_parked(room, "blocked")
        world.make_due(room)  # a dead letter that is on its way is left alone for a minute
        world.expect_dead_letters(1)
    else:
        world.expect_completed(room)
    world.expect_settled()
    world.expect_nothing_processing()
