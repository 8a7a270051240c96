"""Short runs, each made for the fault of one mutant. All take a Run of theirs (mutants_test.py): .world, .recording, and
.shim() and .consumer(), which start the programs that are tried.
"""

import signal
import time

from harness import programs
from harness.processes import until

LATE = ("late: the claim is no longer ours", "room goes back", "room completed", "result stored")


def late_result(run):
    """A consumer that was stopped with its result in hand goes on while another one's call is under way."""
    _late(run, "storing", "ok")


def late_release(run):
    """The same, but it wants to give the room back."""
    _late(run, "releasing", 500)


def _late(run, point, answer):
    world, recording = run.world, run.recording
    recording.expected(sometimes=["fault:stop", "claimed_again", "completed"])
    run.shim()
    late = run.consumer(ROOMCLAIM_FAULT=f"{point}:stop")
    room = world.given_room()
    world.model.script(room, answer, "hold")
    recording.load.post(room)
    world.expect_stopped(late)
    recording.fault("stop", late, room=room, point=point, hit=bool(late.said("fault")))
    run.consumer()
    world.expect_call_begun(room, 2)
    late.child.send(signal.SIGCONT)
    recording.fault("cont", late)
    until(lambda: any(late.said(words) for words in LATE), 20, lambda: f"the late one has tried\n{late.tail()}")
    world.model.release()


def killed_behind_the_answer(run):
    """A shim that waits a second before it sends a batch dies the moment it has answered."""
    world, recording = run.world, run.recording
    recording.expected(sometimes=["fault:kill", "acknowledged"])
    before, room = world.given_rooms(2)
    run.consumer()
    shim = run.shim(**{"shim.spool_path": "", "kafka.properties": "linger.ms=1000"})
    for sid in (before, room):
        [webhook] = recording.load.post(sid)
        until(lambda sent=webhook: sent.status == 200, 20, "it is answered 200")
        if sid == before:
            until(lambda: world.kafka.records(world.topic), 20, "it is in the topic")
    recording.kill(shim)
    run.shim()


def killed_with_records_waiting(run):
    """One call at a time: the other records wait in memory when the consumer dies."""
    world, recording = run.world, run.recording
    recording.expected(sometimes=["fault:kill", "completed"])
    run.shim()
    dying = run.consumer(consumer__max_in_flight=1)
    rooms = world.given_rooms(9)
    world.model.rule("hold")
    for room in rooms:
        recording.load.post(room)
    recording.load.drain()
    until(lambda: world.model.stats()["calls"] >= 1, 20, "a call has begun")
    recording.expect_polls()
    recording.kill(dying)
    world.model.release()
    run.consumer()


def killed_in_the_call(run):
    """The room is held by a consumer that is no more."""
    recording = run.recording
    recording.expected(sometimes=["fault:kill", "completed", "lost"])
    _killed_in_the_call(run)
    run.rest_within = 15


def killed_in_the_last_attempt(run):
    recording = run.recording
    recording.expected(sometimes=["fault:kill", "parked", "lost"], max_attempts=1)
    _killed_in_the_call(run, claim__max_attempts=1)


def _killed_in_the_call(run, **settings):
    world, recording = run.world, run.recording
    run.shim()
    dying = run.consumer(**settings)
    room, other = world.given_rooms(2)
    recording.load.post(other)
    world.expect_completed(other)
    world.model.script(room, "hold")
    recording.load.post(room)
    world.expect_call_begun(room)
    recording.kill(dying)
    run.consumer(**settings)


def a_few_rooms(run):
    world, recording = run.world, run.recording
    recording.expected(sometimes=["completed", "duplicate"])
    run.shim()
    run.consumer()
    for room in world.given_rooms(5):
        recording.load.post(room, copies=2)


def an_hour_behind(run):
    """A consumer on a host whose clock is an hour behind has a call under way; the others leave it alone."""
    world, recording = run.world, run.recording
    recording.expected(sometimes=["completed"], lease_s=12, model_deadline_s=8)
    long = {"claim__lease": "12s", "llm__timeout": "8s"}
    run.shim()
    behind = programs.clock_at(world.folder, time.time() - 3600) | {"PGOPTIONS": "-c mutant.host_ahead=-1h"}
    run.consumer(**long, **behind, sweep__interval="60s")  # it is the other's sweep that may take its room
    room = world.given_room()
    world.model.script(room, "hold")
    recording.load.post(room)
    world.expect_call_begun(room)
    run.consumer(**long)
    world.expect_members(2)
    recording.expect_polls(8)
    world.model.release()


