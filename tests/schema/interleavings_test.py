"""Sessions that meet at chosen points of the functions, each order for real.

The SQL has comments `--@point NAME`. Here they become waits for an advisory lock that is named after the point and the session's
application_name: so a test holds one session at a point, sees in pg_locks that it stands there, and lets others run meanwhile.
"""

import contextlib
import itertools
import random
import re
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from harness.processes import PATIENCE, until
from schema.claims import Claims

HOLD = "PERFORM pg_advisory_lock_shared(k), pg_advisory_unlock_shared(k) FROM hashtextextended('{}/' || current_setting('application_name'), 0) AS k;"


def functions_of(connection):
    words = (
        "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'roomclaim'::regnamespace AND prokind = 'f'"
    )
    return [text for (text,) in connection.execute(words)]


def with_points(functions, *mutations):
    """The functions with their points as waits, and with these mutations: pairs of pattern and replacement, each for one place."""
    texts = "\0".join(functions)
    for pattern, replacement in mutations:
        texts, times = re.subn(pattern, replacement, texts, flags=re.S)
        assert times == 1, f"{pattern} fits {times} times"
    return re.sub(r"--@point (\w+)", lambda match: HOLD.format(match[1]), texts).split("\0")


class Session:
    """A worker on a connection of its own. start() runs a verb of Claims in a thread."""

    def __init__(self, stage, name):
        self.stage, self.name = stage, name
        self.claims = Claims(stage.claims.url, name)
        self.claims.sql("SELECT set_config('application_name', %s, false)", name)
        self.pid = self.claims.connection.info.backend_pid
        self.thread = ThreadPoolExecutor(1)
        self.running = None

    def close(self):
        self.thread.shutdown()
        self.claims.close()

    def start(self, verb, *arguments, **settings):
        self.running = self.thread.submit(getattr(self.claims, verb), *arguments, **settings)
        return self

    def start_and_stop(self, point, verb, *arguments, **settings):
        """Starts it and returns when it stands at the point."""
        self.stage.hold(self.name, point)
        self.start(verb, *arguments, **settings)
        until(lambda: self.stage.stands(self, point) or self.running.done(), 10, f"{self.name} stands at {point}")
        assert not self.running.done(), f"{self.name} never came to {point}: {self.result()}"
        return self

    def waits_for(self, other):
        """Returns when it stands behind a lock of the other session."""
        self.stage.sees_waiting(self.pid, other.pid, self.running)

    def go_on(self, point):
        self.stage.let(self.name, point)
        return self.result()

    def do(self, verb, *arguments, **settings):
        return self.start(verb, *arguments, **settings).result()

    def result(self, within=20):
        """The outcome, or of a list the outcomes, or of a sweep the kinds and rooms."""
        answers = self.running.result(timeout=within * PATIENCE)
        if hasattr(answers, "outcome"):
            return answers.outcome
        return [each.outcome if hasattr(each, "outcome") else (each.kind, each.room) for each in answers]


class Stage:
    """A database whose functions stop where the test says so, and the sessions on it."""

    def __init__(self, claims):
        self.claims = claims
        self.control = psycopg.connect(claims.url, autocommit=True, application_name="control")
        self.sessions = []

    def close(self):
        self.control.execute("SELECT pg_advisory_unlock_all()")
        for session in self.sessions:
            session.close()
        self.control.close()

    def load(self, functions):
        self.control.execute("".join(f"{text};" for text in functions))

    def session(self, name):
        self.sessions.append(Session(self, name))
        return self.sessions[-1]

    def value(self, words, *params):
        return self.control.execute(words, params).fetchone()[0]

    def hold(self, name, point):
        self.value("SELECT pg_advisory_lock(hashtextextended(%s, 0))", f"{point}/{name}")

    def let(self, name, point):
        assert self.value("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", f"{point}/{name}")

    def stands(self, session, point):
        return self.value(
            "SELECT count(*) FROM pg_locks WHERE pid = %s AND locktype = 'advisory' AND NOT granted "
            "AND (classid::bigint << 32) | objid::bigint = hashtextextended(%s, 0)",
            session.pid,
            f"{point}/{session.name}",
        )

    def sees_waiting(self, pid, other_pid, running):
        until(lambda: other_pid in self.blockers(pid) or running.done(), 10, f"{pid} waits for {other_pid}")
        assert not running.done(), f"it did not wait: {running.result()}"

    def blockers(self, pid):
        return self.value("SELECT pg_blocking_pids(%s)", pid)

    def analysis_left(self, room):
        """Analyses, and calls that still know their input's hash."""
        return len(self.claims.analyses(room)), sum(call.input_hash is not None for call in self.claims.calls(room))

    def outcomes(self, room):
        return [call.outcome for call in self.claims.calls(room)]

    def state(self, room):
        return self.claims.room(room).state, self.claims.room(room).attempt, self.claims.status(room)


