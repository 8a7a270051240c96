"""A stand-in for Gemini, in a process of its own, scripted per room.

    POST /v1beta/models/M:generateContent   what the consumer calls
    POST /script   {"room": "RM_..." or "*", "replies": [{"kind": "ok", ...}, ...]}   used up in order, then the rule
    POST /rule     {"kind": "ok", "latency_ms": 50}   what a call gets that no script is left for
    POST /release                                      lets every held call go on: it gets its "then" or the rule, or ok when the rule is hold, which ends
    GET  /ledger /stats

Kinds are the methods of Kinds below. The ledger has one line of JSON when a call arrives and one when it is over, each
flushed, so that it is true also after anything was killed.
"""

import argparse
import asyncio
import collections
import hashlib
import json
import pathlib
import re
import sys
import time
import urllib.request

from aiohttp import web

from .processes import Child, until

ROOM = re.compile(r"RM_[A-Za-z0-9]+")
RESULT = {"sentiment": "positive", "summary": "The call was clear.", "topics": ["audio", "latency"]}
USAGE = {"promptTokenCount": 412, "candidatesTokenCount": 31, "thoughtsTokenCount": 7, "totalTokenCount": 450}


def digest(key):
    """Tells one key from another in the ledger, without the key."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def result_digest(body):
    """Of what the answer holds as the result, in a form that does not depend on its spelling; None: it holds none."""
    try:
        result = json.loads(body["candidates"][0]["content"]["parts"][0]["text"])
    except (TypeError, KeyError, IndexError, ValueError):
        return None
    text = json.dumps(result, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def answer(text, finish="STOP", **more):
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": finish, "index": 0}
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "stand-in-1", **more}


def failure(code, status, message, details=()):
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


class Kinds:
    """What a call can get. Each returns (HTTP status, body, headers), or cuts the connection and returns None."""

    @staticmethod
    async def ok(request, room, how):
        result = how.get("result") or RESULT | {"summary": f"Room {room}: the call was clear. ({how['n']})"}
        return 200, answer(json.dumps(result)), {}

    @staticmethod
    async def status(request, room, how):
        code = how["status"]
        words = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
                 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}  # fmt: skip
        details = []
        if "retry_info" in how:
            details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": how["retry_info"]})
        if how.get("reason"):
            details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": how["reason"]})
        headers = {"Retry-After": str(how["retry_after"])} if "retry_after" in how else {}
        return code, failure(code, words.get(code, "UNKNOWN"), f"scripted {code}", details), headers

    @staticmethod
    async def hang(request, room, how):
        await asyncio.sleep(3600)

    @staticmethod
    async def cut(request, room, how):
        request.transport.abort()

    @staticmethod
    async def cut_in_the_middle(request, room, how):
        body = json.dumps(answer(json.dumps(RESULT))).encode()
        request.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        request.transport.write(body[: len(body) // 2])
        await asyncio.sleep(0.05)  # let the bytes leave before the connection is reset
        request.transport.abort()

    @staticmethod
    async def drip(request, room, how):
        """A good answer, a byte each 100 ms."""
        body = json.dumps(answer(json.dumps(RESULT))).encode()
        request.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        for byte in body:
            request.transport.write(bytes([byte]))
            await asyncio.sleep(0.1)

    @staticmethod
    async def bad_json(request, room, how):
        return 200, '{"candidates": [{"content": ', {}

    @staticmethod
    async def web_page(request, room, how):
        return 200, "<html><body>Sign in to the hotel's network</body></html>", {"Content-Type": "text/html"}

    @staticmethod
    async def misfit(request, room, how):
        return 200, answer(json.dumps({"sentiment": "ecstatic", "summary": 5})), {}

    @staticmethod
    async def prose(request, room, how):
        return 200, answer("Sure! Here it is:\n```json\n" + json.dumps(RESULT) + "\n```"), {}

    @staticmethod
    async def max_tokens(request, room, how):
        return 200, answer('{"sentiment": "pos', "MAX_TOKENS"), {}

    @staticmethod
    async def safety(request, room, how):
        return 200, {"candidates": [{"finishReason": "SAFETY", "index": 0}], "usageMetadata": USAGE}, {}

    @staticmethod
    async def prompt_blocked(request, room, how):
        return 200, {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": USAGE}, {}

    @staticmethod
    async def empty(request, room, how):
        return 200, {"candidates": [], "usageMetadata": USAGE}, {}


def name_of(how):
    """Of what a call gets: its kind or HTTP status, and after how many ms."""
    return f"{how.get('status', how['kind'])} after {how.get('latency_ms', 0)}"


class Server:
    def __init__(self, ledger, rule):
        self._ledger = ledger.open("a", buffering=1)
        self._calls = []
        self._scripts = {}
        self._rule = rule
        self._gate = asyncio.Event()
        self._in_flight = self._peak = 0
        self._given = collections.Counter()

    async def generate(self, request):
        text = await request.text()
        room = next(iter(ROOM.findall(text)), "")
        call = {"n": len(self._calls) + 1, "room": room, "model": request.match_info["model"], "in": time.time(),
                "key": digest(request.headers.get("x-goog-api-key", "")), "bytes": len(text)}  # fmt: skip
        self._calls.append(call)
        self._note(call)
        how = self._next(room) | {"n": call["n"]}
        self._in_flight += 1
        self._peak = max(self._peak, self._in_flight)
        status = None
        try:
            status = await self._answer(request, room, how)
            return status
        finally:
            self._in_flight -= 1
            call |= {
                "out": time.time(),
                "kind": how["kind"],
                "status": getattr(status, "status", 0),
                "sha256": how.get("sha256"),
            }
            self._note(call)

    async def _answer(self, request, room, how):
        if how.get("latency_ms"):
            await asyncio.sleep(how["latency_ms"] / 1000)
        if how["kind"] == "hold":
            await self._gate.wait()
            how |= how.get("then", self._rule)
        self._given[name_of(how)] += 1
        made = await getattr(Kinds, how["kind"])(request, room, how)
        if made is None:
            raise ConnectionResetError("cut on purpose")
        status, body, headers = made
        text = body if isinstance(body, str) else json.dumps(body)
        how["sha256"] = result_digest(body)
        return web.Response(status=status, text=text, headers={"Content-Type": "application/json"} | headers)

    def _next(self, room):
        for name in (room, "*"):
            if self._scripts.get(name):
                return dict(self._scripts[name].pop(0))
        return dict(self._rule)

    def _note(self, call):
        self._ledger.write(json.dumps(call) + "\n")

    async def script(self, request):
        asked = await request.json()
        self._scripts.setdefault(asked["room"], []).extend(asked["replies"])
        return web.json_response({})

    async def rule(self, request):
        self._rule = await request.json()
        return web.json_response({})

    async def release(self, request):
        if self._rule["kind"] == "hold":
            self._rule = {"kind": "ok"}
        self._gate.set()
        self._gate = asyncio.Event()
        return web.json_response({})

    async def ledger(self, request):
        return web.json_response(self._calls)

    async def stats(self, request):
        rooms = {}
        for call in self._calls:
            rooms[call["room"]] = rooms.get(call["room"], 0) + 1
        return web.json_response(
            {"calls": len(self._calls), "rooms": len(rooms), "max_per_room": max(rooms.values(), default=0),
             "in_flight": self._in_flight, "peak_in_flight": self._peak, "given": self._given}
        )  # fmt: skip


async def serve(arguments):
    server = Server(pathlib.Path(arguments.ledger), {"kind": "ok", "latency_ms": arguments.latency_ms})
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1beta/models/{model}:generateContent", server.generate)
    for name in ("script", "rule", "release"):
        app.router.add_post(f"/{name}", getattr(server, name))
    for name in ("ledger", "stats"):
        app.router.add_get(f"/{name}", getattr(server, name))
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"listening {site._server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


class Model:
    """The stand-in as a test sees it."""

    def __init__(self, folder, latency_ms=0):
        self.folder = pathlib.Path(folder)
        self._latency_ms = latency_ms

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        argv = [
            sys.executable,
            "-m",
            "harness.model",
            "--ledger",
            self.folder / "ledger.jsonl",
            "--latency-ms",
            self._latency_ms,
        ]
        self.child = Child("model", argv, self.folder / "model.log", cwd=pathlib.Path(__file__).resolve().parent.parent)
        port = until(self._port, 15, lambda: f"the model's stand-in is up; log: {self.child.log}")
        self.url = f"http://127.0.0.1:{port}"
        return self

    def stop(self):
        self.child.kill()

    def script(self, room, *replies):
        """The next calls for this room (\"*\": for any room without a script of its own) get these, in order."""
        self._ask("/script", {"room": room, "replies": [reply(r) for r in replies]})

    def rule(self, spec, **how):
        """What every other call gets from now on: a kind or an HTTP status."""
        self._ask("/rule", reply((spec, how)))

    def release(self):
        self._ask("/release", {})

    def calls(self, room=None):
        """The ledger: what was called, in order."""
        return [c for c in self._ask("/ledger") if room is None or c["room"] == room]

    def stats(self):
        return self._ask("/stats")

    def given(self, spec, **how):
        """How many calls have got just this, from a script or a rule; one that hangs has got it when it begins to."""
        return self.stats()["given"].get(name_of(reply((spec, how))), 0)

    def _ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data), timeout=10) as answered:
            return json.load(answered)

    def _port(self):
        if not self.child.running():
            raise RuntimeError(f"the model's stand-in did not start; log: {self.child.log}")
        words = self.child.output().split()
        return words[1] if len(words) == 2 else None


def reply(spec):
    """ "ok", 503, or ("status", {...}) as a reply of a script."""
    if isinstance(spec, int):
        return {"kind": "status", "status": spec}
    if isinstance(spec, str):
        return {"kind": spec}
    kind, how = spec
    return {"kind": "status", "status": kind, **how} if isinstance(kind, int) else {"kind": kind, **how}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--latency-ms", type=int, default=0)
    asyncio.run(serve(parser.parse_args()))
