"""A claim that Postgres has not answered: its record is not committed, and an answer that comes late starts no call."""

from harness.processes import until

CLAIMS = """
FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'roomclaim-consumer claims'
 AND wait_event_type = 'Lock'
"""


def lock_rooms(world):
    """Holds up every claim, until it is closed."""
    operator = world.another_connection()
    operator.execute("LOCK TABLE roomclaim.room IN ACCESS EXCLUSIVE MODE")
    return operator


def expect_claim_waits(world, for_longer_than="0 s"):
    query = f"SELECT count(*) {CLAIMS} AND clock_timestamp() - query_start > %s::interval"
    until(lambda: world.value(query, for_longer_than) == 1, 15, lambda: f"a claim waits{world._tails()}")


def test_a_record_is_committed_after_its_claim_is_answered(world):
    first = world.start_consumer()
    room = world.given_room()
    with lock_rooms(world):
        world.publish(room, partition=0)
        expect_claim_waits(world)
        world.kafka.produce(world.topic, [(b"RM_other", None, None, 1)] * 20)
        until(lambda: world.kafka.lag(world.group, world.topic) <= 1, 15, "the other records are committed")
        assert world.kafka.lag(world.group, world.topic) == 1
        first.kill()
        world.sql(f"SELECT pg_terminate_backend(pid) {CLAIMS}")  # or it claims the room for the dead, later

    world.start_consumer()

    world.expect_completed(room)
    world.expect_settled()
    world.expect_model_calls(room, 1)


def test_a_claim_answered_late_starts_no_call(world):
    world.start_consumer(claim__lease="4s", llm__timeout="3s", claim__margin="500ms")
    room = world.given_room()
    with lock_rooms(world):
        world.publish(room)
        expect_claim_waits(world, for_longer_than="1 s")

    world.expect_completed(room)
    world.expect_calls_on_record(room, "not_sent", "ok")
    world.expect_model_calls(room, 1)
    assert world.state(room)[2:] == (1, 1)
