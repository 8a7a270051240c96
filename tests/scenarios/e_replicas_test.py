"""Too few replicas are in sync, so Kafka refuses records: nothing is answered 200 that is not safe, there or in the spool."""

import time

import pytest
from harness import livekit, programs
from harness.broker import MockBroker
from harness.processes import until
from harness.spooling import TOPIC, expect_drained, expect_spooled, post, rooms, start

PRODUCE, NOT_ENOUGH_REPLICAS = 0, 19
REFUSALS = 60  # more than the producer's tries within the time for an answer


@pytest.fixture
def kafka(tmp_path):
    """A broker that refuses so many requests, and no more."""
    program = programs.BIN.parent / "tests" / "mock_broker"
    errors = [(PRODUCE, NOT_ENOUGH_REPLICAS)] * REFUSALS
    broker = MockBroker(tmp_path / "mock", program, [TOPIC, TOPIC + ".dlq"], errors=errors).start()
    yield broker
    broker.stop()


def timed_post(shim, room):
    begun = time.monotonic()
    return post(shim, livekit.room_finished(room)), time.monotonic() - begun


@pytest.mark.shows("F42")
def test_without_a_spool_it_is_a_503(tmp_path, kafka, topics_of):
    shim = start(tmp_path, "shim", kafka.bootstrap, **{"shim.spool_path": ""})
    status, took_s = timed_post(shim, "RM_refused")
    assert status == 503 and took_s < 5
    assert topics_of(kafka).records(TOPIC) == []
    until(lambda: timed_post(shim, "RM_refused")[0] == 200, 30, "it is taken again")
    assert "RM_refused" in rooms(topics_of(kafka).records(TOPIC))
    shim.finish()


@pytest.mark.shows("F42")
def test_with_a_spool_it_is_kept(tmp_path, kafka, topics_of):
    shim = start(tmp_path, "shim", kafka.bootstrap)
    status, took_s = timed_post(shim, "RM_kept")
    assert status == 200 and took_s < 5
    expect_spooled(shim, 1)
    assert topics_of(kafka).records(TOPIC) == []
    expect_drained(shim)
    assert set(rooms(topics_of(kafka).records(TOPIC))) == {"RM_kept"}
    shim.finish()
