"""The words of the scenarios about the shim's spool: a shim with one, webhooks, and what has become of them."""

import concurrent.futures
import json

from . import livekit, programs
from .processes import free_port, until

TOPIC = "spooled"
WITHIN = 20


def settings_of(tmp_path, bootstrap=None, **settings):
    """Without bootstrap nobody answers there."""
    known = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap or f"127.0.0.1:{free_port()}",
        "kafka.topic": TOPIC,
        "shim.spool_path": tmp_path / "spool.db",
        "shim.spool_in_memory": "true",  # where the tests run /tmp may be a tmpfs
    }
    return known | settings


def start(tmp_path, name, bootstrap=None, **settings):
    """A shim with the test's spool."""
    shim = programs.Shim(tmp_path / name, settings_of(tmp_path, bootstrap, **settings))
    until(lambda: shim.child.running() and shim.said("listening for webhooks"), WITHIN, f"it listens\n{shim.tail()}")
    return shim


def post(shim, body):
    return livekit.post(shim.url, body, livekit.token(body, shim.api_key, shim.api_secret)).status


def post_all(shim, bodies):
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        return list(pool.map(lambda body: post(shim, body), bodies))


def post_rooms(shim, count):
    """Their sids, each with the answer's status."""
    sids = [livekit.new_id("RM_") for _ in range(count)]
    return dict(zip(sids, post_all(shim, [livekit.room_finished(sid) for sid in sids]), strict=True))


def acknowledged(answers):
    return {sid for sid, status in answers.items() if status == 200}


def gauge(shim, name):
    return shim.metrics()[(name, "")]


def expect_spooled(shim, count):
    until(lambda: gauge(shim, "roomclaim_spool_records") == count, WITHIN, lambda: f"{count} in the spool")


def expect_drained(shim):
    until(lambda: gauge(shim, "roomclaim_spool_records") == 0, WITHIN, lambda: f"the spool is empty\n{shim.tail()}")


def rooms(records):
    return [json.loads(value)["room"]["sid"] for _, value, _ in records]
