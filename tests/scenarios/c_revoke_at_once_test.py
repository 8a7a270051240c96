"""Partitions are taken away with fifty calls under way: they are given up at once, and no call is made twice."""

import datetime

import pytest

CALLS = 50


@pytest.mark.shows("F31")
@pytest.mark.parametrize("assignor", ["range", "cooperative-sticky"])
def test_fifty_calls_hold_up_nobody(world, assignor):
    settings = {
        "kafka__assignor": assignor,
        "consumer__max_in_flight": 64,
        "llm__timeout": "20s",
        "claim__lease": "25s",
    }
    world.model.rule("hold")
    first = world.start_consumer(**settings)
    rooms = world.given_rooms(CALLS)
    for room in rooms:
        world.publish(room)
    world.expect_metric("roomclaim_in_flight", at_least=CALLS)
    second = world.start_consumer(**settings)
    world.expect_members(2)
    assert first.metrics()["roomclaim_in_flight", ""] == CALLS
    took_s = told_at(second.said("partitions assigned")[0]) - told_at(first.said("partitions revoked")[0])
    assert took_s.total_seconds() < 2, took_s

    world.model.release()
    world.expect_completed(*rooms)
    world.expect_settled()
    for room in rooms:
        world.expect_model_calls(room, 1)


def told_at(line):
    return datetime.datetime.fromisoformat(line["ts"])
