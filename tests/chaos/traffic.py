"""LiveKit's side of a run: rooms begin, webhooks are sent of them, and now and then something that is none."""

import heapq
import itertools
import json
import random
import threading
import time

from confluent_kafka import Producer
from harness import livekit
from harness.broker import QUIET
from harness.load import Load

from chaos.rooms import RoomPlan, room_plan

MOST_OPEN = 3000  # webhooks: then no room begins
POISON_EVERY, FORGED_EVERY = 60, 50  # rooms
POISON = (b"{not json", b"", b"[1]", b'{"event":"room_finished","id":"EV_poison","room":{}}')


class Traffic(threading.Thread):
    """begins(sid, plan) is told of each room: the application sees to its row."""

    def __init__(self, load: Load, shims: list, seed: int, rooms_per_s: float, begins, topic: str, bootstrap: str):
        super().__init__(name="traffic", daemon=True)
        self._load, self._shims, self._begins, self._topic = load, shims, begins, topic
        self._seeded, self._rate = random.Random(f"traffic {seed}"), rooms_per_s
        self._producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", **QUIET})
        self._pinned: dict[str, int] = {}
        self._later: list[tuple] = []
        self._numbers = itertools.count()
        self._lock = threading.Condition()
        self._ended = False
        self.rooms = 0

    def run(self) -> None:
        next_room = time.monotonic()
        while not self._ended:
            now = time.monotonic()
            while self._later and self._later[0][0] <= now:
                with self._lock:
                    _, _, post = heapq.heappop(self._later)
                post()
            if now >= next_room:
                next_room = max(next_room, now - 1) + self._seeded.expovariate(self._rate)
                if self._load.open < MOST_OPEN:
                    self._begin_room()
            with self._lock:
                self._lock.wait(0.02)

    def finish_again(self, sid: str) -> None:
        """Another room_finished of this room, soon. From any thread."""
        place = self._shims[self._pinned.get(sid, 0)]
        self._in(0.2, lambda: self._load.post(sid, shim=place))

    def stop(self) -> None:
        """What was not sent yet never will be."""
        self._ended = True
        self.join()
        self._producer.flush(30)

    def _in(self, seconds: float, post) -> None:
        with self._lock:
            heapq.heappush(self._later, (time.monotonic() + seconds, next(self._numbers), post))

    def _begin_room(self) -> None:
        self.rooms += 1
        sid, plan = livekit.new_id("RM_"), room_plan(self._seeded, len(self._shims))
        self._pinned[sid] = plan.shim
        self._begins(sid, plan)
        for seconds, event in plan.webhooks:
            self._in(seconds, lambda event=event: self._send(sid, plan, event))
        if self.rooms % POISON_EVERY == 0:
            self._poison(sid)
        if self.rooms % FORGED_EVERY == 0:
            self._load.forge(sid)

    def _send(self, sid: str, plan: RoomPlan, event: str) -> None:
        event_id = livekit.new_id("EV_")
        body = livekit.room_event(event, sid, event_id=event_id)
        for place in self._shims if plan.to_both else [self._shims[plan.shim]]:
            self._load.post(sid, event, copies=plan.copies, body=body, event_id=event_id, shim=place)

    def _poison(self, sid: str) -> None:
        """Through a shim, which sets it aside itself; and past it, for a consumer to do so."""
        event_id = livekit.new_id("EV_")
        body = json.dumps({"event": "room_finished", "room": {"name": "x"}, "id": event_id, "createdAt": "1"}).encode()
        self._load.post("", body=body, event_id=event_id, shim=self._shims[self.rooms % len(self._shims)])
        self._producer.produce(self._topic, key=sid.encode(), value=self._seeded.choice(POISON))
        self._producer.poll(0)
