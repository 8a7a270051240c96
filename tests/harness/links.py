"""Links: each is a TCP proxy before one server, and has faults. They share an asyncio loop in a thread of its own.

Every call may come from any thread and has happened when it returns. What waits in a link is bounded: then the sender is
no longer read from. A fault stays until the next one or heal() takes its place. Data that a hung link has swallowed is
lost: when a link no longer hangs, the connections that have lost something (or never reached the server) are reset;
those that lost nothing live on.
"""

import asyncio
import collections
import contextlib
import dataclasses
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterable

UP, DOWN = "up", "down"  # from the client to the server, and back
RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() resets
WAITING = 256 * 1024  # bytes that wait in one direction of a connection before its sender is no longer read from
TICK = 0.05  # s between two pieces of a trickle
BACKLOG = 512
PATIENCE = 10  # s for a call into the loop

Address = tuple[str, int]
ANYWHERE: Address = ("127.0.0.1", 0)


@dataclasses.dataclass(frozen=True)
class Fault:
    refuses: bool = False
    hung: frozenset[str] = frozenset()
    seconds: float = 0
    jitter: float = 0
    rate: float = 0  # bytes/s in each direction of a connection; 0: as fast as it goes

    @property
    def paces(self) -> bool:
        return bool(self.seconds or self.jitter or self.rate)


NONE = Fault()


