"""Each prefix of a reply is cut once: n bytes come through, then the connection is reset, n = 0, 1, 2, ...

Postgres' answers and the model's are cut in torture.c, after the request was sent; LiveKit's requests and the shim's answers on
the wire. A cut by Postgres costs no second call and no attempt; one by the model is one more call on record.
"""

import json
import socket
import struct
import time

import pytest
from crash.promises import HURRY
from harness import livekit, programs
from harness.processes import until
from harness.recording import Recording

from torture.faults import spread
from torture.subjects import CONSUMER, HURRY_EVERY_S, MODEL_S, SWEEP_S

EACH_BYTE = 2048  # longer answers are cut at so many places
RESET = struct.pack("ii", 1, 0)
WITHIN = 30
TRIES = 10  # a sweep's answer is now and then a few bytes shorter than the one that was measured
# What to say to the model so that the function is called, and how many calls that takes.
FUNCTIONS = {
    "claim_v1": ([], 1),
    "store_v1": ([], 1),
    "finish_v1": ([], 1),
    "release_v1": ([500], 2),
    "park_v1": (["prompt_blocked"], 1),
    "sweep_v1": ([500], 2),  # and the settings', which are asked for with it
    "dlq_acked_v1": (["prompt_blocked"], 1),
}


class Cutter:
    """A consumer whose replies are cut, one room after the other."""

    def __init__(self, world, run, page, preload):
        self.world, self.run, self.page = world, run, page
        world.start_shim()
        # The lease is longer than the test: no room is saved by its end.
        self.consumer = world.start_consumer(**CONSUMER | {"claim__lease": "90s"}, **preload)
        self.rooms = []
        self._hurried = 0.0

    def room(self, script):
        room = self.world.given_room()
        self.world.model.script(room, *script)
        self.rooms.append(room)
        self.run.load.post(room)
        return room

    def finish(self, room, end):
        """To its end; what a sweep has handed out in an answer that was lost waits for 30 s: that may be over sooner."""

        def is_over():
            self.hurry()
            return self.world.status(room) == "completed" or self.has_left(room)

        until(is_over, WITHIN, lambda: f"{end}: {self.world.state(room)}\n{self.consumer.tail()}")

    def has_left(self, room):
        """It is parked, and that its letter is sent is known."""
        return self.world.value(
            "SELECT state = 'parked' AND NOT dlq_pending FROM roomclaim.room WHERE room_sid = %s", room
        )

    def hurry(self):
        if time.monotonic() > self._hurried + HURRY_EVERY_S:
            self._hurried = time.monotonic()
            self.world.sql(HURRY)

    def length(self, word, origin, script):
        """Of the whole answer."""
        self.page.cut(word, origin, 1 << 40)
        self.finish(self.room(script), "a reply that is not cut")
        self.page.disarm()
        return self.page.passed()

    def cut(self, word, origin, after, script):
        self.page.cut(word, origin, after)
        begun = time.time()
        for _ in range(TRIES):
            room = self.room(script)
            self.finish(room, f"{word} cut after {after} bytes")
            if self.page.is_hit():
                break
        assert self.page.is_hit(), f"{word} was not cut after {after} bytes"
        self.page.disarm()
        return room, begun


def expect_calls(cutter, allowed):
    calls = {}
    for call in cutter.world.model.calls():
        calls[call["room"]] = calls.get(call["room"], 0) + 1
    wrong = {room: calls.get(room, 0) for room in cutter.rooms if calls.get(room, 0) not in allowed}
    assert not wrong, f"model calls {wrong}, not {allowed}"


def recorded(world):
    return Recording(world, lease_s=90, model_deadline_s=MODEL_S, sweep_s=SWEEP_S, max_attempts=1000)


def lengths(total, option):
    return spread(total, EACH_BYTE)[:: option.sample]


@pytest.mark.shows("F70", "F73")
@pytest.mark.parametrize("function", FUNCTIONS)
def test_postgres_is_cut(world, page, preload, function, request, record_property):
    script, calls = FUNCTIONS[function]
    with recorded(world) as run:
        cutter = Cutter(world, run, page, preload)
        places = [n - 1 for n in lengths(cutter.length(function, "libpq", script), request.config.option)]
        for after in places:
            cutter.cut(function, "libpq", after, script)
        run.finish(within=WITHIN)
        expect_calls(cutter, {calls})
        attempts = world.sql("SELECT room_sid, attempt FROM roomclaim.room WHERE attempt > %s", calls)
        assert not attempts, f"attempts are burnt: {attempts}"
        assert world.metric("roomclaim_fenced_total") == 0
    told(record_property, "Postgres' replies cut", len(places))
    run.check()


@pytest.mark.shows("F83")
def test_the_model_is_cut(world, page, preload, request, record_property):
    with recorded(world) as run:
        cutter = Cutter(world, run, page, preload)
        total = cutter.length("generateContent", "libcurl", [])
        for n in lengths(total, request.config.option):
            _, begun = cutter.cut("generateContent", "libcurl", n - 1, [])
            run.fault("cut", cutter.consumer, t=begun, until=time.time())
        run.finish(within=WITHIN)
        expect_calls(cutter, {1, 2})
        stored = world.sql("SELECT result::text FROM roomclaim.analysis WHERE current")
        assert len(stored) == len(cutter.rooms)
        assert all(set(json.loads(text)) == {"sentiment", "summary", "topics"} for (text,) in stored)
    told(record_property, "the model's replies cut", len(lengths(total, request.config.option)))
    run.check()


def http_request(shim, room):
    body = livekit.room_finished(room)
    token = livekit.token(body, programs.API_KEY, programs.API_SECRET)
    head = (
        f"POST /webhook HTTP/1.1\r\nHost: shim\r\nAuthorization: {token}\r\nContent-Type: application/webhook+json\r\n"
    )
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def send_and_leave(port, data, reset):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(data)
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_request_is_cut(world, reset, request, record_property):
    """Nothing of it is produced, but for the whole one: its sender only doesn't read the answer."""
    shim = world.start_shim()
    whole, sids = http_request(shim, world.new_sid()), []
    places = lengths(len(whole) - 1, request.config.option)
    for after in places:
        sids.append(world.new_sid())
        send_and_leave(shim.port, http_request(shim, sids[-1])[:after], reset)
    last = world.new_sid()
    send_and_leave(shim.port, http_request(shim, last), False)
    until(lambda: world.kafka.records(world.topic), WITHIN, "the whole request is produced")
    good = world.new_sid()
    assert world.webhook(good) == [200]
    assert sorted(key.decode() for key, _, _ in world.kafka.records(world.topic)) == sorted([last, good])
    until(lambda: shim.metrics()[("roomclaim_connections", "")] == 0, WITHIN, "no connection is left")
    told(record_property, "requests to the shim cut", len(places))


def told(record_property, row, runs):
    record_property("row", row)
    record_property("counts", {"runs": runs, "hits": runs, "answered": runs})
