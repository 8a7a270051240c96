"""The recording of a run, read from its folder. What is missing, empty or unreadable makes the run unusable.

Each file was written by one party; only invariants put them side by side. Times are Unix seconds.
"""

import collections
import dataclasses
import functools
import json
import pathlib

# file -> what each of its lines must have; a file is empty only if expect.json allows it in "may_be_empty"
LINES = {
    "load": {"t", "op", "id", "room", "event_id", "event", "sha256", "status"},
    "topic": {"topic", "partition", "offset", "ts", "key", "sha256", "room", "event_id", "event", "poison", "headers"},
    "offsets": {"t", "group", "partition", "offset"},
    "model": {"n", "room", "in"},
    "audit": {"n", "t", "table", "op", "by", "old", "new"},
    "spool": {"shim", "room", "event_id", "sha256", "dead"},
    "faults": {"t", "kind", "party", "room", "point", "hit"},
}
EMPTY_IS_FINE = {"spool", "faults"}
TABLES = ("application", "room", "analysis", "call", "dead", "now")
EXPECT = (
    "lease_s", "sweep_s", "max_attempts", "model_deadline_s", "healed_t", "quiet_t", "secrets", "ignored_events",
    "sometimes", "topic", "dead_topic", "workers",
)  # fmt: skip
PARTY = {"party", "pid", "started", "rss_kb_start", "rss_kb_end", "fds_start", "fds_end"}


class Unusable(Exception):
    """The folder is no recording of a run."""


@dataclasses.dataclass(eq=False)
class Run:
    folder: pathlib.Path
    expect: dict
    load: list
    topic: list
    offsets: list
    model: list
    audit: list
    spool: list
    faults: list
    tables: dict
    parties: list

    @functools.cached_property
    def records(self):
        """Of the topic itself, in order for each partition."""
        found = [r for r in self.topic if r["topic"] == self.expect["topic"]]
        return sorted(found, key=lambda r: (r["partition"], r["offset"]))

    @functools.cached_property
    def records_of_room(self):
        """{sid: how many records of the topic speak of its end}"""
        return collections.Counter(r["room"] for r in self.records if r["event"] == "room_finished")

    @functools.cached_property
    def letters(self):
        return [r for r in self.topic if r["topic"] == self.expect["dead_topic"]]

    @functools.cached_property
    def tries(self):
        """The load generator's requests: what was sent, and how it ended; op is missing when nobody knows."""
        found = {}
        for line in self.load:
            if line["op"] == "invoke":
                found[line["id"]] = dict(line, op=None, invoked=line["t"], ended=None)
            elif line["id"] not in found:
                raise Unusable(f"load.jsonl: request {line['id']} ends before it begins")
            else:
                found[line["id"]] |= {"op": line["op"], "ended": line["t"], "status": line["status"]}
        return list(found.values())

    @functools.cached_property
    def acknowledged(self):
        return [t for t in self.tries if t["op"] == "ok"]

    @functools.cached_property
    def calls(self):
        """The model's ledger, one entry a call, in the order of their beginning."""
        found = {}
        for line in self.model:
            found.setdefault(line["n"], {"out": None, "status": None, "kind": None, "sha256": None}).update(line)
        return sorted(found.values(), key=lambda c: c["in"])

    @functools.cached_property
    def hits(self):
        return [f for f in self.faults if f["hit"]]

    @functools.cached_property
    def rows_at_end(self):
        """{sid: the application's rows}"""
        found = {}
        for row in self.tables["application"]:
            found.setdefault(row["roomSid"], []).append(row)
        return found

    @functools.cached_property
    def rooms_at_end(self):
        """{sid: our own row}"""
        return {row["room_sid"]: row for row in self.tables["room"]}

    def is_worker(self, by):
        """True if a row version was written by one of our programs, not by the application or an operator."""
        return by.split("/", 1)[0] in self.expect["workers"]

    def log_files(self):
        return sorted(p for p in (self.folder / "logs").rglob("*") if p.is_file())


def read(folder):
    folder = pathlib.Path(folder)
    expect = _read_object(folder / "expect.json", EXPECT)
    may_be_empty = EMPTY_IS_FINE | set(expect.get("may_be_empty", ()))
    lines = {name: _read_lines(folder / f"{name}.jsonl", needs, name in may_be_empty) for name, needs in LINES.items()}
    lines["audit"].sort(key=lambda v: v["n"])
    parties = _read_json(folder / "parties.json")
    if not isinstance(parties, list) or not parties:
        raise Unusable("parties.json names no process")
    for party in parties:
        _require(party, PARTY, "parties.json")
    run = Run(folder, expect, tables=_read_object(folder / "tables.json", TABLES), parties=parties, **lines)
    if not any(path.stat().st_size for path in run.log_files()):
        raise Unusable("logs/ holds nothing")
    if not expect["secrets"]:
        raise Unusable("expect.json names no secret that the logs could be searched for")
    return run


def _read_json(path):
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise Unusable(f"{path.name} is missing: {error.strerror}") from None
    except ValueError as error:
        raise Unusable(f"{path.name}: {error}") from None


def _read_object(path, needs):
    found = _read_json(path)
    _require(found, needs, path.name)
    return found


def _read_lines(path, needs, may_be_empty):
    try:
        texts = path.read_text().splitlines()
    except OSError as error:
        raise Unusable(f"{path.name} is missing: {error.strerror}") from None
    lines = []
    for number, text in enumerate(texts, 1):
        try:
            lines.append(json.loads(text))
        except ValueError as error:
            raise Unusable(f"{path.name}:{number}: {error}") from None
        _require(lines[-1], needs, f"{path.name}:{number}")
    if not lines and not may_be_empty:
        raise Unusable(f"{path.name} is empty")
    return lines


def _require(found, needs, where):
    missing = [name for name in needs if not isinstance(found, dict) or name not in found]
    if missing:
        raise Unusable(f"{where} lacks {', '.join(sorted(missing))}")