@pytest.fixture(scope="module")
def functions(database):
    with psycopg.connect(database) as connection:
        return functions_of(connection)


@pytest.fixture
def stages(claims, functions):
    made = []

    def make(*mutations):
        made.append(Stage(claims))
        made[-1].load(with_points(functions, *mutations))
        return made[-1]

    yield make
    for stage in made:
        stage.close()


@pytest.fixture
def stage(stages):
    return stages()


# ---- two claims ----


def never_seen(session):
    pass


def released(session):
    assert session.do("claim", "a") == "won"
    assert session.do("release", "a") == "released"


def lease_over(session):
    assert session.do("claim", "a") == "won"
    session.claims.lease_over("a")


def claims_that_meet(stage, point, before):
    """One claim stands at the point while another one runs. Returns both outcomes."""
    stage.claims.put_row("a")
    first, second = stage.session("first"), stage.session("second")
    before(first)
    first.start_and_stop(point, "claim", "a")
    second.start("claim", "a")
    until(lambda: second.running.done() or stage.blockers(second.pid), 10, "the second is through or waits")
    return first.go_on(point), second.result()


@pytest.mark.shows("F08")
@pytest.mark.parametrize("before", [never_seen, released, lease_over])
@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ("before_lock", ("held", "won")),
        ("between_locks", ("won", "busy")),
        ("after_lock", ("won", "held")),
        ("before_write", ("won", "held")),
    ],
)
def test_two_claims_have_one_winner(stage, point, expected, before):
    if (point, before) == ("between_locks", lease_over):
        expected = ("won", "held")
    assert claims_that_meet(stage, point, before) == expected
    assert stage.outcomes("a") == {never_seen: [], released: ["unfit"], lease_over: ["lost"]}[before] + [None]
    assert stage.claims.status("a") == "processing"


# Decides before anything is locked, and so by a snapshot that is older than the locks.
DECIDES_TOO_EARLY = (
    (r"cases := roomclaim\.claim_decide\([^;]*;", r""),
    (
        r"--@point before_lock",
        r"""INSERT INTO roomclaim.room (room_sid, state, reason, due_at)
        SELECT p, 'waiting', 'new', now() FROM unnest(rooms) AS p ON CONFLICT DO NOTHING;
        locked := array_fill(true, ARRAY[cardinality(rooms)]);
        cases := roomclaim.claim_decide(rooms, tokens, origins, event_ids, topics, partitions, offsets, locked, worker, policy);
        --@point before_lock""",
    ),
)
FORGETS_THE_OLD_STATUS = ((r"(AS p\(room, id, old\)[^;]*)AND \S+::text OPERATOR\(pg_catalog.=\) p\.old", r"\1"),)


@pytest.mark.parametrize(
    ("mutations", "before"),
    [(DECIDES_TOO_EARLY, lease_over), (DECIDES_TOO_EARLY + FORGETS_THE_OLD_STATUS, released)],
)
def test_a_decision_older_than_the_locks_has_two_winners(stages, mutations, before):
    """So the test above can fail."""
    assert claims_that_meet(stages(*mutations), "before_lock", before) == ("won", "won")


