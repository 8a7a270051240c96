"""Odd HTTP, byte by byte, against a running shim: no request is taken for two, nothing unauthenticated is produced."""

import concurrent.futures
import http.client
import json
import pathlib
import re
import signal
import socket
import time

import pytest
from harness import livekit, programs
from harness.broker import MockBroker
from harness.processes import free_port, until

BODY = livekit.room_finished("RM_httptest0001")
MOCK_BROKER = programs.BIN.parent / "tests" / "mock_broker"
WITHIN = 20  # far above every deadline of the shim: only a hang takes so long


def body_of(room):
    return livekit.room_finished(room)


def head(*lines, length=None, method="POST", path="/webhook", type_="application/webhook+json", keep=False):
    usual = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if not keep:
        usual.append("Connection: close")
    if type_:
        usual.append(f"Content-Type: {type_}")
    if length is not None:
        usual.append(f"Content-Length: {length}")
    return "\r\n".join([*usual, *lines, "", ""]).encode("latin-1")


def signed(shim, body, **claims):
    return "Authorization: " + livekit.token(body, shim.api_key, shim.api_secret, **claims)


def talk(shim, *parts, finish=False):
    """Sends the parts and returns everything that comes back until the shim closes or falls silent."""
    received = b""
    with socket.create_connection(("127.0.0.1", shim.port), WITHIN) as s:
        try:
            for part in parts:
                s.sendall(part)
            if finish:
                s.shutdown(socket.SHUT_WR)
            s.settimeout(1)
            while chunk := s.recv(65536):
                received += chunk
        except (ConnectionError, TimeoutError):
            pass
    return received


def statuses(received):
    return [int(s) for s in re.findall(rb"^HTTP/1\.[01] (\d{3}) ", received, re.M)]


def count(shim, answer):
    return shim.metrics().get(("roomclaim_webhooks_total", answer), 0)


@pytest.fixture
def nothing_produced(shim, kafka):
    """The test must leave the topic as it was."""
    before = len(kafka.records(shim.topic))
    yield
    assert len(kafka.records(shim.topic)) == before


def test_a_good_request(shim, kafka):
    body = body_of("RM_httpgood0001")
    answer = livekit.post(shim.url, body, livekit.token(body, shim.api_key, shim.api_secret))
    assert answer.status == 200
    (record,) = [r for r in kafka.records(shim.topic) if r[0] == b"RM_httpgood0001"]
    key, value, headers = record[:3]
    assert b"turnPassword" not in value and json.loads(value)["room"]["sid"] == key.decode()
    assert headers["ce_type"] == b"io.livekit.room_finished" and headers["roomclaim-origin"] == b"webhook"


