"""More at once than a shim can hold: it stays small, meets its deadlines, and good requests are answered all the while."""

import concurrent.futures
import pathlib
import resource
import socket
import threading
import time

import pytest
from harness import livekit
from harness.processes import until

RELEASE = pathlib.Path(__file__).resolve().parent.parent.parent / "build" / "bin"  # sanitizers need memory of their own
BODIES, BODY_BYTES, MEMORY_KB = 100, 10_000_000, 65536
CROWD = 1000
WITHIN = 20


def good_post(shim):
    body = livekit.room_finished(livekit.new_id("RM_"))
    return livekit.post(shim.url, body, livekit.token(body, shim.api_key, shim.api_secret)).status


def peak_kb(shim):
    status = pathlib.Path(f"/proc/{shim.child.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def upload(shim, chunked, together):
    """10 MB with a good token, whatever is said meanwhile; the status, or 0 when the connection was closed without one."""
    piece = b"x" * 100_000
    token = livekit.token(piece, shim.api_key, shim.api_secret)
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {BODY_BYTES}"
    head = f"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: {token}\r\n{length}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", shim.port), WITHIN) as s:
        together.wait()
        try:
            s.sendall(head.encode())
            for _ in range(BODY_BYTES // len(piece)):
                s.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        except OSError:
            pass
        try:
            return int((s.recv(4096).split() + [b"", b"0"])[1])
        except OSError:
            return 0


@pytest.mark.shows("F92")
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_large_bodies_stay_out(world, chunked):
    shim = world.start_shim(binaries=RELEASE)
    together = threading.Barrier(BODIES)
    with concurrent.futures.ThreadPoolExecutor(BODIES + 1) as pool:
        uploads = [pool.submit(upload, shim, chunked, together) for _ in range(BODIES)]
        good = [good_post(shim) for _ in range(20)]
        answers = [future.result() for future in uploads]
    assert set(answers) <= {413, 503, 0} and 413 in answers, answers
    assert set(good) == {200}
    assert peak_kb(shim) < MEMORY_KB
    assert len(world.kafka.records(world.topic)) == len(good)


class Crowd(threading.Thread):
    """Connections that begin a request and send a byte now and then, until they are shown out."""

    def __init__(self, shim):
        super().__init__()
        self._sockets = [socket.create_connection(("127.0.0.1", shim.port), WITHIN) for _ in range(CROWD)]
        self._left = threading.Event()

    def run(self):
        for s in self._sockets:
            s.setblocking(False)
        for byte in b"POST /webhook HTTP/1.1\r\nHost: nobody\r\n" * 100:
            for s in self._sockets:
                try:
                    s.send(bytes([byte]))
                except OSError:
                    continue
            if self._left.wait(0.5):
                break
        for s in self._sockets:
            s.close()

    def leave(self):
        self._left.set()
        self.join()


@pytest.mark.shows("F93")
def test_a_crowd_that_drips_keeps_nobody_out(world):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * CROWD + 200)), hard))
    shim = world.start_shim()
    crowd = Crowd(shim)
    crowd.start()
    try:
        until(lambda: connections(shim) > CROWD / 2, WITHIN, lambda: f"the crowd is in, now {connections(shim):g}")
        begun = time.monotonic()
        while connections(shim) > CROWD / 10:
            assert good_post(shim) == 200
            assert time.monotonic() - begun < WITHIN, "the crowd is not shown out"
    finally:
        crowd.leave()
    assert good_post(shim) == 200


def connections(shim):
    return shim.metrics()["roomclaim_connections", ""]
