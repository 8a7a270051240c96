"""What is done to whom, and when: a plan that follows from its seed alone.

A kind is one thing that can be done to one sort of party. The kinds are dealt like cards: each once, in random order, then
a deck in which a kind is as often as its weight says, again and again. So every kind is in a plan that is long enough.
What an operation needs (its locks) is its own until it is over and has rested; few are under way at once.
"""

import dataclasses
import random

SHIMS, CONSUMERS, BROKERS = 2, 3, 3
LEASE_S = 12.0
AT_ONCE = 3
FIRST_AT, CALM_S = 5.0, 6.0  # before the first and after the last operation
GAP_S = (1.5, 4.5)


@dataclasses.dataclass(frozen=True)
class Kind:
    what: str
    party: str
    seconds: tuple[float, float]  # how long it lasts
    weight: int = 1
    rest: float = 1.0  # s, before the same party has something else
    how: tuple = (None,)  # one of them
    needs: tuple[str, ...] = ()  # locks beside its party's: who must be well, so that it can be done

    @property
    def name(self) -> str:
        return f"{self.what}:{self.party}"


@dataclasses.dataclass(frozen=True)
class Operation:
    at: float  # s since the beginning
    until: float
    kind: Kind
    target: int  # which of its sort, from 0
    how: object

    def __str__(self) -> str:
        how = "" if self.how is None else f" {self.how}"
        return f"{self.at:6.1f} - {self.until:6.1f}  {self.kind.name}-{self.target}{how}"


# The links between parties: kafka is the way of shims and consumers to one broker, livekit that of webhooks to one shim.
COUNT = {
    "shim": SHIMS, "consumer": CONSUMERS, "broker": BROKERS, "postgres": 1, "model": 1, "brokers": 1,
    "kafka-link": BROKERS, "replication-link": BROKERS, "postgres-link": CONSUMERS, "model-link": CONSUMERS,
    "livekit-link": SHIMS,
}  # fmt: skip
LOCK = {
    "shim": "shim-{}", "livekit-link": "shim-{}",
    "consumer": "consumer-{}", "postgres-link": "consumer-{}", "model-link": "consumer-{}",
    "broker": "kafka", "brokers": "kafka", "kafka-link": "kafka", "replication-link": "kafka",
    "postgres": "postgres", "model": "model",
}  # fmt: skip
CUTS = ("refuse", "reset", "hang", "delay", "trickle")
DIRECTIONS = ("up", "down", "both")
SECONDS = {"refuse": (2, 5), "reset": (0, 0), "hang": (3, 7), "delay": (4, 8), "trickle": (4, 8)}
HOW = {"hang": DIRECTIONS, "delay": (0.05, 0.2, 0.5), "trickle": (2000, 8000, 30000)}
# Without these there may be no connection that could be reset.
NEEDS = {("reset", "postgres-link"): ("postgres",), ("reset", "model-link"): ("postgres", "model")}

# shows F04, F41, F42, F46, F60, F74, F75
KINDS = (
    Kind("kill", "shim", (0.5, 4), 3),
    # What it has in hand is neither acknowledged by Kafka nor in the spool yet.
    Kind("kill-unacknowledged", "shim", (0.5, 4), needs=("kafka",)),
    Kind("kill", "consumer", (0.5, 5), 4),
    Kind("kill", "broker", (2, 6), 2, rest=6),
    Kind("kill", "postgres", (0.5, 3), 2, rest=3),
    Kind("pause", "shim", (1, 6), 2),
    Kind("pause", "consumer", (1, 5), 2),
    Kind("pause-past-lease", "consumer", (LEASE_S + 3, LEASE_S + 5), 2),
    Kind("pause", "broker", (3, 8), 2, rest=3),
    Kind("clock", "consumer", (0.5, 2), how=(-3600, 3600)),  # killed, and started with a clock that is so many s off
    Kind("clock", "shim", (0.5, 2), how=(-50, 50)),
    Kind("read-only", "postgres", (2, 6), rest=3),
    Kind("terminate", "postgres", (0, 0), 2, rest=3),
    Kind("away", "brokers", (6, 9), 2, rest=3, how=("hang", "refuse")),
    # Two of three stand still: no write finds the replicas that it needs, and the quorum is gone.
    Kind("two-down", "brokers", (4, 7), rest=6, how=tuple(f"but kafka-{n + 1}" for n in range(BROKERS))),
    # The model is slow, and its answers can't be stored until the room is another's, whose call is under way.
    Kind("late", "postgres-link", (LEASE_S + 0.8, LEASE_S + 1.4), 2, needs=("postgres", "model")),
    *(
        Kind(cut, link, SECONDS[cut], how=HOW.get(cut, (None,)), needs=NEEDS.get((cut, link), ()))
        for link in COUNT
        if link.endswith("-link")
        for cut in CUTS
    ),
    Kind("unavailable", "model", (3, 6), 2, rest=2),
    Kind("throttled", "model", (2, 4)),
    Kind("failing", "model", (2, 4)),
    Kind("hanging", "model", (2, 4)),
    Kind("cutting", "model", (2, 4)),
    Kind("slow", "model", (4, 8)),
    Kind("misfit", "model", (1, 2)),
)


def plan(seed: int, minutes: float) -> list[Operation]:
    """The operations of a run, in the order of their beginning."""
    end, dealt = 60 * minutes - CALM_S, _Deck(random.Random(f"nemesis {seed}"))
    busy: list[tuple[float, float, set[str]]] = []  # (over at, free at, locks)
    found, now = [], FIRST_AT
    while now < end:
        locks = set().union(*(held for _, free, held in busy if free > now))
        under_way = [over for over, _, _ in busy if over > now]
        drawn = dealt.draw(locks) if len(under_way) < AT_ONCE else None
        if drawn is None:
            now = min(t for over, free, _ in busy for t in (over, free) if t > now)
            continue
        kind, target = drawn
        operation = dealt.operation(kind, target, now)
        if operation.until <= end:
            found.append(operation)
            busy.append((operation.until, operation.until + kind.rest, locks_of(kind, target)))
        now += dealt.random.uniform(*GAP_S)
    return found


class _Deck:
    def __init__(self, seeded: random.Random):
        self.random = seeded
        self._cards = self._shuffled(KINDS)

    def draw(self, locks: set[str]) -> tuple[Kind, int] | None:
        """The first card for which somebody is free: the kind, and who."""
        for place, kind in enumerate(self._cards):
            free = [n for n in range(COUNT[kind.party]) if not locks_of(kind, n) & locks]
            if free:
                del self._cards[place]
                if len(self._cards) < len(KINDS) // 2:
                    self._cards += self._shuffled([kind for kind in KINDS for _ in range(kind.weight)])
                return kind, self.random.choice(free)
        return None

    def operation(self, kind: Kind, target: int, at: float) -> Operation:
        at = round(at, 2)
        seconds = self.random.uniform(*kind.seconds)
        return Operation(at, round(at + seconds, 2), kind, target, self.random.choice(kind.how))

    def _shuffled(self, cards) -> list[Kind]:
        cards = list(cards)
        self.random.shuffle(cards)
        return cards


def locks_of(kind: Kind, target: int) -> set[str]:
    return {LOCK[kind.party].format(target), *kind.needs}