@dataclasses.dataclass(frozen=True)
class Counters:
    """All but `connected` only grow."""

    connections: int = 0  # accepted
    connected: int = 0  # now
    resets: int = 0  # connections that the link has reset, by its fault or by reset()
    up: int = 0  # bytes that have passed
    down: int = 0
    swallowed: int = 0  # bytes
    waits: int = 0  # times that a piece had to wait, for its delay or for the rate

    def __add__(self, other: "Counters") -> "Counters":
        return Counters(*map(sum, zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


class Faults:
    """What can be done to a link, or to several at once, and what has come of it."""

    def heal(self) -> None:
        """Everything passes."""
        self.change(NONE)

    def refuse(self) -> None:
        """Connections are reset, new ones are refused."""
        self.change(Fault(refuses=True))

    def hang(self, *ways: str) -> None:
        """Connections stay, new ones are accepted, but nothing passes, not even their end: UP, DOWN or, by default, both.

        UP: the server hears nothing. DOWN: it does what it is asked, and nobody hears of it.
        """
        assert set(ways) <= {UP, DOWN}, ways
        self.change(Fault(hung=frozenset(ways or (UP, DOWN))))

    def delay(self, seconds: float, jitter: float = 0) -> None:
        """All that passes is late by seconds, and up to jitter more, in each direction; its order stays."""
        self.change(Fault(seconds=seconds, jitter=jitter))

    def trickle(self, bytes_per_s: float) -> None:
        """In each direction of each connection no more than so many bytes pass in a second."""
        assert bytes_per_s > 0
        self.change(Fault(rate=bytes_per_s))

    def change(self, fault: Fault) -> None:
        raise NotImplementedError

    def reset(self) -> None:
        """The connections that are there are reset, once; the fault in force stays."""
        raise NotImplementedError

    def count(self) -> Counters:
        raise NotImplementedError


class Group(Faults):
    """Several links, to which the same happens."""

    def __init__(self, links: Iterable[Faults]):
        self.links = list(links)

    def change(self, fault: Fault) -> None:
        for link in self.links:
            link.change(fault)

    def reset(self) -> None:
        for link in self.links:
            link.reset()

    def count(self) -> Counters:
        return sum((link.count() for link in self.links), Counters())


def hold_port(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Keeps a port for whoever listens on it (with SO_REUSEADDR), also while nobody does. Returns what holds it."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((host, port))
    return held


class Links:
    """Owns the loop and the links in it."""

    def __init__(self, seed: int = 0):
        self.seed = seed
        self._links: list[Link] = []
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="links", daemon=True)

    def start(self) -> "Links":
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ends all connections."""
        for link in self._links:
            link.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def add(self, name: str, server: Address, at: Address = ANYWHERE, kind: Callable | None = None) -> "Link":
        """A new link to a server. It listens at `at`; port 0: a free one, kept until stop()."""
        link = Link(self, name, server, at, kind or Connection)
        self._links.append(link)
        self.call(link.listen)
        return link

    def call(self, function: Callable, *arguments):
        """Runs an async function in the loop, and returns its result."""
        return asyncio.run_coroutine_threadsafe(function(*arguments), self.loop).result(PATIENCE)


class Link(Faults):
    """A way to one server. It listens at host and port; its name seeds what is random in it."""

    def __init__(self, links: Links, name: str, server: Address, at: Address, kind: Callable):
        self.server = server
        self.fault = NONE
        self.connections = self.resets = self.swallowed = self.waits = 0
        self.passed = {UP: 0, DOWN: 0}
        self.random = random.Random(f"{links.seed} {name}")
        self.loop = links.loop
        self.open: set[Connection] = set()  # the loop's
        self._call, self._kind = links.call, kind
        self._held = hold_port(*at)
        self.host, self.port = self._held.getsockname()
        self._listener = None

    def change(self, fault: Fault) -> None:
        self._call(self._change, fault)

    def reset(self) -> None:
        self._call(self._reset_all)

    def count(self) -> Counters:
        return Counters(
            self.connections,
            len(self.open),
            self.resets,
            self.passed[UP],
            self.passed[DOWN],
            self.swallowed,
            self.waits,
        )

    def close(self) -> None:
        self._call(self._close)
        self._held.close()

    async def listen(self) -> None:
        self._listener = await self.loop.create_server(
            lambda: self._kind(self).client, self.host, self.port, backlog=BACKLOG, reuse_address=True
        )

    async def _change(self, fault: Fault) -> None:
        before, self.fault = self.fault, fault
        if fault.refuses:
            self._stop_listening()
            await self._reset_all()
        elif not self._listener:
            await self.listen()
        for connection in list(self.open):
            if connection.has_lost and not before.hung <= fault.hung:
                connection.reset()
            else:
                connection.pace()

    async def _reset_all(self) -> None:
        for connection in list(self.open):
            connection.reset()

    async def _close(self) -> None:
        self._stop_listening()
        for connection in list(self.open):
            connection.end()
        await asyncio.sleep(0)  # their sockets are closed in the loop's next round

    def _stop_listening(self) -> None:
        if self._listener:
            self._listener.close()
            self._listener = None


class Connection:
    """One connection through a link: two ends and two ways. Lives in the loop, until it is `over`."""

    def __init__(self, link: Link):
        self.link = link
        self.client, self.server = _End(self), _End(self)
        self.up, self.down = _Way(self, UP), _Way(self, DOWN)
        self.client.out, self.server.out = self.up, self.down
        self.up.source, self.up.target = self.client, self.server
        self.down.source, self.down.target = self.server, self.client
        self.has_lost = False
        self.over = False

    def heard(self, way: "_Way", data: bytes) -> None:
        """What an end has said; a kind of connection may look at it on its way."""
        way.push(data)

    def begin(self) -> None:
        self.link.connections += 1
        self.link.open.add(self)
        if UP in self.link.fault.hung:
            self.has_lost = True
        else:
            self._dialling = self.link.loop.create_task(self._dial())

    async def _dial(self) -> None:
        try:
            await self.link.loop.create_connection(lambda: self.server, *self.link.server)
        except OSError:
            return self.lost(self.down)
        if self.over:
            self.server.abort()
        else:
            self.pace()

    def pace(self) -> None:
        """What waits goes, or waits again, as the link's fault has it now."""
        self.up.go_on()
        self.down.go_on()

    def lost(self, way: "_Way") -> None:
        """The source of this way is gone. The other end hears of it if news still passes."""
        if self.over:
            return
        if way.name in self.link.fault.hung:
            self.has_lost = True
        else:
            self.end()

    def reset(self) -> None:
        self.link.resets += 1
        self.end()

    def end(self) -> None:
        """Both ends are reset."""
        self._forget()
        self.client.abort()
        self.server.abort()

    def close(self) -> None:
        """Both have said all: what is still to be written will be."""
        self._forget()
        self.client.transport.close()
        self.server.transport.close()

    def _forget(self) -> None:
        self.over = True
        self.link.open.discard(self)
        self.up.clear()
        self.down.clear()


class _End(asyncio.Protocol):
    """The socket at one end of a connection."""

    def __init__(self, connection: Connection):
        self._connection = connection
        self.out: _Way | None = None
        self.transport: asyncio.Transport | None = None
        self.is_full = False
        self.is_gone = False

    def connection_made(self, transport) -> None:
        self.transport = transport
        if self is self._connection.client:
            self._connection.begin()

    def data_received(self, data: bytes) -> None:
        self._connection.heard(self.out, data)

    def eof_received(self) -> bool:
        self.out.push(b"")
        return True  # it may still hear

    def connection_lost(self, error) -> None:
        self.is_gone = True
        self._connection.lost(self.out)

    def pause_writing(self) -> None:
        self.is_full = True
        self._connection.pace()

    def resume_writing(self) -> None:
        self.is_full = False
        self._connection.pace()

    def hear(self, data: bytes) -> None:
        if self.is_gone:
            return
        if data:
            self.transport.write(data)
        else:
            with contextlib.suppress(OSError):  # it has reset the connection: connection_lost comes
                self.transport.write_eof()

    def listen(self, wanted: bool) -> None:
        if self.transport and not self.is_gone:
            (self.transport.resume_reading if wanted else self.transport.pause_reading)()

    def abort(self) -> None:
        if self.transport and not self.is_gone:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()


class _Way:
    """One direction of a connection, and what waits in it; an empty piece is the end of all that its source says."""

    def __init__(self, connection: Connection, name: str):
        self.name = name
        self.source: _End | None = None
        self.target: _End | None = None
        self._connection, self._link = connection, connection.link
        self._queue: collections.deque[tuple[float, bytes]] = collections.deque()  # (not before, piece)
        self._waiting = 0  # bytes
        self._timer = None
        self._next_at = 0.0
        self._ended = False

    def push(self, data: bytes) -> None:
        if not self._queue and self.target.transport and not self._link.fault.paces:
            return self._deliver(data)
        fault, now = self._link.fault, self._link.loop.time()
        self._queue.append((now + fault.seconds + fault.jitter * self._link.random.random(), data))
        self._waiting += len(data)
        self.go_on()

    def go_on(self) -> None:
        """Passes on what is due, and sees to the rest and to the source."""
        if self._connection.over:
            return
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self.target.transport or self.name in self._link.fault.hung:
            self._pass_due()
        if not self._connection.over:
            self.source.listen(self._waiting < WAITING and not self.target.is_full)

    def clear(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._queue.clear()

    def _pass_due(self) -> None:
        fault, now = self._link.fault, self._link.loop.time()
        while self._queue and not self._connection.over:
            due, data = self._queue[0]
            when = max(due, self._next_at) if fault.paces else now
            if when > now:
                self._link.waits += 1
                self._timer = self._link.loop.call_at(when, self.go_on)
                return
            self._queue.popleft()
            if fault.rate and data:
                data = self._slice(data, due, fault.rate, now)
            self._waiting -= len(data)
            self._deliver(data)

    def _slice(self, data: bytes, due: float, rate: float, now: float) -> bytes:
        """The piece that may go now; the rest waits again."""
        size = max(1, int(rate * TICK))
        if len(data) > size:
            self._queue.appendleft((due, data[size:]))
        piece = data[:size]
        self._next_at = now + len(piece) / rate
        return piece

    def _deliver(self, data: bytes) -> None:
        if self.name in self._link.fault.hung:
            self._link.swallowed += len(data)
            self._connection.has_lost = True
            return
        self._link.passed[self.name] += len(data)
        self.target.hear(data)
        if not data:
            self._ended = True
            if self._connection.up._ended and self._connection.down._ended:
                self._connection.close()
