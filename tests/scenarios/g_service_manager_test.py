"""Under systemd: both daemons say when they are ready, that they live, that they stop and how long that may take; secrets come as
credentials."""

import socket

import pytest
from harness.processes import until
from harness.programs import API_SECRET, MODEL_KEY


class Manager:
    """systemd's side of sd_notify."""

    def __init__(self, folder):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        self._socket.setblocking(False)
        self.settings = {"NOTIFY_SOCKET": folder / "notify", "WATCHDOG_USEC": 2_000_000}
        self._heard = []

    def heard(self, word):
        try:
            while True:
                self._heard += self._socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            return [line for line in self._heard if line.startswith(word)]

    def expect(self, word, daemon):
        return until(lambda: self.heard(word), 20, lambda: f"{word}; heard {self._heard}\n{daemon.tail()}")

    def close(self):
        self._socket.close()


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path)
    yield made
    made.close()


def credentials(folder, **secrets):
    """A folder as systemd makes it; None takes the variable away that would be a second source."""
    (folder / "credentials").mkdir()
    for name, text in secrets.items():
        path = folder / "credentials" / name.replace("__", ".")
        path.write_text(text + "\n")
        path.chmod(0o400)
    return {"CREDENTIALS_DIRECTORY": folder / "credentials"}


def test_the_shim_under_systemd(world, manager, tmp_path):
    secret = credentials(tmp_path, livekit__api_secret=API_SECRET)
    shim = world.start_shim(LIVEKIT_API_SECRET=None, **manager.settings, **secret)
    manager.expect("READY=1", shim)
    manager.expect("WATCHDOG=1", shim)
    world.webhook(world.new_sid())  # the secret is the right one
    assert not manager.heard("STOPPING=1")
    shim.stop()
    assert manager.heard("STOPPING=1") and manager.heard("EXTEND_TIMEOUT_USEC=26000000")


def test_the_consumer_under_systemd(world, manager, tmp_path):
    secrets = credentials(tmp_path, llm__api_key=MODEL_KEY, database__url=world.database_url)
    consumer = world.start_consumer(GEMINI_API_KEY=None, DATABASE_URL=None, **manager.settings, **secrets)
    manager.expect("READY=1", consumer)
    manager.expect("WATCHDOG=1", consumer)
    room = world.given_room()
    world.publish(room)
    world.expect_completed(room)
    assert not manager.heard("STOPPING=1")
    consumer.stop()
    assert manager.heard("STOPPING=1") and manager.heard("EXTEND_TIMEOUT_USEC=")
