#!/usr/bin/env python3
"""The demo: webhooks with duplicates go in, one model call and one analysis a room come out.

Both programs run as they are released, on a temporary Postgres, an embedded broker (--kafka: a real one) and a
stand-in for the model. Every figure that it prints is read from Postgres, the topic, the stand-in's own ledger or the
consumer's metrics; it fails when they do not fit together. Nothing is left running.
"""

import argparse
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import psycopg

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import livekit, programs  # noqa: E402
from harness.broker import KafkaBroker, MockBroker, Topics, jars_folder  # noqa: E402
from harness.model import Model  # noqa: E402
from harness.postgres import Postgres, with_database  # noqa: E402
from harness.processes import until  # noqa: E402

TOPIC, GROUP = "livekit-webhooks", "roomclaim"
GUARDS = {
    "partition": "another copy was already in this consumer's hands",
    "recent": "this consumer had just completed the room",
    "claim": "Postgres answered that the room is taken or done",
}
STEPS = {
    "initiated": "initiated    the application wrote its row",
    "processing": "processing   one worker claimed it: a model call begins",
    "failed": "initiated    the model failed: given back, to be tried again",
    "completed": "completed    the analysis is stored",
}
HISTORY = """
CREATE TABLE public.demo_history (n bigserial, room text, status text, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION public.demo_note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
    'BEGIN INSERT INTO public.demo_history (room, status) VALUES (NEW."roomSid", NEW.status::text); RETURN NEW; END';
CREATE TRIGGER demo_note AFTER INSERT OR UPDATE OF status ON public."UserFeedback"
    FOR EACH ROW EXECUTE FUNCTION public.demo_note();
"""


class Screen:
    """Plain lines; on a terminal the last one may count."""

    def __init__(self):
        self._live = sys.stdout.isatty()
        self._bold = ("\033[1m", "\033[0m") if self._live and not os.environ.get("NO_COLOR") else ("", "")

    def title(self, text):
        print(f"\n{self._bold[0]}{text}{self._bold[1]}", flush=True)

    def line(self, left, right=""):
        print(f"  {left:<46} {right}".rstrip(), flush=True)

    def count(self, text):
        if self._live:
            print(f"\r  {text}", end="", flush=True)

    def counted(self, text):
        print(("\r" if self._live else "") + f"  {text}", flush=True)


