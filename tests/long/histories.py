"""The histories of a recording, as far as the figures of a run need them; what they must show says the checker."""

import json


def lines(folder, name):
    return map(json.loads, (folder / f"{name}.jsonl").read_text().splitlines())


def tries_of(folder):
    """Of the sender: each request with invoked, ended (Unix seconds), op and status."""
    found = {}
    for line in lines(folder, "load"):
        if line["op"] == "invoke":
            found[line["id"]] = line | {"op": None, "invoked": line["t"], "ended": None}
        else:
            found[line["id"]] |= {"op": line["op"], "ended": line["t"], "status": line["status"]}
    return list(found.values())


def slowest(tries):
    return max((t["ended"] - t["invoked"] for t in tries), default=0.0)


def percentile(tries, percent):
    """Seconds."""
    took = sorted(t["ended"] - t["invoked"] for t in tries) or [0.0]
    return took[min(len(took) - 1, len(took) * percent // 100)]


def between(tries, start, end):
    """Those that were answered then."""
    return [t for t in tries if t["ended"] and start <= t["ended"] < end]


class Kept:
    """What is in the topic, against what was sent and acknowledged."""

    def __init__(self, folder, topic, tries):
        ids = [line["event_id"] for line in lines(folder, "topic") if line["topic"] == topic]
        sent = {t["event_id"] for t in tries}
        acknowledged = {t["event_id"] for t in tries if t["op"] == "ok"}
        self.webhooks, self.acknowledged, self.records = len(sent), len(acknowledged), len(ids)
        self.unknown = set(ids) - sent
        self.missing = acknowledged - set(ids)
        self.unacknowledged = len(set(ids) - acknowledged)
        self.twice = len(ids) - len(set(ids))

    def words(self):
        return (
            f"webhooks {self.webhooks}, acknowledged {self.acknowledged}, in the topic {self.records} ({self.twice} twice, "
            f"{self.unacknowledged} unacknowledged), lost {len(self.missing)}, never sent {len(self.unknown)}"
        )
