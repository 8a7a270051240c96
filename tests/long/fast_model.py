"""A stand-in for the model that answers thousands of calls a second: python -m long.fast_model LATENCY_MS

The same good answer for every room, after that time. GET answers {"calls": so far}. Prints its port.
"""

import asyncio
import json
import re
import sys

from harness.model import RESULT, answer

ROOM = re.compile(rb"RM_[A-Za-z0-9]+")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
PLACE = "ROOM"
REPLY = json.dumps(answer(json.dumps(RESULT | {"summary": f"Room {PLACE}: the call was clear."})))


class Connection(asyncio.Protocol):
    calls = 0  # of all connections

    def __init__(self, latency_s):
        self._latency_s = latency_s
        self._said = b""

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        self._said += data
        while (end := self._said.find(b"\r\n\r\n") + 4) > 3:
            found = LENGTH.search(self._said, 0, end)
            end += int(found[1]) if found else 0
            if len(self._said) < end:
                return
            request, self._said = self._said[:end], self._said[end:]
            self._serve(request)

    def _serve(self, request):
        if request.startswith(b"GET"):
            self._reply(json.dumps({"calls": Connection.calls}).encode())
            return
        Connection.calls += 1
        room = ROOM.search(request)
        reply = REPLY.replace(PLACE, room[0].decode() if room else "?").encode()
        asyncio.get_running_loop().call_later(self._latency_s, self._reply, reply)

    def _reply(self, body):
        if not self._transport.is_closing():
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            self._transport.write(head + body)


async def serve(latency_ms):
    server = await asyncio.get_running_loop().create_server(lambda: Connection(latency_ms / 1000), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