CLOSED = None  # the answer is lost when the server closes with unread bytes before it
REFUSED = {
    "GET": (dict(method="GET", type_=None), [], [405]),
    "PUT": (dict(method="PUT", length=len(BODY)), [], [405]),
    "other path": (dict(path="/other", length=len(BODY)), [], [404]),
    "double slash": (dict(path="//webhook", length=len(BODY)), [], [404]),
    "dot dot": (dict(path="/webhook/..", length=len(BODY)), [], [404]),
    "encoded NUL": (dict(path="/webhook%00", length=len(BODY)), [], [404, 400]),
    "encoded letter": (dict(path="/%77ebhook", length=len(BODY)), [], [404]),
    "asterisk": (dict(path="*", length=len(BODY)), [], [404, 400]),
    "absolute form": (dict(path="http://127.0.0.1/webhook", length=len(BODY)), [], [404, 400]),
    "8 KB path": (dict(path="/" + "a" * 8192, length=len(BODY)), [], [404, 414]),
    "no length": (dict(), [], [411]),
    "negative length": (dict(length=-1), [], [400]),
    "length with plus": (dict(length="+5"), [], [400]),
    "length list": (dict(length="5, 5"), [], [400]),
    "hexadecimal length": (dict(length="0x10"), [], [400]),
    "length of 20 digits": (dict(length="1" * 20), [], [400, 413]),
    "two lengths": (dict(length=len(BODY)), ["Content-Length: 3"], [400]),
    "two equal lengths": (dict(length=len(BODY)), [f"Content-Length: {len(BODY)}"], [400]),
    "length and chunked": (dict(length=len(BODY)), ["Transfer-Encoding: chunked"], [400]),
    "chunked and length": (dict(), ["Transfer-Encoding: chunked", f"Content-Length: {len(BODY)}"], [400]),
    "gzip, chunked": (dict(), ["Transfer-Encoding: gzip, chunked"], [400]),
    "xchunked": (dict(), ["Transfer-Encoding: xchunked"], [400]),
    "chunked twice": (dict(), ["Transfer-Encoding: chunked, chunked"], [400]),
    "text/plain": (dict(type_="text/plain", length=len(BODY)), [], [415]),
    "no type": (dict(type_=None, length=len(BODY)), [], [415]),
    "gzip": (dict(length=len(BODY)), ["Content-Encoding: gzip"], [415]),
    "64 KB of headers": (dict(length=len(BODY)), ["X-Long: " + "a" * 65536], [431, 413, CLOSED]),
    "400 headers": (dict(length=len(BODY)), [f"X-{i}: {i}" for i in range(400)], [431, 413, CLOSED]),
    "other expectation": (dict(length=len(BODY)), ["Expect: 200-ok"], [417]),
    "no token": (dict(length=len(BODY)), [], [401]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(shim, nothing_produced, name):
    """Everything but one thing is right; the token is good, so only that thing can be the reason."""
    settings, more, want = REFUSED[name]
    lines = more if name == "no token" else [*more, signed(shim, BODY)]
    received = talk(shim, head(*lines, **settings), BODY)
    assert (statuses(received) or [CLOSED])[0] in want, received[:300]
    assert 200 not in statuses(received)
    if 405 in want:
        assert b"\r\nAllow: POST\r\n" in received
    assert BODY[:20] not in received  # no echo


def test_two_tokens_are_none(shim, nothing_produced):
    received = talk(shim, head(signed(shim, BODY), signed(shim, BODY), length=len(BODY)), BODY)
    assert statuses(received) == [401]


@pytest.mark.parametrize("framing", ["length and chunked", "two lengths"])
def test_contradictory_framing_hides_no_second_request(shim, nothing_produced, framing):
    """A second, good request inside the first one's body: whichever length is believed, it is never served."""
    inner = head(signed(shim, BODY), length=len(BODY)) + BODY
    outer = b"0\r\n\r\n" + inner
    more = ["Transfer-Encoding: chunked"] if framing == "length and chunked" else ["Content-Length: 5"]
    received = talk(shim, head(*more, signed(shim, outer), length=len(outer), keep=True), outer)
    assert statuses(received) == [400]
    assert b"\r\nConnection: close\r\n" in received


@pytest.mark.parametrize("size", ["FFFFFFFFFFFFFFFFF", "-1", "zz", ""])
def test_bad_chunk_sizes(shim, nothing_produced, size):
    received = talk(shim, head("Transfer-Encoding: chunked", signed(shim, BODY)), f"{size}\r\n".encode() + BODY)
    assert 200 not in statuses(received)


@pytest.mark.parametrize(
    "line", ["X-Nul: a\0b", "X-Bare: a\rb", "X-Fold: a\r\n b", "X-Blank : a", "NoColon", ": empty", "X-High: \xff\xfe"]
)
def test_odd_headers_produce_nothing_without_a_token(shim, nothing_produced, line):
    received = talk(shim, head(line, length=len(BODY)), BODY)
    assert 200 not in statuses(received)
    assert len(statuses(received)) <= 2


def test_http_0_9_and_garbage(shim, nothing_produced):
    for text in (
        b"GET /webhook\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 100,
    ):
        assert 200 not in statuses(talk(shim, text))


def test_chunked_is_taken(shim, kafka):
    body = body_of("RM_httpchunked1")
    parts = [
        f"{len(body[i : i + 100]):x};name=value\r\n".encode() + body[i : i + 100] + b"\r\n"
        for i in range(0, len(body), 100)
    ]
    received = talk(shim, head("Transfer-Encoding: chunked", signed(shim, body)), *parts, b"0\r\nTrailer: x\r\n\r\n")
    assert statuses(received) == [200]
    assert len([r for r in kafka.records(shim.topic) if r[0] == b"RM_httpchunked1"]) == 1


@pytest.mark.parametrize("type_", ["application/json", "application/webhook+json; charset=utf-8"])
def test_types_that_are_taken(shim, type_):
    received = talk(shim, head(signed(shim, BODY), length=len(BODY), type_=type_), BODY)
    assert statuses(received) == [200]


def test_bearer_is_taken(shim):
    bearer = "Authorization: Bearer " + livekit.token(BODY, shim.api_key, shim.api_secret)
    assert statuses(talk(shim, head(bearer, length=len(BODY)), BODY)) == [200]


def test_expect_100_continue(shim):
    with socket.create_connection(("127.0.0.1", shim.port), WITHIN) as s:
        s.sendall(head("Expect: 100-continue", signed(shim, BODY), length=len(BODY)))
        assert s.recv(4096).startswith(b"HTTP/1.1 100 ")
        s.sendall(BODY)
        assert statuses(s.recv(4096)) == [200]


def test_too_large_with_expect_is_told_before_the_upload(shim, nothing_produced):
    received = talk(shim, head("Expect: 100-continue", signed(shim, BODY), length=50_000_000))
    assert statuses(received) == [413]


@pytest.mark.parametrize("size", [1024 * 1024, 5 * 1024 * 1024])
def test_too_large(shim, nothing_produced, size):
    before = count(shim, "too_large")
    body = b'{"event":"room_finished","x":"' + b"a" * size + b'"}'
    received = talk(shim, head(signed(shim, body), length=len(body)), body)
    assert statuses(received)[:1] in ([413], [])  # a reset may swallow the answer to what was never read
    until(lambda: count(shim, "too_large") == before + 1, WITHIN, "the refusal is counted")
    assert shim.said("larger than shim.body_limit")


def test_endless_chunks_are_cut_off(shim, nothing_produced):
    block = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    received = talk(shim, head("Transfer-Encoding: chunked", signed(shim, BODY)), *[block] * 400)
    assert 200 not in statuses(received)
    assert shim.metrics()[("process_resident_memory_bytes", "")] < 500e6
    assert statuses(talk(shim, head(method="GET", type_=None), finish=True)) == [405]  # it goes on serving


def test_the_largest_body_is_published(shim, kafka):
    frame = livekit.room_event("room_finished", "RM_httplarge001", metadata="")
    limit = 1024 * 1024 - 4096
    body = frame.replace(b'"metadata":""', b'"metadata":"' + b"m" * (limit - len(frame)) + b'"')
    assert len(body) == limit
    answer = livekit.post(shim.url, body, livekit.token(body, shim.api_key, shim.api_secret))
    assert answer.status == 200
    assert len([r for r in kafka.records(shim.topic) if r[0] == b"RM_httplarge001"]) == 1


def test_empty(shim, nothing_produced):
    assert statuses(talk(shim, head(signed(shim, b""), length=0))) == [400]
    assert statuses(talk(shim, head(length=0))) == [401]


def test_a_body_cut_short(shim, nothing_produced):
    before = count(shim, "truncated")
    received = talk(shim, head(signed(shim, BODY), length=len(BODY)), BODY[:-1], finish=True)
    assert 200 not in statuses(received)
    until(lambda: count(shim, "truncated") == before + 1, WITHIN, "the truncated request is counted")


def drip(shim, start, rest):
    """Seconds until the shim hangs up on a sender of one byte every half second."""
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", shim.port), WITHIN) as s:
        s.sendall(start)
        s.settimeout(0.5)
        for byte in rest:
            try:
                s.sendall(bytes([byte]))
                if not s.recv(4096):
                    break
            except TimeoutError:
                pass
            except ConnectionError:
                break
            if time.monotonic() - begun > WITHIN:
                break
    return time.monotonic() - begun


def test_drips_meet_their_deadlines(shim, nothing_produced):
    whole = head(signed(shim, BODY), length=len(BODY))
    starts = [(b"", whole), (whole[:60], whole[60:]), (whole, BODY)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        seconds = list(pool.map(lambda s: drip(shim, *s), starts))
    assert max(seconds) < 9, seconds


def test_idle_connections_keep_nobody_out(shim):
    crowd = [socket.create_connection(("127.0.0.1", shim.port), WITHIN) for _ in range(500)]
    try:
        answer = livekit.post(shim.url, BODY, livekit.token(BODY, shim.api_key, shim.api_secret))
        assert answer.status == 200
        until(lambda: shim.metrics()[("roomclaim_connections", "")] < 100, WITHIN, "the crowd is shown out")
    finally:
        for s in crowd:
            s.close()


def test_pipelined_requests_are_answered_in_order(shim, kafka):
    first, second = body_of("RM_httppipe0001"), body_of("RM_httppipe0002")
    bad = head(length=len(BODY), keep=True) + BODY
    received = talk(
        shim,
        head(signed(shim, first), length=len(first), keep=True)
        + first
        + bad
        + head(signed(shim, second), length=len(second))
        + second,
    )
    assert statuses(received) == [200, 401, 200]
    keys = [r[0] for r in kafka.records(shim.topic)]
    assert keys.count(b"RM_httppipe0001") == keys.count(b"RM_httppipe0002") == 1


def test_a_hundred_identical_posts_at_once(shim, kafka):
    body = body_of("RM_httphundred1")
    token = livekit.token(body, shim.api_key, shim.api_secret)
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: livekit.post(shim.url, body, token).status, range(100)))
    assert answers == [200] * 100
    assert len([r for r in kafka.records(shim.topic) if r[0] == b"RM_httphundred1"]) == 100


def test_unusable_is_set_aside(shim, kafka):
    body = b'{"event":"room_finished","id":"EV_httpunusable","room":{"turnPassword":"canary"}}'
    answer = livekit.post(shim.url, body, livekit.token(body, shim.api_key, shim.api_secret))
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "dead_lettered"})
    (record,) = [r for r in kafka.records(shim.topic + ".dlq") if r[0] == b"EV_httpunusable"]
    assert b"canary" not in record[1] and record[2]["roomclaim-reason"] == b"no_sid"