class Demo:
    def __init__(self, options, folder, screen):
        self.options, self.folder, self.screen = options, folder, screen
        self.running = []
        self.guards = dict.fromkeys(GUARDS, 0)
        self.answers = []

    # --- the stage

    def start(self):
        say = self.screen.line
        self.screen.title("Starting")
        postgres = self._up(Postgres(self.folder / "postgres"))
        say("Postgres, temporary", "ok")
        if self.options.kafka:
            self.kafka = self._up(KafkaBroker(self.folder / "kafka", jars_folder()))
            Topics(self.kafka.bootstrap).create(TOPIC, TOPIC + ".dlq")
        else:
            tool = programs.BIN.parent / "tests" / "mock_broker"
            self.kafka = self._up(MockBroker(self.folder / "broker", tool, [TOPIC, TOPIC + ".dlq"]))
        self.topics = Topics(self.kafka.bootstrap)
        say("broker, Apache Kafka" if self.options.kafka else "broker, embedded", "ok")
        self.model = self._up(Model(self.folder / "model", latency_ms=self.options.latency_ms))
        say(f"model, a stand-in that takes {self.options.latency_ms / 1000:g} s a call", "ok")
        postgres.create_database("demo")
        self._migrate(with_database(postgres.url(), "demo"))
        say("roomclaim migrate --execute --bootstrap", "ok")
        self.shim = self._daemon(programs.Shim, {})
        self.consumer = self._start_consumer()
        say("roomclaim-shim and roomclaim-consumer", "ok")

    def _up(self, server):
        self.running.append(server)
        return server.start()

    def _migrate(self, url):
        done = programs.run("roomclaim", "migrate", "--execute", "--bootstrap", settings={"DATABASE_URL": url})
        if done.returncode:
            raise RuntimeError(f"roomclaim migrate failed: {done.stderr}")
        self.db = psycopg.connect(url, autocommit=True)
        self.db.execute("CREATE ROLE demo LOGIN IN ROLE roomclaim_consumer")
        self.db.execute(HISTORY)
        self.database_url = with_database(url, "demo", "demo")

    def _daemon(self, kind, settings):
        where = self.folder / f"{kind.__name__.lower()}-{len(self.running)}"
        known = {"KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap, "kafka.topic": TOPIC}
        daemon = kind(where, known | settings)
        self.running.append(daemon)
        return daemon.wait_ready(30)

    def _start_consumer(self):
        # The embedded broker makes a group wait for nearly its session timeout at each change, and takes none below 3 s.
        return self._daemon(
            programs.Consumer,
            {
                "kafka.group": GROUP,
                "kafka.properties": "session.timeout.ms=4500,heartbeat.interval.ms=500,statistics.interval.ms=200",
                "DATABASE_URL": self.database_url,
                "llm.base_url": self.model.url,
                "llm.timeout": "30s",
                "claim.lease": "60s",
                "retry.initial": "500ms",
                "retry.max": "1s",
            },
        )

    # --- the play

    def play(self):
        rooms = [livekit.new_id("RM_") for _ in range(self.options.rooms)]
        self.failing = rooms[0]
        self.model.script(self.failing, (500, {"latency_ms": self.options.latency_ms}))
        for room in rooms:
            self.db.execute(
                'INSERT INTO public."UserFeedback" (id, "roomSid", transcript) VALUES (gen_random_uuid(), %s, %s)',
                (room, "It was easy to join. The sound dropped twice, the picture was fine."),
            )
        bodies = {room: livekit.room_finished(room) for room in rooms}

        self.screen.title("The calls end: LiveKit sends room_finished")
        for room in rooms:
            self._send(f"{room}: {self.options.copies} copies at once", [bodies[room]] * self.options.copies)
        self._wait_completed(len(rooms))
        self._wait_settled()
        self._keep_figures()

        self.screen.title("The consumer is restarted, so it remembers nothing; then each webhook is retried")
        self.consumer.stop()
        self.consumer = self._start_consumer()
        for room in rooms:
            self._send(f"{room}: one late retry", [bodies[room]])
        self._wait_settled()
        self._keep_figures()
        self.consumer.stop()
        self.shim.stop()

    def _send(self, title, bodies):
        signed = [(body, livekit.token(body, programs.API_KEY, programs.API_SECRET)) for body in bodies]
        answers = [answer.status for answer in livekit.post_at_once(self.shim.url, signed)]
        self.answers += answers
        self.screen.line(title, "answered " + " ".join(map(str, answers)))

    def _completed(self):
        query = 'SELECT count(*) FROM public."UserFeedback" WHERE status::text = %s'
        return self.db.execute(query, ("completed",)).fetchone()[0]

    def _wait_completed(self, count):
        def done():
            now = self._completed()
            self.screen.count(f"{now} of {count} rooms completed")
            return now == count

        until(
            done,
            30 + count * self.options.latency_ms / 1000,
            lambda: f"{count} rooms completed, now {self._completed()}",
        )
        self.screen.counted(f"{count} of {count} rooms completed")

    def _wait_settled(self):
        until(lambda: self.topics.lag(GROUP, TOPIC) == 0, 60, "the consumer has committed every record")
        self.screen.line("every record is committed in Kafka")

    def _keep_figures(self):
        metrics = self.consumer.metrics()
        for guard in GUARDS:
            self.guards[guard] += int(metrics.get(("roomclaim_duplicates_suppressed_total", guard), 0))

    # --- the reckoning

    def report(self):
        say, options = self.screen.line, self.options
        sent = options.rooms * (options.copies + 1)
        calls = self.model.calls()
        good = sum(1 for call in calls if call["status"] == 200)
        records = len(self.topics.records(TOPIC))
        analyses = self._one("SELECT count(*) FROM roomclaim.analysis")
        on_record = self._one("SELECT count(*) FROM roomclaim.call")
        self.screen.title("What happened")
        say("webhooks received, all answered 200", f"{self.answers.count(200):5}")
        say("records in the topic", f"{records:5}")
        say(
            "model calls",
            f"{len(calls):5}   {good} answered, {len(calls) - good} failed on purpose and was tried again",
        )
        say("duplicates suppressed", f"{sum(self.guards.values()):5}")
        for guard, meaning in GUARDS.items():
            say(f"    by guard '{guard}'", f"{self.guards[guard]:5}   {meaning}")
        say("rooms completed", f"{self._completed():5}   of {options.rooms}")
        say("analyses stored", f"{analyses:5}")
        self._report_room(self.failing)
        return self._faults(
            {
                "webhooks answered 200": (self.answers.count(200), sent),
                "records in the topic": (records, sent),
                "model calls": (len(calls), options.rooms + 1),
                "model calls on record in Postgres": (on_record, options.rooms + 1),
                "duplicates suppressed": (sum(self.guards.values()), sent - options.rooms),
                "rooms completed": (self._completed(), options.rooms),
                "analyses stored": (analyses, options.rooms),
            }
        )

    def _one(self, query):
        return self.db.execute(query).fetchone()[0]

    def _report_room(self, room):
        self.screen.title(f"What {room} went through, in seconds")
        rows = self.db.execute(
            "SELECT status, extract(epoch FROM at - min(at) OVER ()) FROM public.demo_history WHERE room = %s ORDER BY n",
            (room,),
        ).fetchall()
        for n, (status, at) in enumerate(rows):
            print(f"  {at:8.3f}  {STEPS['failed' if n and status == 'initiated' else status]}")

    def _faults(self, figures):
        faults = [f"{what}: {got}, expected {want}" for what, (got, want) in figures.items() if got != want]
        if faults:
            self.screen.title("This is not right")
            for fault in faults:
                self.screen.line(fault)
        return faults

    def stop(self):
        for server in reversed(self.running):
            if isinstance(server, programs.Daemon):
                server.kill() if server.child.running() else None
            else:
                server.stop()


def number(least):
    def parse(text):
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"at least {least}")
        return value

    return parse


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(64, f"{self.prog}: {message}; --help tells more\n")


def main():
    parser = Parser(prog="./dev demo", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rooms", type=number(1), default=3, help="rooms that end (3)")
    parser.add_argument("--copies", type=number(1), default=3, help="copies of each webhook sent at once (3)")
    parser.add_argument("--latency-ms", type=number(0), default=800, help="how long the model takes (800)")
    parser.add_argument("--kafka", action="store_true", help="a real Apache Kafka, not the embedded broker")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    screen = Screen()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="roomclaim-demo-"))
    folder.chmod(0o755)  # the user postgres must reach its folder
    demo, begun, faults = Demo(options, folder, screen), time.monotonic(), ["it did not get to the end"]
    try:
        demo.start()
        demo.play()
        faults = demo.report()
    except (AssertionError, RuntimeError, OSError) as fault:
        print(f"\nThe demo failed: {fault}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nInterrupted; everything is stopped.", file=sys.stderr)
    finally:
        demo.stop()
        if faults:
            print(f"Logs are kept in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
    if not faults:
        screen.title("Each room has one analysis, and only the call that failed was made again.")
        screen.line(f"{time.monotonic() - begun:.0f} s; everything is stopped. Try: ./dev demo --rooms 7 --copies 5")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
