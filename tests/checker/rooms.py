"""Each room's histories side by side: versions of its rows, claims, stored results, calls in the model's ledger."""

import dataclasses
import datetime
import functools

FINAL = ("completed", "dropped")


@dataclasses.dataclass
class Claim:
    """One line of our own ledger: a model call may follow."""

    n: int
    t: float
    by: str
    run: int
    token: str


@dataclasses.dataclass
class Room:
    sid: str
    versions: list = dataclasses.field(default_factory=list)  # of roomclaim.room
    rows: list = dataclasses.field(default_factory=list)  # versions of the application's rows with this sid
    analyses: list = dataclasses.field(default_factory=list)  # versions of roomclaim.analysis
    claims: list = dataclasses.field(default_factory=list)
    calls: list = dataclasses.field(default_factory=list)  # the model's own words

    def claim_before(self, n):
        """The last claim that was written before this version."""
        return next((c for c in reversed(self.claims) if c.n <= n), None)

    def claim_at(self, t):
        """The last claim that was written before this time."""
        return next((c for c in reversed(self.claims) if c.t <= t), None)

    def statuses_before(self, n):
        """What the application's rows of this sid said before that version: {primary key: status}."""
        found = {}
        for version in self.rows:
            if version["n"] >= n:
                break
            found.pop((version["old"] or {}).get("id"), None)
            if version["new"] and version["new"]["roomSid"] == self.sid:
                found[version["new"]["id"]] = version["new"]["status"]
        return found


@functools.lru_cache(maxsize=1)
def rooms_of(run):
    """{sid: Room} of all rooms that anybody speaks of."""
    rooms = {}

    def room(sid):
        return rooms.setdefault(sid, Room(sid))

    for version in run.audit:
        _add_version(version, room)
    for call in run.calls:
        if call["room"]:
            room(call["room"]).calls.append(call)
    for record in run.records:
        if record["event"] == "room_finished" and record["room"]:
            room(record["room"])
    for attempt in run.acknowledged:
        if attempt["event"] == "room_finished" and attempt["room"]:
            room(attempt["room"])
    return rooms


def _add_version(version, room):
    either = version["new"] or version["old"]
    if version["table"] == "application":
        sids = {(version["new"] or {}).get("roomSid"), (version["old"] or {}).get("roomSid")}
        for sid in sids - {None}:
            room(sid).rows.append(version)
    elif version["table"] == "room":
        room(either["room_sid"]).versions.append(version)
    elif version["table"] == "analysis":
        room(either["room_sid"]).analyses.append(version)
    elif version["table"] == "call" and version["op"] == "INSERT":
        new = version["new"]
        room(new["room_sid"]).claims.append(Claim(version["n"], version["t"], version["by"], new["run"], new["token"]))


def finished_rooms(run):
    """Rooms of which Kafka has a room_finished, or whose room_finished was answered 200."""
    found = {r["room"] for r in run.records if r["event"] == "room_finished" and r["room"]}
    for attempt in run.acknowledged:
        forged_or_ignored = attempt.get("forged") or attempt["event"] in run.expect["ignored_events"]
        if attempt["event"] == "room_finished" and attempt["room"] and not forged_or_ignored:
            found.add(attempt["room"])
    return found


def fate_of(run, room):
    """How a room has ended, in one word; `lost`, `stuck` and `both` are what must not be."""
    rows, ours = run.rows_at_end.get(room.sid, []), run.rooms_at_end.get(room.sid)
    statuses = {r["status"] for r in rows}
    if ours is None:
        return _fate_without_room(run, room, statuses)
    if ours["state"] == "parked":
        return "both" if "completed" in statuses and completed_by_worker(run, room) else "parked"
    if ours["state"] in ("done", "expired"):
        return _fate_at_end(run, room, statuses)
    if ours["state"] == "waiting" and ours["reason"] == "unmatched" and not rows:
        return "unmatched"
    if ours["state"] == "waiting" and ours["reason"] == "foreign" and not last_written_by_worker(run, room):
        return "foreign"
    return "stuck"


def _fate_without_room(run, room, statuses):
    if statuses & set(FINAL):
        return "completed" if "completed" in statuses else "dropped"
    if any(letter["room"] == room.sid or letter["key"] == room.sid for letter in run.letters):
        return "dead_lettered"
    if not statuses and run.expect.get("unmatched_is_forgotten"):
        return "unmatched"
    return "lost"


def _fate_at_end(run, room, statuses):
    if not statuses:
        return "unmatched"
    if statuses <= set(FINAL):
        return "completed" if "completed" in statuses else "dropped"
    if not last_written_by_worker(run, room):
        return "reset"  # by the application, which has sent no webhook since
    return "stuck" if "processing" in statuses else "lost"


def last_written_by_worker(run, room):
    return bool(room.rows) and run.is_worker(room.rows[-1]["by"])


def completed_by_worker(run, room):
    return any(
        run.is_worker(v["by"]) and v["new"] and v["new"]["status"] == "completed" and status_before(v) != "completed"
        for v in room.rows
    )


def status_before(version):
    return (version["old"] or {}).get("status")


def worker_of(by):
    """The name that a consumer gives to all its connections, or None: then they are named by what they are for."""
    name = by.split("/", 1)[-1]
    return None if name.endswith((" claims", " writes", " upkeep")) else name


def same_worker(one, other):
    """False only if both are known, and differ."""
    return None in (worker_of(one), worker_of(other)) or worker_of(one) == worker_of(other)


def seconds(text):
    """A timestamp of Postgres as Unix seconds."""
    return None if text is None else datetime.datetime.fromisoformat(text).timestamp()
