"""Most rooms of a server may have no row at all: they cost nothing but a look, and end by themselves."""


def test_rooms_without_a_row_are_counted_and_forgotten(world):
    world.start_consumer(unmatched__ttl="500ms")
    strangers = [world.new_sid() for _ in range(50)]
    room = world.given_room()
    for sid in strangers:
        world.publish(sid)
    world.publish(room)

    world.expect_completed(room)
    world.expect_settled()
    for sid in strangers:
        world.expect_state(sid, "expired", within=30)
    assert world.model.stats()["calls"] == 1
    assert world.dead_letters() == []


def test_nothing_is_recorded_of_them_when_switched_off(world):
    world.start_consumer(unmatched__ttl="0ms")
    strangers = [world.new_sid() for _ in range(5)]
    for sid in strangers:
        world.publish(sid)
    world.expect_settled()
    assert world.value("SELECT count(*) FROM roomclaim.room") == 0
