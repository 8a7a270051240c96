"""A room that Postgres refuses is set aside alone: parked if that much can be written, else only as a dead letter."""

import pytest
from harness import livekit

REFUSE = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN
        IF NEW.room_sid = '{room}' THEN
            RAISE EXCEPTION 'no room for it' USING ERRCODE = '23514', DETAIL = 'canary: nobody logs this';
        END IF;
        RETURN NEW;
    END$$;
CREATE TRIGGER refuse BEFORE INSERT ON roomclaim.{table} FOR EACH ROW EXECUTE FUNCTION public.refuse();
"""


def given_refusal(world, table, room):
    """From now on a line for this room can't get into our own table."""
    world.sql(REFUSE.format(table=table, room=room))


@pytest.mark.parametrize(("table", "parked"), [("call", True), ("room", False)])
def test_a_room_whose_claim_is_refused(world, table, parked):
    bad, *good = world.given_rooms(6)
    given_refusal(world, table, bad)
    body = livekit.room_finished(bad)
    world.publish(bad, body=body, partition=0)
    for room in good:
        world.publish(room, partition=0)

    consumer = world.start_consumer()  # it reads them at once, and claims them in one batch

    world.expect_completed(*good)
    [(key, value, headers)] = world.expect_dead_letters(1)
    assert (key.decode(), value, headers["roomclaim-reason"]) == (bad, body, b"refused")
    world.expect_settled()
    world.expect_model_calls(bad, 0)
    assert world.status(bad) == "initiated"
    assert world.state(bad) == (("parked", "refused", 0, 0) if parked else None)
    assert len(consumer.said("could not be parked")) == (0 if parked else 1)
    for room in good:
        world.expect_model_calls(room, 1)
