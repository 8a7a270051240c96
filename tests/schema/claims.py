"""The functions of the schema roomclaim, for tests: one method a function, and methods that put rows and rooms into a state.

A Claims owns one autocommit connection. `claims.session(worker=..., **policy)` makes another one on the same database, which
knows the same tokens. Names of rooms are room sids.

Verbs take one sid and answer one named tuple, or a list of sids and answer a list of them in the same order:
  claim(rooms, token=NEW, origin="webhook", ...)  -> idx outcome feedback_id input run attempt calls origin priority
  store(rooms, token=LAST, result=RESULT, verdict="ok", ...)            -> idx outcome
  finish(rooms)                                                         -> idx outcome
  release(rooms, token=LAST, counted=True, delay_ms=0, verdict="unfit") -> idx outcome attempt reason
  park(rooms, token=LAST, reason="rejected", verdict="rejected", ...)   -> idx outcome
  enqueue(rooms, origin="retry", priority=1, delay_ms=0)                -> idx outcome
and: sweep(slots=10, expire=True, everything=True) -> list of kind room origin priority reason ... ; dlq_acked(rooms) -> int;
summary() -> list. A verb's worker and every key of the policy (POLICY) can be given by name: claim("a", max_attempts=1).
token: NEW makes one and remembers it, LAST is the last one that claim was called with for the room, None is NULL.

States: put_row(room, status, ...) -> id; put_room(room, shape, ...) with a shape of SHAPES, written directly, together with
the ledger's line and the analysis that belong to it; row_locked(room) is a context in which another transaction holds the
row; lease_over(room) and due(room) move due_at into the past, aged(room, "25 hours") everything else.
Looks: row(room) -> id status transcript (None: missing), status(room), room(room) -> all columns, calls(room) -> the ledger's
lines, the oldest first, due_in(room), analyses(room), tally(room), sql(words, *params), snapshot() -> what all tables hold.
"""

import contextlib
import json
import types
import uuid

import psycopg
from psycopg.rows import namedtuple_row

POLICY = types.MappingProxyType(
    {
        "lease_ms": 120000,
        "max_attempts": 5,
        "max_calls": 20,
        "give_up_after_ms": 86400000,
        "input_wait_ms": 600000,
        "on_exhausted": "initiated",
        "adopt_after_ms": None,
        "unmatched_ttl_ms": 86400000,
        "retry_initial_ms": 2000,
        "retry_max_ms": 300000,
        "provider": "gemini",
        "model": "gemini-3.5-flash-lite",
        "prompt_version": "0123456789ab",
    }
)
RESULT = '{"sentiment": "positive"}'
TABLES = ('public."UserFeedback"', *(f"roomclaim.{name}" for name in ("room", "call", "analysis", "dead", "setting")))
NEW, LAST = object(), object()

# What put_room writes, over the columns' defaults. due: seconds from now. line: the outcome of the last claim's line in the
# ledger, "open" for one that is not closed; without it the room was never claimed. analysis: the run has one.
_CLAIMED = {"attempt": 1, "calls": 1, "feedback": True}
SHAPES = types.MappingProxyType(
    {
        "due": {"state": "waiting", "reason": "backoff", "due": -1, "line": "unfit", **_CLAIMED},
        "not due": {"state": "waiting", "reason": "backoff", "due": 600, "line": "unfit", **_CLAIMED},
        "unmatched": {"state": "waiting", "reason": "unmatched", "due": 600, "tries": 1},
        "foreign": {"state": "waiting", "reason": "foreign", "due": 600, "tries": 1, "feedback": True},
        "busy": {"state": "waiting", "reason": "busy", "due": 600, "tries": 1, "feedback": True},
        "input": {"state": "waiting", "reason": "input", "due": -1, "tries": 1, "feedback": True},
        "replay": {"state": "waiting", "reason": "replay", "due": -1, "priority": 2, "origin": "replay", "feedback": True},
        "retry": {"state": "waiting", "reason": "retry", "due": -1, "priority": 1, "origin": "retry", "feedback": True},
        "row pending": {
            "state": "waiting", "reason": "backoff", "due": -1, "line": "unfit", "row_pending": "initiated", **_CLAIMED
        },
        "live": {"state": "processing", "due": 60, "line": "open", "worker": "w1", **_CLAIMED},
        "over": {"state": "processing", "due": -1, "line": "open", "worker": "w1", **_CLAIMED},
        "used up": {
            "state": "processing", "due": -1, "line": "open", "worker": "w1", **_CLAIMED, "attempt": 5, "calls": 5
        },
        "analysed": {"state": "analysed", "due": -1, "line": "ok", "analysis": True, **_CLAIMED},
        "done": {"state": "done", "line": "ok", "analysis": True, **_CLAIMED},
        "parked": {"state": "parked", "reason": "exhausted", "line": "unfit", **_CLAIMED, "attempt": 5, "calls": 5},
        "expired": {"state": "expired", "tries": 9},
    }
)  # fmt: skip


