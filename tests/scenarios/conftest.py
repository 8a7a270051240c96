"""Fixtures of the scenarios. The servers come from the environment: ./dev test scenario, or what ./dev up printed."""

import base64
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import types
import uuid

import pytest
from harness import programs, spooling
from harness.broker import MockBroker, Topics
from harness.migrated import migrated_database
from harness.postgres import Postgres, drop_database
from harness.world import World


def pytest_configure(config):
    config.addinivalue_line("markers", "valgrind: also run under valgrind")
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    if not (os.environ.get("ROOMCLAIM_TEST_PG") and os.environ.get("ROOMCLAIM_TEST_KAFKA")):
        pytest.exit('no servers: use ./dev test scenario, or first eval "$(./dev up)"', 4)
    template = os.environ["ROOMCLAIM_TEST_TEMPLATE"] = f"template_{uuid.uuid4().hex[:8]}"
    server = os.environ["ROOMCLAIM_TEST_PG"]
    migrated_database(server, template)
    config.add_cleanup(lambda: drop_database(server, template))


def topic_name(request):
    word = re.sub(r"\W+", "-", request.node.name.removeprefix("test_").lower())[:40].strip("-")
    return f"{word}-{uuid.uuid4().hex[:6]}"


@pytest.fixture
def world(request, tmp_path):
    servers = [os.environ[f"ROOMCLAIM_TEST_{name}"] for name in ("KAFKA", "PG", "TEMPLATE")]
    made = World(tmp_path, topic_name(request), *servers)
    yield made
    made.close()


@pytest.fixture
def own_postgres_world(request, tmp_path):
    """A world with a Postgres of its own, .postgres, which the test may stop and start."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="roomclaim-test-"))
    folder.chmod(0o755)  # the user postgres must reach its folder
    postgres = Postgres(folder / "postgres").start()
    migrated_database(postgres.url(), "template_own")
    made = World(tmp_path, topic_name(request), os.environ["ROOMCLAIM_TEST_KAFKA"], postgres.url(), "template_own")
    made.postgres = postgres
    yield made
    made.close()
    postgres.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def kafka():
    topics = Topics(os.environ["ROOMCLAIM_TEST_KAFKA"])
    yield topics
    topics.close()


@pytest.fixture(scope="module")
def shim(kafka, tmp_path_factory):
    """One shim for all tests of a file, with a topic of its own."""
    topic = f"shim-{uuid.uuid4().hex[:8]}"
    kafka.create(topic, topic + ".dlq")
    settings = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "kafka.topic": topic}
    daemon = programs.Shim(tmp_path_factory.mktemp("shim") / "shim", settings).wait_ready()
    yield daemon
    daemon.finish()


@pytest.fixture(scope="session")
def captured():
    """Requests as a real LiveKit server sent them, in order: .name .body .token .received_at"""
    found = []
    folder = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "livekit"
    for path in sorted(folder.glob("[0-9]*.json")):
        record = json.loads(path.read_text())
        body, token = base64.b64decode(record["body_b64"]), dict(record["headers"])["Authorization"]
        found.append(types.SimpleNamespace(name=path.stem, body=body, token=token, received_at=record["received_at"]))
    return found


@pytest.fixture
def topics_of():
    """topics_of(broker): what a test asks of a broker of its own."""
    made = []

    def of(broker):
        made.append(Topics(broker.bootstrap))
        return made[-1]

    yield of
    for topics in made:
        topics.close()


@pytest.fixture
def mock(tmp_path):
    """A broker of the test's own, with the topic of harness/spooling.py. It may be stopped and may hang."""
    program = programs.BIN.parent / "tests" / "mock_broker"
    broker = MockBroker(tmp_path / "mock", program, [spooling.TOPIC, spooling.TOPIC + ".dlq"]).start()
    yield broker
    broker.child.send(signal.SIGCONT)
    broker.stop()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 16 MiB, in memory."""
    folder = tmp_path / "small"
    folder.mkdir()
    root = ["sudo"] if os.geteuid() else []
    subprocess.run([*root, "mount", "-t", "tmpfs", "-o", "size=16m,mode=777", "tmpfs", folder], check=True)
    yield folder
    subprocess.run([*root, "umount", "--lazy", folder], check=True)
