"""What a long run stands on: servers of its own, which it may hang and kill, a world, a sender, and a word now and then."""

import json
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition
from harness import livekit, programs
from harness.broker import QUIET, KafkaBroker, jars_folder, java
from harness.migrated import migrated_database
from harness.postgres import Postgres
from harness.processes import Child, free_port, until
from harness.recording import Recording, measured
from harness.world import TRANSCRIPT, World

TEMPLATE = "template_long"
DONE = "roomclaim.room WHERE state = 'done'"
SAY_EVERY_S = 15
UNHURRIED_S = 0.2  # what is looked at meanwhile is looked at this often


def say(name, text):
    print(f"{time.strftime('%H:%M:%S')} {name}: {text}", flush=True)


class Broker(KafkaBroker):
    """One that may be away and come back, on the same ports and with the same data."""

    def hang(self):
        self.child.send(signal.SIGSTOP)
        until(self.child.is_stopped, 5, "Kafka hangs")

    def go_on(self):
        self.child.send(signal.SIGCONT)

    def again(self):
        """After a kill."""
        argv = [*java(self.jars, "-Xmx512m", "-Xms256m", "kafka.Kafka"), self.folder / "server.properties"]
        self.child = Child("kafka", argv, self.folder / "kafka.log")
        until(self._answers, 60, lambda: f"Kafka is up again; log: {self.child.log}")


class LongRecording(Recording):
    """Asks for offsets as a consumer does, and not while the broker is away: the client library's administrator does not
    survive a request that runs out of time."""

    _kafka_is_away = False
    _asker = None

    def kafka_goes(self):
        self._kafka_is_away = True
        self.expect_polls()  # what was asked is answered

    def kafka_comes(self):
        self._kafka_is_away = False

    def __exit__(self, *what):
        super().__exit__(*what)
        if self._asker:
            self._asker.close()

    def _poll_offsets(self):
        world = self.world
        if self._kafka_is_away:
            return
        if not self._asker:
            known = {"bootstrap.servers": world.kafka.bootstrap, "group.id": world.group, "enable.auto.commit": False}
            self._asker = Consumer(known | QUIET)
        try:
            found = self._asker.committed([TopicPartition(world.topic, p) for p in range(world.partitions)], timeout=3)
        except KafkaException:
            return  # the next poll asks again
        for place in found:
            if place.offset >= 0 and self._committed.get(place.partition) != place.offset:
                self._committed[place.partition] = place.offset
                line = {"group": world.group, "partition": place.partition, "offset": place.offset}
                self._write("offsets", {"t": time.time(), **line})


class Ground:
    """Kafka and Postgres of a run's own, and a folder, which stays (without the servers' data when all went well)."""

    def __init__(self, name, minutes):
        self.name, self.minutes = name, minutes
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"roomclaim-long-{name}-"))
        self.folder.chmod(0o755)  # the user postgres must reach its folder
        self.worlds = []
        self.tell = lambda: ""
        self._next_word = 0.0

    def __enter__(self):
        say(self.name, f"{self.minutes:g} minutes; all it writes is in {self.folder}")
        self.kafka = Broker(self.folder / "kafka", jars_folder())
        self.postgres = Postgres(self.folder / "postgres")
        try:
            self.postgres.start()
            self.kafka.start()
            migrated_database(self.postgres.url(), TEMPLATE)
        except BaseException:
            self._stop_servers()
            raise
        return self

    def __exit__(self, kind, *_):
        self.kafka.go_on()
        try:
            for world in self.worlds:
                world.close()
        except AssertionError:
            if kind is None:
                raise
            say(self.name, "a program did not end as it should, too")
        finally:
            self._stop_servers()
        if kind is None:
            shutil.rmtree(self.folder / "kafka")
            shutil.rmtree(self.folder / "postgres")

    def _stop_servers(self):
        if self.kafka.child:
            self.kafka.child.kill()
        self.postgres.stop()

    def world(self, name):
        (self.folder / name).mkdir()
        self.worlds.append(LongWorld(self.folder / name, name, self.kafka.bootstrap, self.postgres.url(), TEMPLATE))
        return self.worlds[-1]

    # --- waiting

    def word(self):
        """Says how it is, now and then. Returns None, so that a condition can begin with it."""
        if time.monotonic() >= self._next_word:
            self._next_word = time.monotonic() + SAY_EVERY_S
            say(self.name, self.tell())

    def wait(self, condition, within, what):
        return until(lambda: self.word() or condition(), within, lambda: f"{what}; {self.tell()}")

    def let_pass(self, seconds, meanwhile=lambda: None):
        """The time of a run's phase; meanwhile() is called a few times a second."""
        end, again = time.monotonic() + seconds, [0.0]

        def is_over():
            if time.monotonic() >= again[0]:
                again[0] = time.monotonic() + UNHURRIED_S
                meanwhile()
            return time.monotonic() >= end

        self.wait(is_over, seconds + 60, f"{seconds:g} s pass")