@pytest.mark.parametrize("mutations", [DECIDES_TOO_EARLY, FORGETS_THE_OLD_STATUS])
def test_the_lock_and_the_old_status_guard_a_row_each_by_itself(stages, mutations):
    assert claims_that_meet(stages(*mutations), "before_lock", released).count("won") == 1


def test_three_claims_have_one_winner(stage):
    stage.claims.put_row("a")
    first, second, third = (stage.session(name) for name in ("first", "second", "third"))
    first.start_and_stop("between_locks", "claim", "a")
    second.start_and_stop("after_lock", "claim", "a")  # the first has the row, the second the room
    third.start_and_stop("before_lock", "claim", "a")
    stage.let("first", "between_locks")
    first.waits_for(second)
    assert second.go_on("after_lock") == "busy"
    assert first.result() == "won"
    assert third.go_on("before_lock") == "held"
    assert stage.outcomes("a") == [None]


def test_of_two_rows_the_known_one_is_held_by_the_application(stage):
    known = stage.claims.put_row("a")
    stage.claims.put_row("a")
    stage.claims.put_room("a", "due", feedback_id=known)
    with psycopg.connect(stage.claims.url) as application:
        application.execute("""UPDATE "UserFeedback" SET transcript = 'new' WHERE id = %s""", [known])
        assert stage.session("worker").do("claim", "a") == "busy"


# ---- rooms that are new, and rooms that are there ----


@pytest.mark.parametrize("verb", ["claim", "enqueue", "park"])
def test_a_claim_that_has_made_a_room_waits_for_one_that_is_there(stage, verb):
    """Whoever first locks the one and then makes the other waits for the claim that waits for it."""
    for room in "ab":
        stage.claims.put_row(room)
    stage.claims.put_room("a", "due")
    claimer, other = stage.session("claimer"), stage.session("other")
    claimer.start_and_stop("after_insert", "claim", ["a", "b"])
    other.start(verb, ["a", "b"], **({"token": None} if verb == "park" else {}))
    other.waits_for(claimer)
    assert claimer.go_on("after_insert") == ["won", "won"]
    assert other.result() == {"claim": ["held"] * 2, "enqueue": ["held"] * 2, "park": ["fenced"] * 2}[verb]


def test_rooms_that_somebody_deletes_under_a_claim(stage):
    """By hand, say. Every element is answered, by what is written down."""
    for room in "abcd":
        stage.claims.put_row(room, transcript=f"text of {room}")
    for room in "bd":
        stage.claims.put_room(room, "due")
    claimer = stage.session("claimer").start_and_stop("after_insert", "claim", list("abcd"))
    stage.claims.sql("DELETE FROM roomclaim.room WHERE room_sid = 'b'")
    stage.let("claimer", "after_insert")
    answers = claimer.running.result(timeout=20 * PATIENCE)
    assert [(each.outcome, each.input) for each in answers] == [("won", [f"text of {room}"]) for room in "abcd"]
    assert stage.claims.room("b").attempt == 1


# ---- a lease that is over: its worker, another claim, the sweep ----


@pytest.fixture
def late(stage):
    """A worker whose lease is over."""
    stage.claims.put_row("a")
    worker = stage.session("late")
    assert worker.do("claim", "a") == "won"
    stage.claims.lease_over("a")
    return worker


@pytest.mark.shows("F08")
@pytest.mark.parametrize("point", ["between_locks", "after_lock", "before_write"])
def test_a_take_over_meets_the_expiring_sweep(stage, late, point):
    claimer, sweeper = stage.session("claimer"), stage.session("sweeper")
    claimer.start_and_stop(point, "claim", "a")
    swept = sweeper.do("sweep", slots=0)
    assert swept == ([("expired", "a")] if point == "between_locks" else [])
    assert claimer.go_on(point) == "won"
    assert stage.outcomes("a") == ["lost", None]
    assert stage.state("a") == ("processing", 2, "processing")