def test_nothing_is_logged_that_is_secret(shim):
    text = shim.child.output()
    assert shim.api_secret not in text and "turn-password-canary" not in text


def own_shim(tmp_path, bootstrap, **settings):
    return programs.Shim(
        tmp_path / "shim",
        {"KAFKA_BOOTSTRAP_SERVERS": bootstrap, "kafka.topic": "shim-nowhere", **settings},
    )


@pytest.mark.shows("F40")
def test_dead_kafka_is_a_503_at_once(tmp_path):
    """A closed port: every answer is 503 with Retry-After, none takes five seconds, and a bad token is still 401."""
    shim = own_shim(tmp_path, f"127.0.0.1:{free_port()}")
    until(lambda: shim.said("listening for webhooks"), WITHIN, "it listens")
    finished = livekit.room_finished("RM_httpdead0001")
    started = livekit.room_event("room_started", "RM_httpdead0001")
    for body, after in ((finished, "20"), (started, "5")):
        begun = time.monotonic()
        answer = livekit.post(shim.url, body, livekit.token(body, shim.api_key, shim.api_secret))
        assert (answer.status, {k.lower(): v for k, v in answer.headers.items()}["retry-after"]) == (503, after)
        assert time.monotonic() - begun < 5
    assert livekit.post(shim.url, started, livekit.token(started, shim.api_key, "wrong" * 8)).status == 401
    assert not shim.ready()
    shim.finish()


