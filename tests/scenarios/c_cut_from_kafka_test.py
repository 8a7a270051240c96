"""A consumer loses Kafka for longer than its session, and nothing else: its calls are stored, and nobody calls again."""

import pytest
from harness.programs import preloaded


@pytest.mark.shows("F33", "F10")
@pytest.mark.parametrize("assignor", ["range", "cooperative-sticky"])
def test_its_calls_are_stored_and_the_new_owner_makes_none(world, tmp_path, assignor):
    how = {"kafka__assignor": assignor, "llm__timeout": "30s", "claim__lease": "40s"}
    is_cut = tmp_path / "is_cut"
    port = world.kafka.bootstrap.rpartition(":")[2]
    lonely = world.start_consumer(**how, LD_PRELOAD=preloaded(tmp_path, "cut_off"), CUT_OFF=is_cut, CUT_OFF_PORT=port)
    rooms = world.given_rooms(world.partitions)
    world.model.rule("hold")
    for partition, room in enumerate(rooms):
        world.publish(room, partition=partition)
    for room in rooms:
        world.expect_call_begun(room)

    is_cut.touch()
    heir = world.start_consumer(**how)
    world.expect_members(1)  # the session of the other one is over
    world.expect_settled()  # by the heir: the rooms are another's
    assert heir.metrics()["roomclaim_duplicates_suppressed_total", "claim"] == len(rooms)
    assert [world.state(room)[0] for room in rooms] == ["processing"] * len(rooms)
    world.model.release()
    world.expect_completed(*rooms)
    assert len(lonely.said("room completed")) == len(rooms)

    is_cut.unlink()
    world.expect_members(2)
    later = world.given_rooms(6)
    for room in later:
        world.publish(room)
    world.expect_completed(*later)
    world.expect_settled()
    for room in rooms + later:
        world.expect_model_calls(room, 1)