def test_the_expiring_sweep_meets_a_claim(stage, late):
    claimer, sweeper = stage.session("claimer"), stage.session("sweeper")
    sweeper.start_and_stop("sweep_after_expire", "sweep", slots=0)
    claimer.start("claim", "a")
    claimer.waits_for(sweeper)
    # The claim has the row by now. So the sweep can't give it back, and writes down that it is ours.
    assert sweeper.go_on("sweep_after_expire") == [("expired", "a")]
    assert claimer.result() == "won"
    assert stage.outcomes("a") == ["lost", None]
    assert stage.state("a") == ("processing", 2, "processing")


def test_a_late_store_before_the_take_over(stage, late):
    other = stage.session("other")
    late.start_and_stop("store_after_lock", "store", "a")
    other.start("claim", "a")
    other.waits_for(late)
    assert late.go_on("store_after_lock") == "stored"
    assert other.result() == "analysed"
    assert other.do("finish", "a") == "completed"
    assert stage.outcomes("a") == ["ok"]
    assert stage.state("a") == ("done", 1, "completed")


def test_a_reset_while_a_reanalysis_is_given_up(stage):
    stage.claims.put_row("a", "completed")
    stage.claims.put_room("a", "done")
    stage.claims.enqueue("a", origin="reanalyse", priority=2)
    worker, other = stage.session("worker"), stage.session("other")
    assert worker.do("claim", "a") == "won"
    worker.start_and_stop("release_after_lock", "release", "a", max_attempts=1)
    stage.claims.set_status("a", "initiated")
    assert other.do("claim", "a") == "held"
    assert worker.go_on("release_after_lock") == "released"
    assert other.do("sweep") == [("due", "a")]
    assert other.do("claim", "a") == "won"
    assert stage.state("a") == ("processing", 1, "processing")


@pytest.mark.shows("F04")
@pytest.mark.parametrize("point", ["after_lock", "before_write"])
def test_the_take_over_before_a_late_store(stage, late, point):
    other = stage.session("other")
    other.start_and_stop(point, "claim", "a")
    late.start("store", "a", result='{"by": "late"}')
    late.waits_for(other)
    assert other.go_on(point) == "won"
    assert late.result() == "fenced"
    assert stage.state("a") == ("processing", 2, "processing")
    assert other.do("store", "a", result='{"by": "other"}') == "stored"
    assert [analysis.result for analysis in stage.claims.analyses("a")] == [{"by": "other"}]


def test_a_late_store_meets_the_expiring_sweep(stage, late):
    late.start_and_stop("store_after_lock", "store", "a")
    assert stage.session("sweeper").do("sweep") == []
    assert late.go_on("store_after_lock") == "stored"
    assert late.do("finish", "a") == "completed"
    assert stage.outcomes("a") == ["ok"]


def test_a_late_store_after_a_sweep_that_could_not_have_the_row(stage, late):
    sweeper = stage.session("sweeper")
    with stage.claims.row_locked("a"):
        sweeper.start_and_stop("sweep_after_expire", "sweep", slots=0)
        late.start("store", "a")
        late.waits_for(sweeper)
        assert sweeper.go_on("sweep_after_expire") == [("expired", "a")]
        assert late.result() == "stored"
        assert late.do("finish", "a") == "busy"
    assert late.do("finish", "a") == "completed"
    assert stage.outcomes("a") == ["ok"]
    assert stage.state("a") == ("done", 1, "completed")


def test_a_late_release_before_the_take_over(stage, late):
    other = stage.session("other")
    late.start_and_stop("release_after_lock", "release", "a", delay_ms=60000)
    other.start("claim", "a")
    other.waits_for(late)
    assert late.go_on("release_after_lock") == "released"
    assert other.result() == "waiting"
    assert stage.outcomes("a") == ["unfit"]
    # The claim held the row meanwhile: it follows when somebody looks.
    assert stage.claims.status("a") == "processing"
    stage.claims.due("a")
    assert other.do("sweep", slots=0) == [("followed", "a")]
    assert stage.state("a") == ("waiting", 1, "initiated")


