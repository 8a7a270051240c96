"""What happened in a run: a run in which nothing happened that it was made for shows nothing."""

import json

from .rooms import rooms_of

SAID = {
    "fenced": "late: the claim is no longer ours",
    "breaker": "the model's provider fails; no more claims",
    "breaker_closed": "the model's provider answers again",
}


def happened(run):
    """The names of all that happened, of which expect.json's "sometimes" asks for some."""
    names = {f"fault:{fault['kind']}" for fault in run.hits}
    names |= {f"fault:{fault['point']}" for fault in run.hits if fault["point"]}
    ends = {"ok": "acknowledged", "fail": "refused", "info": "unknown"}
    names |= {ends[t["op"]] for t in run.tries if t["op"]}
    if any(t.get("forged") for t in run.tries):
        names.add("forged")
    if any(r["headers"].get("roomclaim-origin") == "spool" for r in run.records) or run.spool:
        names.add("spooled")
    if run.letters:
        names.add("dead_lettered")
    ids = [r["event_id"] for r in run.records if r["event_id"]]
    if len(ids) > len(set(ids)):
        names.add("duplicate")
    if any(line.get("reset") for line in run.offsets):
        names.add("reset")
    return names | _of_rooms(run) | _of_application(run) | _of_calls(run) | _of_logs(run)


def _of_rooms(run):
    names = set()
    for room in rooms_of(run).values():
        states = {v["new"]["state"] for v in room.versions if v["new"]}
        names |= states & {"analysed", "parked", "expired"}
        names |= {v["new"]["reason"] for v in room.versions if v["new"] and v["new"]["reason"]}
        names |= {v["new"]["status"] for v in room.rows if v["new"] and run.is_worker(v["by"])} & {"completed"}
        if len({c.token for c in room.claims}) > len({c.run for c in room.claims}):
            names.add("claimed_again")
        if len({c.run for c in room.claims}) > 1:
            names.add("reopened")
    return names


def _of_application(run):
    """What the application did to its rows meanwhile."""
    names = set()
    for version in run.audit:
        if version["table"] == "application" and version["old"] and not run.is_worker(version["by"]):
            old, new = version["old"], version["new"]
            change = "edited" if new and new["status"] == old["status"] else new["status"] if new else "deleted"
            names.add(f"application:{'reset' if change == 'initiated' else change}")
    return names


def _of_calls(run):
    names = {f"model:{call['kind']}" for call in run.calls if call["kind"]}
    for version in run.audit:
        if version["table"] == "call" and version["op"] == "UPDATE" and version["new"]["outcome"]:
            names.add(version["new"]["outcome"])
            if version["old"]["outcome"] == "lost" and version["new"]["outcome"] == "ok":
                names.add("late")
    return names


def _of_logs(run):
    """What only the programs can tell."""
    names = set()
    for path in run.log_files():
        for line in path.read_text(errors="replace").splitlines():
            try:
                msg = json.loads(line).get("msg", "") if line.startswith("{") else ""
            except ValueError:
                continue  # a line that a kill cut off
            names |= {name for name, words in SAID.items() if msg.startswith(words)}
    return names


def what_was_meant_happened(run):
    found = happened(run)
    for fault in run.faults:
        if not fault["hit"]:
            yield f"{fault['kind']} of {fault['party']} at {fault['point']} was meant, and did not happen"
    for name in run.expect["sometimes"]:
        if name not in found:
            yield f"{name} did not happen"
