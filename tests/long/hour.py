"""An hour's outage burns not one attempt and dead-letters nothing: in one world the model is away, in another Postgres."""

import collections
import contextlib
import time

from harness import postgres

from . import ground as on
from .gate import Gate
from .histories import lines

BEFORE = 200  # rooms that are through before the outage
WAITING = 1000
RATE = 2  # webhooks a second from then on
# As delivered, but for two that would make a run wait long for its end, and one that lets partitions pause sooner.
CONSUMER = {
    "kafka.properties": None, "llm.timeout": None, "llm.connect_timeout": None, "claim.lease": None, "claim.margin": None,
    "sweep.interval": None, "retry.initial": None, "retry.max": "1m", "breaker.probe_initial": None,
    "breaker.probe_max": "1m", "consumer.max_waiting": WAITING, "consumer.commit_interval": None,
}  # fmt: skip
EXPECT = {"lease_s": 120, "sweep_s": 10, "model_deadline_s": 60, "fds_growth": 200}
GROWTH_MIB = 64
REACTION_S = 1.0
STATES = "SELECT count(*), max(attempt), max(calls) FROM roomclaim.room WHERE state = 'done'"


class Side:
    """One of the two worlds, with two consumers in its group."""

    def __init__(self, ground, name):
        self.name, self.ground = name, ground
        self.cut_at = []  # Unix seconds
        self.world = ground.world(name)

    def begin(self, run):
        world = self.world
        self.run = run
        world.given_numbered_rooms(1, BEFORE + 1000 + int(RATE * 60 * (self.ground.minutes + 10)))
        settings = {key.replace(".", "__"): value for key, value in CONSUMER.items()}
        self.shim = world.start_shim()
        settings |= self._address()
        consumers = [world.start_consumer(**settings) for _ in range(2)]
        world.expect_members(2, within=60)
        self.figures = [on.Figures(consumer) for consumer in consumers]
        self.sender = on.Sender(
            world.folder, world.shim_url, world.prefix, rate=100, rooms=BEFORE, history=run.folder / "load.jsonl"
        )
        self.ground.wait(lambda: self._done() >= BEFORE, 120, f"{self.name}: {BEFORE} rooms are done")
        self.ground.wait(lambda: world.kafka.lag(world.group, world.topic) == 0, 30, f"{self.name}: all is committed")
        self.rebalances = on.sum_of(self.figures, "roomclaim_rebalances_total")
        self.rss = [figures.rss_mib() for figures in self.figures]
        self.sender.order(rate=RATE, rooms=10**8)

    def _done(self):
        return self.world.count("roomclaim.room WHERE state = 'done'")

    def lag(self):
        return self.world.kafka.lag(self.world.group, self.world.topic)

    def told(self):
        told, world = self.sender.told(), self.world
        now = collections.Counter()
        for figures in self.figures:
            now.update({name: value for (name, label), value in figures.now().items() if not label})
        return (
            f"{self.name}: sent {told.get('rooms')}, done {self._done()}, lag {self.lag()}, waiting "
            f"{now['roomclaim_waiting']:g}, paused {now['roomclaim_paused']:g}, breakers {now['roomclaim_breaker_state']:g}, "
            f"database {now['roomclaim_database_up']:g}, rebalances {now['roomclaim_rebalances_total']:g}, "
            f"RSS {'+'.join(f'{f.rss_mib():.0f}' for f in self.figures)} MiB, dead {len(world.dead_letters())}"
        )

    def at_the_end_of_the_outage(self):
        """What an operator must see by then; remembered for the figures."""
        self.lag_seen = on.sum_of(self.figures, "roomclaim_lag_records")
        self.paused_seen = on.sum_of(self.figures, "roomclaim_paused")
        self.rss_seen = [figures.rss_mib() for figures in self.figures]
        assert self.lag_seen > 0, f"{self.name}: no lag is told"
        assert self.paused_seen or self.lag_seen < 4 * WAITING, f"{self.name}: no partition is paused"
        assert self.is_told(), f"{self.name}: the metrics do not tell the outage"

    def settle(self):
        self.sent = sent = self.sender.stop(self.ground)
        assert sent["lost"] == 0 and sent["acknowledged"] == sent["rooms"], sent
        self.ground.wait(lambda: self._done() == sent["rooms"], 600, f"{self.name}: {sent['rooms']} rooms are done")
        self.shim.stop()  # it alone may look into its spool while it runs

    def end(self):
        self.run.finish(within=120)
        return self._figures(self.sent)

    def _figures(self, sent):
        world = self.world
        done, attempts, calls = world.sql(STATES)[0]
        completed = world.count("\"UserFeedback\" WHERE status::text = 'completed'")
        good, others = self._called()
        letters = len(world.dead_letters())
        rebalances = on.sum_of(self.figures, "roomclaim_rebalances_total") - self.rebalances
        rss = [figures.rss_mib() for figures in self.figures]
        said = (
            f"{self.name}: rooms {done}, completed {completed}, most attempts {attempts}, most calls of a room {calls}, "
            f"answered calls per room {max(good.values())}, refused or cut calls {others}, dead letters {letters}, "
            f"rebalances {rebalances:g}, lag told {self.lag_seen:g}, consumers "
            f"that paused {self.paused_seen:g}, RSS MiB {self.rss_words(rss)}"
        )
        on.say(self.ground.name, said)
        assert done == completed == sent["rooms"], said
        assert attempts == 1 and letters == 0 and rebalances == 0, said
        assert set(good.values()) == {1} and len(good) == done, said
        assert all(a < b + GROWTH_MIB for a, b in zip(rss + self.rss_seen, self.rss * 2, strict=True)), said
        return said

    def rss_words(self, rss):
        return ", ".join(f"{a:.0f}-{b:.0f}-{c:.0f}" for a, b, c in zip(self.rss, self.rss_seen, rss, strict=True))

    def _called(self):
        """By the model's ledger: {room: answered calls}, and how many other calls. An answer that the outage cut off on
        its way is not one."""
        calls = {}
        for line in lines(self.run.folder, "model"):
            calls.setdefault(line["n"], {}).update(line)
        answered = [call for call in calls.values() if call.get("status") == 200]
        last = {call["room"]: call["n"] for call in answered}
        heard = [call["room"] for call in answered if call["n"] == last[call["room"]] or not self._was_cut(call)]
        return collections.Counter(heard), len(calls) - len(heard)

    def _was_cut(self, call):
        return any(abs(call["out"] - t) < REACTION_S for t in self.cut_at)


