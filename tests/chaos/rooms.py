"""What the rooms of a run are like: which webhooks LiveKit sends of them, how often, and what becomes of their rows."""

import dataclasses
import random

# shape: weight
SHAPES = {
    "plain": 50,
    "copies": 16,  # to several URLs of one shim
    "both-shims": 8,  # one event only: two shims keep no order
    "late-row": 10,  # committed after the webhook
    "slow-row": 4,  # inserted before, committed after it
    "rolled-back": 2,
    "no-row": 6,
    "late-input": 3,
    "no-input": 1,
}
PARTICIPANT = ("participant_joined", "track_published", "track_unpublished", "participant_left")


@dataclasses.dataclass(frozen=True)
class RoomPlan:
    shape: str
    shim: int
    webhooks: tuple[tuple[float, str], ...]  # (s after its beginning, event), in order; the last is room_finished
    copies: int
    row_at: float | None  # s after its beginning; None: there is none
    row_takes: float = 0  # s from its insertion to the end of the transaction
    row_is_kept: bool = True
    input_at: float | None = 0  # s after the row; None: never

    @property
    def to_both(self) -> bool:
        return self.shape == "both-shims"


def room_plan(seeded: random.Random, shims: int) -> RoomPlan:
    shape = seeded.choices(list(SHAPES), list(SHAPES.values()))[0]
    webhooks = _webhooks(seeded, alone=shape == "both-shims")
    finished_at = webhooks[-1][0]
    row_at, takes = finished_at * seeded.random() * 0.8, 0.0
    if shape == "late-row":
        row_at = finished_at + seeded.uniform(0, 6)
    elif shape in ("slow-row", "rolled-back"):
        takes = finished_at - row_at + seeded.uniform(0.1, 3)
    input_at = {"late-input": finished_at + seeded.uniform(0.5, 4), "no-input": None}.get(shape, 0)
    return RoomPlan(
        shape, seeded.randrange(shims), webhooks,
        copies=seeded.choice((2, 2, 3)) if shape == "copies" else 1,
        row_at=None if shape == "no-row" else row_at,
        row_takes=takes, row_is_kept=shape != "rolled-back", input_at=input_at,
    )  # fmt: skip


def _webhooks(seeded: random.Random, alone: bool) -> tuple[tuple[float, str], ...]:
    if alone:
        return ((seeded.uniform(0.2, 2), "room_finished"),)
    events = [
        "room_started",
        *(e for _ in range(seeded.choice((0, 1, 1, 2))) for e in PARTICIPANT[:: seeded.choice((1, 3))]),
    ]
    events.append("room_finished")
    if seeded.random() < 0.1:
        events.append("track_unpublished")  # LiveKit's order is not perfect
    times = sorted(seeded.uniform(0, 4) for _ in events)
    found = list(zip(times, events, strict=True))
    return tuple(found)
