"""What a run does to come to its point. Each workload is a generator: up to its yield all that leads to the fault, after it
what heals it and finishes the work. What it asks of the programs stands in the Load, for promises.py."""

import concurrent.futures
import itertools
import json

from confluent_kafka import Consumer as Guest
from harness import livekit
from harness.processes import free_port, until


class Load:
    """The rooms of a run, each with how it should end and how many model calls that takes without a fault."""

    def __init__(self, world):
        self.world = world
        self.ends = {}  # room: completed or parked
        self.calls = {}
        self.poison = 0  # records that can only be dead letters
        self.dead_topic = world.dead_topic
        self.acked = {}  # event id: room, of each webhook that was answered 200

    def room(self, end="completed", calls=1, script=(), row=True):
        room = self.world.given_room() if row else self.world.new_sid()
        self.ends[room], self.calls[room] = end, calls
        if script:
            self.world.model.script(room, *script)
        return room


def record(room, partition, body=None):
    return room.encode(), body or livekit.room_finished(room), None, partition


class Mixed:
    """All kinds of rooms in each partition, so that every consumer comes to every point."""

    def __init__(self, load):
        world = load.world
        self.world = world
        self.late = []
        records = []
        scattered = load.room()
        for partition in range(world.partitions):
            plain = livekit.room_finished(room := load.room())
            records += [record(room, partition, plain)] * 3
            records.append(record(load.room(calls=2, script=[500]), partition))
            records.append(record(load.room("parked", script=["safety", "safety", "safety"]), partition))
            records.append(record(room := load.room(row=False), partition))
            self.late.append(room)
            records.append(record(load.world.new_sid(), partition, b"not json"))
            load.poison += 1
            records.append(record(scattered, partition))
            records.append(record(load.room(), partition))
        self.records = records

    def publish(self):
        self.world.kafka.produce(self.world.topic, self.records)

    def write_late_rows(self):
        for room in self.late:
            self.world.given_room(room)


def mixed(run, load, **settings):
    """The way of the job: claims, calls, failures, parking, dead letters, the inbox, the sweep, commits."""
    if run.consumers == 2:
        run.consumer(**settings)
    run.consumer(armed=True, **settings)
    run.world.expect_members(run.consumers)
    work = Mixed(load)
    work.publish()
    yield
    run.heal()
    work.write_late_rows()


def swept(run, load):
    """Every consumer sweeps: rooms become due, one after the other, until the armed one has taken some."""
    steps = mixed(run, load)
    next(steps)
    partitions = itertools.cycle(range(run.world.partitions))
    newest = None

    def is_hit():
        nonlocal newest
        if run.victim.said("fault"):
            return True
        if newest is None or run.world.status(newest) == "completed":
            newest = load.room(calls=2, script=[500])
            run.world.kafka.produce(run.world.topic, [record(newest, next(partitions))])
        return False

    until(is_hit, 15, lambda: f"the armed consumer's sweep takes a room{run.tails()}")
    yield
    yield from steps


def refused_letters(run, load):
    """The topic of dead letters takes none: they go into roomclaim.dead."""
    load.dead_topic = run.world.topic + ".tiny"
    run.world.kafka.create(load.dead_topic, **{"max.message.bytes": "10"})
    yield from mixed(run, load, **{"kafka.dead_letter_topic": load.dead_topic})


class Visitor:
    """Another member of the group: the partitions are shared out again when it comes and when it goes."""

    def __init__(self, world):
        self._consumer = Guest(
            {"bootstrap.servers": world.kafka.bootstrap, "group.id": world.group, "log_level": 0,
             "enable.auto.commit": False, "session.timeout.ms": 1500, "heartbeat.interval.ms": 300}
        )  # fmt: skip
        self._consumer.subscribe([world.topic])
        self._consumer.poll(0)

    def leave(self):
        self._consumer.close()


def rebalance(run, load):
    """A member joins while one room waits, and its duplicates in other partitions follow it."""
    world = run.world
    run.consumer(armed=True, **{"consumer.max_in_flight": 1})
    world.expect_members(1)
    slow = [load.room(script=[("ok", {"latency_ms": 900})]) for _ in range(3)]
    world.kafka.produce(world.topic, [record(room, 0) for room in slow])
    world.expect_metric("roomclaim_in_flight")
    waiting = load.room()
    world.kafka.produce(world.topic, [record(waiting, 0)])
    world.expect_metric("roomclaim_waiting", at_least=3)
    world.kafka.produce(world.topic, [record(waiting, p) for p in range(1, world.partitions)])
    world.expect_metric("roomclaim_followers", at_least=2)
    visitor = Visitor(world) if run.consumers == 1 else run.consumer(wait=False)
    yield
    if run.consumers == 1:
        visitor.leave()
    run.heal()


