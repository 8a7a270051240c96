"""Records that wait in a consumer's memory when the group rebalances are their next owner's: none is committed unseen."""

import pytest


@pytest.mark.parametrize("assignor", ["range", "cooperative-sticky"])
def test_what_waits_here_goes_to_the_next_owner(world, assignor):
    settings = {"kafka__assignor": assignor, "llm__timeout": "20s", "claim__lease": "25s"}
    world.model.rule("hold")
    first = world.start_consumer(consumer__max_in_flight=1, **settings)
    rooms = world.given_rooms(12)
    for room in rooms:
        world.publish(room)
    world.expect_metric("roomclaim_waiting", at_least=len(rooms) - 1)

    world.start_consumer(**settings)
    world.expect_members(2)
    first.kill()  # what it has committed by now is all that counts
    world.model.release()

    world.sql("UPDATE roomclaim.room SET due_at = clock_timestamp() WHERE state = 'processing'")
    world.expect_completed(*rooms, within=30)
    world.expect_settled()
