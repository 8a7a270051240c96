"""The topic is deleted and made anew under a running consumer: its records are read as new, and nothing is lost."""

import signal

import pytest
from confluent_kafka import KafkaException
from harness.processes import until


def create_again(world):
    def created():
        try:
            world.kafka.create(world.topic, partitions=world.partitions)
        except KafkaException:
            return False  # the old one is not gone yet
        return True

    until(created, 10, f"{world.topic} is made anew")


def given_consumed_rooms(world, consumer_settings=None):
    """(consumer, rooms): completed, their records in partition 0 committed."""
    consumer = world.start_consumer(**(consumer_settings or {}))
    rooms = world.given_rooms(4)
    for room in rooms:
        world.publish(room, partition=0)
    world.expect_completed(*rooms)
    world.expect_settled()
    return consumer, rooms


def publish_fewer(world, known):
    """Into the new topic: a room that was completed, and two new ones. Returns the new ones."""
    rooms = world.given_rooms(2)
    for room in (known, *rooms):
        world.publish(room, partition=0)
    return rooms


def expect_read_as_new(world, consumer, before, after):
    world.expect_completed(*before, *after)
    world.expect_metric("roomclaim_offsets_gone_back_total")
    [line] = consumer.said("offsets have gone back")
    assert (line["partition"], line["offset"], line["expected"]) == (0, 0, len(before))
    world.expect_settled()
    for room in (*before, *after):
        world.expect_model_calls(room, 1)
    assert world.dead_letters() == []


@pytest.mark.shows("F51")
def test_the_consumer_was_looking_away(world):
    patient = {"kafka__properties": "session.timeout.ms=20000,statistics.interval.ms=200"}
    consumer, before = given_consumed_rooms(world, patient)

    consumer.child.send(signal.SIGSTOP)
    world.expect_stopped(consumer)
    world.kafka.delete(world.topic)
    create_again(world)
    after = publish_fewer(world, before[0])
    consumer.child.send(signal.SIGCONT)

    expect_read_as_new(world, consumer, before, after)


@pytest.mark.shows("F51")
def test_the_consumer_saw_it_go(world):
    consumer, before = given_consumed_rooms(world)

    world.kafka.delete(world.topic)
    until(lambda: consumer.said("Kafka is not well"), 10, consumer.tail)
    create_again(world)
    after = publish_fewer(world, before[0])

    expect_read_as_new(world, consumer, before, after)
