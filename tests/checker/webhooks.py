"""Webhooks: what was answered 200 is kept, in order, once or as equal copies; what is no webhook has its dead letter."""

import collections

from .rooms import seconds

PLACE = ("__dlq.errors.partition", "__dlq.errors.offset")


def acknowledged_are_kept(run):
    for request in missing(run):
        yield f"{_named(request)} was answered 200 at {request['ended']:.3f} and is neither in Kafka nor in the spool"
    kept = _kept(run)
    for request in run.tries:
        found = kept.get(request["event_id"], set())
        if request.get("forged"):
            if request["op"] == "ok":
                yield f"{_named(request)} is forged, and was answered 200 at {request['ended']:.3f}"
            if found:
                yield f"{_named(request)} is forged, and is in Kafka or the spool"
        elif request["op"] == "ok" and found and request["sha256"] not in (None, *found):
            yield f"{_named(request)} was answered 200 and has other bytes than were sent: {sorted(found)}"


def missing(run):
    """Requests that were answered 200 and are nowhere."""
    nowhere_else = _kept(run).keys() | {letter["event_id"] for letter in run.letters}
    for request in run.acknowledged:
        ignored = request.get("forged") or request["event"] in run.expect["ignored_events"]
        if not ignored and request["event_id"] not in nowhere_else:
            yield request


def _kept(run):
    """{event id: hashes of what Kafka or a spool has}"""
    kept = {}
    for record in (*run.records, *run.spool):
        kept.setdefault(record["event_id"], set()).add(record["sha256"])
    return kept


def _named(request):
    return f"{request['event']} {request['event_id']} of {request['room']}"


def order_is_kept(run):
    """Of one room: all in one partition, and an event whose request began after another's 200 stands behind it."""
    first, partitions = {}, collections.defaultdict(set)
    for record in run.records:
        first.setdefault(record["event_id"], (record["partition"], record["offset"]))
        partitions[record["event_id"]].add(record["partition"])
    spooled = {line["event_id"] for line in run.spool if not line["dead"]}
    for room, events in _events_of_rooms(run).items():
        found = set().union(*(partitions[event] for event in events))
        if len(found) > 1:
            yield f"{room}: its webhooks stand in the partitions {sorted(found)}"
        for one, (_, answered) in events.items():
            for other, (begun, _) in events.items():
                if one == other or begun <= answered or other not in first:
                    continue
                if one in spooled and one not in first:
                    yield f"{room}: {other} is in Kafka while {one}, answered before it began, is still in the spool"
                elif one in first and first[one][0] == first[other][0] and first[one] > first[other]:
                    yield f"{room}: {other} at {first[other]} stands before {one} at {first[one]}, which was answered first"


def _events_of_rooms(run):
    """{room: {event id: (its first request began, its first 200 came)}}"""
    rooms = collections.defaultdict(dict)
    for request in run.tries:
        if request["op"] == "ok" and request["room"]:
            begun, answered = rooms[request["room"]].get(request["event_id"], (request["invoked"], request["ended"]))
            rooms[request["room"]][request["event_id"]] = (begun, min(answered, request["ended"]))
    for request in run.tries:
        if request["event_id"] in rooms.get(request["room"], ()):
            begun, answered = rooms[request["room"]][request["event_id"]]
            rooms[request["room"]][request["event_id"]] = (min(begun, request["invoked"]), answered)
    return rooms


def copies_and_letters(run):
    yield from _unequal_copies(run)
    yield from _poison_without_letter(run)
    yield from _parked_without_letter(run)
    for letter in run.letters:
        headers = letter["headers"]
        if "roomclaim-reason" not in headers:
            yield f"dead letter {letter['partition']}/{letter['offset']} tells no reason"
        elif "__dlq.errors.group" in headers and any(name in headers for name in PLACE) != all(
            name in headers for name in PLACE
        ):
            yield f"dead letter {letter['partition']}/{letter['offset']} tells only a part of where its record was"


def _unequal_copies(run):
    first = {}
    for record in run.records:
        if record["event_id"] and record["sha256"] != first.setdefault(record["event_id"], record)["sha256"]:
            one = first[record["event_id"]]
            yield (
                f"{record['event_id']}: {record['partition']}/{record['offset']} has other bytes than "
                f"{one['partition']}/{one['offset']}"
            )


def letters_by_place(run):
    """{(partition, offset): when the letter was written} of records that were set aside, in Kafka or in Postgres."""
    found = {}
    for letter in run.letters:
        place = tuple(letter["headers"].get(name) for name in PLACE)
        if None not in place:
            place = tuple(int(number) for number in place)
            found[place] = min(letter["ts"], found.get(place, float("inf")))
    for line in run.tables["dead"]:
        found.setdefault((line["record_partition"], line["record_offset"]), seconds(line["created_at"]))
    return found


def _poison_without_letter(run):
    committed, letters = {}, letters_by_place(run)
    for line in run.offsets:
        if not line.get("reset"):
            committed[line["partition"]] = line["offset"]
    for record in run.records:
        place = (record["partition"], record["offset"])
        if record["poison"] and record["offset"] < committed.get(record["partition"], 0) and place not in letters:
            yield f"the record at {place} is no webhook ({record['poison']}), was passed, and has no dead letter"


def _parked_without_letter(run):
    known = {letter["key"] for letter in run.letters} | {letter["room"] for letter in run.letters}
    for room in run.tables["room"]:
        if room["state"] == "parked" and not room["dlq_pending"] and room["room_sid"] not in known:
            yield f"{room['room_sid']} is parked ({room['reason']}), and has no dead letter"
