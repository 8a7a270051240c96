"""Carries out a plan. An operation has a beginning and an end; both are done in the plan's order, in the main thread, which
is the one that starts processes. When an operation is over, what was done to whom goes into the recording.
"""

import collections
import dataclasses
import signal
import time
from collections.abc import Callable

import psycopg
from harness import programs
from harness.processes import Late, until
from harness.recording import Recording

from chaos.parties import MODEL_MS, Parties, Place
from chaos.schedule import CUTS, Operation

TICK_S = 0.1
SLOW_MS = 2500
UNACKNOWLEDGED_S = 0.4  # less than spool_after
MODEL = {  # what: the model's rule
    "unavailable": (503, {"retry_after": 1}),
    "throttled": (429, {"retry_info": "1s"}),
    "failing": (500, {}),
    "hanging": ("hang", {}),
    "cutting": ("cut_in_the_middle", {}),
    "slow": ("ok", {"latency_ms": SLOW_MS}),
    "misfit": ("misfit", {}),
}
SUMS = {
    "kill": "kills",
    "kill-unacknowledged": "kills",
    "clock": "kills",
    "late": "cuts",
    "pause": "pauses",
    "pause-past-lease": "pauses",
} | dict.fromkeys((*CUTS, "away"), "cuts")


@dataclasses.dataclass
class UnderWay:
    operation: Operation
    begun: float
    hit: bool
    end: Callable[[], None]


