"""What the consumer can't work with is refused at its start, by exit code and in words; a Postgres that is away is waited for."""

import pytest
from harness.postgres import create_database, drop_database, with_database
from harness.processes import until


def refused(world, **settings):
    consumer = world.start_consumer(wait=False, **settings)
    world.expect_end(consumer)
    return consumer.ended, consumer.child.output()


@pytest.mark.shows("F52")
def test_a_compacted_topic_is_refused(world):
    world.kafka.create("compacted-" + world.topic, **{"cleanup.policy": "compact"})
    code, log = refused(world, kafka__topic="compacted-" + world.topic)
    assert code == 69 and "cleanup.policy" in log, log


def test_a_topic_that_is_not_there_is_named(world):
    code, log = refused(world, kafka__topic="nowhere-" + world.topic)
    assert code == 69 and "nowhere-" + world.topic in log, log


def test_a_database_that_is_not_migrated_is_refused(world):
    name = "empty-" + world.name
    create_database(world.server, name)
    code, log = refused(world, DATABASE_URL=with_database(world.server, name, "test_consumer"))
    drop_database(world.server, name)
    assert code == 69 and "roomclaim migrate" in log, log


def test_a_postgres_that_is_away_is_waited_for(world):
    consumer = world.start_consumer(wait=False, DATABASE_URL="postgresql://test_consumer@127.0.0.1:9/nothing")
    world.publish(world.given_room())
    world.expect_members(1)
    until(lambda: consumer.said("waiting and trying again"), 10, consumer.tail)
    assert not consumer.ready()
    assert world.kafka.lag(world.group, world.topic) == 1  # and nothing is committed
