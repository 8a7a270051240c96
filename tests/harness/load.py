"""A load generator that sends webhooks as LiveKit's server does, and writes down each request and how it ended.

One stream for each room and URL, strictly in order. A webhook is tried at most five times, after 1, 2, 4, 8 s, or after
Retry-After: only a connection that fails, a 429 and a 5xx are tried again. What is not delivered then is lost, and the
next one of the stream goes.
"""

import collections
import concurrent.futures
import dataclasses
import hashlib
import heapq
import itertools
import re
import threading
import time

from . import livekit
from .processes import until
from .programs import API_KEY, API_SECRET

TRIES = 5
THREADS = 64
TURN_PASSWORD = re.compile(rb'"turnPassword":"[^"]*", ?')


@dataclasses.dataclass
class Webhook:
    room: str
    event: str
    event_id: str
    body: bytes
    token: str
    forged: bool = False
    shim: object = None  # None: whichever runs, in turn
    tries: int = 0
    status: int | None = None  # of the last try

    @property
    def sha256(self):
        """Of what Kafka is to have: the body without its secret."""
        return hashlib.sha256(TURN_PASSWORD.sub(b"", self.body, count=1)).hexdigest()


class Load:
    def __init__(self, write, shims, threads=THREADS):
        """write(dict) appends a line; shims() lists what runs now. threads: requests that are under way at once."""
        self._write, self._shims = write, shims
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, "load")
        self._lock = threading.Condition()
        self._streams = collections.defaultdict(collections.deque)
        self._later = []  # (when, n, stream)
        self._numbers, self._turns = itertools.count(1), itertools.count()
        self._urls = {}
        self._open = 0
        self._ended = False
        self._clock = threading.Thread(target=self._run_clock, daemon=True)
        self._clock.start()

    def post(self, room, event="room_finished", *, copies=1, body=None, event_id=None, shim=None, **more):
        """Queues a webhook; copies: to so many URLs at the same time. shim: .child.running() and .url; its copies are
        streams of its own. Returns them."""
        event_id = event_id or livekit.new_id("EV_")
        body = body or livekit.room_event(event, room, event_id=event_id, **more)
        token = livekit.token(body, API_KEY, API_SECRET)
        sent = [Webhook(room, event, event_id, body, token, shim=shim) for _ in range(copies)]
        for copy, webhook in enumerate(sent):
            self._queue((room, copy, id(shim)), webhook)
        return sent

    def forge(self, room, **claims):
        """A room_finished with the token of a participant: signed with the right key, but not for this body."""
        event_id = livekit.new_id("EV_")
        body = livekit.room_finished(room, event_id=event_id)
        token = livekit.token(body, API_KEY, API_SECRET, **({"sha256": None} | claims))
        webhook = Webhook(room, "room_finished", event_id, body, token, forged=True)
        self._queue((room, "forged"), webhook)
        return webhook

    def is_idle(self):
        return self._open == 0

    @property
    def open(self):
        """Webhooks that are neither delivered nor lost yet."""
        return self._open

    def drain(self, within=60):
        """All that was queued is delivered or lost."""
        until(self.is_idle, within, lambda: f"the load is through, {self._open} webhooks are not")

    def stop(self):
        with self._lock:
            self._ended = True
            self._lock.notify()
        self._clock.join()
        self._pool.shutdown(cancel_futures=True)

    def _queue(self, stream, webhook):
        with self._lock:
            self._open += 1
            self._streams[stream].append(webhook)
            first = len(self._streams[stream]) == 1
        if first:
            self._pool.submit(self._send, stream)

    def _send(self, stream):
        webhook = self._streams[stream][0]
        webhook.tries += 1
        wait_s = self._try(webhook)
        with self._lock:
            if wait_s is not None and webhook.tries < TRIES:
                heapq.heappush(self._later, (time.monotonic() + wait_s, next(self._turns), stream))
                self._lock.notify()
                return
            self._streams[stream].popleft()
            self._open -= 1
            more = bool(self._streams[stream])
        if more:
            self._pool.submit(self._send, stream)

    def _try(self, webhook):
        """One request. Returns the seconds until the next one, or None when there is to be none."""
        number = next(self._numbers)
        about = {
            "id": number, "room": webhook.room, "event_id": webhook.event_id, "event": webhook.event,
            "sha256": webhook.sha256,
        }  # fmt: skip
        if webhook.forged:
            about["forged"] = True
        self._note("invoke", about, None)
        status, op, wait_s = None, "info", 2.0 ** (webhook.tries - 1)
        try:
            answer = livekit.post(self._url(webhook.shim), webhook.body, webhook.token)
            status = answer.status
            op = {200: "ok", 503: "fail"}.get(status, "fail" if 400 <= status < 500 else "info")
            if status not in (429, 503) and status < 500:
                wait_s = None
            elif "retry-after" in answer.headers:
                wait_s = float(answer.headers["retry-after"])
        except ConnectionRefusedError:
            op = "fail"
        except Exception:  # noqa: BLE001 - whatever it is: nobody knows what has become of the request
            op = "info"
        webhook.status = status
        self._note(op, about, status)
        return wait_s

    def _note(self, op, about, status):
        self._write({"t": time.time(), "op": op, **about, "status": status})

    def _url(self, shim):
        running = [shim] if shim else [s for s in self._shims() if s.child.running()]
        if not running:
            raise ConnectionRefusedError("no shim runs")
        chosen = running[next(self._turns) % len(running)]
        if id(chosen) not in self._urls:
            self._urls[id(chosen)] = chosen.url
        return self._urls[id(chosen)]

    def _run_clock(self):
        with self._lock:
            while not self._ended:
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    self._pool.submit(self._send, heapq.heappop(self._later)[2])
                self._lock.wait(self._later[0][0] - now if self._later else None)