class Nemesis:
    def __init__(
        self, parties: Parties, recording: Recording, operations: list[Operation], told: Callable[[str], None]
    ):
        """told(what): of each operation, when it begins."""
        self._parties, self._recording, self._told = parties, recording, told
        self._operations = operations
        self._under_way: dict[Operation, UnderWay] = {}
        self._missed: list[Operation] = []  # resets that found no connection: a broker is on its way up, say
        self.sums: collections.Counter[str] = collections.Counter()

    def run(self, until_s: float, tick: Callable[[], None]) -> None:
        """All of the plan, and the rest of the time. tick() is called again and again."""
        events = [(o.at, 0, n, o) for n, o in enumerate(self._operations)]
        events += [(o.until, 1, n, o) for n, o in enumerate(self._operations)]
        started = time.monotonic()
        for at, is_end, _, operation in [*sorted(events), (until_s, 1, 0, None)]:
            while time.monotonic() < started + at:
                self._tick(tick, started + at - time.monotonic())
            if operation:
                (self._end if is_end else self._begin)(operation)
        for operation in self._missed:
            self._record(operation, UnderWay(operation, time.time(), False, lambda: None))

    def _tick(self, tick: Callable[[], None], left: float) -> None:
        self._parties.look_after()
        self._reset_missed()
        tick()
        deadline = time.monotonic() + min(TICK_S, left)
        until(lambda: time.monotonic() >= deadline, 2 * TICK_S, "time passes")

    # --- an operation

    def _begin(self, operation: Operation) -> None:
        self._told(f"{operation.kind.name}-{operation.target} {operation.how or ''}".rstrip())
        begun = time.time()
        end = self._begun(operation)
        hit = end is not None
        self._under_way[operation] = UnderWay(operation, begun, hit, end or (lambda: None))

    def _begun(self, operation: Operation) -> Callable[[], None] | None:
        """Does it, and returns what takes it back; None: it could not be done."""
        what, party = operation.kind.what, operation.kind.party
        if party == "model":
            return self._model(what)
        if party == "postgres":
            return {"kill": self._kill_postgres, "read-only": self._read_only, "terminate": self._terminate}[what]()
        if party == "broker":
            return self._broker(what, self._parties.cluster.brokers[operation.target])
        if party in ("shim", "consumer"):
            places = self._parties.shims if party == "shim" else self._parties.consumers
            return self._program(operation, places[operation.target])
        if what == "late":
            return self._late(self._parties.consumers[operation.target])
        return self._cut(operation)

    def _end(self, operation: Operation) -> None:
        done = self._under_way.pop(operation)
        if operation.kind.what == "reset" and not done.hit:
            self._missed.append(operation)
        else:
            self._record(operation, done)

    def _record(self, operation: Operation, done: UnderWay) -> None:
        parties = self._hit_parties(operation, done.begun, time.time())
        done.end()
        for party in parties:
            self._recording.fault(operation.kind.name, party, t=done.begun, until=time.time(), hit=done.hit)
        self.sums[SUMS.get(operation.kind.what, "others")] += done.hit

    def _hit_parties(self, operation: Operation, since: float, now: float) -> list[str]:
        """As the checker knows them: a consumer's process by its name, so that it excuses no other."""
        party = operation.kind.party
        if party in ("consumer", "postgres-link", "model-link"):
            return self._parties.consumers[operation.target].lived(since, now)
        own_name = {"brokers": "kafka", "livekit-link": "load", "replication-link": "kafka", "shim": "shim"}
        return [f"{own_name.get(party, party)}-{operation.target}" if party not in ("postgres", "model") else party]

    # --- processes

    def _program(self, operation: Operation, place: Place) -> Callable[[], None] | None:
        what = operation.kind.what
        if what == "pause-past-lease":
            self._wait_for_work(place)
        if not place.child.running():
            return None  # it has ended by itself, and is a surprise
        if what == "kill-unacknowledged":
            return self._kill_unacknowledged(place)
        if what in ("kill", "clock"):
            place.kill()
            clock = programs.clock_at(self._parties.folder, time.time() + operation.how) if operation.how else {}
            return lambda: place.start(**clock)
        place.child.send(signal.SIGSTOP)
        until(place.child.is_stopped, 5, f"{place.name} is stopped")
        return lambda: place.child.send(signal.SIGCONT)

    def _kill_unacknowledged(self, place: Place) -> Callable[[], None]:
        kafka = self._parties.links("brokers", 0)
        kafka.hang()
        deadline = time.monotonic() + UNACKNOWLEDGED_S
        until(lambda: time.monotonic() >= deadline, 2, "webhooks come")
        place.kill()
        kafka.heal()
        return place.start

    def _late(self, place: Place) -> Callable[[], None]:
        self._parties.world.model.rule("ok", latency_ms=SLOW_MS)
        self._wait_for_work(place, calls=3)
        links = place.links["postgres-link"]
        links.hang()

        def end():
            links.heal()
            self._parties.world.model.rule("ok", latency_ms=MODEL_MS)

        return end

    def _wait_for_work(self, place: Place, calls: int = 1) -> None:
        """Until it has so many rooms in hand, if they come soon."""
        query = "SELECT count(*) FROM roomclaim.room WHERE state = 'processing' AND worker = %s"
        try:
            with self._parties.server_of_world() as db:
                until(lambda: db.execute(query, [place.name]).fetchone()[0] >= calls, 3, "it has work")
        except (Late, psycopg.Error):
            pass

    def _broker(self, what: str, broker) -> Callable[[], None]:
        if what == "kill":
            broker.kill()
            return broker.start
        broker.pause()
        return broker.resume

    def _kill_postgres(self) -> Callable[[], None]:
        self._parties.crash_postgres()
        return self._parties.postgres.start

    # --- what Postgres does

    def _read_only(self) -> Callable[[], None]:
        self._set_read_only("on")
        return lambda: self._set_read_only("off")

    def _set_read_only(self, value: str) -> None:
        with self._parties.server() as db:
            db.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
            db.execute("SELECT pg_reload_conf()")
        self._terminate()

    def _terminate(self) -> Callable[[], None]:
        with self._parties.server() as db:
            db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        return lambda: None

    # --- links, and the model

    def _cut(self, operation: Operation) -> Callable[[], None] | None:
        links = self._parties.links(operation.kind.party, operation.target)
        what = operation.how if operation.kind.what == "away" else operation.kind.what
        match what:
            case "reset":
                return (lambda: None) if self._reset(links) else None
            case "refuse":
                links.refuse()
            case "hang":
                links.hang(*(() if operation.how in ("both", "hang") else (operation.how,)))
            case "delay":
                links.delay(operation.how, operation.how / 2)
            case "trickle":
                links.trickle(operation.how)
        return links.heal

    @staticmethod
    def _reset(links) -> bool:
        """False: there is no connection."""
        before = links.count().resets
        links.reset()
        return links.count().resets > before

    def _reset_missed(self) -> None:
        for operation in list(self._missed):
            begun = time.time()
            if self._reset(self._parties.links(operation.kind.party, operation.target)):
                self._missed.remove(operation)
                self._record(operation, UnderWay(operation, begun, True, lambda: None))

    def _model(self, what: str) -> Callable[[], None]:
        model = self._parties.world.model
        rule, how = MODEL[what]
        model.rule(rule, **how)
        return lambda: model.rule("ok", latency_ms=MODEL_MS)
