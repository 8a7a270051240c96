"""The model's provider is away: the breaker opens, nothing is burnt and nothing dead-lettered, and all heals by itself."""

import pytest


@pytest.mark.shows("F81")
@pytest.mark.parametrize("failure", [503, 500, "cut", 429])
def test_an_outage_burns_nothing(world, failure):
    rooms = world.given_rooms(12)
    world.model.rule(failure)
    world.start_consumer(breaker__failures=3, consumer__max_in_flight=4)
    for room in rooms:
        world.publish(room)

    world.expect_metric("roomclaim_breaker_state")
    world.expect_metric("roomclaim_model_calls_total", "failed", at_least=5)
    assert world.dead_letters() == []
    world.model.rule("ok")

    world.expect_completed(*rooms, within=30)
    world.expect_settled()
    assert {world.state(room)[2] for room in rooms} == {1}
    assert world.dead_letters() == []


@pytest.mark.shows("F84")
@pytest.mark.parametrize("refusal", [401, 403, 404])
def test_a_wrong_key_stops_everything_and_burns_nothing(world, refusal):
    rooms = world.given_rooms(6)
    world.model.rule(refusal)
    consumer = world.start_consumer()
    for room in rooms:
        world.publish(room)

    world.expect_metric("roomclaim_breaker_state")
    world.expect_not_ready(consumer)
    world.model.rule("ok")

    world.expect_completed(*rooms, within=30)
    world.expect_ready(consumer)
    assert {world.state(room)[2] for room in rooms} == {1}
    assert world.dead_letters() == []


def test_a_model_that_is_not_there_at_all(world):
    rooms = world.given_rooms(4)
    url = world.model.url
    consumer = world.start_consumer(llm__base_url="http://127.0.0.1:9")
    for room in rooms:
        world.publish(room)
    world.expect_metric("roomclaim_breaker_state")
    assert {world.state(room)[2] for room in rooms if world.state(room)} <= {0, 1}
    consumer.stop()
    world.start_consumer(llm__base_url=url)
    world.expect_completed(*rooms, within=45)  # a room that the first one's sweep had in hand stays its own for 30 s
    assert world.model.stats()["calls"] == 4
