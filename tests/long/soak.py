"""Half an hour at full load: what the programs hold at the end is what they held after five minutes.

Webhooks come as fast as rooms are completed; the application puts its rows in before, and deletes completed ones.
"""

import csv
import json
import pathlib
import statistics
import sys
import time
import urllib.request

from harness.processes import Child, until

from . import ground as on
from .sender import sid_of

FROM, UNTIL = 5 / 30, 1.0  # parts of the time: what is held then is compared
BEHIND = 3000  # rooms that may be sent and not completed
ROWS_AHEAD = 2000
KEPT = 10_000  # rows that the application keeps for a while
SAMPLE_EVERY_S = 10
MODEL_MS = 20
MORE = 1.05
HELD = ("rss_kb", "descriptors", "connections", "threads")
SHORT = 3  # minutes: below, memory has not settled, and is only shown
UNFINISHED = "\"UserFeedback\" WHERE status::text <> 'completed'"


def held_by(pid):
    """{what: number} of a process."""
    process = pathlib.Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    links = [str(link.readlink()) for link in _those_left((process / "fd").iterdir())]
    return {
        "rss_kb": int(status["VmRSS"].split()[0]), "descriptors": len(links),
        "connections": sum(link.startswith("socket:") for link in links), "threads": int(status["Threads"]),
    }  # fmt: skip


def _those_left(links):
    """A descriptor may be closed while they are looked at."""
    return (link for link in links if link.is_symlink())


class Soak:
    def __init__(self, ground):
        self.ground, self.world = ground, ground.world("soak")
        self.rows = self.deleted = 0
        self.samples = []  # (seconds, program, what, number)
        self._next_sample = self._next_delete = 0.0
        ground.tell = self._told

    def begin(self):
        """The rooms of a minute are more than the consumer remembers: what it holds does not depend on the rate."""
        world = self.world
        model = self._start_model()
        shim = world.start_shim()
        consumer = world.start_consumer(
            llm__base_url=model, consumer__max_in_flight=256, claim__lease="60s", llm__timeout="20s",
            sweep__interval="5s", consumer__recent_for="60s", kafka__properties=None, retry__initial=None,
            retry__max=None, consumer__commit_interval=None,
        )  # fmt: skip
        self.programs = {"shim": shim, "consumer": consumer}
        self.figures = on.Figures(consumer)
        self.sender = on.Sender(world.folder, world.shim_url, world.prefix, rate=5000, rooms=0, uses=200, streams=64)
        self.begun = time.monotonic()

    def _start_model(self):
        log = self.world.folder / "model.log"
        argv = [sys.executable, "-m", "long.fast_model", MODEL_MS]
        child = Child("model", argv, log, cwd=pathlib.Path(__file__).resolve().parent.parent)
        self.model = f"http://127.0.0.1:{until(lambda: child.output().strip(), 15, 'the model is up')}"
        return self.model

    def done(self):
        """Rooms. A sweep may finish one before the consumer does."""
        return int(self.figures.now().get(("roomclaim_jobs_settled_total", ""), 0))

    def step(self):
        """A few times a second: more webhooks, more rows, fewer rows, and a look at what is held."""
        may_be_sent = self.done() + BEHIND
        if self.rows < may_be_sent:
            self.world.given_numbered_rooms(self.rows + 1, may_be_sent + ROWS_AHEAD)
            self.rows = may_be_sent + ROWS_AHEAD
        self.sender.order(rooms=may_be_sent)
        now = time.monotonic()
        if now >= self._next_delete:
            self._next_delete = now + 1
            self._delete_until(may_be_sent - BEHIND - KEPT)
        if now >= self._next_sample:
            self._next_sample = now + SAMPLE_EVERY_S
            self._sample(now - self.begun)

    def _delete_until(self, n):
        if n > self.deleted:
            self.world.sql(
                'DELETE FROM "UserFeedback" WHERE "roomSid" BETWEEN %s AND %s AND status::text = \'completed\'',
                sid_of(self.world.prefix, self.deleted + 1), sid_of(self.world.prefix, n),
            )  # fmt: skip
            self.deleted = n

    def _sample(self, t):
        for name, daemon in self.programs.items():
            for what, number in held_by(daemon.child.pid).items():
                self.samples.append((t, name, what, number))
        self.samples.append((t, "rooms", "done", self.done()))

    def _told(self):
        told = self.sender.told()
        held = {name: held_by(daemon.child.pid) for name, daemon in self.programs.items()}
        each = ", ".join(f"{name} {' '.join(f'{what} {n}' for what, n in h.items())}" for name, h in held.items())
        return f"sent {told.get('rooms')}, lost {told.get('lost')}, p99 {told.get('p99_ms')} ms, done {self.done()}, {each}"

    def end(self):
        """Rooms sent."""
        last = self.sender.stop(self.ground)
        self.ground.wait(lambda: self.done() >= last["rooms"], 120, "all rooms are done")
        self.ground.wait(lambda: self.world.kafka.lag(self.world.group, self.world.topic) == 0, 60, "all is committed")
        assert last["lost"] == 0 and last["acknowledged"] == last["rooms"], last
        return last["rooms"]

    def write(self):
        with (self.ground.folder / "soak.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("seconds", "of", "what", "number"))
            writer.writerows((f"{t:.1f}", *rest) for t, *rest in self.samples)

    def at(self, part, name, what):
        """The median of the minute that ends then (of a shorter time in a short run)."""
        end = self.ground.minutes * 60 * part
        found = [n for t, *of, n in self.samples if of == [name, what] and end - min(60, end / 2) <= t <= end + 1]
        return statistics.median(found)


# shows F95
def soak(ground):
    test = Soak(ground)
    test.begin()
    ground.let_pass(ground.minutes * 60, test.step)
    test.write()
    sent = test.end()
    said = [_counts(test, sent)]
    grown = []
    for name in test.programs:
        for what in HELD:
            early, late = test.at(FROM, name, what), test.at(UNTIL, name, what)
            on.say(ground.name, f"{name:9} {what:12} {early:10g} {late:10g}  {(late / early - 1) * 100:+.1f} %")
            said.append(f"{name} {what} {early:g} {late:g}")
            if late > early * MORE:
                grown.append(said[-1])
    assert not grown or ground.minutes < SHORT, f"more than 5 % more at the end: {grown}"
    return ", ".join(said)


def _counts(test, sent):
    """By SQL and by the model's own count, as a recording would be too long."""
    world, seconds = test.world, test.ground.minutes * 60
    with urllib.request.urlopen(test.model, timeout=10) as answered:
        calls = json.load(answered)["calls"]
    done, most = world.sql("SELECT count(*), max(calls) FROM roomclaim.room WHERE state = 'done'")[0]
    results = world.count("roomclaim.analysis WHERE current")
    unfinished = world.count(f"{UNFINISHED} AND \"roomSid\" <= '{sid_of(world.prefix, sent)}'")
    said = (
        f"rooms {sent}, {done / seconds:.0f} a second, done {done}, results {results}, unfinished rows {unfinished}, model calls "
        f"{calls}, most for a room {most}, dead letters {len(world.dead_letters())}"
    )
    on.say(test.ground.name, said)
    assert done == results == sent == calls and unfinished == 0 and most == 1, said
    return said
