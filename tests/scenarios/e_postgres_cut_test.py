"""A connection to Postgres is cut, at rest or with a batch on its way: all lanes go on, and no call is made twice.

The lease is longer than the test: no room is saved by its end.
"""

import contextlib

import pytest
from harness.processes import until

LANES = ["claims", "writes", "upkeep"]


def backend(world, lane):
    """(pid, True while it waits for a lock) of the lane's connection, or (None, False)."""
    rows = world.sql(
        "SELECT pid, wait_event_type IS NOT DISTINCT FROM 'Lock' FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = %s",
        f"roomclaim-consumer {lane}",
    )
    return rows[0] if rows else (None, False)


def terminate(world, lane):
    pid, _ = backend(world, lane)
    assert world.value("SELECT pg_terminate_backend(%s)", pid)


@contextlib.contextmanager
def everything_locked(world):
    with world.another_connection() as other:
        other.execute("LOCK TABLE roomclaim.room IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


def expect_again(world, consumer, *lanes):
    """The lanes have told of their trouble, and work again."""
    for msg in ("Postgres does not do its work", "Postgres works again"):
        until(
            lambda msg=msg: {line["lane"] for line in consumer.said(msg)} >= set(lanes),
            10,
            lambda msg=msg: f'"{msg}" of {lanes}\n{consumer.tail()}',
        )


def expect_sweeps(world, count):
    query = "SELECT query_start FROM pg_stat_activity WHERE pid = %s"
    for _ in range(count):
        before = world.value(query, backend(world, "upkeep")[0])
        until(lambda before=before: world.value(query, backend(world, "upkeep")[0]) != before, 10, "a sweep")


def rooms_in_a_call(world, count):
    rooms = world.given_rooms(count)
    world.model.rule("hold")
    for room in rooms:
        world.publish(room)
    for room in rooms:
        world.expect_call_begun(room)
    return rooms


def retried_room(world):
    """A room that needs every lane: claim, release, sweep, claim, store."""
    room = world.given_room()
    world.model.script(room, 503)
    world.publish(room)
    return room


def expect_calls(world, rooms, retried):
    world.expect_completed(*rooms, retried)
    world.expect_settled()
    for room in rooms:
        world.expect_model_calls(room, 1)
    world.expect_model_calls(retried, 2)
    assert {world.state(room)[2] for room in rooms} == {1}
    assert world.metric("roomclaim_fenced_total") == 0
    assert world.dead_letters() == []


@pytest.mark.shows("F74")
@pytest.mark.parametrize("lanes", [*([lane] for lane in LANES), LANES], ids="-".join)
def test_terminated_at_rest(world, lanes):
    consumer = world.start_consumer(claim__lease="90s")
    rooms = rooms_in_a_call(world, 4)

    for lane in lanes:
        terminate(world, lane)
    expect_again(world, consumer, *lanes)
    world.model.release()

    expect_calls(world, rooms, retried_room(world))


@pytest.mark.shows("F74")
@pytest.mark.parametrize("lane", LANES)
def test_terminated_with_a_batch_under_way(world, lane):
    consumer = world.start_consumer(claim__lease="90s")
    rooms = rooms_in_a_call(world, 4)

    with everything_locked(world):
        retried = retried_room(world)
        world.model.release()
        until(lambda: backend(world, lane)[1], 10, f"{lane} waits for the lock")
        terminate(world, lane)
        until(lambda: consumer.said("Postgres does not do its work"), 10, consumer.tail)

    expect_calls(world, rooms, retried)
    expect_again(world, consumer, lane)


@pytest.mark.shows("F74")
def test_what_is_paid_for_is_stored_before_anything_is_claimed(world):
    world.start_consumer(claim__lease="90s")
    (paid,) = rooms_in_a_call(world, 1)
    with world.another_connection() as other:
        other.execute("LOCK TABLE roomclaim.analysis IN ACCESS EXCLUSIVE MODE")
        world.model.release()
        until(lambda: backend(world, "writes")[1], 10, "the result waits for the lock")
        before, _ = backend(world, "writes")
        terminate(world, "writes")
        until(lambda: backend(world, "writes")[0] not in (None, before) and backend(world, "writes")[1], 10, "again")
        fresh = world.given_room()
        world.publish(fresh)
        until(lambda: world.metric("roomclaim_in_flight") == 2, 10, "the new room is in hand")
        expect_sweeps(world, 3)
        assert world.state(fresh) is None, "it was claimed while a result waited"
        other.rollback()
    world.expect_completed(paid, fresh)
    world.expect_settled()
    for room in (paid, fresh):
        world.expect_model_calls(room, 1)


@pytest.mark.shows("F70", "F71", "F73")
@pytest.mark.parametrize("where", ["request", "answer"])
@pytest.mark.parametrize("function", ["claim_v1", "store_v1", "release_v1", "sweep_v1"])
def test_reset_with_a_batch_on_its_way(world, function, where):
    proxy = world.given_proxy()
    consumer = world.start_consumer(claim__lease="90s")
    rooms = world.given_rooms(4)

    {"request": proxy.cut_request, "answer": proxy.cut_answer}[where](function)
    if function == "sweep_v1":  # before a room is handed out: what is in an answer that is lost waits for 30 s
        until(lambda: proxy.cuts, 10, "a sweep was cut")
    for room in rooms:
        world.publish(room)
    retried = retried_room(world)

    expect_calls(world, rooms, retried)
    assert proxy.cuts == 1
    assert consumer.said("Postgres does not do its work")
