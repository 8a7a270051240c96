"""Carries out a plan, in the main thread, which is the one that starts processes. When an operation is over, what was done
to whom goes into the recording.

An operation is over when its time has come and it has hit. Until then it goes on; when another one needs the same party, it
is taken back, and done again as soon as that party is free. A kind of which none has hit in the end is recorded so, and the
checker fails the run. What it means to have hit:

    reset, refuse           a connection was there, and the link has reset it; without one the link refuses nothing
    hang                    the link has swallowed bytes
    away                    as refuse or hang, whichever it is
    delay, trickle          something had to wait in the link
    late                    it has lost rooms to another consumer, whose first calls have been answered to it
    kill-unacknowledged     bytes to or from Kafka were swallowed before the kill
    of the model            a call has got this reply, or got it this late
    two-down                two brokers stand still, and a shim has put webhooks into its spool since
    kill, clock             the process ran, and is reaped
    pause                   the process is in the state "stopped"
    read-only               Postgres has refused to write
    terminate               there were backends
"""

import collections
import dataclasses
import pathlib
import signal
import time
from collections.abc import Callable

import psycopg
from harness import programs
from harness.processes import Late, until
from harness.recording import Recording

from chaos.parties import MODEL_MS, Parties, Place
from chaos.schedule import CUTS, Operation, locks_of

TICK_S = 0.1
PATIENCE_S = 20  # after the plan, for what has not hit yet
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
    "two-down": "pauses",
} | dict.fromkeys((*CUTS, "away"), "cuts")


@dataclasses.dataclass(frozen=True)
class Effect:
    """What an operation has begun: end() takes it back, has_hit() tells whether there is evidence of it by now."""

    end: Callable[[], None] = lambda: None
    has_hit: Callable[[], bool] = lambda: True
    tells: bool = False  # also without the evidence: what it was for did not come of it, but it held somebody up


@dataclasses.dataclass(frozen=True)
class UnderWay:
    operation: Operation
    begun: float  # time.time()
    until: float  # time.monotonic()
    effect: Effect


