"""The topic of the dead letters can't be written: a poison record is not committed before its letter is, whoever dies."""

from harness.processes import until

POISON = b"{not json"


def test_poison_is_committed_after_its_letter(world):
    first = world.start_consumer(kafka__dead_letter_topic="nowhere-" + world.topic)
    world.publish("RM_poison", body=POISON, partition=0)
    until(lambda: first.said("a dead letter is not acknowledged"), 30, lambda: f"the letter fails\n{first.tail()}")

    world.kafka.produce(world.topic, [(b"RM_other", None, None, 1)] * 20)
    until(lambda: world.kafka.lag(world.group, world.topic) <= 1, 15, "the other records are committed")
    assert world.kafka.lag(world.group, world.topic) == 1
    first.kill()

    world.start_consumer()
    [(_, value, _)] = world.expect_dead_letters(1)
    assert value == POISON
    world.expect_settled()
