"""librdkafka's destroy hangs: the daemon ends all the same, after what counts is done."""

from harness.programs import preloaded


def test_the_consumer_ends(world, tmp_path):
    consumer = world.start_consumer(LD_PRELOAD=preloaded(tmp_path, "hang_at_destroy"))
    room = world.given_room()
    world.publish(room)
    world.expect_completed(room)
    consumer.stop(within=30, expect=2)
    assert "the Kafka client does not end" in consumer.child.output()
    world.expect_settled()  # the last offsets were committed before


def test_the_shim_ends(world, tmp_path):
    shim = world.start_shim(LD_PRELOAD=preloaded(tmp_path, "hang_at_destroy"))
    assert world.webhook(world.new_sid()) == [200]
    shim.stop(within=30, expect=2)
    assert "the Kafka client does not end" in shim.child.output()