class Nemesis:
    def __init__(
        self, parties: Parties, recording: Recording, operations: list[Operation], told: Callable[[str], None]
    ):
        """told(what): of each operation, when it begins."""
        self._parties, self._recording, self._told = parties, recording, told
        self._operations = operations
        self._under_way: list[UnderWay] = []
        self._again: list[Operation] = []  # could not be done, or was taken back before it had hit
        self._hit: set[str] = set()  # names of kinds
        self.sums: collections.Counter[str] = collections.Counter()

    def run(self, until_s: float, tick: Callable[[], None]) -> None:
        """All of the plan, and the rest of the time. tick() is called again and again."""
        started = time.monotonic()
        for operation in self._operations:
            self._pass(tick, started + operation.at)
            self._make_room(operation)
            self._begin(operation)
        self._pass(tick, started + until_s)
        deadline = time.monotonic() + PATIENCE_S
        while (self._under_way or self._again) and time.monotonic() < deadline:
            self._tick(tick, deadline - time.monotonic())
        for done in list(self._under_way):
            self._finish(done)
        for operation in self._again:
            if operation.kind.name not in self._hit:
                self._record(operation, time.time(), hit=False)

    def _pass(self, tick: Callable[[], None], until_s: float) -> None:
        while time.monotonic() < until_s:
            self._tick(tick, until_s - time.monotonic())

    def _tick(self, tick: Callable[[], None], left: float) -> None:
        self._parties.look_after()
        for done in list(self._under_way):
            if time.monotonic() >= done.until and done.effect.has_hit():
                self._finish(done)
        self._try_again()
        tick()
        deadline = time.monotonic() + min(TICK_S, left)
        until(lambda: time.monotonic() >= deadline, 2 * TICK_S, "time passes")

    def _try_again(self) -> None:
        waiting, self._again = self._again, []
        for operation in waiting:
            if self._in_the_way(operation):
                self._again.append(operation)
            else:
                self._begin(operation)

    # --- an operation

    def _in_the_way(self, operation: Operation) -> list[UnderWay]:
        locks = locks_of(operation.kind, operation.target)
        return [done for done in self._under_way if locks & locks_of(done.operation.kind, done.operation.target)]

    def _make_room(self, operation: Operation) -> None:
        for done in self._in_the_way(operation):
            self._finish(done)

    def _begin(self, operation: Operation) -> None:
        self._told(f"{operation.kind.name}-{operation.target} {operation.how or ''}".rstrip())
        begun, over_at = time.time(), time.monotonic() + operation.until - operation.at
        effect = self._begun(operation)
        if effect:
            self._under_way.append(UnderWay(operation, begun, over_at, effect))
        else:
            self._again.append(operation)

    def _begun(self, operation: Operation) -> Effect | None:
        """Does it. None: it could not be done now, and nothing is to be taken back."""
        what, party = operation.kind.what, operation.kind.party
        if party == "model":
            return self._model(what)
        if party == "postgres":
            return {"kill": self._kill_postgres, "read-only": self._read_only, "terminate": self._terminate}[what]()
        if party == "broker":
            return self._broker(what, self._parties.cluster.brokers[operation.target])
        if what == "two-down":
            return self._two_down(operation.how)
        if party in ("shim", "consumer"):
            places = self._parties.shims if party == "shim" else self._parties.consumers
            return self._program(operation, places[operation.target])
        if what == "late":
            return self._late(self._parties.consumers[operation.target])
        return self._cut(operation)

    def _finish(self, done: UnderWay) -> None:
        """Takes it back. One that has not hit is for another time."""
        self._under_way.remove(done)
        hit = done.effect.has_hit()
        parties = self._hit_parties(done.operation, done.begun, time.time())
        done.effect.end()
        if hit:
            self._record(done.operation, done.begun, hit=True, parties=parties)
            return
        if done.effect.tells:
            for party in parties:
                name = f"{done.operation.kind.what}-in-vain:{done.operation.kind.party}"
                self._recording.fault(name, party, t=done.begun, until=time.time(), hit=True)
        self._again.append(done.operation)

    def _record(self, operation: Operation, begun: float, *, hit: bool, parties: list[str] | None = None) -> None:
        now = time.time()
        for party in parties or self._hit_parties(operation, begun, now):
            self._recording.fault(operation.kind.name, party, t=begun, until=now, hit=hit)
        if hit:
            self._hit.add(operation.kind.name)
        self.sums[SUMS.get(operation.kind.what, "others")] += hit

    def _hit_parties(self, operation: Operation, since: float, now: float) -> list[str]:
        """As the checker knows them: a consumer's process by its name, so that it excuses no other."""
        party = operation.kind.party
        if party in ("consumer", "postgres-link", "model-link"):
            return self._parties.consumers[operation.target].lived(since, now)
        own_name = {"brokers": "kafka", "livekit-link": "load", "replication-link": "kafka", "shim": "shim"}
        return [f"{own_name.get(party, party)}-{operation.target}" if party not in ("postgres", "model") else party]

    # --- processes

    def _program(self, operation: Operation, place: Place) -> Effect | None:
        what = operation.kind.what
        if what == "pause-past-lease":
            self._has_work(place)
        if not place.child.running():
            return None  # it has ended by itself, and is a surprise or soon started again
        if what == "kill-unacknowledged":
            return self._kill_unacknowledged(place)
        if what in ("kill", "clock"):
            place.kill()
            clock = programs.clock_at(self._parties.folder, time.time() + operation.how) if operation.how else {}
            return Effect(lambda: place.start(**clock))
        place.child.send(signal.SIGSTOP)
        until(place.child.is_stopped, 5, f"{place.name} is stopped")
        return Effect(lambda: place.child.send(signal.SIGCONT))

    def _kill_unacknowledged(self, place: Place) -> Effect | None:
        kafka = self._parties.links("brokers", 0)
        before = kafka.count().swallowed
        kafka.hang()
        deadline = time.monotonic() + UNACKNOWLEDGED_S
        until(lambda: time.monotonic() >= deadline, 2, "webhooks come")
        if kafka.count().swallowed == before:
            return kafka.heal()
        place.kill()
        kafka.heal()
        return Effect(place.start)

    def _late(self, place: Place) -> Effect | None:
        self._parties.world.model.rule("ok", latency_ms=SLOW_MS)

        def heal_model():
            self._parties.world.model.rule("ok", latency_ms=MODEL_MS)

        if not self._has_work(place, calls=3):
            return heal_model()
        links, begun = place.links["postgres-link"], time.time()
        links.hang()

        def end():
            links.heal()
            heal_model()

        return Effect(end, lambda: self._has_lost_answered(place, begun), tells=True)

    def _has_lost_answered(self, place: Place, since: float) -> bool:
        """True if another consumer has a room that this one had in hand then, and the room's first call was answered."""
        since -= SLOW_MS / 1000
        query = "SELECT room_sid FROM roomclaim.call WHERE worker = %s AND outcome = 'lost' AND started_at > to_timestamp(%s)"
        try:
            with self._parties.server_of_world() as db:
                lost = {room for (room,) in db.execute(query, [place.name, since])}
        except psycopg.Error:
            return False
        first = {}
        for call in self._parties.world.model.calls():
            if call["in"] > since:
                first.setdefault(call["room"], call.get("status"))
        return any(first.get(room) == 200 for room in lost)

    def _has_work(self, place: Place, calls: int = 1) -> bool:
        """True as soon as it has so many rooms in hand; False: they did not come soon."""
        query = "SELECT count(*) FROM roomclaim.room WHERE state = 'processing' AND worker = %s"
        try:
            with self._parties.server_of_world() as db:
                until(lambda: db.execute(query, [place.name]).fetchone()[0] >= calls, 3, "it has work")
        except (Late, psycopg.Error):
            return False
        return True

    def _broker(self, what: str, broker) -> Effect:
        if what == "kill":
            broker.kill()
            return Effect(broker.start)
        broker.pause()
        return Effect(broker.resume)

    def _two_down(self, how: str) -> Effect:
        down = [broker for broker in self._parties.cluster.brokers if not how.endswith(broker.name)]
        for broker in down:
            broker.pause()
        before = self._parties.spooled()

        def end():
            for broker in down:
                broker.resume()

        return Effect(end, lambda: bool(self._parties.spooled() - before))

    def _kill_postgres(self) -> Effect:
        self._parties.crash_postgres()
        return Effect(self._parties.postgres.start)

    # --- what Postgres does

    def _read_only(self) -> Effect:
        log = self._parties.postgres.child.log
        before = refused_writes(log)
        self._set_read_only("on")
        return Effect(lambda: self._set_read_only("off"), lambda: refused_writes(log) > before)

    def _set_read_only(self, value: str) -> None:
        with self._parties.server() as db:
            db.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
            db.execute("SELECT pg_reload_conf()")
        self._terminate()

    def _terminate(self) -> Effect | None:
        with self._parties.server() as db:
            [(found,)] = db.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        return Effect() if found else None

    # --- links, and the model

    def _cut(self, operation: Operation) -> Effect | None:
        links = self._parties.links(operation.kind.party, operation.target)
        what = operation.how if operation.kind.what == "away" else operation.kind.what
        before = links.count()
        match what:
            case "reset":
                links.reset()
                return Effect() if links.count().resets > before.resets else None
            case "refuse":
                links.refuse()
                return Effect(links.heal) if links.count().resets > before.resets else links.heal()
            case "hang":
                links.hang(*(() if operation.how in ("both", "hang") else (operation.how,)))
                return Effect(links.heal, lambda: links.count().swallowed > before.swallowed)
            case "delay":
                links.delay(operation.how, operation.how / 2)
            case "trickle":
                links.trickle(operation.how)
        return Effect(links.heal, lambda: links.count().waits > before.waits)

    def _model(self, what: str) -> Effect:
        model = self._parties.world.model
        rule, how = MODEL[what]
        before = model.given(rule, **how)
        model.rule(rule, **how)
        return Effect(lambda: model.rule("ok", latency_ms=MODEL_MS), lambda: model.given(rule, **how) > before)


def refused_writes(log: pathlib.Path) -> int:
    return log.read_text(errors="replace").count("in a read-only transaction")
