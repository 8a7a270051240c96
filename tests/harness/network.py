"""The network between all parties: each connection goes through a link, and a link has faults (harness/links.py).

    network = Network(folder, seed).start()
    link = network.link("shim-1 to kafka", host, port)   # listens at link.host, link.port
    link.hang("down"); ...; link.heal()                  # and refuse, reset, delay, trickle; all calls from any thread
    link.count().resets                                  # connections, connected, resets, up, down, swallowed, waits

The links live in a child process: in this one they would wait for the interpreter's lock whenever a thread is busy.
A fault leaves no trace in what its link does after heal(), but for the connections that it has broken.
"""

import os
import pathlib
import signal
import socket
import sys
import threading
from multiprocessing.connection import Connection

from .links import ANYWHERE, Address, Counters, Fault, Faults, Links
from .processes import Child

PATIENCE = 20  # s for an answer of the child
TESTS = pathlib.Path(__file__).resolve().parent.parent


class Network:
    """Owns the child. `links` has each link under its name."""

    def __init__(self, folder: str | os.PathLike, seed: int = 0):
        self.links: dict[str, Link] = {}
        self._log = pathlib.Path(folder) / "network.log"
        self._seed = seed
        self._lock = threading.Lock()

    def start(self) -> "Network":
        ours, its = socket.socketpair()
        with its:
            argv = [sys.executable, "-m", "harness.network", its.fileno(), self._seed]
            self._child = Child("network", argv, self._log, cwd=TESTS, pass_fds=[its.fileno()])
        self._control = Connection(ours.detach())
        return self

    def stop(self) -> None:
        """Ends all connections."""
        self._control.close()
        self._child.wait(10)

    def link(self, name: str, host: str, port: int, at: Address = ANYWHERE) -> "Link":
        """A new link to the server at host:port. It listens at `at`; port 0: a free one, kept until stop()."""
        assert name not in self.links, name
        self.links[name] = Link(self, name, self.ask("add", name, (host, port), at))
        return self.links[name]

    def heal(self) -> None:
        for link in self.links.values():
            link.heal()

    def ask(self, what: str, name: str, *arguments):
        """Has the child do something to the link of that name."""
        with self._lock:
            self._control.send((what, name, arguments))
            if not self._control.poll(PATIENCE):
                raise RuntimeError(f"the network does not answer; log: {self._log}")
            answer = self._control.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Link(Faults):
    """A link in the child. It listens at host and port."""

    def __init__(self, network: Network, name: str, at: Address):
        self.name = name
        self.host, self.port = at
        self.fault = Fault()
        self._network = network

    def change(self, fault: Fault) -> None:
        self._network.ask("change", self.name, fault)
        self.fault = fault

    def reset(self) -> None:
        self._network.ask("reset", self.name)

    def count(self) -> Counters:
        return self._network.ask("count", self.name)


def _serve(control: Connection, links: Links) -> None:
    """Does what the parent asks until it is gone."""
    known = {}
    while True:
        try:
            what, name, arguments = control.recv()
        except (EOFError, ConnectionError):
            return
        try:
            if what == "add":
                known[name] = links.add(name, *arguments)
                control.send((known[name].host, known[name].port))
            else:
                control.send(getattr(known[name], what)(*arguments))
        except Exception as error:
            control.send(error)


def main(control_fd: str, seed: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to answer
    links = Links(int(seed)).start()
    _serve(Connection(int(control_fd)), links)
    links.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
