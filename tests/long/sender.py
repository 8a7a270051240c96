"""A sender of webhooks in a process of its own: hundreds a second, as LiveKit's server sends them.

    python -m long.sender '{"url": ..., "prefix": "ABCD", "control": FILE, "history": FILE or null, ...}'

Room n is sid_of(prefix, n). Its events go strictly in order, all copies of one at the same time; each is tried at most
five times, after 1, 2, 4, 8 s or after Retry-After. FILE of control holds {"rate": webhooks a second, "rooms": how many
at most, "stop": bool} and may be replaced at any time. Each second a line of JSON tells the figures so far; the last one
comes when all is delivered or lost. The history has the form of harness/load.py's.
"""

import asyncio
import collections
import json
import pathlib
import random
import sys
import time
import urllib.parse

from harness import livekit
from harness.load import TRIES, Webhook
from harness.programs import API_KEY, API_SECRET

KINDS = ("room_started", "participant_joined", "participant_left", "room_finished")
NO_ANSWER_S = 15  # later than any answer may come
PACE_S = 0.01


def sid_of(prefix, n):
    return f"RM_{prefix}{n:08d}"


class Connections:
    """To one server. Each carries `uses` requests, one after the other."""

    def __init__(self, url, uses):
        parts = urllib.parse.urlsplit(url)
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path
        self._uses = uses
        self._idle = []

    async def post(self, body, token):
        """(status, headers) of the answer, names in lower case."""
        reader, writer, used = self._idle.pop() if self._idle else (*await self._connect(), 0)
        try:
            writer.write(self._head(body, token) + body)
            status, headers = await self._answer(reader)
        except BaseException:
            writer.transport.abort()
            raise
        await self._give_back(reader, writer, self._uses if headers.get("connection") == "close" else used + 1)
        return status, headers

    async def _give_back(self, reader, writer, used):
        """As many stay open as were ever needed at once, or none."""
        if used < self._uses:
            self._idle.append((reader, writer, used))
            return
        writer.close()
        if self._uses > 1:
            self._idle.append((*await self._connect(), 0))

    async def _connect(self):
        return await asyncio.open_connection(self._host, self._port)

    def _head(self, body, token):
        return (
            f"POST {self._path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nUser-Agent: Go-http-client/1.1\r\n"
            f"Content-Length: {len(body)}\r\nAuthorization: {token}\r\nContent-Type: application/webhook+json\r\n"
            "Accept-Encoding: gzip\r\n\r\n"
        ).encode()

    @staticmethod
    async def _answer(reader):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        await reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers


class Sender:
    def __init__(self, settings):
        self._prefix, self._kinds = settings["prefix"], KINDS[-settings["events"] :]
        self._copies = settings["copies"]
        self._gap_s, self._most = settings["gap_s"], settings["streams"]
        self._connections = Connections(settings["url"], settings["uses"])
        self._control = pathlib.Path(settings["control"])
        self._history = open(settings["history"], "a", buffering=1 << 16) if settings["history"] else None  # noqa: SIM115
        self._tasks = set()
        self._requests = 0
        self._lately = []  # seconds of the answers since the last line
        self.told = collections.Counter(rooms=0, acknowledged=0, refused=0, cut=0, lost=0, without_retry_after=0)
        self._worst_s = 0.0

    async def run(self):
        begun, due = time.monotonic(), 0.0
        last, next_line = begun, begun + 1
        while True:
            order = json.loads(self._control.read_text())
            now = time.monotonic()
            if order["stop"]:
                break
            due = min(due + (now - last) * order["rate"] / len(self._kinds), order["rate"])
            last = now
            while due >= 1 and len(self._tasks) < self._most and self.told["rooms"] < order["rooms"]:
                due -= 1
                self._begin_room()
            if now >= next_line:
                next_line = now + 1
                self._tell()
            await asyncio.sleep(PACE_S)
        while self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
            self._tell()
        self._tell(ended=True)

    def _begin_room(self):
        self.told["rooms"] += 1
        task = asyncio.ensure_future(self._stream(sid_of(self._prefix, self.told["rooms"])))
        self._tasks.add(task)
        task.add_done_callback(self._end_room)

    def _end_room(self, task):
        self._tasks.discard(task)
        task.result()  # a fault of ours ends the run

    async def _stream(self, room):
        for kind in self._kinds:
            event_id = livekit.new_id("EV_")
            body = livekit.room_event(kind, room, event_id=event_id)
            token = livekit.token(body, API_KEY, API_SECRET)
            copies = [Webhook(room, kind, event_id, body, token) for _ in range(self._copies)]
            await asyncio.gather(*map(self._deliver, copies))
            if kind != self._kinds[-1]:
                await asyncio.sleep(random.uniform(0, 2 * self._gap_s))

    async def _deliver(self, webhook):
        while True:
            webhook.tries += 1
            wait_s = await self._try(webhook)
            if wait_s is None:
                return
            if webhook.tries == TRIES:
                self.told["lost"] += 1
                return
            await asyncio.sleep(wait_s)

    async def _try(self, webhook):
        """One request. Returns the seconds until the next one, or None when it was the last one."""
        self._requests += 1
        about = {
            "id": self._requests, "room": webhook.room, "event_id": webhook.event_id, "event": webhook.event,
            "sha256": webhook.sha256 if self._history else None,
        }  # fmt: skip
        self._note("invoke", about, None)
        begun, status, headers = time.monotonic(), None, {}
        try:
            status, headers = await asyncio.wait_for(self._connections.post(webhook.body, webhook.token), NO_ANSWER_S)
            op = "ok" if status == 200 else "fail"
        except ConnectionRefusedError:
            op = "fail"
        except (OSError, EOFError, TimeoutError):
            op = "info"
        took_s = time.monotonic() - begun
        self._note(op, about, status)
        self._count(status, headers, took_s)
        if status is not None and status != 429 and status < 500:
            return None
        return float(headers.get("retry-after", 2.0 ** (webhook.tries - 1)))

    def _count(self, status, headers, took_s):
        self.told["acknowledged" if status == 200 else "refused" if status else "cut"] += 1
        if status is None:
            return
        self.told["without_retry_after"] += status == 503 and "retry-after" not in headers
        self._lately.append(took_s)
        self._worst_s = max(self._worst_s, took_s)

    def _note(self, op, about, status):
        if self._history:
            self._history.write(json.dumps({"t": time.time(), "op": op, **about, "status": status}) + "\n")

    def _tell(self, ended=False):
        if self._history:
            self._history.flush()
        lately = sorted(self._lately) or [0.0]
        self._lately = []
        line = {
            **self.told, "open": len(self._tasks), "worst_ms": round(self._worst_s * 1000),
            "p50_ms": round(lately[len(lately) // 2] * 1000, 1), "p99_ms": round(lately[len(lately) * 99 // 100] * 1000, 1),
            "ended": ended,
        }  # fmt: skip
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    asyncio.run(Sender(json.loads(sys.argv[1])).run())