class Sender:
    """LiveKit's side: each webhook is sent until it is answered 200, those of a room one after the other."""

    def __init__(self, load, port):
        self._load, self._url = load, f"http://127.0.0.1:{port}/webhook"
        self._pool = concurrent.futures.ThreadPoolExecutor(8)
        self._under_way = []

    def send(self, room, *bodies):
        self._under_way.append(self._pool.submit(self._send_all, room, bodies))

    def finish(self):
        for one in self._under_way:
            one.result(60)
        self._pool.shutdown()

    def _send_all(self, room, bodies):
        for body in bodies:
            signed = livekit.token(body, "devkey", "canary-livekit-secret-0123456789abcdef")
            until(
                lambda body=body, signed=signed: self._accepted(body, signed), 30, f"{room}: a webhook is answered 200"
            )
            if room:
                self._load.acked[json.loads(body)["id"]] = room
            else:
                self._load.poison += 1

    def _accepted(self, body, signed):
        try:
            answer = livekit.post(self._url, body, signed, timeout=10)
        except OSError:
            return False
        assert answer.status in (200, 503), f"a webhook was answered {answer.status}"
        return answer.status == 200


POSTED_ROOMS = 6


def post_mixed(load, sender):
    for _ in range(POSTED_ROOMS):
        room = load.room()
        sender.send(room, livekit.room_event("room_started", room), livekit.room_finished(room))
    sender.send("", b"not json")


def spool_settings(run, port, kafka=True):
    known = {
        "shim.listen": f"127.0.0.1:{port}",
        "shim.spool_path": run.world.folder / "spool.db",
        "shim.spool_in_memory": "true",  # where the tests run /tmp may be a tmpfs
    }
    return known if kafka else known | {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}


def webhooks(run, load):
    """Through the shim into Kafka. The client holds records back for a while, and the fault comes with the second event of a
    room: an answer that was given too early is out by then, and its record is not."""
    port = free_port()
    for _ in range(run.consumers):
        run.consumer()
    after = 0 if run.point == "webhook_setting_aside" else POSTED_ROOMS + 2
    run.shim(armed=True, after=after, **spool_settings(run, port), **{"kafka.properties": "linger.ms=300"})
    sender = Sender(load, port)
    post_mixed(load, sender)
    yield
    run.heal()
    sender.finish()


def into_spool(run, load):
    """Kafka is away for the shim that is hit; the next one finds it."""
    port = free_port()
    for _ in range(run.consumers):
        run.consumer()
    run.shim(armed=True, **spool_settings(run, port, kafka=False))
    run.shim_again(**spool_settings(run, port))
    sender = Sender(load, port)
    post_mixed(load, sender)
    yield
    if run.action == "stop":
        run.heal()
        sender.finish()
        run.victim.stop()
        run.shim(**spool_settings(run, port))
    else:
        run.heal()
        sender.finish()


def out_of_spool(run, load):
    """What a shim without Kafka has kept is sent on by the next."""
    port = free_port()
    for _ in range(run.consumers):
        run.consumer()
    first = run.shim(**spool_settings(run, port, kafka=False))
    sender = Sender(load, port)
    post_mixed(load, sender)
    sender.finish()
    first.stop()
    run.shim(armed=True, wait=False, **spool_settings(run, port))
    yield
    run.heal()


# Every point that the programs name, and nothing else.
WORKLOADS = {
    mixed: [
        "follower", "claiming", "analysing", "storing", "releasing", "parking", "dead_lettering", "settled",
        "claim_sent", "store_sent", "park_sent", "release_sent", "dlq_acked_sent", "record_polled", "inbox_written",
        "call_begun", "call_sent", "letter_acked", "record_settled", "commit_sent", "commit_acked",
    ],
    swept: ["sweep_answered"],
    refused_letters: ["dead_put_sent"],
    rebalance: ["received", "revoked"],
    webhooks: [
        "webhook_received", "webhook_verified", "webhook_publishing", "webhook_setting_aside", "webhook_answered",
        "webhook_sent",
    ],
    into_spool: ["webhook_spooling", "spool_written", "spool_synced"],
    out_of_spool: ["spool_drained"],
}  # fmt: skip
WORKLOAD_OF = {point: workload for workload, points in WORKLOADS.items() for point in points}
