"""Kafka is killed under load, with records on their way, and comes back: what was answered 200 is in the topic, and what is
there twice is the same."""

import collections
import concurrent.futures
import json
import threading
import time

import pytest
from harness import livekit
from harness.broker import KafkaBroker, jars_folder
from harness.processes import until
from harness.programs import Shim

TOPIC, SENDERS, BOUNCES, LATEST_S = "bounced", 8, 1, 5


@pytest.fixture
def kafka(tmp_path, topics_of):
    broker = KafkaBroker(tmp_path / "kafka", jars_folder()).start()
    topics_of(broker).create(TOPIC, TOPIC + ".dlq")
    yield broker
    broker.stop()


class Load:
    """Senders that never stop: {event id: body} of what was answered 200, and a count of each answer."""

    def __init__(self, shim):
        self._shim, self._url = shim, shim.url
        self.taken, self.answers, self.slowest_s = {}, collections.Counter(), 0
        self._end = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(SENDERS)
        self._senders = [self._pool.submit(self._send) for _ in range(SENDERS)]

    def _send(self):
        while not self._end.wait(0.02):
            body = livekit.room_finished(livekit.new_id("RM_"))
            begun = time.monotonic()
            status = livekit.post(
                self._url, body, livekit.token(body, self._shim.api_key, self._shim.api_secret)
            ).status
            self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
            self.answers[status] += 1
            if status == 200:
                self.taken[json.loads(body)["id"]] = body

    def expect_more(self, status):
        seen = self.answers[status]
        until(lambda: self.answers[status] > seen + SENDERS, 30, lambda: f"{status}, now {self.answers}")

    def end(self):
        self._end.set()
        for sender in self._senders:
            sender.result(30)


@pytest.mark.shows("F40", "F41")
def test_nothing_acknowledged_is_lost(tmp_path, kafka, topics_of):
    settings = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "kafka.topic": TOPIC}
    shim = Shim(tmp_path / "shim", settings).wait_ready()
    load = Load(shim)
    for _ in range(BOUNCES):
        load.expect_more(200)
        kafka.child.kill()
        load.expect_more(503)
        kafka.start()
    load.expect_more(200)
    load.end()
    shim.finish()

    found = collections.defaultdict(set)
    for _, value, headers in topics_of(kafka).records(TOPIC):
        found[headers["ce_id"].decode()].add(value)
    assert set(load.taken) <= set(found)
    assert all(len(bodies) == 1 for bodies in found.values())
    assert set(load.answers) == {200, 503} and load.slowest_s < LATEST_S
