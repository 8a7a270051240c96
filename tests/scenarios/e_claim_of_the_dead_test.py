"""A consumer dies while its claim waits behind a lock. Postgres carries the claim out for the dead, and its lease ends it."""

import pytest
from harness.processes import until

CLAIM_WAITS = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND application_name = 'roomclaim-consumer claims' AND wait_event_type = 'Lock'"""


@pytest.mark.shows("F72")
def test_it_ends_with_its_lease(world):
    dying = world.start_consumer(claim__lease="5s")
    room = world.given_room()
    with world.another_connection() as operator:
        operator.execute("LOCK TABLE roomclaim.room IN ACCESS EXCLUSIVE MODE")
        world.publish(room)
        until(lambda: world.value(CLAIM_WAITS), 15, "the claim waits")
        dying.kill()
    world.expect_state(room, "processing")

    world.start_consumer()
    world.expect_completed(room)
    world.expect_settled()
    world.expect_model_calls(room, 1)
    world.expect_calls_on_record(room, "lost", "ok")
    world.expect_nothing_processing()
