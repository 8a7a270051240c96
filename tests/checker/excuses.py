"""Why a room may be called again: something had gone wrong with the call before, and not by our doing."""

# Whatever happens to them, no call is made again. Of each call of the model its own ledger tells whether it went wrong.
BYSTANDERS = ("shim", "kafka", "broker", "load", "model")
REBALANCE_S = 10  # the group's time-out, and some
WOKEN_S = 0.5  # what a process that wakes up was about to do
REACTION_S = 0.25  # what is written down as done may still be on its way
ANSWERS = ("ok", "hold")  # kinds of the model's stand-in that are good answers


def call_went_wrong(run, call):
    """By the model's own ledger: an error, an answer that fits no schema, or longer than the caller's deadline."""
    if call["kind"] is not None and call["kind"] not in ANSWERS:
        return True
    if call["status"] not in (None, 0, 200):
        return True
    lasted = (call["out"] or run.tables["now"]) - call["in"]
    return lasted >= 0.9 * run.expect["model_deadline_s"]


def until_of(run, fault):
    """A pause lasts until the same party goes on, any other fault as long as it says itself."""
    if "until" in fault:
        return fault["until"]
    if fault["kind"] != "stop":
        return fault["t"] + REACTION_S
    goes_on = [
        f["t"] for f in run.faults if f["kind"] == "cont" and f["party"] == fault["party"] and f["t"] >= fault["t"]
    ]
    return min(goes_on, default=float("inf"))


def answer_was_lost(run, room, claim, holder, end):
    """A fault because of which a good answer under this claim was not stored, or None. It ended the holder, or cut its
    way to the model; what only held it up, or Postgres, counts if it lasted well into the second half of the lease."""
    half = run.expect["lease_s"] / 2
    for fault in faults_between(run, room, holder, claim.t, end):
        if not held_up(fault) or until_of(run, fault) >= claim.t + half:
            return fault
    return None


def held_up(fault):
    """True of a fault after which the programs go on with what they had in hand."""
    what, _, party = fault["kind"].partition(":")
    return what.startswith(("pause", "stop")) or party in ("postgres", "postgres-link")


def fault_between(run, room, holder, start, end):
    """A fault that hit this room's claim in that time, or None. holder: who had claimed it, None: not known."""
    return next(faults_between(run, room, holder, start, end), None)


def faults_between(run, room, holder, start, end):
    for fault in run.hits:
        if is_bystander(fault["party"]) or fault["room"] not in (None, room.sid):
            continue
        if fault["t"] <= end and until_of(run, fault) >= start and _hits(run, fault, holder):
            yield fault


def is_bystander(party):
    return party.startswith(BYSTANDERS) or party.endswith("-shim")


def _hits(run, fault, holder):
    """A consumer's fault is no excuse for a room that another one had."""
    consumers = {p["party"] for p in run.parties if "consumer" in p["party"]}
    if fault["party"] not in consumers or holder is None:
        return True
    named = [name for name in consumers if holder.split(" ")[-1] == name]
    return not named or named == [fault["party"]]


def woken_before(run, party, claimed, t):
    """True if this party was paused at some time after its claim and went on just before t."""
    pauses = (f for f in run.hits if f["kind"].startswith(("pause", "stop")) and party and party.endswith(f["party"]))
    return any(claimed < until_of(run, f) <= t + REACTION_S and t - until_of(run, f) < WOKEN_S for f in pauses)


def partitions_may_have_moved(run, start, end):
    """True if a consumer came, went or stood still, or Kafka was hit: records may have been delivered again."""
    consumers = [p for p in run.parties if "consumer" in p["party"]]
    if any(start - REBALANCE_S < t <= end for p in consumers for t in (p["started"], p.get("ended")) if t):
        return True
    moved = (
        f for f in run.hits if f["kind"].partition(":")[2] not in ("postgres", "postgres-link", "model", "model-link")
    )
    return any(f["t"] <= end and until_of(run, f) + REBALANCE_S >= start for f in moved)