class Claims:
    def __init__(self, url, worker="w1", tokens=None, **policy):
        self.url = url
        self.worker = worker
        self.policy = {**POLICY, **policy}
        self.tokens = {} if tokens is None else tokens
        self.connection = psycopg.connect(url, autocommit=True, row_factory=namedtuple_row)

    def session(self, worker="w2", **policy):
        """Another worker on a connection of its own. The caller closes it, or uses it with `with`."""
        return Claims(self.url, worker, self.tokens, **{**self.policy, **policy})

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def sql(self, words, *params):
        cursor = self.connection.execute(words, params or None)
        return cursor.fetchall() if cursor.description else None

    # ---- the verbs ----

    def claim(self, rooms, token=NEW, origin="webhook", event_id=None, topic=None, partition=None, offset=None,
              worker=None, **policy):  # fmt: skip
        sids = _listed(rooms)
        tokens = self._tokens(sids, token)
        self.tokens.update(zip(sids, tokens, strict=True))
        return self._each(
            "claim_v1",
            rooms,
            [
                ("uuid[]", tokens),
                ("text[]", _spread(sids, origin)),
                ("text[]", _spread(sids, event_id)),
                ("text[]", _spread(sids, topic)),
                ("int[]", _spread(sids, partition)),
                ("bigint[]", _spread(sids, offset)),
                ("text", worker or self.worker),
            ],
            policy,
        )

    def store(self, rooms, token=LAST, result=RESULT, verdict="ok", model="gemini-answered", usage=(100, 10, 20, 5, 7),
              **policy):  # fmt: skip
        sids = _listed(rooms)
        texts = [("text[]", _spread(sids, value)) for value in (result, verdict, model)]
        return self._each(
            "store_v1", rooms, [("uuid[]", self._tokens(sids, token)), *texts, *_usage(sids, usage)], policy
        )

    def finish(self, rooms, **policy):
        return self._each("finish_v1", rooms, [], policy)

    def release(self, rooms, token=LAST, counted=True, delay_ms=0, verdict="unfit", error="it did not fit", model=None,
                usage=(None,) * 5, **policy):  # fmt: skip
        sids = _listed(rooms)
        return self._each(
            "release_v1",
            rooms,
            [
                ("uuid[]", self._tokens(sids, token)),
                ("bool[]", _spread(sids, counted)),
                ("bigint[]", _spread(sids, delay_ms)),
                *(("text[]", _spread(sids, value)) for value in (verdict, error, model)),
                *_usage(sids, usage),
            ],
            policy,
        )

    def park(self, rooms, token=LAST, reason="rejected", error="it was rejected", verdict="rejected", model=None,
             usage=(None,) * 5, event_id=None, topic=None, partition=None, offset=None, **policy):  # fmt: skip
        sids = _listed(rooms)
        return self._each(
            "park_v1",
            rooms,
            [
                ("uuid[]", self._tokens(sids, token)),
                *(("text[]", _spread(sids, value)) for value in (reason, error, verdict, model)),
                *_usage(sids, usage),
                ("text[]", _spread(sids, event_id)),
                ("text[]", _spread(sids, topic)),
                ("int[]", _spread(sids, partition)),
                ("bigint[]", _spread(sids, offset)),
            ],
            policy,
        )

    def enqueue(self, rooms, origin="retry", priority=1, delay_ms=0, **policy):
        return self._each("enqueue_v1", rooms, [("text", origin), ("int", priority), ("bigint", delay_ms)], policy)

    def sweep(self, slots=10, expire=True, everything=True, worker=None, **policy):
        return self.sql(
            "SELECT * FROM roomclaim.sweep_v1(%s, %s, %s, %s, %s::jsonb)",
            worker or self.worker,
            slots,
            expire,
            everything,
            self._policy(policy),
        )

    def dlq_acked(self, rooms):
        return self.sql("SELECT roomclaim.dlq_acked_v1(%s::text[]) AS cleared", _listed(rooms))[0].cleared

    def summary(self):
        return self.sql("SELECT * FROM roomclaim.summary_v1()")

    def _each(self, function, rooms, arguments, policy):
        """Calls it; there must be one answer for each room. arguments: (type, value) after the rooms, before the policy."""
        sids = _listed(rooms)
        arguments = [("text[]", sids), *arguments, ("jsonb", self._policy(policy))]
        places = ", ".join(f"%s::{kind}" for kind, _ in arguments)
        answers = self.sql(f"SELECT * FROM roomclaim.{function}({places}) ORDER BY idx", *(v for _, v in arguments))
        assert [answer.idx for answer in answers] == list(range(1, len(sids) + 1)), answers
        return answers[0] if isinstance(rooms, str) else answers

    def _policy(self, changes):
        unknown = set(changes) - set(POLICY)
        assert not unknown, f"not of the policy: {unknown}"
        return json.dumps({**self.policy, **changes})

    def _tokens(self, sids, token):
        if token is NEW:
            return [uuid.uuid4() for _ in sids]
        if token is LAST:
            return [self.tokens[sid] for sid in sids]
        return _spread(sids, token)

    # ---- states ----

    def put_row(self, room, status="initiated", transcript="Hello."):
        """A row of the application; more than one of a room are allowed here. Returns its id as text."""
        return self.sql(
            'INSERT INTO "UserFeedback" ("roomSid", status, transcript) VALUES (%s, %s, %s) RETURNING id::text',
            room,
            status,
            transcript,
        )[0].id

    def put_room(self, room, shape="due", feedback_id=None, token=NEW, **columns):
        """A room of that shape. feedback_id: the row that it has seen (default: its row; a made-up key if it has none).

        columns are columns of roomclaim.room, or go over the shape's due, line and analysis. Returns the token of its claim, which is LAST then, or None.
        """
        look = {**SHAPES[shape], **columns}
        due, line, analysis, feedback = (look.pop(key, None) for key in ("due", "line", "analysis", "feedback"))
        if feedback and feedback_id is None:
            found = self.row(room)
            feedback_id = found.id if found else str(uuid.uuid4())
        values = {"room_sid": room, "feedback_id": feedback_id, "event_id": "EV_1", "topic": "t", "record_partition": 0,
                  "record_offset": 7, **look}  # fmt: skip
        if line:
            values["token"] = self.tokens[room] = uuid.uuid4() if token is NEW else token
        self.sql(
            f"INSERT INTO roomclaim.room ({', '.join(values)}, due_at) VALUES ({', '.join(['%s'] * len(values))}, "
            "clock_timestamp() + %s * interval '1 second')",
            *values.values(),
            due,
        )
        if line:
            self._put_line(room, line)
        if analysis:
            self.sql(
                "INSERT INTO roomclaim.analysis (room_sid, run, feedback_id, result) "
                "SELECT room_sid, run, feedback_id, %s FROM roomclaim.room WHERE room_sid = %s",
                RESULT,
                room,
            )
        return values.get("token")

    def _put_line(self, room, outcome):
        self.sql(
            "WITH line AS (INSERT INTO roomclaim.call (started_at, room_sid, run, attempt, token, worker, input_hash) "
            "  SELECT clock_timestamp() - interval '2 s', room_sid, run, attempt, token, 'w1', 'hash' "
            "    FROM roomclaim.room WHERE room_sid = %s RETURNING id, started_at) "
            "UPDATE roomclaim.room r SET call_id = line.id, call_at = line.started_at FROM line WHERE r.room_sid = %s",
            room,
            room,
        )
        if outcome != "open":
            self.sql(
                "UPDATE roomclaim.call SET ended_at = clock_timestamp(), outcome = %s WHERE room_sid = %s",
                outcome,
                room,
            )

    @contextlib.contextmanager
    def row_locked(self, room):
        """Another transaction, the application's, holds the room's rows meanwhile. It is rolled back."""
        with psycopg.connect(self.url) as other:
            other.execute('SELECT 1 FROM "UserFeedback" WHERE "roomSid" = %s FOR UPDATE', [room])
            yield other
            other.rollback()

    def set_status(self, room, status):
        self.sql('UPDATE "UserFeedback" SET status = %s WHERE "roomSid" = %s', status, room)

    def delete_row(self, room):
        self.sql('DELETE FROM "UserFeedback" WHERE "roomSid" = %s', room)

    def lease_over(self, room):
        assert self.room(room).state == "processing"
        self.due(room)

    def due(self, room):
        self.sql(
            "UPDATE roomclaim.room SET due_at = clock_timestamp() - interval '1 s' WHERE room_sid = %s AND due_at IS NOT NULL",
            room,
        )

    def aged(self, room, interval):
        """As if all that happened to the room had happened this much earlier; due_at stays."""
        self.sql(
            "UPDATE roomclaim.room SET first_seen = first_seen - %s::interval, run_started = run_started - %s::interval, "
            "reason_since = reason_since - %s::interval WHERE room_sid = %s",
            interval,
            interval,
            interval,
            room,
        )

    # ---- looks ----

    def row(self, room):
        found = self.rows(room)
        return found[0] if found else None

    def rows(self, room):
        return self.sql(
            'SELECT id::text, status::text, transcript FROM "UserFeedback" WHERE "roomSid" = %s ORDER BY "createdAt", id',
            room,
        )

    def status(self, room):
        """The row's status; of several rows the list; None also when there is no row."""
        found = [row.status for row in self.rows(room)]
        return found if len(found) > 1 else found[0] if found else None

    def room(self, room):
        found = self.sql("SELECT * FROM roomclaim.room WHERE room_sid = %s", room)
        return found[0] if found else None

    def due_in(self, room):
        """Seconds until somebody looks, rounded."""
        words = (
            "SELECT extract(epoch FROM due_at - clock_timestamp())::float AS s FROM roomclaim.room WHERE room_sid = %s"
        )
        return round(self.sql(words, room)[0].s)

    def calls(self, room):
        return self.sql("SELECT * FROM roomclaim.call WHERE room_sid = %s ORDER BY id", room)

    def analyses(self, room):
        return self.sql("SELECT * FROM roomclaim.analysis WHERE room_sid = %s ORDER BY run", room)

    def tally(self, room):
        """(lines of the ledger, of these not closed, of these lost)."""
        lines = self.calls(room)
        return len(lines), sum(c.ended_at is None for c in lines), sum(c.outcome == "lost" for c in lines)

    def snapshot(self):
        """Every line of every table, for comparing: a call that changes nothing leaves it equal."""
        return {
            table: [line.words for line in self.sql(f"SELECT t::text AS words FROM {table} t ORDER BY 1")]
            for table in TABLES
        }


def kinds(swept):
    """What a sweep found, without the order."""
    return sorted((each.kind, each.room) for each in swept)


def _listed(rooms):
    return [rooms] if isinstance(rooms, str) else list(rooms)


def _spread(sids, value):
    """A list belongs to the rooms one by one; anything else to each of them."""
    return value if isinstance(value, list) else [value] * len(sids)


def _usage(sids, usage):
    """prompt, cached, output, thinking tokens, and the cost in millionths of a US dollar."""
    return [("bigint[]", [count] * len(sids)) for count in usage]