@pytest.mark.shows("F43")
def test_a_kafka_that_swallows_everything_is_a_503_in_time(tmp_path):
    """Something that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        shim = own_shim(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}")
        until(lambda: shim.said("listening for webhooks"), WITHIN, "it listens")
        begun = time.monotonic()
        answer = livekit.post(shim.url, BODY, livekit.token(BODY, shim.api_key, shim.api_secret))
        assert answer.status == 503 and time.monotonic() - begun < 5
        shim.finish()


def test_sigterm_answers_what_is_in_hand(tmp_path, kafka):
    topic = "shim-term-" + livekit.new_id("").lower()
    kafka.create(topic, topic + ".dlq")
    shim = own_shim(tmp_path, kafka.bootstrap, **{"kafka.topic": topic}).wait_ready()
    kept = http.client.HTTPConnection("127.0.0.1", shim.port, timeout=WITHIN)
    with socket.create_connection(("127.0.0.1", shim.port), WITHIN) as s:
        s.sendall(head(signed(shim, BODY), length=len(BODY)) + BODY[:10])
        until(lambda: shim.metrics()[("roomclaim_connections", "")] >= 1, WITHIN, "the request is in hand")
        shim.child.send(signal.SIGTERM)
        until(lambda: shim.said("stopping"), WITHIN, "it stops")
        s.sendall(BODY[10:])
        assert statuses(s.recv(4096)) == [200]
    kept.close()
    assert shim.child.wait(WITHIN) == 0
    assert len(kafka.records(topic)) == 1


@pytest.fixture
def mock(tmp_path):
    broker = MockBroker(tmp_path / "mock", MOCK_BROKER, ["shim-nowhere", "shim-nowhere.dlq"]).start()
    yield broker
    broker.child.send(signal.SIGCONT)
    broker.stop()


def timed_post(shim, body):
    begun = time.monotonic()
    answer = livekit.post(shim.url, body, livekit.token(body, shim.api_key, shim.api_secret))
    return answer.status, time.monotonic() - begun


@pytest.mark.shows("F43")
def test_a_broker_that_hangs_and_comes_back(tmp_path, mock):
    shim = own_shim(tmp_path, mock.bootstrap).wait_ready()
    assert timed_post(shim, BODY)[0] == 200
    threads = threads_of(shim)
    mock.child.send(signal.SIGSTOP)
    until(mock.child.is_stopped, WITHIN, "the broker hangs")
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: timed_post(shim, BODY), range(20)))
    assert {status for status, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < 5
    mock.child.send(signal.SIGCONT)
    until(lambda: timed_post(shim, BODY)[0] == 200, WITHIN, "it publishes again")
    assert threads_of(shim) <= threads
    shim.finish()


def threads_of(shim):
    return len(list(pathlib.Path(f"/proc/{shim.child.pid}/task").iterdir()))


@pytest.mark.shows("F40")
def test_a_broker_that_dies_is_known_at_once(tmp_path, mock):
    shim = own_shim(tmp_path, mock.bootstrap).wait_ready()
    assert timed_post(shim, BODY)[0] == 200
    mock.child.kill()
    assert timed_post(shim, BODY)[0] == 503
    until(lambda: not shim.ready(), WITHIN, "it is not ready")
    status, seconds = timed_post(shim, BODY)
    assert status == 503 and seconds < 1
    shim.finish()


@pytest.mark.shows("F44")
def test_a_shim_killed_between_kafka_and_the_answer(tmp_path, kafka):
    """The sender hears nothing and sends again: two records, which the claim will see through."""
    topic = "shim-kill-" + livekit.new_id("").lower()
    kafka.create(topic, topic + ".dlq")
    token = livekit.token(BODY, programs.API_KEY, programs.API_SECRET)
    dying = own_shim(
        tmp_path / "a", kafka.bootstrap, **{"kafka.topic": topic, "ROOMCLAIM_FAULT": "webhook_answered:kill"}
    )
    with pytest.raises(OSError):
        livekit.post(dying.wait_ready().url, BODY, token)
    assert dying.child.wait(WITHIN) == -signal.SIGKILL and dying.said("fault")
    shim = own_shim(tmp_path / "b", kafka.bootstrap, **{"kafka.topic": topic}).wait_ready()
    assert livekit.post(shim.url, BODY, token).status == 200
    shim.finish()
    assert len(kafka.records(topic)) == 2


class ShimWithSecretFile(programs.Shim):
    def __init__(self, folder, bootstrap, secret):
        self.api_key = "devkey"
        settings = {"kafka.topic": "shim-nowhere", "shim.listen": "127.0.0.1:0", "KAFKA_BOOTSTRAP_SERVERS": bootstrap}
        keys = {"LIVEKIT_API_KEY": self.api_key, "LIVEKIT_API_SECRET_FILE": secret}
        programs.Daemon.__init__(self, "roomclaim-shim", folder / "shim", settings | keys)


def test_keys_are_rotated_by_sighup_and_a_wrong_secret_is_loud(tmp_path, mock):
    old, new = "canary-old-secret-" + "o" * 20, "canary-new-secret-" + "n" * 20
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text(old + "\n")
    shim = ShimWithSecretFile(tmp_path, mock.bootstrap, secret).wait_ready()

    def post(key):
        return livekit.post(shim.url, BODY, livekit.token(BODY, shim.api_key, key)).status

    assert post(old) == 200
    assert [post(new) for _ in range(5)] == [401] * 5
    assert shim.said("every webhook of this key fails")[0]["level"] == "error"
    assert len(shim.said("webhook refused")) < 5  # at most one line a second
    assert shim.metrics()[("roomclaim_token_refused_total", "signature")] == 5
    secret.write_text(new + "\n")
    shim.child.send(signal.SIGHUP)
    until(lambda: shim.said("keys re-read"), WITHIN, "the keys are re-read")
    assert (post(new), post(old)) == (200, 401)
    assert shim.said("authentic again")
    secret.write_text("")
    shim.child.send(signal.SIGHUP)
    until(lambda: shim.said("keys not re-read"), WITHIN, "bad keys are refused")
    assert post(new) == 200
    shim.finish()


def test_an_address_in_use(tmp_path, shim):
    second = own_shim(tmp_path, "127.0.0.1:1", **{"shim.listen": f"127.0.0.1:{shim.port}"})
    assert second.child.wait(WITHIN) == 69
    assert f"127.0.0.1:{shim.port}" in second.tail()
