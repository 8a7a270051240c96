"""All parties of a run, each behind its links: servers, our programs in places of their own, the stand-in of the model."""

import collections
import os
import pathlib
import signal
import time

import psycopg
from checker.mutants import MUTANTS, Mutant
from harness import programs
from harness.broker import jars_folder
from harness.cluster import Cluster
from harness.links import Group, hold_port
from harness.migrated import migrated_database
from harness.network import Link, Network
from harness.postgres import Postgres, with_database
from harness.processes import until
from harness.world import World

from chaos.schedule import BROKERS, CONSUMERS, LEASE_S, SHIMS

MODEL_MS = 400  # an ordinary call
MODEL_DEADLINE_S, SWEEP_S, INPUT_WAIT_S = 6.0, 0.5, 5
UNAVAILABLE = 69  # a program that can't start because something is away: whoever runs it tries again
CONSUMER = {
    "kafka.properties": "session.timeout.ms=6000,heartbeat.interval.ms=500,statistics.interval.ms=1000,reconnect.backoff.max.ms=1000",
    "llm.timeout": f"{MODEL_DEADLINE_S:g}s",
    "claim.lease": f"{LEASE_S:g}s",
    "claim.margin": "1s",
    "claim.input_wait": f"{INPUT_WAIT_S}s",
    "sweep.interval": f"{1000 * SWEEP_S:.0f}ms",
    "retry.initial": "300ms",
    "retry.max": "2s",
}
SHIM = {
    "kafka.properties": "reconnect.backoff.max.ms=1000",
    "shim.spool_after": "500ms",
    "shim.spool_in_memory": "true",  # where the tests run /tmp may be a tmpfs
}


class ChaosWorld(World):
    def __init__(self, folder: pathlib.Path, cluster: Cluster, server: str):
        super().__init__(folder, "chaos", cluster.direct, server, "template_chaos", replicas=BROKERS)
        self.names_consumers = True
        self._cluster = cluster

    def start_shim(self, **settings) -> programs.Shim:
        """Doesn't wait: anything may be away."""
        known = {"KAFKA_BOOTSTRAP_SERVERS": self._cluster.bootstrap, "kafka.topic": self.topic}
        shim = programs.Shim(self._folder("shim"), known | settings)
        self.shims.append(shim)
        return shim

    def start_consumer(self, **settings) -> programs.Consumer:
        return super().start_consumer(wait=False, KAFKA_BOOTSTRAP_SERVERS=self._cluster.bootstrap, **settings)


class Place:
    """Where one of our programs runs, one process after the other. The load generator takes a shim's for a shim."""

    def __init__(self, name: str, start, links: dict[str, Link]):
        self.name, self.links = name, links
        self._start = start  # (**settings): a daemon
        self.daemon: programs.Daemon | None = None
        self.lives: list[list] = []  # [name of the process, from, to]
        self.is_wanted = False

    @property
    def child(self):
        return self.daemon.child

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.links['livekit-link'].port}/webhook"

    def start(self, **settings) -> None:
        self.daemon = self._start(**settings)
        self.lives.append([self.daemon.folder.name, time.time(), float("inf")])
        self.is_wanted = True

    def kill(self) -> None:
        self.is_wanted = False
        self.daemon.kill()
        self.lives[-1][2] = time.time()

    def lived(self, since: float, until: float) -> list[str]:
        """The processes that ran then."""
        return [name for name, start, end in self.lives if start <= until and end >= since]

    def has_ended(self) -> int | None:
        """The exit code of a process that has ended by itself, once."""
        if not self.is_wanted or self.child.running():
            return None
        self.is_wanted = False
        self.daemon.ended = self.child.wait(1)
        self.lives[-1][2] = time.time()
        return self.daemon.ended