class ModelAway(Side):
    """A third of the time nobody listens, a third it answers 503, a third it hangs."""

    def _address(self):
        host, port = self.world.model.url.removeprefix("http://").split(":")
        self.gate = Gate(host, int(port)).start()
        self.world.gates.append(self.gate)
        return {"llm__base_url": self.gate.url(self.world.model.url)}

    def phase(self, sixth):
        if sixth in (0, 4):
            self.cut_at.append(time.time())
        if sixth == 0:
            self.gate.refuse()
        elif sixth == 2:
            self.world.model.rule(503)
            self.gate.heal()
        elif sixth == 4:
            self.gate.hang()
            self.world.model.rule("ok")

    def is_told(self):
        return on.sum_of(self.figures, "roomclaim_breaker_state") > 0

    def heal(self):
        self.gate.heal()


class PostgresAway(Side):
    """Half of the time nobody listens, half it hangs; what was said into the void arrives at the end."""

    def _address(self):
        parts = postgres.psycopg.conninfo.conninfo_to_dict(self.world.server)
        self.gate = Gate(parts["host"], int(parts["port"])).start()
        self.world.gates.append(self.gate)
        return {"DATABASE_URL": self.gate.url(self.world.database_url)}

    def phase(self, sixth):
        if sixth == 0:
            self.gate.refuse()
        elif sixth == 3:
            self.gate.hang()

    def is_told(self):
        return on.sum_of(self.figures, "roomclaim_database_up") == 0

    def heal(self):
        self.gate.heal(late=True)


# shows F81
def hour(ground):
    """Prints the figures of both worlds; raises when one is not as promised."""
    sides = [ModelAway(ground, "model-away"), PostgresAway(ground, "postgres-away")]
    with contextlib.ExitStack() as stack:
        for side in sides:
            side.begin(stack.enter_context(on.LongRecording(side.world, **EXPECT)))
        ground.tell = lambda: "\n    ".join(side.told() for side in sides)
        begun = time.time()
        for sixth in range(6):
            for side in sides:
                side.phase(sixth)
            ground.let_pass(ground.minutes * 10)
        for side in sides:
            side.at_the_end_of_the_outage()
            side.heal()
            side.run.fault("away", side.name.split("-")[0], t=begun, until=time.time())
            side.run.healed()
        for side in sides:
            side.settle()
        said = [side.end() for side in sides]
    for side in sides:
        on.say(ground.name, side.run.check().strip())
    return "; ".join(said)
