"""A spool that was filled under load empties under the same load."""

import time

from . import ground as on
from .histories import Kept, between, percentile, slowest, tries_of

RATE = 640
BEFORE_S, AFTER_S = 10, 10
EMPTY_WITHIN_S = 120
ANSWER_S = 5.0
EXPECT = {
    "lease_s": 6, "without_consumers": True, "unmatched_is_forgotten": True, "may_be_empty": ["model", "audit", "offsets"],
    "sometimes": ["spooled", "fault:stop"], "fds_growth": 2000,
}  # fmt: skip


def spool_empties(ground):
    world = ground.world("filled")
    with on.LongRecording(world, **EXPECT) as run:
        shim = world.start_shim()
        figures = on.Figures(shim)
        sender = on.Sender(
            world.folder, world.shim_url, world.prefix, rate=RATE, events=4, gap_s=0.25, uses=50,
            history=run.folder / "load.jsonl",
        )  # fmt: skip
        ground.tell = lambda: f"{sender.told()}, in the spool {on.sum_of([figures], 'roomclaim_spool_records'):g}"
        times = _fill_and_empty(ground, run, figures)
        last = sender.stop(ground)
        run.healed()
        shim.stop()  # it alone may look into its spool while it runs
        run.finish()
    tries = tries_of(run.folder)
    kept = Kept(run.folder, world.topic, tries)
    said = _words(times, tries, kept, last)
    assert last["lost"] == 0 and all(t["op"] == "ok" for t in tries) and slowest(tries) <= ANSWER_S, said
    assert not kept.missing and not kept.unknown, said
    assert _rate(tries, times["hung"], times["ended"]) > 0.9 * RATE, f"the load was too low: {said}"
    on.say(ground.name, run.check().strip())
    return said


def _fill_and_empty(ground, run, figures):
    """When what happened, and how full it was."""

    def spooled():
        return on.sum_of([figures], "roomclaim_spool_records")

    ground.let_pass(BEFORE_S)
    run.kafka_goes()
    times = {"hung": time.time()}
    ground.kafka.hang()
    ground.let_pass(ground.minutes * 60)
    times |= {
        "healed": time.time(),
        "filled": spooled(),
        "drained": -on.sum_of([figures], "roomclaim_spool_drained_total"),
    }
    ground.kafka.go_on()
    run.fault("stop", "kafka", t=times["hung"], until=times["healed"])
    run.kafka_comes()
    ground.wait(lambda: spooled() == 0, EMPTY_WITHIN_S, "the spool is empty, under load")
    times |= {"empty": time.time()}
    times["drained"] += on.sum_of([figures], "roomclaim_spool_drained_total")
    ground.let_pass(AFTER_S)
    return times | {"ended": time.time()}


def _rate(tries, start, end):
    return len(between(tries, start, end)) / (end - start)


def _words(times, tries, kept, last):
    phases = {"before": (0, times["hung"]), "hung": (times["hung"], times["healed"]),
              "emptying": (times["healed"], times["empty"]), "after": (times["empty"], times["ended"])}  # fmt: skip
    told = ", ".join(
        f"{name} {percentile(between(tries, *phase), 50) * 1000:.0f}/{percentile(between(tries, *phase), 99) * 1000:.0f}"
        for name, phase in phases.items()
    )
    seconds = times["empty"] - times["healed"]
    return (
        f"{kept.words()}; {_rate(tries, times['hung'], times['ended']):.0f} webhooks/s; filled with {times['filled']:g}, empty "
        f"after {seconds:.1f} s ({times['drained'] / seconds:.0f} records/s); p50/p99 ms: {told}; slowest {last['worst_ms']} ms"
    )
