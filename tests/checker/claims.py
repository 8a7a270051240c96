"""Rooms and their claims: one call, one result, one end."""

from .excuses import answer_was_lost, call_went_wrong, fault_between, woken_before
from .rooms import (
    FINAL,
    fate_of,
    finished_rooms,
    rooms_of,
    same_worker,
    seconds,
    status_before,
    status_is_a_workers,
    worker_of,
)

BAD_FATES = {
    "lost": "was finished, and nobody is going to analyse it",
    "stuck": "has come to no end",
    "both": "is parked and completed",
}


def every_room_ends(run):
    rooms = rooms_of(run)
    for sid in sorted(finished_rooms(run)):
        fate = fate_of(run, rooms[sid])
        if fate in BAD_FATES:
            yield f"{sid} {BAD_FATES[fate]} ({fate}): {_told(run, rooms[sid])}"


def _told(run, room):
    rows = [(r["id"], r["status"]) for r in run.rows_at_end.get(room.sid, ())]
    ours = run.rooms_at_end.get(room.sid)
    return f"application {rows}, room {(ours['state'], ours['reason'], ours['attempt']) if ours else None}"


def ends_are_final(run):
    for room in rooms_of(run).values():
        for version in room.rows:
            if run.is_worker(version["by"]) and status_before(version) in FINAL:
                yield f"{room.sid}: its row was {status_before(version)} and was written again: {_place(version)}"
        for version in room.versions:
            if run.is_worker(version["by"]) and _left_its_end(room, version):
                yield f"{room.sid}: {version['old']['state']} became {_state(version)}: {_place(version)}"


def _left_its_end(room, version):
    before = (version["old"] or {}).get("state")
    if before == _state(version) or before not in ("done", "parked"):
        return False
    statuses = set(room.statuses_before(version["n"]).values())
    return before == "parked" or (bool(statuses) and statuses <= set(FINAL))


def _state(version):
    return (version["new"] or {}).get("state")


def _place(version):
    return f"version {version['n']} at {version['t']:.3f} by {version['by']}"


def calls_are_counted(run):
    for room in rooms_of(run).values():
        yield from _uncounted(run, room)
        yield from _calls_without_claim(room)
        yield from _calls_without_cause(run, room)


def _uncounted(run, room):
    for version in room.versions:
        old, new = version["old"] or {}, version["new"]
        if not new:
            continue
        if new["attempt"] > run.expect["max_attempts"]:
            yield f"{room.sid}: attempt {new['attempt']} of {run.expect['max_attempts']}: {_place(version)}"
        if new["call_id"] != old.get("call_id"):
            before = old.get("attempt", 0) if new["run"] == old.get("run", new["run"]) else 0
            if new["attempt"] != before + 1:
                yield f"{room.sid}: a claim went from attempt {before} to {new['attempt']}: {_place(version)}"


def _calls_without_claim(room):
    for number, call in enumerate(room.calls, 1):
        claimed = sum(c.t <= call["in"] + 0.05 for c in room.claims)
        if number > claimed:
            yield f"{room.sid}: call {number} (the model's {call['n']}, at {call['in']:.3f}) has no claim of its own"


def _calls_without_cause(run, room):
    for one, two in zip(room.calls, room.calls[1:], strict=False):
        claim, later = room.claim_at(one["in"]), room.claim_at(two["in"])
        if claim is later and one["status"] == 0:  # cut off before the model had read it: another claim's
            claim = next((c for c in reversed(room.claims) if claim and c.n < claim.n), claim)
        if not claim or not later or later.run != claim.run or call_went_wrong(run, one):
            continue
        lost = answer_was_lost(run, room, claim, worker_of(claim.by), two["in"])
        if not lost and not _has_woken(run, room, claim, two):
            yield (
                f"{room.sid}: the model was called at {one['in']:.3f} and again at {two['in']:.3f} (its calls "
                f"{one['n']} and {two['n']}), though nothing had gone wrong"
            )


def _has_woken(run, room, claim, call):
    """True if the call is an earlier worker's, that fell asleep on its way to it and has woken just before."""
    earlier = (c for c in room.claims if c.run == claim.run and c.n < claim.n)
    return any(woken_before(run, worker_of(c.by), c.t, call["in"]) for c in earlier)


def has_causes(run, room):
    """True if something happened to this room that explains a second call."""
    last = room.claims[-1].t if room.claims else 0
    first = room.claims[0].t if room.claims else 0
    return (
        any(call_went_wrong(run, call) for call in room.calls)
        or len({c.run for c in room.claims}) > 1
        or bool(room.claims and fault_between(run, room, None, first, last))
    )


def one_result_by_the_holder(run):
    for room in rooms_of(run).values():
        for version in room.versions:
            if run.is_worker(version["by"]) and version["new"]:
                yield from _end_of_claim(room, version)
        for version in room.analyses:
            if stored_again(version):
                yield f"{room.sid}: the result of run {version['new']['run']} was stored twice: {_place(version)}"


def stored_again(version):
    return version["op"] == "UPDATE" and any(
        version["old"][name] != version["new"][name] for name in ("result", "created_at")
    )


def _end_of_claim(room, version):
    old, new = version["old"] or {}, version["new"]
    claim = room.claim_before(version["n"])
    if old.get("state") == new["state"] or not claim:
        return
    if new["state"] == "analysed":
        if new["token"] != claim.token:
            yield f"{room.sid}: a result was stored with the token {new['token']}, not {claim.token}: {_place(version)}"
        if not same_worker(version["by"], claim.by):
            yield f"{room.sid}: a result was stored by another worker than {claim.by}, who had claimed it: {_place(version)}"
    elif old.get("state") == "processing" and seconds(old["due_at"]) > version["t"]:
        if not same_worker(version["by"], claim.by):
            yield f"{room.sid}: {claim.by} had claimed it, and another made it {new['state']}: {_place(version)}"


def nothing_hangs(run):
    deadline = run.tables["now"] - run.expect["lease_s"] - 3 * run.expect["sweep_s"]
    working = set()
    for room in run.tables["room"]:
        if room["state"] not in ("processing", "analysed"):
            continue
        working.add(room["room_sid"])
        due = seconds(room["due_at"])
        if due is None:
            yield f"{room['room_sid']} is {room['state']} for ever: it has no time to be looked at"
        elif room["state"] == "processing" and due < deadline:
            yield f"{room['room_sid']}: its lease is over since {run.tables['now'] - due:.1f} s, and nobody took it"
    rooms = rooms_of(run)
    for row in run.tables["application"]:
        room = rooms.get(row["roomSid"])
        ours = room and status_is_a_workers(run, room)
        if row["status"] == "processing" and ours and row["roomSid"] not in working:
            yield f"{row['roomSid']}: its row is processing, and nobody works on it"
