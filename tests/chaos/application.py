"""The application meanwhile: it writes its rows late, edits, resets, drops and deletes them, and keeps them locked.

It goes by no order of ours: rows of a transaction are touched in random order. Whatever the server does to it, it connects
again and goes on. A deadlock is counted: there must be none.
"""

import collections
import contextlib
import dataclasses
import heapq
import itertools
import random
import threading
import time
import uuid

import psycopg

from chaos.rooms import RoomPlan

EVERY_S = 0.12  # an operation, on the average
RECENT = 300  # rooms, of which it takes one
INSERT = 'INSERT INTO "UserFeedback" (id, "roomSid", status, transcript) VALUES (%s, %s, %s, %s)'
TRANSCRIPT = "canary-transcript: the sound was clear, take {}"
# what: weight
WORK = {"edit": 40, "hold": 6, "reset": 10, "reset_in_flight": 4, "drop": 5, "delete": 4, "handle": 5}
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)


@dataclasses.dataclass
class Slow:
    """A transaction that takes its time."""

    connection: psycopg.Connection
    keep: bool

    def end(self) -> None:
        with contextlib.suppress(*AWAY), self.connection:
            if not self.keep:
                self.connection.rollback()


class Application(threading.Thread):
    def __init__(self, url: str, seed: int):
        super().__init__(name="application", daemon=True)
        self._url, self._seeded = url, random.Random(f"application {seed}")
        self._connection: psycopg.Connection | None = None
        self._later: list[tuple] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._recent: collections.deque[str] = collections.deque(maxlen=RECENT)
        self._handled: set[str] = set()  # an older handler has them
        self._slow: list[Slow] = []
        self.tell_again = lambda sid: None  # set by whoever sends webhooks
        self.deadlocks = 0
        self.faults: list[str] = []
        self.done: collections.Counter[str] = collections.Counter()

    def room_begins(self, sid: str, plan: RoomPlan) -> None:
        """From any thread."""
        if plan.row_at is not None:
            self._in(plan.row_at, lambda: self._insert(sid, plan), again=True)

    def stop(self) -> None:
        """Ends what is under way. Rows that were not written yet never will be."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        next_work = time.monotonic()
        while not self._ended.wait(0.02):
            self._do_what_is_due(time.monotonic())
            if time.monotonic() >= next_work:
                next_work = time.monotonic() + self._seeded.expovariate(1 / EVERY_S)
                self._try(self._work)
        self._do_what_is_due(float("inf"), leave_inserts=True)
        for slow in list(self._slow):
            self._end(slow)
        if self._connection:
            self._connection.close()

    # --- doing it

    def _in(self, seconds: float, function, again: bool = False) -> None:
        with self._lock:
            heapq.heappush(self._later, (time.monotonic() + seconds, next(self._numbers), function, again))

    def _do_what_is_due(self, now: float, leave_inserts: bool = False) -> None:
        while True:
            with self._lock:
                if not self._later or self._later[0][0] > now:
                    return
                _, _, function, again = heapq.heappop(self._later)
            if not (leave_inserts and again) and not self._try(function) and again and not leave_inserts:
                self._in(0.5, function, again)

    def _try(self, function) -> bool:
        """False if the server was not there for it."""
        try:
            function()
        except psycopg.errors.DeadlockDetected:
            self.deadlocks += 1
        except (psycopg.errors.LockNotAvailable, psycopg.errors.UniqueViolation):
            pass
        except AWAY:
            self._disconnect()
            return False
        except psycopg.Error as error:
            self.faults.append(f"the application: {type(error).__name__}: {error}")
            self._disconnect()
        return True

    def _disconnect(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            self._url, autocommit=True, connect_timeout=2, application_name="application", options="-c lock_timeout=300"
        )

    def _sql(self, query: str, *values):
        if self._connection is None:
            self._connection = self._connect()
        cursor = self._connection.execute(query, values)
        return cursor.fetchall() if cursor.description else cursor.rowcount

    def _begin_slow(self, seconds: float, keep: bool, query: str, *values) -> None:
        connection = self._connect()
        connection.autocommit = False
        try:
            connection.execute(query, values)
        except BaseException:
            connection.close()
            raise
        slow = Slow(connection, keep)
        self._slow.append(slow)
        self._in(seconds, lambda: self._end(slow))

    def _end(self, slow: Slow) -> None:
        if slow in self._slow:
            self._slow.remove(slow)
            slow.end()

    # --- rows

    def _insert(self, sid: str, plan: RoomPlan) -> None:
        transcript = TRANSCRIPT.format(1) if plan.input_at == 0 else None
        row = (uuid.uuid4(), sid, "initiated", transcript)
        if plan.row_takes:
            self._begin_slow(plan.row_takes, plan.row_is_kept, INSERT, *row)
        else:
            self._sql(INSERT, *row)
        if plan.row_is_kept:
            self._recent.append(sid)
        if plan.input_at:
            self._in(plan.input_at, lambda: self._edit(sid))

    def _edit(self, *sids: str) -> None:
        query = 'UPDATE "UserFeedback" SET transcript = %s WHERE "roomSid" = %s'
        if self._connection is None:
            self._connection = self._connect()
        with self._connection.transaction():
            for sid in sids:
                self._sql(query, TRANSCRIPT.format(self._seeded.randint(2, 99)), sid)

    def _status(self, sid: str, status: str) -> int:
        return self._sql('UPDATE "UserFeedback" SET status = %s WHERE "roomSid" = %s', status, sid)

    # --- what it does of itself

    def _work(self) -> None:
        free = [sid for sid in self._recent if sid not in self._handled]
        if not free:
            return
        what = self._seeded.choices(list(WORK), list(WORK.values()))[0]
        getattr(self, f"_do_{what}")(free)
        self.done[what] += 1

    def _do_edit(self, free: list[str]) -> None:
        self._edit(*self._seeded.sample(free, min(len(free), self._seeded.randint(1, 5))))

    def _do_hold(self, free: list[str]) -> None:
        """Rows are locked for seconds."""
        some = self._seeded.sample(free[-40:], min(len(free), 4))
        query = 'SELECT FROM "UserFeedback" WHERE "roomSid" = ANY (%s) FOR UPDATE SKIP LOCKED'
        self._begin_slow(self._seeded.uniform(1, 5), True, query, some)

    def _do_reset(self, free: list[str]) -> None:
        """A room that is completed; most are told of again, and are then analysed anew."""
        query = 'SELECT "roomSid" FROM "UserFeedback" WHERE "roomSid" = ANY (%s) AND status::text = %s LIMIT 20'
        found = self._sql(query, free, "completed")
        if found:
            [sid] = self._seeded.choice(found)
            if self._status(sid, "initiated") and self._seeded.random() < 0.7:
                self.tell_again(sid)

    def _do_reset_in_flight(self, free: list[str]) -> None:
        self._status(self._seeded.choice(free[-20:]), "initiated")

    def _do_drop(self, free: list[str]) -> None:
        self._status(self._seeded.choice(free), "dropped")

    def _do_delete(self, free: list[str]) -> None:
        """And half of them are made anew."""
        sid = self._seeded.choice(free)
        self._sql('DELETE FROM "UserFeedback" WHERE "roomSid" = %s', sid)
        self._recent.remove(sid)
        if self._seeded.random() < 0.5:
            row = (uuid.uuid4(), sid, "initiated", TRANSCRIPT.format(100))
            self._in(self._seeded.uniform(0.1, 3), lambda: self._sql(INSERT, *row), again=True)

    def _do_handle(self, free: list[str]) -> None:
        """An older handler takes a row by the conditional update, and completes it."""
        query = 'UPDATE "UserFeedback" SET status = %s WHERE "roomSid" = %s AND status::text = %s'
        for sid in self._seeded.sample(free[-30:], min(len(free), 5)):
            if self._sql(query, "processing", sid, "initiated"):
                self._handled.add(sid)
                ending = self._seeded.uniform(0.5, 3)
                self._in(ending, lambda sid=sid: self._sql(query, "completed", sid, "processing"), again=False)
                return
