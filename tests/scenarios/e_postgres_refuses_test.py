"""Postgres refuses its work, for whatever reason: nothing is claimed, used up or set aside, and all heals by itself."""

import dataclasses

import pytest
from harness.processes import until

RAISE = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END$$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON roomclaim.room FOR EACH STATEMENT EXECUTE FUNCTION public.refuse();
"""
OURS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'roomclaim-consumer %%'"


@dataclasses.dataclass
class Refusal:
    """SQL with {db} for the database. reconnects: it is met only by a new connection."""

    breaks: str
    heals: str
    words: str
    reconnects: bool = False


def raised(state):
    return Refusal(RAISE.format(state=state), "DROP FUNCTION public.refuse CASCADE", state)


PASSING = {
    "read-only": Refusal(
        "ALTER DATABASE {db} SET default_transaction_read_only = on",
        "ALTER DATABASE {db} RESET default_transaction_read_only", "25006", reconnects=True),
    "too many connections": Refusal(
        "ALTER DATABASE {db} CONNECTION LIMIT 0", "ALTER DATABASE {db} CONNECTION LIMIT -1",
        "too many connections", reconnects=True),
} | {state: raised(state) for state in ("53100", "53200", "55P03", "57014", "57P03", "40P01", "40001", "58030")}  # fmt: skip
CLAIM = "FUNCTION roomclaim.claim_v1(text[], uuid[], text[], text[], text[], int[], bigint[], text, jsonb)"
OPERATORS = {
    "right": Refusal(f"REVOKE EXECUTE ON {CLAIM} FROM roomclaim_consumer",
                     f"GRANT EXECUTE ON {CLAIM} TO roomclaim_consumer", "42501"),
    "column": Refusal('ALTER TABLE "UserFeedback" RENAME transcript TO elsewhere',
                      'ALTER TABLE "UserFeedback" RENAME elsewhere TO transcript', "42703"),
    "table": Refusal('ALTER TABLE "UserFeedback" RENAME TO "Elsewhere"',
                     'ALTER TABLE "Elsewhere" RENAME TO "UserFeedback"', "42P01"),
}  # fmt: skip


def order(world, words):
    world.sql(words.replace("{db}", f'"{world.name}"'))


def given_refusal(world, refusal):
    """A consumer that works, and then can't; and six rooms for it."""
    consumer = world.start_consumer()
    before, *rooms = world.given_rooms(7)
    world.publish(before)
    world.expect_completed(before)
    world.expect_settled()
    order(world, refusal.breaks)
    if refusal.reconnects:
        world.sql(f"SELECT pg_terminate_backend(pid) {OURS}")
    for room in rooms:
        world.publish(room)
    until(lambda: is_met(consumer, refusal), 15, lambda: f"{refusal.words} is met\n{consumer.tail()}")
    in_hand = lambda: world.metric("roomclaim_waiting") + world.metric("roomclaim_in_flight")  # noqa: E731
    until(lambda: in_hand() == len(rooms), 15, lambda: f"all records are read, now {in_hand()}")
    return consumer, rooms


def is_met(consumer, refusal):
    return any(refusal.words in line.get("error", "") for line in consumer.log())


def expect_nothing_used_up(world, consumer, rooms):
    recovered = [line for line in consumer.said("Postgres works again") if line["lane"] == "claims"]
    assert len(recovered) <= 1, "a new connection is no recovery"  # but before the first refusal
    assert world.kafka.lag(world.group, world.topic) == len(rooms)
    assert world.model.stats()["calls"] == 1
    assert world.dead_letters() == []


def expect_healed(world, consumer, rooms):
    world.expect_completed(*rooms, within=30)
    world.expect_settled()
    world.expect_ready(consumer)
    assert {world.state(room)[2:] for room in rooms} == {(1, 1)}
    for room in rooms:
        world.expect_model_calls(room, 1)
    assert world.dead_letters() == []


@pytest.mark.shows("F76")
@pytest.mark.parametrize("name", PASSING)
def test_it_passes(world, name):
    consumer, rooms = given_refusal(world, PASSING[name])
    expect_nothing_used_up(world, consumer, rooms)
    order(world, PASSING[name].heals)
    expect_healed(world, consumer, rooms)


@pytest.mark.shows("F77")
@pytest.mark.parametrize("name", OPERATORS)
def test_somebody_must_act(world, name):
    consumer, rooms = given_refusal(world, OPERATORS[name])
    world.expect_not_ready(consumer)
    expect_nothing_used_up(world, consumer, rooms)
    order(world, OPERATORS[name].heals)
    expect_healed(world, consumer, rooms)
