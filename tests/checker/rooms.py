"""Each room's histories side by side: versions of its rows, claims, stored results, calls in the model's ledger."""

import dataclasses
import datetime
import functools

FINAL = ("completed", "dropped")
COMMITTED_S = 0.1  # after what a trigger has noted, the application has committed it: it resets in one statement


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
    requests: list = dataclasses.field(default_factory=list)  # of the load generator, for its room_finished

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
    for attempt in run.tries:
        if attempt["event"] == "room_finished" and attempt["room"] and not attempt.get("forged"):
            room(attempt["room"]).requests.append(attempt)
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
        return "both" if "completed" in statuses and status_is_a_workers(run, room) else "parked"
    if ours["state"] in ("done", "expired"):
        return _fate_at_end(run, room, statuses)
    if ours["state"] == "waiting" and ours["reason"] in ("unmatched", "foreign") and not rows:
        return "unmatched"
    if ours["state"] == "waiting" and ours["reason"] == "foreign" and statuses == {"processing"}:
        return "stuck" if status_is_a_workers(run, room) else "foreign"
    return "stuck"


def _fate_without_room(run, room, statuses):
    if statuses & set(FINAL):
        return "completed" if "completed" in statuses else "dropped"
    if any(letter["room"] == room.sid or letter["key"] == room.sid for letter in run.letters):
        return "dead_lettered"
    if not statuses and run.expect.get("unmatched_is_forgotten"):
        return "unmatched"
    if any(v["new"] and v["new"]["status"] in FINAL for v in room.rows):  # then its webhook needed no room of ours
        return "reset" if _is_the_applications(run, room) else "lost"
    return "lost"


def _fate_at_end(run, room, statuses):
    if not statuses:
        return "unmatched"
    if statuses <= set(FINAL):
        return "completed" if "completed" in statuses else "dropped"
    if _is_the_applications(run, room):
        return "reset"
    return "stuck" if "processing" in statuses else "lost"


def status_is_a_workers(run, room):
    """True if the last to give the room's row its status was one of our programs, whoever has edited the row since."""
    change = _last_change(room)
    return bool(change) and run.is_worker(change["by"])


def _last_change(room):
    """The last version in which the row came, went or got another status."""
    changes = (v for v in reversed(room.rows) if (v["new"] or {}).get("status") != status_before(v))
    return next(changes, None)


def _is_the_applications(run, room):
    """True if the application has set the row's status, or taken the row away, and no new webhook has come since."""
    change = _last_change(room)
    if not change or run.is_worker(change["by"]):
        return False
    first = {}
    for request in room.requests:
        first[request["event_id"]] = min(request["invoked"], first.get(request["event_id"], request["invoked"]))
    acknowledged = {request["event_id"] for request in room.requests if request["op"] == "ok"}
    return not any(first[event] > change["t"] + COMMITTED_S for event in acknowledged)


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
