"""One run: a world with a short lease, the process that the fault hits, and what heals it."""

import signal
import time

from harness import programs
from harness.processes import until
from harness.world import World

LEASE_MS, SWEEP_MS = 3000, 300
CONSUMER = {
    "kafka.properties": "session.timeout.ms=1500,heartbeat.interval.ms=300,statistics.interval.ms=200",
    "llm.timeout": "1500ms",
    "claim.lease": f"{LEASE_MS}ms",
    "sweep.interval": f"{SWEEP_MS}ms",
    "consumer.max_in_flight": 6,  # so that records wait unclaimed while others are committed
    "log.level": "debug",
}
ACTIONS = ["kill", "stop", "error"]
ENDS_WITH = {"kill": -signal.SIGKILL, "error": 1}


def points():
    """{point: program}, as the programs themselves print them."""
    found = {}
    for program in ("roomclaim-shim", "roomclaim-consumer"):
        done = programs.run(program, "--fault-points")
        assert done.returncode == 0, f"{program} has no fault points: is it a test build?\n{done.stderr}"
        found |= {line.split("\t")[0]: program for line in done.stdout.splitlines()}
    return found


POINTS = points()


class CrashWorld(World):
    def __init__(self, folder, name, bootstrap, server, template, model):
        super().__init__(folder, name, bootstrap, server, template)
        self._shared = model

    @property
    def model(self):
        return self._shared

    def start_shim(self, *, wait=True, **settings):
        """wait: until it listens; Kafka may be away."""
        known = {"KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap, "kafka.topic": self.topic}
        shim = programs.Shim(self._folder("shim"), known | settings)
        self.shims.append(shim)
        if wait:
            until(lambda: shim.child.running() and shim.said("listening for webhooks"), 15, shim.tail)
        return shim


class Run:
    def __init__(self, world, point, action, consumers, arrival):
        self.world = world
        self._arrival = arrival
        self.point, self.action, self.consumers = point, action, consumers
        self.victim = self._again = None
        self.in_hand = set()  # rooms that the victim was at work on

    # --- processes

    def consumer(self, *, armed=False, wait=True, **settings):
        return self._started(self.world.start_consumer, armed, wait, CONSUMER | settings, 0)

    def shim(self, *, armed=False, wait=True, after=0, **settings):
        """after: so many arrivals at the point are let pass."""
        return self._started(self.world.start_shim, armed, wait, settings, after)

    def _started(self, start, armed, wait, settings, after):
        if not armed:
            return start(wait=wait, **settings)
        fault = f"{self.point}:{self.action}:{after + self._arrival}"
        self.victim = start(wait=wait, ROOMCLAIM_FAULT=fault, **settings)
        self._again = lambda: start(**settings)
        return self.victim

    def shim_again(self, **settings):
        """With these the shim that was hit is started again."""
        self._again = lambda: self.world.start_shim(**settings)

    # --- the fault

    def expect_hit(self, within=15):
        """The victim has done what it was told to, at the point, and not before."""
        world, child = self.world, self.victim.child
        if self.action == "stop":
            world.expect_stopped(self.victim, within)
        else:
            world.expect_end(self.victim, within)
            assert self.victim.ended == ENDS_WITH[self.action], self.victim.tail()
        said = self.victim.said("fault")
        assert [line["point"] for line in said] == [self.point], f"the fault was not hit:\n{self.victim.tail()}"
        self.in_hand = rooms_in_hand(self.victim.log())
        self._hit_at = time.monotonic()
        assert child.running() == (self.action == "stop")

    def heal(self):
        """Starts it again, or lets it go on when its leases are over and swept up."""
        if self.action != "stop":
            self._again()
            return
        swept_at = self._hit_at + (LEASE_MS + 2 * SWEEP_MS) / 1000
        until(lambda: time.monotonic() > swept_at, 10, "lease and sweeps are over")
        self.victim.child.send(signal.SIGCONT)

    def tails(self):
        return "".join(f"\n--- {d.folder.name}\n{d.tail(12)}" for d in (*self.world.shims, *self.world.consumers))

    def close(self):
        if self.victim and self.victim.child.running():
            self.victim.child.send(signal.SIGCONT)
        try:
            self.world.close()
        finally:
            self.world.kafka.delete(self.world.topic, self.world.dead_topic)


def rooms_in_hand(log):
    """Of a consumer at debug level: the rooms whose job was not settled when the fault came."""
    open_jobs = {}
    for line in log:
        if line["msg"] == "fault":
            break
        if line["msg"] == "job" and line.get("room"):
            open_jobs.setdefault(line["room"], {})[line.get("event_id")] = line["to"]
    return {room for room, jobs in open_jobs.items() if set(jobs.values()) != {"settled"}}