@pytest.mark.parametrize("point", ["between_locks", "after_lock", "before_write"])
def test_the_take_over_before_a_late_release(stage, late, point):
    other = stage.session("other")
    other.start_and_stop(point, "claim", "a")
    late.start("release", "a")
    if point == "between_locks":
        assert late.result() == "released"
        assert other.go_on(point) == "won"
    else:
        late.waits_for(other)
        assert other.go_on(point) == "won"
        assert late.result() == "fenced"
    assert stage.state("a") == ("processing", 2, "processing")
    assert stage.outcomes("a")[1:] == [None]


def test_a_late_park_before_the_take_over(stage, late):
    other = stage.session("other")
    late.start_and_stop("park_after_lock", "park", "a")
    other.start("claim", "a")
    other.waits_for(late)
    assert late.go_on("park_after_lock") == "parked"
    assert other.result() == "parked"
    assert stage.outcomes("a") == ["rejected"]


# ---- finish and the application ----

DROP = """UPDATE "UserFeedback" SET status = 'dropped' WHERE "roomSid" = %s"""
DELETE = """DELETE FROM "UserFeedback" WHERE "roomSid" = %s"""
ends = pytest.mark.parametrize(
    ("words", "outcome", "left"), [(DROP, "dropped", (0, 1)), (DELETE, "gone", (0, 0))], ids=["dropped", "deleted"]
)


@pytest.fixture
def finisher(stage):
    """A worker that has stored its result."""
    stage.claims.put_row("a")
    worker = stage.session("finisher")
    assert worker.do("claim", "a") == "won"
    assert worker.do("store", "a") == "stored"
    return worker


@ends
def test_the_row_ends_before_finish_has_it(stage, finisher, words, outcome, left):
    finisher.start_and_stop("finish_after_lock", "finish", "a")
    stage.claims.sql(words, "a")
    assert finisher.go_on("finish_after_lock") == outcome
    assert stage.claims.room("a").state == "done"
    assert stage.analysis_left("a") == left


@ends
def test_the_row_is_ending_while_finish_looks(stage, finisher, words, outcome, left):
    finisher.start_and_stop("finish_after_lock", "finish", "a")
    with psycopg.connect(stage.claims.url) as application:
        application.execute(words, ["a"])
        assert finisher.go_on("finish_after_lock") == "busy"
        assert stage.claims.room("a").state == "analysed"
    stage.claims.due("a")
    assert finisher.do("sweep") == [("finished", "a")]
    assert stage.claims.room("a").state == "done"
    assert stage.analysis_left("a") == left


@ends
def test_the_row_ends_after_finish_has_it(stage, finisher, words, outcome, left):
    finisher.start_and_stop("finish_after_rows", "finish", "a")
    with psycopg.connect(stage.claims.url, autocommit=True) as application, ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(application.execute, words, ["a"])
        stage.sees_waiting(application.info.backend_pid, finisher.pid, waiting)
        assert finisher.go_on("finish_after_rows") == "completed"
        waiting.result(timeout=10)
    assert stage.claims.room("a").state == "done"
    assert stage.analysis_left("a") == (1, 1)
    assert finisher.do("claim", "a") == "done"


def test_two_finishes(stage, finisher):
    other = stage.session("other")
    finisher.start_and_stop("finish_after_lock", "finish", "a")
    other.start("finish", "a")
    other.waits_for(finisher)
    assert finisher.go_on("finish_after_lock") == "completed"
    assert other.result() == "done"


def test_the_sweep_leaves_to_finish_what_it_has(stage, finisher):
    finisher.start_and_stop("finish_after_lock", "finish", "a")
    assert stage.session("sweeper").do("sweep") == []
    assert finisher.go_on("finish_after_lock") == "completed"


# ---- two sweeps ----


