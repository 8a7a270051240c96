"""A TCP gate before a server: it lets pass, refuses as if nobody listened, or hangs as a network does that drops all.

It runs in a thread of its own. The server behind it stays what it is.
"""

import asyncio
import contextlib
import socket
import struct
import threading

RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() resets
CHUNK = 65536


class Gate:
    def __init__(self, host, port):
        self._server = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._links = set()
        self._passing = asyncio.Event()
        self._listener = None
        self.port = 0

    def start(self):
        self._thread.start()
        self._wait(self._listen())
        return self

    def stop(self):
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def url(self, url):
        """The same address, by way of the gate."""
        host, port = self._server
        return url.replace(f"{host}:{port}", f"127.0.0.1:{self.port}")

    def refuse(self):
        """Connections are reset, new ones refused."""
        self._wait(self._refuse())

    def hang(self):
        """Connections stay and are accepted; no byte passes."""
        self._wait(self._hang())

    def heal(self, *, late=False):
        """late: what was said while it hung arrives now; else those connections are reset."""
        self._wait(self._heal(late))

    def _wait(self, task):
        return asyncio.run_coroutine_threadsafe(task, self._loop).result(10)

    async def _listen(self):
        if not self._listener:
            self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._listener.sockets[0].getsockname()[1]
        self._passing.set()

    async def _refuse(self):
        if self._listener:
            self._listener.close()
            self._listener = None
        self._reset_links()

    async def _hang(self):
        await self._listen()
        self._passing.clear()

    async def _heal(self, late):
        if not late:
            self._reset_links()
        await self._listen()

    def _reset_links(self):
        for link in list(self._links):
            link.cancel()

    async def _serve(self, reader, writer):
        link = asyncio.current_task()
        self._links.add(link)
        writers = [writer]
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._link(reader, writers)
        self._links.discard(link)
        for each in writers:
            with contextlib.suppress(OSError):
                each.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            each.transport.abort()

    async def _link(self, reader, writers):
        """One connection; writers gets the one to the server as soon as there is one."""
        said = await self._said_before(reader)
        if said is None:
            return
        server_reader, server_writer = await asyncio.open_connection(*self._server)
        writers.append(server_writer)
        server_writer.write(said)
        await asyncio.gather(self._pump(reader, server_writer), self._pump(server_reader, writers[0]))

    async def _said_before(self, reader):
        """What a client says while nothing passes; None: it has left."""
        said = b""
        while not self._passing.is_set():
            passing, reading = asyncio.ensure_future(self._passing.wait()), asyncio.ensure_future(reader.read(CHUNK))
            done, left = await asyncio.wait({passing, reading}, return_when=asyncio.FIRST_COMPLETED)
            for task in left:
                task.cancel()
            if reading in done:
                if not reading.result():
                    return None
                said += reading.result()
        return said

    async def _pump(self, reader, writer):
        while data := await reader.read(CHUNK):
            await self._passing.wait()
            writer.write(data)
            await writer.drain()
        await self._passing.wait()
        writer.write_eof()
