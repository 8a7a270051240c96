"""The table of what must be true of every run."""

import dataclasses
import typing

from . import claims, events, offsets, programs, results, webhooks


@dataclasses.dataclass(frozen=True)
class Invariant:
    id: str
    words: str
    violations: typing.Callable  # of a run: yields a sentence with the evidence for each


INVARIANTS = [
    Invariant(*row)
    for row in (
        ("I1", "what was answered 200 is genuine, and is in Kafka, in the spool, or of an ignored kind",
         webhooks.acknowledged_are_kept),
        ("I2", "every finished room ends completed or parked; one without a row is on record", claims.every_room_ends),
        ("I3", "an end is an end", claims.ends_are_final),
        ("I4", "every call is claimed and counted first, and none is made again without a cause",
         claims.calls_are_counted),
        ("I5", "who claimed last ends the claim, and a result is stored once", claims.one_result_by_the_holder),
        ("I6", "no lease is over and forgotten", claims.nothing_hangs),
        ("I7", "only settled records are committed", offsets.only_settled_are_committed),
        ("I8", "committed offsets never go back", offsets.offsets_never_go_back),
        ("I9", "a room's webhooks stand in Kafka in the order of their answers", webhooks.order_is_kept),
        ("I10", "copies are equal; what can't be done has a dead letter", webhooks.copies_and_letters),
        ("I11", "a result is what the model sent for that room, and fits the schema", results.results_are_the_models),
        ("I12", "no log, no metric, no header, no command line holds a secret", programs.nothing_secret_is_told),
        ("I13", "nothing leaks", programs.nothing_leaks),
        ("I14", "rest comes in time, and nothing is left in the topic", offsets.quiet_in_time),
        ("I15", "what the run was made for did happen", events.what_was_meant_happened),
    )
]  # fmt: skip


def check(run):
    """[(id, sentence)] of everything that is not so."""
    return [(i.id, sentence) for i in INVARIANTS for sentence in i.violations(run)]
