"""The programs under torture: how one is started with the page before it, and a small piece of work for it."""

import sqlite3
import time

from crash.promises import HURRY
from harness import programs
from harness.processes import free_port, until
from harness.programs import Daemon
from harness.recording import Recording
from harness.world import World

UP_WITHIN = 20
DRAINED_WITHIN = 30
HURRY_EVERY_S = 2
LEASE_S, MODEL_S, SWEEP_S = 2.5, 1.0, 0.3
CONSUMER = {
    "kafka__properties": "session.timeout.ms=1500,heartbeat.interval.ms=300,statistics.interval.ms=200",
    "llm__timeout": "1s",
    "claim__lease": "2500ms",
    "claim__max_attempts": 1000,
    "claim__max_calls": 10000,
    "breaker__failures": 1000,
    "sweep__interval": "300ms",
    "retry__initial": "50ms",
    "retry__max": "100ms",
}


class KnownShim(programs.Shim):
    """Its port is known before it says so: the line of its log may be what fails."""

    @property
    def port(self) -> int:
        return int(self.settings["shim.listen"].rsplit(":", 1)[1])


class TortureWorld(World):
    def begin_shim(self, **settings) -> programs.Shim:
        """Not waited for; Kafka may be away."""
        known = {"KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap, "kafka.topic": self.topic}
        named = {name if name.isupper() else name.replace("__", "."): value for name, value in settings.items()}
        shim = KnownShim(self._folder("shim"), known | named)
        self.shims.append(shim)
        return shim


class Subject:
    def __init__(self, world: TortureWorld, run: Recording, preload: dict):
        self.world, self.run = world, run
        self._preload = preload

    def start(self) -> Daemon:
        """Under the page, not waited for."""
        raise NotImplementedError

    def prepare(self) -> None:
        """What each start finds."""

    def is_up(self, victim: Daemon) -> bool:
        raise NotImplementedError

    def work(self):
        """Gives it something to do; returns what says that it is done."""
        raise NotImplementedError

    def forget(self) -> None:
        """The process is over: its rooms are waited for in the end only."""

    def heal(self) -> None:
        """After the last run: what is in its place has no fault."""
        raise NotImplementedError

    def room(self, *script) -> str:
        room = self.world.given_room()
        if script:
            self.world.model.script(room, *script)
        return room

    def is_completed(self, *rooms: str) -> bool:
        query = 'SELECT count(*) FROM "UserFeedback" WHERE "roomSid" = ANY(%s) AND status::text = %s'
        return self.world.value(query, list(rooms), "completed") == len(rooms)


class Consumer(Subject):
    """Behind a shim without a fault."""

    program = "roomclaim-consumer"

    def __init__(self, world: TortureWorld, run: Recording, preload: dict):
        super().__init__(world, run, preload)
        world.start_shim()
        self._earlier: list[str] = []
        self._hurried = 0.0

    def start(self) -> Daemon:
        static = CONSUMER["kafka__properties"] + ",group.instance.id=victim"
        return self.world.start_consumer(wait=False, **CONSUMER | {"kafka__properties": static}, **self._preload)

    def is_up(self, victim: Daemon) -> bool:
        return bool(victim.said("consuming") or victim.said("partitions assigned") or victim.said("room completed"))

    def work(self):
        """A room with a duplicate, one that fails first, and a record of no use. The room that fails first is waited for
        in the next piece."""
        plain, later = self.room(), self.room(500)
        wanted = [plain, *self._earlier]
        self._earlier = [later]
        self.run.load.post(plain, copies=2)
        self.run.load.post(later)
        self.world.publish("RM_nobody", body=b"not json")
        return lambda: self._is_done(wanted)

    def _is_done(self, wanted: list[str]) -> bool:
        """What a sweep has handed out in an answer that was lost waits for 30 s: that may be over sooner."""
        if time.monotonic() > self._hurried + HURRY_EVERY_S:
            self._hurried = time.monotonic()
            self.world.sql(HURRY)
        return self.is_completed(*wanted)

    def forget(self) -> None:
        self._earlier = []

    def heal(self) -> None:
        self.world.start_consumer(**CONSUMER)


class Shim(Subject):
    """Before a consumer without a fault. Kafka takes everything."""

    program = "roomclaim-shim"
    kafka = True

    def __init__(self, world: TortureWorld, run: Recording, preload: dict):
        super().__init__(world, run, preload)
        self._port = free_port()
        self.spool = world.folder / "spool.db"
        world.start_consumer(**CONSUMER)

    def settings(self, kafka: bool = True) -> dict:
        known = {"shim__listen": f"127.0.0.1:{self._port}", "shim__spool_path": self.spool,
                 "shim__spool_in_memory": "true", "shim__spool_after": "300ms"}  # fmt: skip
        return known if kafka else known | {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}

    def start(self) -> Daemon:
        return self.start_with(self.settings(self.kafka) | self._preload)

    def start_with(self, settings: dict) -> Daemon:
        return self.world.begin_shim(**settings)

    def is_up(self, victim: Daemon) -> bool:
        return bool(victim.said("listening for webhooks") or victim.said("admin server listens"))

    def work(self):
        sent = self.run.load.post(self.room())
        sent += self.run.load.post(self.room())
        return lambda: all(one.status is not None or one.tries > 1 for one in sent)

    def heal(self) -> None:
        """Stopped when its spool is empty: nobody else may look into it before."""
        healthy = self.start_with(self.settings())
        until(lambda: self.is_up(healthy), UP_WITHIN, healthy.tail)
        self.run.load.drain()
        drained = ("roomclaim_spool_records", "")
        until(lambda: healthy.metrics()[drained] == 0, DRAINED_WITHIN, lambda: f"the spool is empty\n{healthy.tail()}")
        healthy.stop()


class SpoolingShim(Shim):
    """Kafka is away all the time."""

    kafka = False


class DrainingShim(Shim):
    """Each start finds records in the spool, and Kafka is there."""

    def prepare(self) -> None:
        if self._spooled() > 1:
            return
        filler = self.start_with(self.settings(kafka=False))
        until(lambda: self.is_up(filler), UP_WITHIN, filler.tail)
        sent = [one for _ in range(3) for one in self.run.load.post(self.room())]
        until(lambda: all(one.status == 200 for one in sent), UP_WITHIN, filler.tail)
        filler.stop()

    def _spooled(self) -> int:
        if not self.spool.exists():
            return 0
        try:
            with sqlite3.connect(f"file:{self.spool}?mode=ro", uri=True, timeout=5) as db:
                return db.execute("SELECT count(*) FROM record").fetchone()[0]
        except sqlite3.Error:
            return 0
        finally:
            db.close()


SUBJECTS = {
    "consumer": (Consumer, "main"),
    "consumer start": (Consumer, "start"),
    "shim": (Shim, "main"),
    "shim spooling": (SpoolingShim, "main"),
    "shim start": (DrainingShim, "start"),
}
