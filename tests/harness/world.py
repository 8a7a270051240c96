"""The words that scenarios are written in: given ..., what happens, expect ...

A World is one test's own: a database, a topic with its dead letters, a consumer group, a scripted model, and the
programs that the test starts. Everything that is expected has a deadline; nothing waits for time to pass.
"""

import uuid

import psycopg

from . import livekit
from .broker import Topics
from .model import Model
from .postgres import create_database, drop_database, with_database
from .processes import until
from .programs import API_KEY, API_SECRET, PG_PASSWORD, Consumer, Shim
from .proxy import Proxy

HISTORY = """
CREATE TABLE history (n bigserial, room text, status text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO public.history (room, status) VALUES (NEW."roomSid", NEW.status::text); RETURN NEW; END';
CREATE TRIGGER note AFTER UPDATE OF status ON "UserFeedback" FOR EACH ROW EXECUTE FUNCTION note();
"""
TRANSCRIPT = "canary-transcript: the sound was clear, but the picture froze twice"


class World:
    def __init__(self, folder, name, bootstrap, server, template, replicas=1):
        self.folder = folder
        self.name = name
        self.kafka = Topics(bootstrap, replicas)
        self.server = server
        self.topic = name
        self.dead_topic = name + ".dlq"
        self.group = name
        self.partitions = 3
        self.consumers, self.shims = [], []
        self._model = self._shim = self._proxy = None
        self._started = 0
        self.names_consumers = False  # True: each consumer says its own name to Postgres
        create_database(server, name, template)
        self.reconnect()
        self.kafka.create(self.topic, self.dead_topic, partitions=self.partitions)

    # --- given

    @property
    def model(self):
        if not self._model:
            self._model = Model(self.folder / "model").start()
        return self._model

    @property
    def database_url(self):
        """As the consumer sees it: a role with the rights of roomclaim_consumer and no others."""
        url = with_database(self.server, self.name, "test_consumer", PG_PASSWORD)
        return self._proxy.url(url) if self._proxy else url

    def given_proxy(self):
        """Consumers that start from now on reach Postgres through it."""
        self._proxy = Proxy(self.server).start()
        return self._proxy

    def new_sid(self):
        return livekit.new_id("RM_")

    def given_room(self, sid=None, *, status="initiated", transcript=TRANSCRIPT):
        """A row of the application's table; returns the room's sid."""
        sid = sid or self.new_sid()
        self.sql(
            'INSERT INTO "UserFeedback" (id, "roomSid", status, transcript) VALUES (%s, %s, %s, %s)',
            uuid.uuid4(), sid, status, transcript,
        )  # fmt: skip
        return sid

    def given_rooms(self, count):
        return [self.given_room() for _ in range(count)]

    def given_status_history(self):
        """Records every change of a status from now on; returns the function that tells a room's."""
        self.sql(HISTORY)
        return lambda room: [r[0] for r in self.sql("SELECT status FROM history WHERE room = %s ORDER BY n", room)]

    def another_connection(self):
        """The application's own, not in autocommit."""
        return psycopg.connect(with_database(self.server, self.name))

    def reconnect(self):
        self.db = psycopg.connect(with_database(self.server, self.name), autocommit=True)

    def start_consumer(self, *, wait=True, binaries=None, **settings):
        """settings: claim__lease="3s" is claim.lease."""
        known = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "kafka.topic": self.topic,
            "kafka.group": self.group,
            "DATABASE_URL": self.database_url,
            "llm.base_url": self.model.url,
        }
        folder = self._folder("consumer")
        if self.names_consumers:
            known["PGAPPNAME"] = f"roomclaim-consumer {folder.name}"
        consumer = Consumer(folder, known | _keys(settings), binaries)
        self.consumers.append(consumer)
        return consumer.wait_ready() if wait else consumer

    def start_shim(self, *, binaries=None, **settings):
        known = {"KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap, "kafka.topic": self.topic}
        shim = Shim(self._folder("shim"), known | _keys(settings), binaries)
        self.shims.append(shim)
        self._shim = shim.wait_ready()
        return shim

    def _folder(self, kind):
        self._started += 1
        return self.folder / f"{self._started}-{kind}"

    # --- what happens

    def publish(self, room, *, copies=1, partition=None, body=None, key=None, headers=None):
        """room_finished straight into the topic; partition "all": copies in each partition."""
        body = livekit.room_finished(room) if body is None else body
        places = range(self.partitions) if partition == "all" else [partition]
        key = room.encode() if key is None else key
        self.kafka.produce(self.topic, [(key, body, headers, p) for p in places for _ in range(copies)])

    def tombstone(self, room, *, partition=None):
        self.kafka.produce(self.topic, [(room.encode(), None, None, partition)])

    def webhook(self, room, *, copies=1, body=None, path="/webhook"):
        """The same signed room_finished, all copies at the same moment, to the shim; returns the statuses."""
        body = livekit.room_finished(room) if body is None else body
        signed = (body, livekit.token(body, API_KEY, API_SECRET))
        url = f"http://127.0.0.1:{self._shim.port}{path}"
        return [answer.status for answer in livekit.post_at_once(url, [signed] * copies)]

    def make_due(self, room):
        """As if the time that this room waits for had passed."""
        self.sql(
            "UPDATE roomclaim.room SET due_at = clock_timestamp() WHERE room_sid = %s AND due_at IS NOT NULL", room
        )

    def sql(self, query, *values):
        cursor = self.db.execute(query, values)
        return cursor.fetchall() if cursor.description else cursor.rowcount

    def value(self, query, *values):
        rows = self.sql(query, *values)
        return rows[0][0] if rows else None

    # --- what is so now

    def status(self, room):
        return self.value('SELECT status::text FROM "UserFeedback" WHERE "roomSid" = %s', room)

    def state(self, room):
        """(state, reason, attempt, calls) of our own row, or None."""
        rows = self.sql("SELECT state::text, reason, attempt, calls FROM roomclaim.room WHERE room_sid = %s", room)
        return rows[0] if rows else None

    def metric(self, name, label=""):
        """The sum over the consumers that run."""
        return sum(c.metrics().get((name, label), 0) for c in self.consumers if c.child.running())

    def suppressed(self):
        """Duplicates, by all guards."""
        return sum(self.metric("roomclaim_duplicates_suppressed_total", g) for g in ("partition", "recent", "claim"))

    def dead_letters(self):
        return self.kafka.records(self.dead_topic)

    # --- expect

    def expect_completed(self, *rooms, within=20):
        def done():
            return all(self.status(room) == "completed" for room in rooms)

        until(
            done,
            within,
            lambda: f"completed; now {[(r, self.status(r), self.state(r)) for r in rooms][:5]}{self._tails()}",
        )
        for room in rooms:
            self.expect_one_analysis(room)

    def expect_completed_at_least(self, count, within=20):
        query = 'SELECT count(*) FROM "UserFeedback" WHERE status::text = %s'
        until(
            lambda: self.value(query, "completed") >= count, within, lambda: f"{count} rooms completed{self._tails()}"
        )

    def expect_one_analysis(self, room):
        found = self.value("SELECT count(*) FROM roomclaim.analysis WHERE room_sid = %s AND current", room)
        assert found == 1, f"{room} has {found} current analyses"

    def expect_status(self, room, status, within=15):
        until(
            lambda: self.status(room) == status,
            within,
            lambda: f"{room} is {status}, now {self.status(room)}{self._tails()}",
        )

    def expect_state(self, room, state, reason=None, within=15):
        def is_so():
            now = self.state(room)
            return now and now[0] == state and reason in (None, now[1])

        until(is_so, within, lambda: f"{room} is {state} {reason or ''}, now {self.state(room)}{self._tails()}")

    def expect_parked(self, room, reason, within=20):
        self.expect_state(room, "parked", reason, within)

    def expect_settled(self, within=20):
        """Every record of the topic is committed by the group."""
        until(
            lambda: self.kafka.lag(self.group, self.topic) == 0, within,
            lambda: f"all is committed, {self.kafka.lag(self.group, self.topic)} records are not{self._tails()}",
        )  # fmt: skip

    def expect_model_calls(self, room, count):
        """In the model's own ledger, now: first expect whatever shows that no more can come."""
        found = self.model.calls(room)
        assert len(found) == count, f"{room}: {len(found)} model calls, not {count}: {found}"

    def expect_call_begun(self, room, count=1, within=15):
        until(
            lambda: len(self.model.calls(room)) >= count,
            within,
            lambda: f"call {count} for {room} has begun{self._tails()}",
        )

    def expect_calls_on_record(self, room, *outcomes):
        found = [r[0] for r in self.sql("SELECT outcome FROM roomclaim.call WHERE room_sid = %s ORDER BY id", room)]
        assert found == list(outcomes), f"{room}: calls on record {found}, not {outcomes}"

    def expect_metric(self, name, label="", at_least=1, within=10):
        until(
            lambda: self.metric(name, label) >= at_least, within,
            lambda: f"{name} {label} at {at_least}, now {self.metric(name, label)}{self._tails()}",
        )  # fmt: skip

    def expect_dead_letters(self, count, within=15):
        until(
            lambda: len(self.dead_letters()) >= count,
            within,
            lambda: f"{count} dead letters, now {len(self.dead_letters())}{self._tails()}",
        )
        found = self.dead_letters()
        assert len(found) == count, f"{len(found)} dead letters, not {count}"
        return found

    def expect_members(self, count, within=20):
        """The group has so many consumers, and each has partitions."""

        def settled():
            members = self.kafka.members(self.group)
            return len(members) == count and all(members)

        until(settled, within, lambda: f"{count} members, now {self.kafka.members(self.group)}{self._tails()}")

    def expect_end(self, daemon, within=20):
        """It ends by itself; the test looks at how."""
        until(lambda: not daemon.child.running(), within, lambda: f"{daemon.program} ends{self._tails()}")
        daemon.ended = daemon.child.wait(1)

    def expect_stopped(self, daemon, within=20):
        """SIGSTOP has reached it."""
        until(daemon.child.is_stopped, within, lambda: f"{daemon.program} is stopped{self._tails()}")

    def expect_ready(self, daemon, within=20):
        until(daemon.ready, within, lambda: f"{daemon.program} is ready{self._tails()}")

    def expect_not_ready(self, daemon, within=20):
        until(lambda: not daemon.ready(), within, lambda: f"{daemon.program} says that it is not ready{self._tails()}")

    def expect_nothing_processing(self):
        left = self.sql('SELECT "roomSid" FROM "UserFeedback" WHERE status::text = %s', "processing")
        assert not left, f"still processing: {left}"

    def _tails(self):
        return "".join(f"\n--- {d.folder.name}\n{d.tail(12)}" for d in (*self.shims, *self.consumers))

    # --- the end

    def close(self):
        """Stops what runs; whatever a program did wrong on the way is raised here."""
        faults = []
        for daemon in (*self.shims, *self.consumers):
            try:
                daemon.finish()
            except AssertionError as fault:
                faults.append(str(fault))
                daemon.kill()
        if self._model:
            self._model.stop()
        if self._proxy:
            self._proxy.stop()
        self.db.close()
        self.kafka.close()
        drop_database(self.server, self.name)
        assert not faults, "\n".join(faults)


def _keys(settings):
    """claim__lease -> claim.lease; DATABASE_URL stays."""
    return {name if name.isupper() else name.replace("__", "."): value for name, value in settings.items()}
