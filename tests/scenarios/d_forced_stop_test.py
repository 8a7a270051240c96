"""A stop that is forced while a dead letter is on its way: the letter is sent after the restart, no offset is ahead of it."""

import signal

import pytest
from harness import livekit
from harness.processes import until
from harness.programs import Consumer

# The producer holds its records back for longer than the test takes.
SLOW_LETTERS = Consumer.SETTINGS["kafka.properties"] + ",linger.ms=60000,message.timeout.ms=120000"


def stop_by_grace(world, consumer):
    consumer.stop(expect=2)
    assert consumer.said("shutdown_grace is over")


def stop_by_second_signal(world, consumer):
    consumer.child.send(signal.SIGTERM)
    until(lambda: consumer.said("nothing new is claimed"), 10, consumer.tail)
    consumer.child.send(signal.SIGTERM)
    world.expect_end(consumer)
    assert consumer.ended == 2
    assert consumer.said("stopped a second time")


STOPS = pytest.mark.parametrize(
    ("stop", "grace"), [(stop_by_grace, "300ms"), (stop_by_second_signal, "60s")], ids=["grace", "second-signal"]
)


@STOPS
def test_a_poison_record_is_read_again(world, stop, grace):
    room = world.given_room()
    first = world.start_consumer(consumer__shutdown_grace=grace, kafka__properties=SLOW_LETTERS)
    world.publish("RM_poison", body=b"{not json", partition=0)
    world.publish(room, partition=0)
    world.expect_completed(room)
    world.expect_metric("roomclaim_records_total", "poison")

    stop(world, first)

    assert world.dead_letters() == []
    assert world.kafka.lag(world.group, world.topic) == 2
    world.start_consumer()
    world.expect_settled()
    [(key, value, headers)] = world.expect_dead_letters(1)
    assert (key, value, headers["roomclaim-reason"]) == (b"RM_poison", b"{not json", b"json")
    world.expect_model_calls(room, 1)


@STOPS
def test_a_parked_rooms_letter_is_sent_by_the_sweep(world, stop, grace):
    room = world.given_room()
    world.model.script(room, "safety")
    first = world.start_consumer(consumer__shutdown_grace=grace, kafka__properties=SLOW_LETTERS)
    world.publish(room, body=livekit.room_finished(room), partition=0)
    world.expect_parked(room, "blocked")

    stop(world, first)

    assert world.dead_letters() == []
    assert world.value("SELECT dlq_pending FROM roomclaim.room WHERE room_sid = %s", room)
    world.make_due(room)  # a dead letter that is on its way is left alone for a minute
    world.start_consumer()
    [(key, _, headers)] = world.expect_dead_letters(1)
    assert (key.decode(), headers["roomclaim-reason"]) == (room, b"blocked")
    world.expect_settled()
    until(lambda: not world.value("SELECT dlq_pending FROM roomclaim.room WHERE room_sid = %s", room), 10, "told")
    world.expect_model_calls(room, 1)
