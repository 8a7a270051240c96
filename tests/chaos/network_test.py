"""The links of the harness: each fault does what it says, to the connections it says."""

import select
import socket
import threading
import time

import pytest
from harness.links import DOWN, UP, WAITING, Counters, Group
from harness.network import Network
from harness.processes import Late, until

PROMPT = 10  # s in which everything that is to happen has happened
SILENCE = 0.3  # s in which nothing that passes would have failed to come


class Echo:
    """A server that sends back what it hears, and keeps it."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=300)
        self.port = self._listener.getsockname()[1]
        self.heard = b""
        self.opened = self.closed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        if self._listener.fileno() >= 0:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            self._listener.close()

    def _accept(self):
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.opened += 1
            threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer):
        try:
            while data := peer.recv(65536):
                self.heard += data
                peer.sendall(data)
        except OSError:
            pass
        peer.close()
        self.closed += 1


@pytest.fixture
def echo():
    server = Echo()
    yield server
    server.close()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    made = Network(folder, seed=1).start()
    yield made
    made.stop()
    assert (folder / "network.log").read_text() == ""


@pytest.fixture
def link(network, echo, request):
    made = network.link(request.node.name, "127.0.0.1", echo.port)
    yield made
    made.refuse()


@pytest.fixture
def client(link):
    with connect(link) as made:
        assert ask(made) == b"ping"
        yield made


def connect(link):
    return socket.create_connection((link.host, link.port), PROMPT)


def ask(client, what=b"ping"):
    client.sendall(what)
    return hear(client, len(what))


def hear(client, size, within=PROMPT):
    client.settimeout(within)
    got = bytearray()
    while len(got) < size and (data := client.recv(min(65536, size - len(got)))):
        got += data
    return bytes(got)


def is_silent(client):
    client.settimeout(SILENCE)
    with pytest.raises(TimeoutError):
        client.recv(1)
    return True


def is_reset(client):
    client.settimeout(PROMPT)
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    return True


def test_passes_all_in_both_directions(link, client):
    sent = bytes(range(256)) * 8192
    threading.Thread(target=client.sendall, args=(sent,)).start()
    assert hear(client, len(sent)) == sent
    assert link.count() == Counters(connections=1, connected=1, up=len(sent) + 4, down=len(sent) + 4)


def test_an_end_passes_and_answers_still_come(link, client):
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)
    assert hear(client, 100) == b"last words"
    until(lambda: link.count().connected == 0, PROMPT, "both ends are closed")
    assert link.count().resets == 0


def test_a_reset_passes(echo, link, client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    until(lambda: echo.closed, PROMPT, "the server has heard")
    assert link.count().resets == 0  # not by the link


def test_a_server_that_is_away_resets(echo, link):
    echo.close()
    with pytest.raises(ConnectionResetError):  # it may come before connect() has returned
        connect(link).recv(1)


def test_refuse(link, client):
    link.refuse()
    assert is_reset(client)
    with pytest.raises(ConnectionRefusedError):
        connect(link)
    link.heal()
    assert ask(connect(link)) == b"ping"
    assert link.count().resets == 1


def test_reset_is_once(link, client):
    link.reset()
    assert is_reset(client)
    assert ask(connect(link)) == b"ping"
    assert link.count().resets == 1


def test_hang_in_both_directions(echo, link, client):
    link.hang()
    client.sendall(b"lost")
    late = connect(link)
    late.sendall(b"lost too")
    assert is_silent(client) and is_silent(late)
    assert (echo.heard, echo.opened) == (b"ping", 1)
    assert link.count().swallowed == 12
    link.heal()
    assert is_reset(client) and is_reset(late)
    assert ask(connect(link)) == b"ping"


def test_hang_hides_the_end_of_either_side(echo, link, client):
    link.hang()
    client.close()
    with pytest.raises(Late):
        until(lambda: echo.closed, SILENCE, "the server heard of it")
    link.heal()
    until(lambda: echo.closed, PROMPT, "the server has heard")


def test_hang_up_keeps_requests_from_the_server(echo, link, client):
    link.hang(UP)
    client.sendall(b"lost")
    assert is_silent(client)
    assert echo.heard == b"ping"
    link.heal()
    assert is_reset(client)


def test_hang_down_loses_answers(echo, link, client):
    link.hang(DOWN)
    client.sendall(b"done")
    assert is_silent(client)
    assert echo.heard == b"pingdone"
    link.heal()
    assert is_reset(client)


def test_what_lost_nothing_survives_a_hang(link, client):
    link.hang()
    link.heal()
    assert ask(client) == b"ping"
    assert link.count().resets == 0


def test_a_hang_that_goes_on_keeps_its_connections(link, client):
    link.hang(DOWN)
    client.sendall(b"lost")
    until(lambda: link.count().swallowed, PROMPT, "the answer is lost")
    link.hang()
    assert is_silent(client)
    link.delay(0.01)  # no longer hung
    assert is_reset(client)


def test_delay_keeps_the_order(link, client):
    link.delay(0.1, jitter=0.2)
    begun = time.monotonic()
    for n in range(50):
        client.sendall(b"%03d" % n)
    assert hear(client, 150) == b"".join(b"%03d" % n for n in range(50))
    assert time.monotonic() - begun >= 0.2  # once up, once down
    assert link.count().waits >= 2


def test_delay_holds_back_the_end_too(link, client):
    link.delay(0.2)
    begun = time.monotonic()
    client.sendall(b"bye")
    client.shutdown(socket.SHUT_WR)
    assert hear(client, 4) == b"bye"
    assert time.monotonic() - begun >= 0.4


def test_heal_lets_go_what_waits(link, client):
    link.delay(3600)
    client.sendall(b"later")
    assert is_silent(client)
    link.heal()
    assert hear(client, 5) == b"later"


def test_hang_swallows_what_waits(echo, link, client):
    link.delay(3600)
    client.sendall(b"lost")
    assert is_silent(client)
    link.hang()
    assert link.count().swallowed == 4
    link.heal()
    assert is_reset(client)
    assert echo.heard == b"ping"


def test_trickle(link, client):
    link.trickle(1000)
    begun = time.monotonic()
    assert ask(client, b"x" * 500) == b"x" * 500
    assert 0.35 <= time.monotonic() - begun < PROMPT
    assert link.count().waits >= 2


@pytest.mark.parametrize("fault", [lambda link: link.trickle(1000), lambda link: link.heal()])
def test_what_is_not_held_back_did_not_wait(link, client, fault):
    fault(link)
    assert ask(client) == b"ping"
    assert link.count().waits == 0


def send_until_stopped(client):
    """Returns how many bytes went before nothing was taken any more."""
    client.setblocking(False)
    sent, stopped_at = 0, time.monotonic() + SILENCE
    while time.monotonic() < stopped_at:
        try:
            sent += client.send(b"x" * 65536)
            stopped_at = time.monotonic() + SILENCE
        except BlockingIOError:
            select.select([], [client], [], SILENCE)
        assert sent < 1 << 27
    return sent


@pytest.mark.parametrize("slowly", ["delay", "trickle"])
def test_what_waits_is_bounded(link, client, slowly):
    {"delay": link.delay, "trickle": link.trickle}[slowly](3600 if slowly == "delay" else 1)
    assert WAITING <= send_until_stopped(client)
    link.reset()


def test_a_reader_that_does_not_read_stops_the_sender(link, client):
    """The echo's answers fill the way back; then nothing more of the client is read either."""
    sent = send_until_stopped(client)
    assert hear(client, sent) == b"x" * sent


def test_a_group_takes_the_same_fault(network, echo, link, client):
    other = network.link("other", "127.0.0.1", echo.port)
    group = Group([link, other])
    group.refuse()
    for one in group.links:
        with pytest.raises(ConnectionRefusedError):
            connect(one)
    group.heal()
    assert [ask(connect(one)) for one in group.links] == [b"ping"] * 2
    assert (group.count().connections, group.count().resets) == (3, 1)


def test_many_connections(echo, link):
    clients = [connect(link) for _ in range(200)]
    assert all(ask(c) == b"ping" for c in clients)
    assert link.count().connected == 200
    for c in clients:
        c.close()
    until(lambda: link.count().connected == 0, PROMPT, "all have ended")