def test_two_sweeps_share_what_is_due(stage):
    rooms = list("abcdef")
    for room in rooms:
        stage.claims.put_row(room)
        stage.claims.put_room(room, "due")
    first, second = stage.session("first"), stage.session("second")
    first.start_and_stop("sweep_after_hand_out", "sweep", slots=4)
    others = second.do("sweep", slots=4)
    mine = first.go_on("sweep_after_hand_out")
    assert (len(mine), len(others), sorted(mine + others)) == (4, 2, [("due", room) for room in rooms])
    assert second.do("claim", rooms) == ["won" if ("due", room) in others else "waiting" for room in rooms]
    assert first.do("claim", rooms) == ["won" if ("due", room) in mine else "held" for room in rooms]


@pytest.mark.shows("F08")
def test_two_sweeps_expire_a_lease_once(stage, late):
    first, second = stage.session("first"), stage.session("second")
    first.start_and_stop("sweep_after_expire", "sweep", slots=0)
    assert second.do("sweep") == []
    assert first.go_on("sweep_after_expire") == [("expired", "a")]
    assert stage.outcomes("a") == ["lost"]
    assert stage.state("a") == ("waiting", 1, "initiated")


# ---- the application never waits for long, and nobody waits for it ----

# The room before, a verb while the application holds its row, and what it answers.
VERBS_AT_A_HELD_ROW = [
    (None, "claim", "busy"),
    ("due", "claim", "busy"),
    ("over", "claim", "held"),
    ("live", "store", "stored"),
    ("analysed", "finish", "busy"),
    ("live", "release", "released"),
    ("live", "park", "parked"),
    ("parked", "enqueue", "queued"),
    ("over", "sweep", [("expired", "a"), ("due", "a")]),
    ("analysed", "sweep", []),
    ("row pending", "sweep", [("due", "a")]),
]
WAITS_FOR_ROWS = ((r"FOR NO KEY UPDATE SKIP LOCKED\) AS locked", "FOR NO KEY UPDATE) AS locked"),)


@contextlib.contextmanager
def at_a_held_row(stage, shape, verb):
    """A worker that has just started the verb, and the application's connection that holds the row."""
    stage.claims.put_row("a", "initiated" if shape in (None, "due", "parked") else "processing")
    if shape:
        stage.claims.put_room("a", shape)
    worker = stage.session("worker")
    worker.claims.tokens = stage.claims.tokens
    with stage.claims.row_locked("a") as application:
        yield worker.start(verb, *([] if verb == "sweep" else ["a"])), application


@pytest.mark.parametrize(("shape", "verb", "expected"), VERBS_AT_A_HELD_ROW)
def test_a_row_that_the_application_holds_makes_nobody_wait(stage, shape, verb, expected):
    with at_a_held_row(stage, shape, verb) as (worker, _):
        assert worker.result(within=1) == expected


@pytest.mark.parametrize(
    ("shape", "verb"), [("due", "claim"), ("analysed", "finish"), ("live", "release"), ("over", "sweep")]
)
def test_without_skip_locked_they_would_wait(stages, shape, verb):
    stage = stages(*WAITS_FOR_ROWS)
    with at_a_held_row(stage, shape, verb) as (worker, application):
        stage.sees_waiting(worker.pid, application.info.backend_pid, worker.running)
    worker.result()


