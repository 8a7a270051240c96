"""What holds after every run, whatever was hit, once nothing more is to be done."""

import threading
from contextlib import closing

from confluent_kafka import Consumer, TopicPartition
from harness.processes import Late, until

# Leases, sweeps and the model's time limit, with what a busy machine takes.
QUIET_WITHIN = 45
MAX_ATTEMPTS = 5
UNFINISHED = """
SELECT room_sid, state, reason, row_pending, dlq_pending, due_at - clock_timestamp() FROM roomclaim.room
 WHERE state NOT IN ('done', 'parked') OR row_pending IS NOT NULL OR dlq_pending
"""
# As if the time had passed: a dead letter is sent again after a minute, a room that a sweep has handed out after 30 s.
HURRY = """
UPDATE roomclaim.room SET due_at = clock_timestamp(), row_due_at = clock_timestamp()
 WHERE state <> 'processing' AND (due_at > clock_timestamp() + interval '1 s' OR row_due_at > clock_timestamp() + interval '1 s')
"""


class Offsets(threading.Thread):
    """Watches the group's committed offsets from the beginning to the end."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self._conf = {"bootstrap.servers": world.kafka.bootstrap, "group.id": world.group, "log_level": 0}
        self._places = [TopicPartition(world.topic, p) for p in range(world.partitions)]
        self._end = threading.Event()
        self._highest = {}
        self.backwards = []
        self.start()

    def run(self):
        with closing(Consumer(self._conf)) as consumer:
            while not self._end.wait(0.2):
                for found in consumer.committed(self._places, timeout=10):
                    before = self._highest.get(found.partition, -1)
                    if 0 <= found.offset < before:
                        self.backwards.append((found.partition, before, found.offset))
                    self._highest[found.partition] = max(before, found.offset)

    def end(self):
        self._end.set()
        self.join(15)


def left_undone(run, load):
    """Waits until all work is done: every room at its end, every record committed, no lease, no letter owed, the spool empty.
    Returns what was not, as lines."""
    world = run.world

    def left():
        world.sql(HURRY)
        rooms = [f"{room} is {world.state(room)}" for room, end in load.ends.items() if not at_end(world, room, end)]
        return rooms or unfinished(world)

    try:
        until(lambda: not left(), QUIET_WITHIN, "all is at rest")
        return []
    except Late:
        return [f"still to be done: {thing}" for thing in left()]


def unfinished(world):
    lag = world.kafka.lag(world.group, world.topic)
    spools = [shim.metrics()[("roomclaim_spool_records", "")] for shim in world.shims if shim.child.running()]
    return [
        *(f"room {row}" for row in world.sql(UNFINISHED)),
        *([f"{lag} records are not committed"] if lag else []),
        *(f"{records:g} records in the spool" for records in spools if records),
    ]


def at_end(world, room, end):
    return world.status(room) == "completed" if end == "completed" else (world.state(room) or [""])[0] == "parked"


def broken(run, load, offsets):
    """The promises that were, as lines."""
    world = run.world
    found = [f"a committed offset went back: {place}" for place in offsets.backwards]
    found += [f"{room}: {words}" for room in load.ends for words in room_faults(run, load, room)]
    in_topic = {dict(m.headers() or []).get("ce_id", b"").decode() for m in world.kafka.read(world.topic)}
    found += [
        f"{event} of {room} was answered 200 and is lost" for event, room in load.acked.items() if event not in in_topic
    ]
    found += letter_faults(world, load)
    rows = world.value('SELECT count(*) FROM "UserFeedback" WHERE status::text = %s', "processing")
    if rows:
        found.append(f"{rows} rows are processing")
    return found


def room_faults(run, load, room):
    world, end = run.world, load.ends[room]
    calls, allowed = len(world.model.calls(room)), load.calls[room] + (room in run.in_hand)
    if calls > allowed or calls == 0:
        yield f"{calls} model calls, {allowed} are allowed"
    attempt = world.state(room)[2]
    if attempt > min(calls, MAX_ATTEMPTS) + (room in run.in_hand):
        yield f"attempt {attempt} of {calls} calls"
    results = world.sql("SELECT current, result FROM roomclaim.analysis WHERE room_sid = %s", room)
    if len([1 for current, _ in results if current]) != (end == "completed") or len(results) > 1:
        yield f"{len(results)} analyses: {results}"
    for _, result in results:
        if room not in result["summary"]:
            yield f"has another room's result: {result}"


def letter_faults(world, load):
    """Every parked room and every record of no use has a dead letter, or a line in roomclaim.dead."""
    letters = [key.decode() for key, _, _ in world.kafka.records(load.dead_topic)]
    letters += [bytes(key).decode() for (key,) in world.sql("SELECT key FROM roomclaim.dead")]
    parked = [room for room, end in load.ends.items() if end == "parked"]
    missing = [f"{room}: parked without a dead letter" for room in parked if room not in letters]
    others = len({key for key in letters if key not in parked})
    return missing + ([f"{others} of {load.poison} records of no use are dead letters"] if others < load.poison else [])
