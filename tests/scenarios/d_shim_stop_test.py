"""A stop of the shim while requests wait that it has not even accepted: they are answered 503, and it ends well."""

import contextlib
import signal
import socket

import pytest
from harness import livekit
from harness.programs import API_KEY, API_SECRET


def request(room):
    body = livekit.room_finished(room)
    head = (
        "POST /webhook HTTP/1.1\r\nHost: shim\r\nContent-Type: application/webhook+json\r\n"
        f"Authorization: {livekit.token(body, API_KEY, API_SECRET)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@pytest.mark.parametrize("count", [1, 5])
def test_requests_in_the_backlog(world, count):
    shim = world.start_shim()
    with contextlib.ExitStack() as stack:
        port = shim.port
        shim.child.send(signal.SIGSTOP)
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(count)]
        for client in clients:
            client.sendall(request(world.new_sid()))
        shim.child.send(signal.SIGTERM)
        shim.child.send(signal.SIGCONT)
        answers = [client.recv(1024)[:13] for client in clients]
    world.expect_end(shim)
    assert shim.ended == 0, shim.tail()
    acknowledged = answers.count(b"HTTP/1.1 200 ")
    assert answers.count(b"HTTP/1.1 503 ") == count - acknowledged, answers
    assert len(world.kafka.records(world.topic)) >= acknowledged