class Storm:
    """Workers and the application at the same few rooms, at random, until there were enough calls."""

    ROOMS = [f"RM_{n:02}" for n in range(48)]
    CALLS = 3000
    SECONDS = 10
    POLICY = types.MappingProxyType({"max_attempts": 10**6, "max_calls": 10**6})

    def __init__(self, url):
        self.url = url
        self.seed = random.randrange(10**9)
        self.end = time.monotonic() + self.SECONDS * PATIENCE
        self.calls = itertools.count(1)
        self.over = threading.Event()
        self.slowest = {"worker": 0.0, "application": 0.0}
        self.seen = set()

    def run(self):
        with ThreadPoolExecutor(7) as threads:
            work = [threads.submit(self.guard, self.worker, n) for n in range(3)]
            work += [threads.submit(self.guard, self.application, n) for n in range(4)]
            for each in work:
                each.result()

    def guard(self, part, n):
        try:
            part(n, random.Random(f"{self.seed} {part.__name__} {n}"))
        finally:
            self.over.set()

    def timed(self, who, do, *arguments, **settings):
        start = time.monotonic()
        answer = do(*arguments, **settings)
        self.slowest[who] = max(self.slowest[who], time.monotonic() - start)
        return answer

    def worker(self, n, chance):
        with Claims(self.url, f"worker {n}", lease_ms=40, **self.POLICY) as claims:
            while not self.over.is_set() and time.monotonic() < self.end and next(self.calls) < self.CALLS:
                verb = chance.choices(
                    ["claim", "store", "finish", "release", "park", "enqueue", "sweep"], [6, 3, 3, 2, 1, 1, 2]
                )[0]
                known = list(claims.tokens) if verb in ("store", "release", "park") else self.ROOMS
                rooms = chance.sample(known, min(len(known), chance.randint(1, 12)))
                if verb == "sweep":
                    answers = self.timed("worker", claims.sweep, everything=chance.random() < 0.3)
                    self.seen.update(f"sweep: {each.kind}" for each in answers)
                elif rooms:
                    settings = {"counted": False} if verb == "release" else {}
                    answers = self.timed("worker", getattr(claims, verb), rooms, **settings)
                    self.seen.update(f"{verb}: {each.outcome}" for each in answers)

    def application(self, n, chance):
        """Its transactions have rooms of their own, in any order, or they would deadlock each other."""
        mine = self.ROOMS[n::4]
        with psycopg.connect(self.url, application_name="application") as connection:
            while not self.over.is_set():
                for room in chance.sample(mine, chance.randint(1, 8)):
                    reopens = chance.random() < 0.1
                    words = """UPDATE "UserFeedback" SET transcript = %s, status = CASE WHEN status = 'completed' AND %s
                        THEN 'initiated' ELSE status END WHERE "roomSid" = %s"""
                    self.timed("application", connection.execute, words, [str(chance.random()), reopens, room])
                connection.commit() if chance.random() < 0.8 else connection.rollback()

    def drain(self, claims):
        def quiet():
            claims.enqueue(self.ROOMS)
            claims.sql("UPDATE roomclaim.room SET due_at = now() WHERE due_at IS NOT NULL")
            claims.sweep(slots=len(self.ROOMS))
            won = [room for room, it in zip(self.ROOMS, claims.claim(self.ROOMS), strict=True) if it.outcome == "won"]
            if won:
                claims.store(won)
            claims.finish(self.ROOMS)
            return not claims.sql("SELECT 1 FROM roomclaim.room WHERE due_at IS NOT NULL")

        until(quiet, 10, "all rooms are at their end")


def test_a_storm(claims, functions):
    claims.sql("".join(f"{text};" for text in functions))  # without waits
    with claims.session("drainer", **Storm.POLICY) as claims:
        claims.sql(f"ALTER DATABASE {claims.connection.info.dbname} SET deadlock_timeout = '10ms'")
        for room in Storm.ROOMS:
            claims.put_row(room)
        storm = Storm(claims.url)
        storm.run()
        print(storm.seed, next(storm.calls), storm.slowest, sorted(storm.seen))
        assert max(storm.slowest.values()) < 1 * PATIENCE, storm.slowest
        storm.drain(claims)
        assert claims.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [(0,)]
        assert {claims.status(room) for room in storm.ROOMS} == {"completed"}
        assert claims.sql("SELECT DISTINCT state, due_at, row_pending FROM roomclaim.room") == [("done", None, None)]
        current = claims.sql("SELECT room_sid FROM roomclaim.analysis WHERE current ORDER BY room_sid")
        assert [each.room_sid for each in current] == storm.ROOMS
        assert claims.sql("SELECT 1 FROM roomclaim.call WHERE ended_at IS NULL") == []
