"""A made-up run for the tests of the checker: what each party would have written down had all gone well.

Four rooms: A is completed; B's worker is killed, another completes it; C is parked; D has no row. What a test changes is
a line of it. write(folder) makes a recording of it.
"""

import datetime
import json

from .results import digest

START = 1_700_000_000.0
ONE, TWO = "test_consumer/roomclaim-consumer 2-consumer", "test_consumer/roomclaim-consumer 3-consumer"
APPLICATION = "postgres/"


def stamp(t):
    return None if t is None else datetime.datetime.fromtimestamp(t, datetime.UTC).isoformat()


class History:
    def __init__(self):
        self.load, self.topic, self.offsets, self.model = [], [], [], []
        self.audit, self.spool, self.faults, self.parties = [], [], [], []
        self.rooms, self.rows = {}, {}
        self.log = '{"msg":"room completed"}\n'
        self.expect = {
            "lease_s": 4, "sweep_s": 0.3, "max_attempts": 5, "model_deadline_s": 3, "healed_t": START + 20,
            "quiet_t": START + 25, "secrets": ["canary"], "ignored_events": ["track_published"],
            "sometimes": ["completed", "parked", "claimed_again", "fault:kill"], "topic": "t", "dead_topic": "t.dlq",
            "workers": ["test_consumer"],
            "schema": {"type": "object", "properties": {"summary": {"type": "string"}}, "required": ["summary"],
                       "additionalProperties": False},
        }  # fmt: skip
        self.tables = {"dead": []}
        self._play()

    def _play(self):
        for number, room in enumerate(("A", "B", "C")):
            self.row(START, APPLICATION, room, "initiated")
            self.webhook(START + 1 + number, room, offset=number)
        self.webhook(START + 4, "D", offset=3)
        self.claim(START + 5, ONE, "A")
        self.call(START + 5.1, "A", out=START + 5.5)
        self.store(START + 5.6, ONE, "A")
        self.claim(START + 6, ONE, "B")
        self.call(START + 6.1, "B", out=START + 6.5, status=0)
        self.faults.append(
            {"t": START + 6.4, "kind": "kill", "party": "2-consumer", "room": None, "point": None, "hit": True}
        )
        self.room(START + 10.2, TWO, "B", state="waiting", reason="backoff", due_at=START + 10.2)
        self.row(START + 10.2, TWO, "B", "initiated")
        self.claim(START + 10.4, TWO, "B")
        self.call(START + 10.5, "B", out=START + 10.8)
        self.store(START + 10.9, TWO, "B")
        self.claim(START + 11, TWO, "C")
        self.call(START + 11.1, "C", out=START + 11.2, status=400, kind="status")
        self.room(START + 11.3, TWO, "C", state="parked", reason="rejected", due_at=None)
        self.row(START + 11.3, TWO, "C", "initiated")
        self.letter(START + 11.4, "C", 2)
        self.room(START + 12, TWO, "D", state="waiting", reason="unmatched", due_at=START + 60)
        self.commit(START + 6.2, 1)
        self.commit(START + 13, 4)
        for name in ("1-shim", "2-consumer", "3-consumer"):
            self.parties.append({"party": name, "pid": 1, "started": START, "ended": None, "rss_kb_start": 10000,
                                 "rss_kb_end": 10100, "fds_start": 20, "fds_end": 21})  # fmt: skip

    # --- what parties do

    def webhook(self, t, room, *, offset, event_id=None, event="room_finished", partition=0):
        event_id = event_id or f"EV_{room}"
        about = {"id": len(self.load) + 1, "room": room, "event_id": event_id, "event": event, "sha256": f"sha-{room}"}
        self.load.append({"t": t, "op": "invoke", **about, "status": None})
        self.load.append({"t": t + 0.1, "op": "ok", **about, "status": 200})
        self.topic.append(
            {"topic": "t", "partition": partition, "offset": offset, "ts": t, "key": room, "sha256": f"sha-{room}",
             "room": room, "event_id": event_id, "event": event, "poison": None, "headers": {}}
        )  # fmt: skip

    def letter(self, t, room, offset, partition=0):
        headers = {"roomclaim-reason": "rejected", "__dlq.errors.group": "g", "__dlq.errors.partition": str(partition),
                   "__dlq.errors.offset": str(offset)}  # fmt: skip
        self.topic.append(
            {"topic": "t.dlq", "partition": 0, "offset": 0, "ts": t, "key": room, "sha256": f"sha-{room}",
             "room": room, "event_id": f"EV_{room}", "event": "room_finished", "poison": None, "headers": headers}
        )  # fmt: skip

    def commit(self, t, offset, partition=0):
        self.offsets.append({"t": t, "group": "g", "partition": partition, "offset": offset})

    def call(self, t, room, *, out, status=200, kind="ok"):
        n = len({line["n"] for line in self.model}) + 1
        self.model.append({"n": n, "room": room, "in": t})
        self.model.append({"n": n, "room": room, "in": t, "out": out, "status": status, "kind": kind,
                           "sha256": digest(self.result(room)) if kind == "ok" else None})  # fmt: skip

    def claim(self, t, by, room, run=1):
        before = self.rooms.get(room, {"attempt": 0})
        token, call_id = f"token-{t}", len(self.audit)
        self.row(t, by, room, "processing")
        self.room(t, by, room, state="processing", reason=None, attempt=before["attempt"] + 1, token=token,
                  call_id=call_id, due_at=t + 4)  # fmt: skip
        self.version(
            t, by, "call", None, {"id": call_id, "room_sid": room, "run": run, "token": token, "outcome": None}
        )

    def store(self, t, by, room, run=1):
        self.version(t, by, "analysis", None, self.analysis(t, room) | {"run": run})
        self.room(t, by, room, state="analysed", reason=None, due_at=t)
        self.row(t, by, room, "completed")
        self.room(t, by, room, state="done", reason=None, due_at=None)

    # --- rows

    @staticmethod
    def result(room):
        return {"summary": f"about {room}"}

    def analysis(self, t, room):
        return {"room_sid": room, "run": 1, "result": self.result(room), "created_at": stamp(t), "current": True}

    def room(self, t, by, room, **columns):
        if "due_at" in columns:
            columns["due_at"] = stamp(columns["due_at"])
        old = self.rooms.get(room)
        new = (
            old or {"room_sid": room, "run": 1, "attempt": 0, "token": None, "call_id": None, "dlq_pending": False}
        ) | columns
        self.rooms[room] = new
        self.version(t, by, "room", old, new)

    def row(self, t, by, room, status, **columns):
        old, new = self.rows.get(room), {"id": f"id-{room}", "roomSid": room, "status": status} | columns
        self.rows[room] = new
        self.version(t, by, "application", old, new)

    def row_gone(self, t, by, room):
        self.version(t, by, "application", self.rows.pop(room), None)

    def version(self, t, by, table, old, new):
        op = "INSERT" if old is None else "DELETE" if new is None else "UPDATE"
        self.audit.append(
            {"n": len(self.audit) + 1, "t": t, "table": table, "op": op, "by": by, "old": old, "new": new}
        )

    # --- the recording

    def write(self, folder):
        for name in ("load", "topic", "offsets", "model", "audit", "spool", "faults"):
            lines = (json.dumps(line) + "\n" for line in getattr(self, name))
            (folder / f"{name}.jsonl").write_text("".join(lines))
        ends = {"application": list(self.rows.values()), "room": list(self.rooms.values()), "analysis": [], "call": []}
        whole = ends | {"now": START + 26} | self.tables
        for name, value in (("tables", whole), ("expect", self.expect), ("parties", self.parties)):
            (folder / f"{name}.json").write_text(json.dumps(value))
        (folder / "logs" / "2-consumer" / "reports").mkdir(parents=True)
        (folder / "logs" / "2-consumer" / "log").write_text(self.log)
        return folder
