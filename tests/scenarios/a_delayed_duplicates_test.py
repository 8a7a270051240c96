"""A retry comes when the room is long completed: nothing happens, also in a process that has forgotten the room."""


def test_a_late_retry_changes_nothing(world):
    world.start_shim()
    world.start_consumer()
    room = world.given_room()
    assert world.webhook(room) == [200]
    world.expect_completed(room)

    assert world.webhook(room) == [200]

    world.expect_settled()
    world.expect_model_calls(room, 1)
    assert world.suppressed() == 1


def test_a_late_retry_to_another_process_changes_nothing(world):
    first = world.start_consumer()
    room = world.given_room()
    world.publish(room)
    world.expect_completed(room)
    world.expect_settled()
    first.stop()

    world.start_consumer()
    world.publish(room)

    world.expect_settled()
    world.expect_model_calls(room, 1)
    world.expect_metric("roomclaim_duplicates_suppressed_total", "claim")
