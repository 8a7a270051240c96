"""The recording of a run of a World, for the checker: a folder of what each party saw. See checker/run.py for its files.

    with Recording(world, lease_s=4) as run:
        run.load.post(room)
        run.fault("kill", consumer)
        run.healed()
        run.finish()
    run.check()

Made before anything of the world is started. finish() waits until all is at rest, or not much longer than it may take,
and writes down the end; whether the end is a good one is for the checker to say.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import threading
import time

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

from . import programs
from .broker import QUIET
from .load import THREADS, Load
from .postgres import with_database
from .processes import PATIENCE, Late, until

HERE = pathlib.Path(__file__).resolve().parent
POLL_S = 0.2
GROWTH_KB, SANITIZED_GROWTH_KB = 65536, 640_000  # AddressSanitizer keeps 256 MiB of what was freed
SETTLED_AGE_S = 2  # a program's memory is measured from then on
SECRETS = [programs.API_SECRET, programs.MODEL_KEY, programs.PG_PASSWORD, "canary-transcript", "turn-password-canary"]
TABLES = {
    "application": '"UserFeedback"',
    "room": "roomclaim.room",
    "analysis": "roomclaim.analysis",
    "call": "roomclaim.call",
    "dead": "roomclaim.dead",
    "setting": "roomclaim.setting",
}
# A room without a row rests, and so does one that another handler has; but not when its row is there, or free again.
UNREST = """SELECT count(*) FROM roomclaim.room r WHERE row_pending IS NOT NULL
    OR state IN ('processing', 'analysed') OR (state = 'waiting' AND (reason NOT IN ('unmatched', 'foreign')
    OR EXISTS (SELECT FROM "UserFeedback" f WHERE f."roomSid" = r.room_sid
               AND (f.status::text <> 'processing' OR reason = 'unmatched'))))"""


class Recording:
    def __init__(self, world, *, folder=None, threads=THREADS, **expect):
        self.world, self._threads = world, threads
        self.folder = pathlib.Path(folder or world.folder / "recording")
        (self.folder / "logs").mkdir(parents=True)
        self._expect = {
            "lease_s": 4 * PATIENCE, "sweep_s": 0.3, "max_attempts": 5, "model_deadline_s": 3 * PATIENCE,
            "healed_t": None, "quiet_t": None, "secrets": SECRETS, "ignored_events": [], "sometimes": [],
            "topic": world.topic, "dead_topic": world.dead_topic, "workers": ["test_consumer"],
            "rss_growth_kb": SANITIZED_GROWTH_KB if is_sanitized() else GROWTH_KB,
            "schema": json.loads((HERE.parent.parent / "schema" / "analysis.schema.json").read_text()),
        } | expect  # fmt: skip
        self._files = {}
        self._lock = threading.Lock()
        self._parties = {}
        self._polls = 0
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._keep_watching, daemon=True)

    def __enter__(self):
        world = self.world
        world.names_consumers = True
        world.sql((HERE / "audit.sql").read_text())
        for name in ("load", "offsets", "faults"):
            self._files[name] = (self.folder / f"{name}.jsonl").open("a", buffering=1)
        self.load = Load(lambda line: self._write("load", line), lambda: world.shims, self._threads)
        # Not the admin client, which may end the process with an assertion of its own while a coordinator goes away.
        asks = {
            "bootstrap.servers": world.kafka.bootstrap,
            "group.id": world.group,
            "enable.auto.commit": False,
            **QUIET,
        }
        self._asks = Consumer(asks)
        self._committed = {}
        self._watch.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._watch.join()
        self._asks.close()
        self.load.stop()
        for file in self._files.values():
            file.close()

    # --- during the run

    def fault(self, kind, party, *, room=None, point=None, hit=True, **more):
        """What was done to whom. party: one of the world's programs, or a name. t, until: from when to when; else it is
        now, and a pause ends with the fault "cont" of the same party."""
        name = party if isinstance(party, str) else party.folder.name
        line = {"t": time.time(), "kind": kind, "party": name, "room": room, "point": point, "hit": hit}
        self._write("faults", line | more)

    def kill(self, daemon):
        """kill -9."""
        begun = time.time()
        daemon.kill()
        self.fault("kill", daemon, t=begun, until=time.time())

    def healed(self):
        """From now on all programs run and nothing is in their way."""
        self._expect["healed_t"] = time.time()

    def expect_polls(self, count=3):
        """The offsets are looked at so many times more: what is committed at once is seen."""
        seen = self._polls
        until(lambda: self._polls > seen + count, 30, "the offsets are looked at")

    def expected(self, **expect):
        """What turns out only during the run."""
        self._expect |= expect

    # --- its end

    def finish(self, within=None):
        """Waits for rest, at most as long as it may take (or within), and writes the rest of the folder."""
        if self._expect["healed_t"] is None:
            self.healed()
        e = self._expect
        bound = within or e["lease_s"] + 2 * e["sweep_s"] + e["model_deadline_s"] + 40
        try:
            until(self._is_quiet, bound / PATIENCE, "all is at rest")
            e["quiet_t"] = time.time()
        except Late:
            pass
        self._ended.set()
        self._watch.join()
        self._poll_offsets()
        self._dump()
        return self.folder

    def check(self):
        """Runs the checker in a process of its own; returns what it says, or raises with it."""
        done = self.verdict()
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def verdict(self):
        return subprocess.run(
            [sys.executable, "-m", "checker", self.folder], cwd=HERE.parent, capture_output=True, text=True
        )

    def _is_quiet(self):
        world = self.world
        try:
            consumed = self._expect.get("without_consumers") or world.kafka.lag(world.group, world.topic) == 0
            return consumed and self.load.is_idle() and self._spools_are_empty() and world.value(UNREST) == 0
        except KafkaException:
            return False
        except psycopg.Error:
            if world.db.broken:
                self._reconnect()
            return False

    def _reconnect(self):
        with contextlib.suppress(psycopg.Error):  # not back yet
            self.world.reconnect()

    # --- what is watched all the time

    def _keep_watching(self):
        while not self._ended.wait(POLL_S):
            self._poll_offsets()
            self._measure_parties()
            self._polls += 1

    def _poll_offsets(self):
        """Notes what has changed. Kafka may be away."""
        topic = self.world.topic
        try:
            places = [TopicPartition(topic, p) for p in self._asks.list_topics(topic, 2).topics[topic].partitions]
            found = self._asks.committed(places, timeout=2)
        except KafkaException:  # of whatever kind: the next poll asks again
            return
        now = time.time()
        for place in found:
            if place.offset >= 0 and self._committed.get(place.partition) != place.offset:
                self._committed[place.partition] = place.offset
                self._write(
                    "offsets",
                    {"t": now, "group": self.world.group, "partition": place.partition, "offset": place.offset},
                )

    def _measure_parties(self):
        for daemon in (*self.world.shims, *self.world.consumers):
            name = daemon.folder.name
            party = self._parties.setdefault(
                name,
                {"party": name, "pid": daemon.child.pid, "started": time.time(), "ended": None, "command": None,
                 "rss_kb_start": None, "rss_kb_end": None, "fds_start": None, "fds_end": None},
            )  # fmt: skip
            found = measured(daemon.child.pid) if daemon.child.running() else None
            if found is None:
                party["ended"] = party["ended"] or time.time()
                continue
            party["command"] = found.pop("command")
            young = time.time() - party["started"] < SETTLED_AGE_S
            for what, value in found.items():
                party[f"{what}_end"] = value
                if young or party[f"{what}_start"] is None:
                    party[f"{what}_start"] = value

    # --- what is written at the end

    def _dump(self):
        self._measure_parties()
        self._write_all("spool", self._spooled())  # first: what goes from there to Kafka meanwhile is then in both
        self._write_all("topic", self._records())
        ledger = self.world.folder / "model" / "ledger.jsonl"
        shutil.copy(ledger, self.folder / "model.jsonl") if ledger.exists() else self._write_all("model", [])
        with psycopg.connect(with_database(self.world.server, self.world.name)) as db:
            self._write_all("audit", self._versions(db))
            tables = {name: self._rows(db, table) for name, table in TABLES.items()}
            tables["now"] = db.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()[0]
        self._write_json("tables.json", tables)
        self._write_json("parties.json", list(self._parties.values()))
        self._write_json("expect.json", self._expect)
        self._link_logs()

    def _records(self):
        for topic in (self.world.topic, self.world.dead_topic):
            for message in self.world.kafka.read(topic):
                headers = {name: (value or b"").decode(errors="replace") for name, value in message.headers() or []}
                yield {
                    "topic": topic, "partition": message.partition(), "offset": message.offset(),
                    "ts": message.timestamp()[1] / 1000, "key": (message.key() or b"").decode(errors="replace"),
                    "headers": headers, **told_by(message.value()),
                }  # fmt: skip

    def _spooled(self):
        """What lies in the shims' spools. Their files are locked while a shim runs: it is a copy that is read."""
        found = []
        for path in {shim.settings.get("shim.spool_path") for shim in self.world.shims} - {None, ""}:
            copies = [pathlib.Path(shutil.copy(f, self.folder)) for f in (path, f"{path}-wal") if os.path.exists(f)]
            if not copies:
                continue
            db = sqlite3.connect(copies[0])
            for table in ("record", "dead"):
                for (value,) in db.execute(f"SELECT value FROM {table}"):
                    found.append({"shim": str(path), "dead": table == "dead", **told_by(value)})
            db.close()
            for copy in copies:
                copy.unlink(missing_ok=True)
        return found

    def _spools_are_empty(self):
        """As the shims that run say."""
        running = [s for s in self.world.shims if s.settings.get("shim.spool_path") and s.child.running()]
        return all(shim.metrics()[("roomclaim_spool_records", "")] == 0 for shim in running)

    @staticmethod
    def _versions(db):
        query = "SELECT n, extract(epoch FROM t)::float8, tab, op, by, old, new FROM audit.version ORDER BY n"
        for n, t, table, op, by, old, new in db.execute(query):
            yield {"n": n, "t": t, "table": table, "op": op, "by": by, "old": old, "new": new}

    @staticmethod
    def _rows(db, table):
        return [row for (row,) in db.execute(f"SELECT to_jsonb(t) FROM {table} t")]

    def _link_logs(self):
        for daemon in (*self.world.shims, *self.world.consumers):
            into = self.folder / "logs" / daemon.folder.name
            into.mkdir()
            (into / "reports").mkdir()
            os.link(daemon.child.log, into / "log")
            if daemon.child.running():
                (into / "metrics").write_text(programs.get(daemon.admin + "/metrics")[1])
            for report in daemon.reports.iterdir():
                os.link(report, into / "reports" / report.name)

    def _write(self, name, line):
        with self._lock:
            self._files[name].write(json.dumps(line) + "\n")

    def _write_all(self, name, lines):
        with (self.folder / f"{name}.jsonl").open("w") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def _write_json(self, name, value):
        (self.folder / name).write_text(json.dumps(value, indent=1))


def is_sanitized():
    return b"__asan_init" in (programs.BIN / "roomclaim-shim").read_bytes()


def told_by(value):
    """What a record's bytes say of themselves. poison: why they are no webhook, or None."""
    told = {"sha256": None, "room": None, "event_id": None, "event": None, "poison": None}
    if value is None:
        return told
    told["sha256"] = hashlib.sha256(value).hexdigest()
    text = value.strip(b" \t\r\n")
    try:
        event = json.loads(value)
        told["event"], told["event_id"] = event.get("event"), event.get("id")
        told["room"] = (event.get("room") or {}).get("sid")
    except (ValueError, AttributeError):
        if not (text.startswith(b"{") and text.endswith(b"}")) or b"room_finished" in text:
            told["poison"] = "no JSON object"
        return told
    if told["event"] == "room_finished" and not told["room"]:
        told["poison"] = "no room"
    return told


def measured(pid):
    """{"rss_kb", "fds", "command"} of a process, or None when it is gone."""
    process = pathlib.Path(f"/proc/{pid}")
    try:
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        return {
            "rss_kb": int(status["VmRSS"].split()[0]), "fds": len(list((process / "fd").iterdir())), "command": command
        }  # fmt: skip
    except (OSError, KeyError):
        return None
