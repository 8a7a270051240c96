"""While the breaker is open no room is claimed, but leases end all the same, and records wait in the topic."""

import pytest
from harness import livekit
from harness.processes import until


def given_an_outage(world, **settings):
    """The breaker of the consumer that is returned is open, and no probe is due for long."""
    world.model.rule(503)
    consumer = world.start_consumer(
        breaker__failures=1, breaker__probe_initial="60s", breaker__probe_max="60s", **settings
    )
    world.publish(world.given_room())
    world.expect_metric("roomclaim_breaker_state")
    return consumer


def test_a_lease_that_ends_gives_its_row_back(world):
    dead = world.start_consumer(claim__lease="60s")
    room = world.given_room()
    world.model.script(room, "hold")
    world.publish(room)
    world.expect_call_begun(room)
    dead.kill()
    given_an_outage(world)

    world.make_due(room)

    world.expect_status(room, "initiated")
    assert world.metric("roomclaim_breaker_state") == 1
    assert world.state(room) == ("waiting", "backoff", 1, 1)
    world.expect_model_calls(room, 1)


@pytest.mark.shows("F81")
def test_nothing_is_claimed(world):
    given_an_outage(world)
    rooms = world.given_rooms(6)
    for room in rooms:
        world.publish(room)

    world.expect_metric("roomclaim_waiting", at_least=6)

    assert [world.state(room) for room in rooms] == [None] * 6
    assert {world.status(room) for room in rooms} == {"initiated"}
    assert world.model.stats()["calls"] == 1


@pytest.mark.shows("F81")
def test_records_wait_in_the_topic_and_the_group_is_heard(world):
    first = given_an_outage(world, consumer__max_waiting=20)
    strangers = [world.new_sid() for _ in range(1200)]
    world.kafka.produce(world.topic, [(sid.encode(), livekit.room_finished(sid), None, None) for sid in strangers])
    world.expect_metric("roomclaim_paused")
    assert world.metric("roomclaim_waiting") < 100
    until(lambda: told_lag(world) == 1200, 10, lambda: f"the lag is told, now {told_lag(world)}")
    assert world.kafka.lag(world.group, world.topic) == 1200

    world.model.rule("ok")
    world.start_consumer()

    world.expect_members(2)  # who paused and did not poll would hold up the newcomer
    first.stop()
    world.expect_settled(within=40)
    assert world.dead_letters() == []


def told_lag(world):
    return sum(world.metric("roomclaim_lag_records", str(partition)) for partition in range(world.partitions))
