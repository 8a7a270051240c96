"""A room whose webhook never comes: its row stays as it is, and no sweep calls the model for it."""

import pytest


@pytest.mark.shows("F22")
def test_its_row_is_left_alone(world):
    world.start_consumer(unmatched__ttl="500ms")
    silent, room, stranger = *world.given_rooms(2), world.new_sid()
    world.publish(room)
    world.publish(stranger)
    world.expect_completed(room)
    world.expect_state(stranger, "expired")  # so the sweep has been through since
    world.expect_settled()
    assert (world.status(silent), world.state(silent)) == ("initiated", None)
    assert world.model.stats()["calls"] == 1
