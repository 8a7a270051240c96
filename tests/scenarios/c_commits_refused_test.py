"""The coordinator refuses offset commits. They come again, or the partitions are shared out anew; none gets ahead of its work."""

import pytest
from harness import livekit, programs
from harness.broker import MockBroker
from harness.processes import until

TOPIC, GROUP, PARTITION = "records", "the-group", 0
OFFSET_COMMIT = 8
REFUSALS = {
    "COORDINATOR_LOAD_IN_PROGRESS": 14, "COORDINATOR_NOT_AVAILABLE": 15, "NOT_COORDINATOR": 16,
    "ILLEGAL_GENERATION": 22, "UNKNOWN_MEMBER_ID": 25, "REBALANCE_IN_PROGRESS": 27,
}  # fmt: skip
REPEATED_BY_THE_CLIENT = ("COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR")  # we don't hear of them
TIMES = 3


@pytest.fixture
def kafka(tmp_path, topics_of, refusal):
    """A broker that refuses so many commits."""
    program = programs.BIN.parent / "tests" / "mock_broker"
    errors = [(OFFSET_COMMIT, REFUSALS[refusal])] * TIMES
    broker = MockBroker(tmp_path / "mock", program, [TOPIC, TOPIC + ".dlq"], errors=errors).start()
    yield topics_of(broker)
    broker.stop()


@pytest.mark.shows("F34")
@pytest.mark.parametrize("refusal", REFUSALS)
def test_it_is_done_and_committed(world, kafka, refusal):
    where = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "kafka__topic": TOPIC, "kafka__group": GROUP}
    done, held, behind = world.given_rooms(3)
    world.model.script(held, "hold")
    consumer = world.start_consumer(**where, claim__lease="30s", llm__timeout="25s")
    for room in (done, held, behind):
        kafka.produce(TOPIC, [(room.encode(), livekit.room_finished(room), None, PARTITION)])
    world.expect_completed(done, behind)
    if refusal not in REPEATED_BY_THE_CLIENT:
        world.expect_metric("roomclaim_commits_total", "failed")
    until(lambda: kafka.lag(GROUP, TOPIC) == 2, 20, lambda: f"the first one is committed\n{consumer.tail()}")
    world.expect_model_calls(held, 1)

    world.model.release()
    world.expect_completed(held)
    until(lambda: kafka.lag(GROUP, TOPIC) == 0, 20, lambda: f"all is committed\n{consumer.tail()}")
    for room in (done, held, behind):
        world.expect_model_calls(room, 1)
    consumer.stop()
