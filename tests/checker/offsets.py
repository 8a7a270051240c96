"""Committed offsets: only what is settled, never back, and all of it in the end."""

import collections

from .excuses import partitions_may_have_moved
from .rooms import FINAL, rooms_of
from .webhooks import letters_by_place

CLOCKS = 0.05  # s by which the times of parties on one machine may differ: they round


def only_settled_are_committed(run):
    rooms, letters = rooms_of(run), letters_by_place(run)
    records, passed = collections.defaultdict(list), collections.Counter()
    for record in run.records:
        records[record["partition"]].append(record)
    for line in run.offsets:
        if line.get("reset"):
            continue
        of_partition, at = records[line["partition"]], passed[line["partition"]]
        while at < len(of_partition) and of_partition[at]["offset"] < line["offset"]:
            missing = _missing(run, rooms, letters, of_partition[at], line["t"] + CLOCKS)
            if missing:
                place = f"{line['partition']}/{of_partition[at]['offset']}"
                yield f"{place} was passed by the commit of {line['offset']}, seen at {line['t']:.3f}: {missing}"
            at += 1
        passed[line["partition"]] = at


def _missing(run, rooms, letters, record, t):
    """What a record that is committed by t lacks; None: nothing."""
    letter = letters.get((record["partition"], record["offset"]))
    if letter is not None and letter <= t:
        return None
    if record["poison"]:
        return f"it is no webhook ({record['poison']}), and has no dead letter by then"
    if record["event"] != "room_finished" or not record["room"]:
        return None
    room = rooms[record["room"]]
    versions = [v for v in room.versions if v["t"] <= t]
    if len(versions) == 1 and _is_first_call(run, versions[0]) and _is_alone(run, record):
        moved = partitions_may_have_moved(run, versions[0]["t"], t)
        return None if moved else f"{room.sid}, of which it is the only record, was in its first call"
    if versions:
        return None
    statuses = {v["new"]["status"] for v in room.rows if v["new"] and v["t"] <= t}
    if statuses & set(FINAL) or (not statuses and run.expect.get("unmatched_is_forgotten")):
        return None
    return f"nothing was written about {room.sid} by then"


def _is_first_call(run, version):
    return version["op"] == "INSERT" and version["new"]["state"] == "processing" and run.is_worker(version["by"])


def _is_alone(run, record):
    """True if only this record can have been the room's first."""
    return run.records_of_room[record["room"]] == 1


def offsets_never_go_back(run):
    last = {}
    for line in run.offsets:
        place = (line["group"], line["partition"])
        if not line.get("reset") and line["offset"] < last.get(place, 0):
            yield f"{place[0]}, partition {place[1]}: {last[place]} became {line['offset']} at {line['t']:.3f}"
        last[place] = line["offset"]


def lag(run):
    """{partition: records that are not committed}, of those that have any."""
    ends, committed = {}, {}
    for record in run.records:
        ends[record["partition"]] = record["offset"] + 1
    for line in run.offsets:
        committed[line["partition"]] = line["offset"]
    behind = {partition: end - committed.get(partition, 0) for partition, end in ends.items()}
    return {partition: count for partition, count in behind.items() if count > 0}


def quiet_in_time(run):
    expect = run.expect
    bound = expect["lease_s"] + 2 * expect["sweep_s"] + expect["model_deadline_s"] + 30
    if expect["quiet_t"] is None or expect["healed_t"] is None:
        yield "the run never came to rest"
    elif expect["quiet_t"] - expect["healed_t"] > bound:
        yield f"rest came {expect['quiet_t'] - expect['healed_t']:.1f} s after everything was healed, not within {bound:g} s"
    if expect.get("without_consumers"):
        return
    for partition, count in lag(run).items():
        yield f"partition {partition}: {count} records are not committed at the end"
