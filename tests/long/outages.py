"""Kafka is away, hung or killed, under a steady load: with the spool every webhook is answered 200, without it 503."""

import time

from . import ground as on
from .histories import Kept, between, slowest, tries_of

RATE = 50  # webhooks a second
BEFORE_S, AFTER_S = 20, 20
ANSWER_S = 5.0
EMPTY_WITHIN_S = 180
GROWTH_MIB = 64
REACTION_S = 1.0
EXPECT = {"lease_s": 6, "fds_growth": 400}


class Outage:
    def __init__(self, ground, *, spool):
        self.ground, self.world, self._spool = ground, ground.world("outage"), spool
        ground.tell = self.told

    def begin(self, run):
        world = self.world
        self.run = run
        seconds = self.ground.minutes * 60 + BEFORE_S + AFTER_S + EMPTY_WITHIN_S
        world.given_numbered_rooms(1, int(seconds * RATE / 4))
        self.consumer = world.start_consumer()
        self.start_shim()
        self.sender = on.Sender(
            world.folder,
            world.shim_url,
            world.prefix,
            rate=RATE,
            events=4,
            gap_s=1.0,
            history=run.folder / "load.jsonl",
        )
        self.ground.let_pass(BEFORE_S)
        self.rss = [self.figures.rss_mib()]

    def start_shim(self):
        self.shim = self.world.start_shim(spool=self._spool)
        self.figures = on.Figures(self.shim)

    def spooled(self):
        return on.sum_of([self.figures], "roomclaim_spool_records")

    def told(self):
        sent = self.sender.told()
        return (
            f"acknowledged {sent.get('acknowledged')}, refused {sent.get('refused')}, cut {sent.get('cut')}, lost "
            f"{sent.get('lost')}, worst {sent.get('worst_ms')} ms, in the spool {self.spooled():g}, shim "
            f"{self.figures.rss_mib():.1f} MiB, rooms done {self.world.count(on.DONE)}"
        )

    def away(self, seconds, meanwhile=lambda: None):
        """meanwhile() comes at half of the time."""
        self.ground.let_pass(seconds / 2)
        meanwhile()
        self.ground.let_pass(seconds / 2)

    def kill_the_shim(self):
        begun = time.time()
        self.run.kill(self.shim)
        self.start_shim()
        self.cut = (begun, time.time() + REACTION_S)

    def at_the_end_of_the_outage(self):
        self.rss.append(self.figures.rss_mib())
        files = self.world.folder.glob("spool.db*")
        self.spool_words = f"{self.spooled():g} records, {sum(f.stat().st_size for f in files) / 2**20:.0f} MiB on disk"

    def empty(self):
        """Seconds until it was."""
        begun = time.monotonic()
        self.ground.wait(lambda: self.spooled() == 0, EMPTY_WITHIN_S, "the spool is empty")
        return time.monotonic() - begun

    def end(self):
        """All tries, and what is kept."""
        self.ground.let_pass(AFTER_S)
        self.last = self.sender.stop(self.ground, within=400)
        self.run.healed()  # the load itself is over, too
        self.rss.append(self.figures.rss_mib())
        self.shim.stop()  # it alone may look into its spool while it runs
        self.run.finish(within=120)
        tries = tries_of(self.run.folder)
        return tries, Kept(self.run.folder, self.world.topic, tries)

    def check(self, kept, said):
        on.say(self.ground.name, said)
        assert not kept.missing and not kept.unknown, said
        assert max(self.rss) < self.rss[0] + GROWTH_MIB, said
        on.say(self.ground.name, self.run.check().strip())
        return said

    def rss_words(self):
        return "-".join(f"{mib:.1f}" for mib in self.rss)


def _spooled(ground, kind, break_it, mend_it):
    outage = Outage(ground, spool=True)
    with on.LongRecording(outage.world, sometimes=["spooled", "acknowledged", f"fault:{kind}"], **EXPECT) as run:
        outage.begin(run)
        run.kafka_goes()
        begun = time.time()
        break_it()
        outage.away(ground.minutes * 60, outage.kill_the_shim)
        outage.at_the_end_of_the_outage()
        run.fault(kind, "kafka", t=begun, until=time.time())
        mend_it()
        run.kafka_comes()
        seconds = outage.empty()
        tries, kept = outage.end()
    failed = [t for t in tries if t["op"] != "ok"]
    cut = between(failed, *outage.cut)
    said = (
        f"Kafka {kind} for {ground.minutes:g} minutes, {RATE} webhooks/s: {kept.words()}; slowest answer "
        f"{slowest(t for t in tries if t['op'] == 'ok'):.2f} s, cut or refused by the shim's kill {len(cut)}, other failures "
        f"{len(failed) - len(cut)}; spool {outage.spool_words}, empty {seconds:.1f} s after; shim's RSS {outage.rss_words()} MiB"
    )
    assert len(cut) == len(failed) and outage.last["lost"] == 0 and kept.webhooks == kept.acknowledged, said
    assert slowest(t for t in tries if t["op"] == "ok") <= ANSWER_S, said
    return outage.check(kept, said)


# shows F46
def kafka_hung(ground):
    return _spooled(ground, "stop", ground.kafka.hang, ground.kafka.go_on)


# shows F46
def kafka_killed(ground):
    return _spooled(ground, "kill", ground.kafka.child.kill, ground.kafka.again)


# shows F43
def kafka_away_unspooled(ground):
    outage = Outage(ground, spool=False)
    with on.LongRecording(outage.world, sometimes=["acknowledged", "refused"], **EXPECT) as run:
        outage.begin(run)
        run.kafka_goes()
        begun = time.time()
        ground.kafka.hang()
        outage.away(ground.minutes * 60)
        outage.at_the_end_of_the_outage()
        run.fault("stop", "kafka", t=begun, until=time.time())
        ended = time.time()
        ground.kafka.go_on()
        run.kafka_comes()
        tries, kept = outage.end()
    refused = [t for t in tries if t["op"] != "ok"]
    said = (
        f"Kafka stop for {ground.minutes:g} minutes without spool, {RATE} webhooks/s: {kept.words()}; answered 503 "
        f"{len(refused)}, of them without Retry-After {outage.last['without_retry_after']}; slowest answer "
        f"{slowest(tries):.2f} s; answered 200 after the heal {len(between(tries, ended, time.time()))}; shim's RSS "
        f"{outage.rss_words()} MiB"
    )
    assert refused and {t["status"] for t in refused} == {503} and not outage.last["without_retry_after"], said
    assert slowest(tries) <= ANSWER_S + 0.5, said
    return outage.check(kept, said)