class LongWorld(World):
    """A world whose shim keeps its port over restarts, and whose programs may be started while a server is away."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.prefix = "".join(random.choices(livekit.LETTERS, k=4))
        self.shim_port = free_port()
        self.gates = []

    @property
    def shim_url(self):
        return f"http://127.0.0.1:{self.shim_port}/webhook"

    def start_shim(self, *, spool=True, **settings):
        """Until it listens; Kafka may be away."""
        known = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "kafka.topic": self.topic,
            "shim.listen": f"127.0.0.1:{self.shim_port}",
            "shim.spool_path": self.folder / "spool.db" if spool else "",
            "shim.spool_in_memory": "true",  # where the tests run /tmp may be a tmpfs
        }
        shim = programs.Shim(self._folder("shim"), known | settings)
        self.shims.append(shim)
        until(lambda: shim.child.running() and shim.said("listening for webhooks"), 15, shim.tail)
        return shim

    def given_numbered_rooms(self, first, last):
        """The application's rows of the sender's rooms first to last."""
        self.sql(
            'INSERT INTO "UserFeedback" (id, "roomSid", status, transcript) SELECT gen_random_uuid(),'
            " 'RM_' || %s || lpad(n::text, 8, '0'), 'initiated', %s FROM generate_series(%s::int, %s::int) n",
            self.prefix, TRANSCRIPT, first, last,
        )  # fmt: skip

    def count(self, what):
        return self.value(f"SELECT count(*) FROM {what}")

    def close(self):
        for gate in self.gates:
            gate.heal()
        super().close()
        for gate in self.gates:
            gate.stop()


class Sender:
    """long/sender.py as a run sees it."""

    def __init__(self, folder, url, prefix, *, rate, rooms=10**8, history=None, **more):
        self._control = pathlib.Path(folder) / "sender.control"
        self._order = {"rate": rate, "rooms": rooms, "stop": False}
        self._write()
        settings = {
            "url": url, "prefix": prefix, "control": str(self._control), "history": history and str(history),
            "events": 1, "copies": 1, "gap_s": 0.0, "uses": 1, "streams": 5000, **more,
        }  # fmt: skip
        argv = [sys.executable, "-m", "long.sender", json.dumps(settings)]
        self._log = pathlib.Path(folder) / "sender.log"
        self.child = Child("sender", argv, self._log, cwd=pathlib.Path(__file__).resolve().parent.parent)

    def order(self, **words):
        self._order |= words
        self._write()

    def told(self):
        """Its last line; {} before the first."""
        if not self.child.running() and self.child.wait(1):
            raise AssertionError(f"the sender ended: {self._log.read_text()[-2000:]}")
        with self._log.open("rb") as file:
            file.seek(max(0, self._log.stat().st_size - 2000))
            lines = file.read().split(b"\n")[:-1]
        return json.loads(lines[-1]) if lines else {}

    def stop(self, ground, within=60):
        """Sends no new rooms; returns its last line when all is delivered or lost."""
        self.order(stop=True)
        ground.wait(lambda: self.told().get("ended"), within, "the sender ends")
        return self.told()

    def _write(self):
        draft = self._control.with_suffix(".draft")
        draft.write_text(json.dumps(self._order))
        draft.rename(self._control)


class Figures:
    """The metrics of a program that runs, by a port that is asked for once."""

    def __init__(self, daemon):
        self._daemon, self._url = daemon, daemon.admin + "/metrics"

    def now(self):
        """{(name, label): number}; {} when it does not answer."""
        status, text = programs.get(self._url)
        samples = programs.SAMPLE.findall(text) if status == 200 else ()
        return {(name, label): float(number) for name, _, label, number in samples}

    def rss_mib(self):
        found = measured(self._daemon.child.pid)
        return found["rss_kb"] / 1024 if found else 0.0


def sum_of(figures, name):
    """Of one metric over labels and programs, now."""
    return sum(value for each in figures for (found, _), value in each.now().items() if found == name)
