"""A busy application beside ten thousand rooms: it updates rows of rooms that are being worked on, several in one
transaction, in random order, and holds them for seconds."""

import collections
import random
import threading

import psycopg
from harness.postgres import with_database

from . import ground as on
from .histories import lines
from .sender import sid_of

ROOMS, MINUTES = 10_000, 4
CLERKS = 16
NEAR = (-600, 200)  # rooms that a clerk looks at: from, to, seen from the one whose webhook comes now
HOLD_S = 1.0  # at most, for each row of a transaction
EXPECT = {"lease_s": 20, "model_deadline_s": 3, "fds_growth": 200, "sometimes": ["completed"]}
CHANGES = {
    "note": 'UPDATE "UserFeedback" SET edits = edits + 1 WHERE "roomSid" = %s',
    "text": 'UPDATE "UserFeedback" SET transcript = transcript || \' and then it was well\' WHERE "roomSid" = %s',
    "drop": "UPDATE \"UserFeedback\" SET status = 'dropped' WHERE \"roomSid\" = %s AND status IN ('initiated', 'processing')",
}
ENDS = """SELECT f."roomSid", f.edits, (length(f.transcript) - %s) / length(' and then it was well'), f.status::text,
    (SELECT count(*) FROM roomclaim.analysis a WHERE a.room_sid = f."roomSid" AND a.current) FROM "UserFeedback" f"""
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


class Clerk(threading.Thread):
    """A part of the application. Clerks share no rows: two of them can't be each other's deadlock."""

    def __init__(self, url, sid, k, rooms, now):
        super().__init__(daemon=True)
        self._url, self._sid, self._k, self._rooms, self._now = url, sid, k, rooms, now
        self._random = random.Random(k)
        self.ended = threading.Event()
        self.done = {kind: collections.Counter() for kind in CHANGES}
        self.committed = self.rolled_back = 0
        self.errors = []

    def run(self):
        with psycopg.connect(self._url, application_name="application") as db:
            while not self.ended.is_set():
                try:
                    self._transaction(db)
                except psycopg.Error as error:  # 40P01 would be one
                    self.errors.append(f"{error.sqlstate} {error}")
                    db.rollback()

    def _transaction(self, db):
        changed = []
        for sid in self._some_rooms():
            kind = self._random.choices(list(CHANGES), [80, 14, 6])[0]
            if db.execute(CHANGES[kind], [sid]).rowcount:
                changed.append((kind, sid))
            db.execute("SELECT pg_sleep(%s)", [self._random.uniform(0, HOLD_S)])
        if self._random.random() < 0.05:
            db.rollback()
            self.rolled_back += 1
            return
        db.commit()
        self.committed += 1
        for kind, sid in changed:
            self.done[kind][sid] += 1

    def _some_rooms(self):
        """1 to 5, in random order."""
        first, last = (min(max(self._now() + way, 1), self._rooms) for way in NEAR)
        mine = [n for n in range(first, last + 1) if n % CLERKS == self._k]
        return [self._sid(n) for n in self._random.sample(mine, min(len(mine), self._random.randint(1, 5)))]


def busy_application(ground):
    world = ground.world("busy")
    rooms = int(ROOMS * min(1, ground.minutes / MINUTES))
    world.sql('ALTER TABLE "UserFeedback" ADD COLUMN edits int NOT NULL DEFAULT 0')
    with on.LongRecording(world, **EXPECT) as run:
        world.given_numbered_rooms(1, rooms)
        shim = world.start_shim()
        figures = [on.Figures(world.start_consumer(claim__lease="20s")) for _ in range(2)]
        sender = on.Sender(
            world.folder, world.shim_url, world.prefix, rate=rooms / ground.minutes / 60, rooms=rooms, copies=2,
            history=run.folder / "load.jsonl",
        )  # fmt: skip
        clerks = _clerks(world, rooms, sender)
        ground.tell = lambda: _told(world, sender, figures, clerks)
        _let_them_work(ground, world, rooms, sender, clerks)
        run.healed()
        last = sender.stop(ground)
        shim.stop()  # it alone may look into its spool while it runs
        run.finish(within=120)
        busy = sum(v for each in figures for (name, label), v in each.now().items() if label == "busy")
    said = _words(world, rooms, clerks, busy, last) + f"; {_calls(run)}"
    _check(ground, world, clerks, busy, said)
    on.say(ground.name, run.check().strip())
    return said


def _clerks(world, rooms, sender):
    url = with_database(world.server, world.name)
    return [
        Clerk(url, lambda n: sid_of(world.prefix, n), k, rooms, lambda: sender.told().get("rooms", 0))
        for k in range(CLERKS)
    ]


def _let_them_work(ground, world, rooms, sender, clerks):
    for clerk in clerks:
        clerk.start()
    ground.wait(lambda: sender.told().get("rooms") == rooms, ground.minutes * 60 + 120, "all webhooks are sent")
    ground.let_pass(5)
    for clerk in clerks:
        clerk.ended.set()
    for clerk in clerks:
        clerk.join(30)
        assert not clerk.is_alive(), "the application hangs"


def _told(world, sender, figures, clerks):
    told = sender.told()
    return (
        f"sent {told.get('rooms')}, lost {told.get('lost')}, done {world.count(on.DONE)}, in flight "
        f"{on.sum_of(figures, 'roomclaim_in_flight'):g}, the application's transactions {sum(c.committed for c in clerks)}, "
        f"errors {sum(len(c.errors) for c in clerks)}, deadlocks {world.value(DEADLOCKS)}"
    )


def _total(clerks, kind):
    return sum((clerk.done[kind] for clerk in clerks), collections.Counter())


def _words(world, rooms, clerks, busy, last):
    return (
        f"rooms {rooms}, webhooks acknowledged {last['acknowledged']}, the application's transactions "
        f"{sum(c.committed for c in clerks)} and {sum(c.rolled_back for c in clerks)} rolled back, its updates "
        f"{' '.join(f'{kind} {_total(clerks, kind).total()}' for kind in CHANGES)}, its errors "
        f"{sum(len(c.errors) for c in clerks)}, deadlocks {world.value(DEADLOCKS)}, rows found locked {busy:g}"
    )


def _calls(run):
    rooms = collections.Counter(line["room"] for line in lines(run.folder, "model") if "out" not in line)
    most = max(rooms.values())
    assert most == 1, f"{rooms.most_common(3)} model calls"
    return f"model calls {rooms.total()}, most for one room {most}"


def _check(ground, world, clerks, busy, said):
    on.say(ground.name, said)
    assert not any(clerk.errors for clerk in clerks), [clerk.errors for clerk in clerks if clerk.errors][:3]
    assert world.value(DEADLOCKS) == 0 and "deadlock detected" not in ground.postgres.child.output(), said
    assert busy > 0, f"the application was in nobody's way: {said}"
    notes, texts, drops = (_total(clerks, kind) for kind in CHANGES)
    for sid, edits, text, status, analyses in world.sql(ENDS, len(on.TRANSCRIPT)):
        assert (edits, text) == (notes[sid], texts[sid]), f"{sid}: an edit of the application is gone"
        assert status == ("dropped" if drops[sid] else "completed"), f"{sid} is {status}"
        assert analyses == 1 or drops[sid], f"{sid}: completed with {analyses} results"
