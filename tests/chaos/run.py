"""One run: faults for some minutes; then all is healed and started again, the load ends, all comes to rest, and the checker
says whether the promises were kept."""

import dataclasses
import pathlib
import time
from collections.abc import Callable

from harness.postgres import with_database
from harness.recording import Recording

from chaos import schedule
from chaos.application import Application
from chaos.nemesis import Nemesis
from chaos.parties import MODEL_DEADLINE_S, SWEEP_S, Parties
from chaos.schedule import LEASE_S
from chaos.traffic import Traffic

THREADS = 160  # of the load: half of them hang when a shim does
DRAIN_S = 120  # LiveKit's side may wait four times
PROGRESS_S = 10
FDS_GROWTH = 400  # a connection each for what is under way

# What must have come of a plan that has all of these kinds.
BRANCHES = {
    "spooled": {"away:brokers"},
    "fenced": {"pause-past-lease:consumer", "late:postgres-link"},
    "claimed_again": {"kill:consumer", "pause-past-lease:consumer"},
    "lost": {"kill:consumer", "pause-past-lease:consumer"},
    "breaker": {"unavailable:model"},
    "breaker_closed": {"unavailable:model"},
}
ALWAYS = (
    "acknowledged", "completed", "parked", "dead_lettered", "duplicate", "forged", "unmatched", "matched", "foreign",
    "busy", "reopened", "application:edited", "application:reset", "application:dropped", "application:deleted",
)  # fmt: skip
LONG_ENOUGH_MINUTES = 2  # for what is rare


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a run is to be."""

    seed: int
    minutes: float
    folder: pathlib.Path
    rooms_per_s: float
    mutant: int | None
    tell: Callable[[str], None]  # a line of progress


@dataclasses.dataclass
class Result:
    is_good: bool
    words: str  # what the checker and the programs say
    line: str


def run(asked: Asked) -> Result:
    begun = time.monotonic()
    operations = schedule.plan(asked.seed, asked.minutes)
    asked.tell("three brokers, Postgres and the programs start")
    parties = Parties(asked.folder, asked.seed)
    try:
        parties.start(asked.mutant)
        expect = expectations(operations, asked.minutes)
        with Recording(parties.world, folder=asked.folder / "recording", threads=THREADS, **expect) as recording:
            parties.start_programs()
            storm = Storm(asked, parties, recording, operations)
            storm.run()
            asked.tell("all is healed; waiting for rest")
            recording.load.drain(DRAIN_S)
            recording.healed()
            recording.finish()
            wrong = parties.end_programs() + storm.wrong()
        verdict = recording.verdict()
    finally:
        parties.close()
    sums = figures_of(verdict.stdout) | {"faults": len(operations)} | storm.nemesis.sums
    return Result(
        is_good=verdict.returncode == 0 and not wrong,
        words="\n".join([verdict.stdout + verdict.stderr, *wrong]),
        line=summary(asked.seed, sums, time.monotonic() - begun),
    )


def expectations(operations: list[schedule.Operation], minutes: float) -> dict:
    kinds = {operation.kind.name for operation in operations}
    wanted = [f"fault:{name}" for name in sorted(kinds)]
    if minutes >= LONG_ENOUGH_MINUTES:
        wanted += [*ALWAYS, *(name for name, needs in BRANCHES.items() if needs <= kinds)]
    return {
        "lease_s": LEASE_S, "sweep_s": SWEEP_S, "model_deadline_s": MODEL_DEADLINE_S, "fds_growth": FDS_GROWTH,
        "sometimes": wanted,
    }  # fmt: skip


class Storm:
    """The part of a run in which faults come: the load, the application and the nemesis at once."""

    def __init__(self, asked: Asked, parties: Parties, recording: Recording, operations: list[schedule.Operation]):
        world = parties.world
        self._asked, self._load, self._operations = asked, recording.load, operations
        self._application = Application(with_database(parties.postgres.url(), world.name), asked.seed)
        self._traffic = Traffic(
            recording.load, parties.shims, asked.seed, asked.rooms_per_s, self._application.room_begins,
            world.topic, world.kafka.bootstrap,
        )  # fmt: skip
        self._application.tell_again = self._traffic.finish_again
        self._last = "none"
        self._told_s = 0
        self.nemesis = Nemesis(parties, recording, operations, self._begins)

    def run(self) -> None:
        self._begun = time.monotonic()
        self._application.start()
        self._traffic.start()
        try:
            self.nemesis.run(60 * self._asked.minutes, self._tick)
        finally:
            self._traffic.stop()
            self._application.stop()

    def wrong(self) -> list[str]:
        """What has happened to the application that must not."""
        deadlocks = self._application.deadlocks
        return self._application.faults + ([f"{deadlocks} deadlocks of the application"] if deadlocks else [])

    def _begins(self, what: str) -> None:
        self._last = what

    def _tick(self) -> None:
        passed = time.monotonic() - self._begun
        if passed < self._told_s + PROGRESS_S:
            return
        self._told_s += PROGRESS_S
        done = f"{sum(self.nemesis.sums.values())} of {len(self._operations)} faults"
        left = f"{max(60 * self._asked.minutes - passed, 0):.0f} s left"
        self._asked.tell(
            f"{left}: {self._traffic.rooms} rooms, {self._load.open} webhooks open, {done}, last {self._last}"
        )


def figures_of(said: str) -> dict[str, int]:
    """The checker's last line."""
    found = {}
    for part in said.strip().splitlines()[-1].split(", ") if said.strip() else []:
        name, _, number = part.rpartition(" ")
        if number.isdigit():
            found[name] = int(number)
    return found


def summary(seed: int, sums: dict[str, int], seconds: float) -> str:
    names = (
        "webhooks acknowledged", "rooms", "completed", "parked", "faults", "kills", "pauses", "cuts", "lost", "stuck",
        "results stored twice", "model calls", "model calls per room without a fault on it", "such rooms",
    )  # fmt: skip
    return f"seed {seed}: " + ", ".join(f"{name} {sums.get(name, '?')}" for name in names) + f", {seconds:.0f} s"
