"""The primary dies with changes that its standby never got, and the standby takes over: what had been claimed and called
for is forgotten there. Every room whose record is not committed yet comes to its end, by one call more at most."""

import pathlib
import shutil
import tempfile

import pytest
from harness.model import reply
from harness.postgres import with_database
from harness.programs import PG_PASSWORD
from harness.standby import Standby


@pytest.fixture
def standby():
    """To be started. It outlives the world, which ends on it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="roomclaim-test-"))
    folder.chmod(0o755)  # the user postgres must reach its folder
    made = Standby(folder / "standby")
    yield made
    made.stop()
    shutil.rmtree(folder)


def either(world, standby):
    """The URL of whichever of the two is the primary."""
    url = with_database(world.server, world.name, "test_consumer", PG_PASSWORD)
    here = f"127.0.0.1:{world.postgres.port}"
    return url.replace(here, f"{here},127.0.0.1:{standby.port}") + "?target_session_attrs=read-write"


@pytest.mark.shows("F78")
def test_a_claim_that_is_forgotten(standby, own_postgres_world):
    world = own_postgres_world
    standby.follow(world.postgres)
    consumer = world.start_consumer(DATABASE_URL=either(world, standby), claim__lease="25s", llm__timeout="20s")
    before, answered, failed, refused = rooms = world.given_rooms(4)
    world.publish(before)
    world.expect_completed(before)
    standby.expect_caught_up()

    standby.hears_no_more()
    world.model.script(answered, "hold")
    world.model.script(failed, ("hold", {"then": reply(500)}))
    world.model.script(refused, ("hold", {"then": reply(400)}))
    for room in (answered, failed, refused):
        world.publish(room)
        world.expect_call_begun(room)
    world.postgres.crash()
    world.server = standby.take_over()
    world.reconnect()
    assert [world.state(room) for room in rooms[1:]] == [None] * 3, "the claims are forgotten"

    world.model.release()
    world.expect_completed(*rooms, within=40)
    world.expect_settled()
    assert consumer.said("Postgres works again")
    world.expect_model_calls(before, 1)
    for room in rooms[1:]:
        world.expect_model_calls(room, 2)
    world.expect_nothing_processing()
