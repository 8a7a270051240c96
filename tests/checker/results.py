"""Stored results: what the model said about that very room, in the form that was asked for."""

import hashlib
import json

from .rooms import rooms_of

KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "number": (int, float), "integer": int}


def results_are_the_models(run):
    said = {}
    for call in run.calls:
        if call["sha256"] and call["status"] in (200, 0, None):
            said.setdefault(call["sha256"], []).append(call)
    for room in rooms_of(run).values():
        for version in room.analyses:
            if version["new"] and (not version["old"] or version["old"]["result"] != version["new"]["result"]):
                yield from _faults(run, room, version, said)


def _faults(run, room, version, said):
    result = version["new"]["result"]
    calls = [c for c in said.get(digest(result), ()) if c["in"] <= version["t"]]
    if not calls:
        yield f"{room.sid}: the model never sent the result that is stored as run {version['new']['run']}"
    elif room.sid not in {c["room"] for c in calls}:
        yield f"{room.sid}: its result is what the model sent for {', '.join(sorted({c['room'] for c in calls}))}"
    wrong = misfit(result, run.expect.get("schema") or {}, "result")
    if wrong:
        yield f"{room.sid}: {wrong}"


def digest(result):
    """Of a result in a form that does not depend on its spelling."""
    text = json.dumps(result, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def misfit(value, schema, name):
    """The first thing that does not fit the JSON schema, as far as our schemas go; None: it fits."""
    if "type" in schema and not isinstance(value, KINDS[schema["type"]]):
        return f"{name} is no {schema['type']}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{name} is none of {schema['enum']}"
    if isinstance(value, (str, list)):
        kind = "Length" if isinstance(value, str) else "Items"
        if not schema.get("min" + kind, 0) <= len(value) <= schema.get("max" + kind, float("inf")):
            return f"{name} is too short or too long"
    if isinstance(value, list):
        return next(filter(None, (misfit(v, schema.get("items", {}), f"{name}[]") for v in value)), None)
    return _misfit_of_object(value, schema, name) if isinstance(value, dict) else None


def _misfit_of_object(value, schema, name):
    known = schema.get("properties", {})
    for key in schema.get("required", ()):
        if key not in value:
            return f"{name} lacks {key}"
    if schema.get("additionalProperties") is False and value.keys() - known.keys():
        return f"{name} has {', '.join(sorted(value.keys() - known.keys()))}"
    return next(filter(None, (misfit(v, known.get(key, {}), f"{name}.{key}") for key, v in value.items())), None)
