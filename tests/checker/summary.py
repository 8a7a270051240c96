"""A run in figures."""

from .claims import has_causes, stored_again
from .rooms import fate_of, finished_rooms, rooms_of
from .webhooks import missing


def figures(run):
    """{what: number}, in the order in which they are told."""
    rooms = rooms_of(run)
    finished = finished_rooms(run)
    fates = [fate_of(run, rooms[sid]) for sid in finished]
    lost = {sid for sid in finished if fate_of(run, rooms[sid]) == "lost"}
    calm = [len(room.calls) for room in rooms.values() if room.calls and not has_causes(run, room)]
    return {
        "webhooks acknowledged": len({t["event_id"] for t in run.acknowledged}),
        "requests": len(run.tries),
        "rooms": len(finished),
        "completed": fates.count("completed"),
        "parked": fates.count("parked"),
        "faults": len(run.hits),
        "lost": len(lost) + len({r["event_id"] for r in missing(run) if r["room"] not in lost}),
        "stuck": fates.count("stuck"),
        "results stored twice": sum(stored_again(v) for room in rooms.values() for v in room.analyses),
        "model calls": len(run.calls),
        "model calls per room without a fault on it": max(calm, default=0),
        "such rooms": len(calm),
    }