class Parties:
    """Owns everything. close() ends what still runs."""

    def __init__(self, folder: pathlib.Path, seed: int):
        self.folder = folder
        self.network = Network(folder, seed).start()
        self._held = []
        self.postgres = Postgres(folder / "postgres")
        self.postgres.port = self._hold()
        self.cluster = Cluster(folder / "kafka", jars_folder(), self.network)
        self.world: ChaosWorld | None = None
        self.places: list[Place] = []
        self.surprises: list[str] = []  # what a program did that it must not

    def start(self, mutant: int | None = None) -> "Parties":
        self.postgres.start()
        migrated_database(self.postgres.url(), "template_chaos")
        if mutant:
            self._put_in(MUTANTS[mutant - 1])
        self.cluster.start()
        (self.folder / "world").mkdir()
        self.world = ChaosWorld(self.folder / "world", self.cluster, self.postgres.url())
        self.world.model.rule("ok", latency_ms=MODEL_MS)
        until(lambda: self.cluster.in_sync([self.world.topic]), 60, "the topic has its replicas")
        self.shims = [self._shim(n) for n in range(SHIMS)]
        self.consumers = [self._consumer(n) for n in range(CONSUMERS)]
        self.places = [*self.shims, *self.consumers]
        return self

    def start_programs(self) -> None:
        for place in self.places:
            place.start()
        for place in self.places:
            place.daemon.wait_ready(60)
        until(self.cluster.in_sync, 60, "all replicas are in sync")

    def links(self, kind: str, target: int) -> Group | Link:
        brokers = self.cluster.brokers
        match kind:
            case "brokers":
                return Group([broker.client_link for broker in brokers])
            case "kafka-link":
                return brokers[target].client_link
            case "replication-link":
                return brokers[target].peer_links
            case "livekit-link":
                return self.shims[target].links[kind]
        return self.consumers[target].links[kind]

    def spooled(self) -> collections.Counter[str]:
        """How many webhooks each process of a shim has put into its spool, of those that can be asked now."""
        found = collections.Counter()
        for place in self.shims:
            if not place.is_wanted or not place.daemon.port_of("admin") or place.child.is_stopped():
                continue
            try:
                number = place.daemon.metrics().get(("roomclaim_webhooks_total", "spooled"), 0)
            except AssertionError:
                continue  # it has just ended
            found[place.daemon.folder.name] = int(number)
        return found

    # --- what lives on while its process dies

    def look_after(self) -> None:
        """Starts again what has ended because something was away; whatever else ends by itself is a surprise."""
        for place in self.places:
            code = place.has_ended()
            if code is None:
                continue
            if code != UNAVAILABLE:
                self.surprises.append(
                    f"{place.daemon.folder.name} ended by itself with {code}:\n{place.daemon.tail(12)}"
                )
            place.start()

    def crash_postgres(self) -> None:
        """kill -9 of all its processes; what is left of one would keep the next from starting."""
        main = self.postgres.child
        main.send(signal.SIGSTOP)  # it has no further child now
        others = children_of(main.pid)
        main.kill()
        for pid in others:
            kill_if_there(pid)
        until(lambda: not any(is_there(pid) for pid in others), 30, "the backends are gone")

    def server(self) -> psycopg.Connection:
        """A superuser's connection that may write whatever the server's default is."""
        return psycopg.connect(self.postgres.url(), autocommit=True, options="-c default_transaction_read_only=off")

    def server_of_world(self) -> psycopg.Connection:
        return psycopg.connect(with_database(self.postgres.url(), self.world.name), autocommit=True, connect_timeout=2)

    # --- the end

    def end_programs(self) -> list[str]:
        """An orderly stop; returns what was wrong with any process of the run."""
        found = list(self.surprises)
        for place in self.places:
            if place.has_ended() is not None:
                found.append(f"{place.daemon.folder.name} ended by itself with {place.daemon.ended}")
            place.is_wanted = False
        for daemon in (*self.world.shims, *self.world.consumers):
            try:
                daemon.finish()
            except AssertionError as fault:
                found.append(str(fault))
                daemon.kill()
        log = self.postgres.child.log.read_text(errors="replace")
        found += [line for line in log.splitlines() if "deadlock detected" in line]
        return found

    def close(self) -> None:
        for place in self.places:
            place.is_wanted = False
            if place.daemon and place.child.running():
                place.daemon.kill()
        if self.world:
            self.world.model.stop()
            self.world.db.close()
            self.world.kafka.close()
        self.cluster.stop()
        if self.postgres.child and self.postgres.child.running():
            self.postgres.crash()
        self.network.stop()
        for held in self._held:
            held.close()

    def _put_in(self, mutant: Mutant) -> None:
        """A fault in our functions, which the checker has to see."""
        with psycopg.connect(with_database(self.postgres.url(), "template_chaos"), autocommit=True) as db:
            for function, text, replacement in mutant.sql:
                [(source,)] = db.execute("SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = %s", [function])
                assert source.count(text) == 1, f"{function} has {text!r} {source.count(text)} times"
                db.execute(source.replace(text, replacement))

    # --- places

    def _hold(self) -> int:
        self._held.append(hold_port())
        return self._held[-1].getsockname()[1]

    def _shim(self, number: int) -> Place:
        name, port = f"shim-{number}", self._hold()
        link = self.network.link(f"livekit to {name}", "127.0.0.1", port)
        (self.folder / name).mkdir()
        own = {"shim.listen": f"127.0.0.1:{port}", "shim.spool_path": self.folder / name / "spool.db"}
        return Place(name, lambda **more: self.world.start_shim(**SHIM, **own, **more), {"livekit-link": link})

    def _consumer(self, number: int) -> Place:
        name, world = f"consumer-{number}", self.world
        postgres = self.network.link(f"{name} to postgres", "127.0.0.1", self.postgres.port)
        model = self.network.link(f"{name} to model", "127.0.0.1", int(world.model.url.rsplit(":", 1)[1]))
        database = with_database(self.postgres.url(), world.name, "test_consumer", programs.PG_PASSWORD)
        own = {
            "DATABASE_URL": database.replace(f":{self.postgres.port}/", f":{postgres.port}/"),
            "llm.base_url": f"http://127.0.0.1:{model.port}",
            "consumer.instance_id": name,
        }
        links = {"postgres-link": postgres, "model-link": model}
        return Place(name, lambda **more: world.start_consumer(**CONSUMER, **own, **more), links)


def children_of(pid: int) -> list[int]:
    return [int(n) for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children") for n in task.read_text().split()]


def is_there(pid: int) -> bool:
    return pathlib.Path(f"/proc/{pid}").exists()


def kill_if_there(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
