"""The sweep has had no success for long: the consumer says so at /readyz, and takes it back when it sweeps again."""

import os
import signal

from harness.processes import until
from harness.programs import get

UPKEEP = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%%upkeep'"


def readiness(consumer):
    return get(consumer.admin + "/readyz")


def test_it_is_told_and_taken_back(own_postgres_world):
    world = own_postgres_world
    consumer = world.start_consumer(sweep__interval="200ms")
    backend = world.value(UPKEEP)
    os.kill(backend, signal.SIGSTOP)
    try:
        until(lambda: readiness(consumer)[0] == 503, 20, lambda: f"it is not ready\n{consumer.tail()}")
        assert "sweep" in readiness(consumer)[1]
        room = world.given_room()
        world.publish(room)
        world.expect_completed(room)  # all else goes on
    finally:
        os.kill(backend, signal.SIGCONT)
    world.expect_ready(consumer)
