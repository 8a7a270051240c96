"""A TCP proxy before Postgres. It resets a connection, once, at a point of the conversation that the test names.

It runs in a thread of its own; without an order it only passes on.
"""

import asyncio
import dataclasses
import socket
import struct
import threading

import psycopg

RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() resets
CHUNK = 65536
LONGEST_WORD = 64


@dataclasses.dataclass
class Cut:
    word: bytes
    after: int  # bytes behind the word that still pass, of those that come with it
    answer: bool  # everything passes, but no answer comes back


class Proxy:
    def __init__(self, server_url):
        parts = psycopg.conninfo.conninfo_to_dict(server_url)
        self._server = (parts["host"], int(parts["port"]))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.order = None
        self.cuts = 0

    def start(self):
        self._thread.start()
        self._listener = self._wait(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    def stop(self):
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def url(self, url):
        """The same database, by way of the proxy."""
        host, port = self._server
        return url.replace(f"@{host}:{port}/", f"@127.0.0.1:{self.port}/")

    def cut_request(self, word, after=0):
        """The next connection in which the client says `word` is reset before the server has got all of the request."""
        self.order = Cut(word.encode(), after, answer=False)

    def cut_answer(self, word):
        """The same, but when the server's answer begins to come: it has done what it was asked, and nobody hears of it."""
        self.order = Cut(word.encode(), 0, answer=True)

    def _wait(self, task):
        return asyncio.run_coroutine_threadsafe(task, self._loop).result(10)

    async def _end(self):
        self._listener.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader, writer):
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._server)
        except OSError:
            return writer.close()
        await _Link(self, reader, writer, server_reader, server_writer).run()


class _Link:
    """One connection through the proxy, in both directions."""

    def __init__(self, proxy, from_client, to_client, from_server, to_server):
        self._proxy = proxy
        self._from_client, self._to_client = from_client, to_client
        self._from_server, self._to_server = from_server, to_server
        self._answer_is_cut = False

    async def run(self):
        pumps = {asyncio.ensure_future(self._client_speaks()), asyncio.ensure_future(self._server_speaks())}
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._to_client.close()
            self._to_server.close()

    async def _client_speaks(self):
        said = b""
        while data := await self._from_client.read(CHUNK):
            before = said[-LONGEST_WORD:]
            said = before + data
            cut = self._ordered(said)
            if cut and not cut.answer:
                end = said.find(cut.word) + len(cut.word) + cut.after - len(before)
                self._to_server.write(data[: max(end, 0)])
                await self._to_server.drain()
                return self._reset()
            self._answer_is_cut = self._answer_is_cut or bool(cut)
            self._to_server.write(data)
            await self._to_server.drain()

    async def _server_speaks(self):
        while data := await self._from_server.read(CHUNK):
            if self._answer_is_cut:
                return self._reset()
            self._to_client.write(data)
            await self._to_client.drain()

    def _ordered(self, said):
        """The order, if it is for this connection; it is carried out once."""
        cut = self._proxy.order
        if not cut or cut.word not in said:
            return None
        self._proxy.order = None
        return cut

    def _reset(self):
        for writer in (self._to_client, self._to_server):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        self._proxy.cuts += 1