def settled_after_the_revoke(run):
    """What a consumer finishes after its partition went to another one that has committed more."""
    world, recording = run.world, run.recording
    recording.expected(sometimes=["completed"], may_be_empty=["load"], lease_s=25, model_deadline_s=20)
    long = {"claim__lease": "25s", "llm__timeout": "20s"}
    run.consumer(**long)
    rooms = world.given_rooms(world.partitions)
    world.model.rule("hold")
    for partition, room in enumerate(rooms):
        world.publish(room, partition=partition)
        world.expect_call_begun(room)
    run.consumer(**long)
    world.expect_members(2)
    for partition in range(world.partitions):
        world.kafka.produce(world.topic, [(b"RM_other", None, None, partition)] * 20)
    most = 21 * (world.partitions - 1)
    until(lambda: world.kafka.lag(world.group, world.topic) <= most, 20, "the new owner has committed")
    recording.expect_polls()
    world.model.release()
    world.expect_completed(*rooms)
    recording.expect_polls()
    run.rest_within = 6


def dead_letters_away(run):
    """The consumer dies while it can't get rid of a dead letter."""
    world, recording = run.world, run.recording
    recording.expected(sometimes=["fault:kill", "completed", "dead_lettered"])
    run.shim()
    first = run.consumer(kafka__dead_letter_topic="nowhere-" + world.topic)
    room = world.given_room()
    recording.load.post(room)
    world.expect_completed(room)
    world.publish("RM_poison", body=b"{not json", partition=0)
    until(lambda: first.said("a dead letter is not acknowledged"), 30, lambda: f"the letter fails\n{first.tail()}")
    recording.expect_polls()
    recording.kill(first)
    run.consumer()


def forged_webhook(run):
    """A participant has a token that is signed with the right key."""
    world, recording = run.world, run.recording
    recording.expected(sometimes=["forged", "completed"])
    run.shim()
    run.consumer()
    room, target = world.given_rooms(2)
    recording.load.post(room)
    recording.load.forge(target)


REFUSE = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN
        IF NEW.room_sid = '{room}' THEN RAISE EXCEPTION 'no such date' USING ERRCODE = '22008'; END IF;
        RETURN NEW;
    END$$;
CREATE TRIGGER refuse BEFORE INSERT ON roomclaim.call FOR EACH ROW EXECUTE FUNCTION public.refuse();
"""


def data_that_postgres_refuses(run):
    world, recording = run.world, run.recording
    recording.expected(sometimes=["parked", "completed"])
    run.shim()
    run.consumer()
    first, bad, *good = world.given_rooms(5)
    recording.load.post(first)
    world.expect_completed(first)
    world.sql(REFUSE.format(room=bad))
    for room in (bad, *good):
        recording.load.post(room)
    run.rest_within = 15


def two_take_over(run):
    """Two consumers hear of a room at the same moment, when the lease of a dead one is over."""
    world, recording = run.world, run.recording
    recording.expected(sometimes=["fault:kill", "completed", "lost", "claimed_again"], lease_s=8, sweep_s=60)
    how = {"claim__lease": "8s", "sweep__interval": "60s"}
    run.shim()
    dying = run.consumer(**how)
    room = world.given_room()
    world.model.script(room, "hold")
    recording.load.post(room)
    world.expect_call_begun(room)
    run.consumer(**how)
    run.consumer(**how)
    world.expect_members(3)
    recording.kill(dying)
    world.expect_members(2)
    world.expect_settled()
    world.model.rule("ok", latency_ms=500)
    until(
        lambda: world.value("SELECT due_at < clock_timestamp() FROM roomclaim.room WHERE room_sid = %s", room),
        20, "the lease is over",
    )  # fmt: skip
    world.publish(room, partition="all")
    world.expect_completed(room)
    run.rest_within = 8
