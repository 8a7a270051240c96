"""A failed model call gives the row back, and it is tried again."""

import pytest


@pytest.mark.shows("F83")
@pytest.mark.parametrize(
    "failure", [500, 503, 429, "cut", "cut_in_the_middle", "bad_json", "web_page", "misfit", "prose", "empty"]
)
def test_one_failure_then_an_answer(world, failure):
    history = world.given_status_history()
    room = world.given_room()
    world.model.script(room, failure)
    world.start_consumer()

    world.publish(room, copies=2)

    world.expect_completed(room)
    world.expect_settled()
    world.expect_model_calls(room, 2)
    assert history(room) == ["processing", "initiated", "processing", "completed"]


@pytest.mark.valgrind
def test_two_failures_then_an_answer(world):
    room = world.given_room()
    world.model.script(room, "misfit", "bad_json")
    world.start_consumer()

    world.publish(room)

    world.expect_completed(room)
    world.expect_model_calls(room, 3)
    assert world.state(room)[2:] == (3, 3)  # attempts and calls: a reply that does not fit counts


def test_a_call_without_an_answer_ends_at_its_limit(world):
    room = world.given_room()
    world.model.script(room, "hang")
    world.start_consumer(llm__timeout="500ms")

    world.publish(room)

    world.expect_completed(room)
    world.expect_model_calls(room, 2)
