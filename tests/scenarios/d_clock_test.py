"""A consumer's clock has no say in leases: an hour ahead or behind, its rooms are its own for the lease, and no longer."""

import time

import pytest
from harness import programs


@pytest.mark.shows("F60")
@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_a_lease_goes_by_the_clock_of_postgres(world, ahead):
    first = world.start_consumer(**programs.clock_at(world.folder, time.time() + ahead))
    room = world.given_room()
    world.model.script(room, "hold")
    world.publish(room)
    world.expect_call_begun(room)

    world.start_consumer()
    world.expect_members(2)
    world.publish(room, partition="all")
    world.expect_metric("roomclaim_duplicates_suppressed_total", "claim")
    world.expect_model_calls(room, 1)
    first.kill()

    world.expect_completed(room)
    world.expect_calls_on_record(room, "lost", "ok")
    world.expect_settled()
