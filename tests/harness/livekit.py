"""Webhooks as LiveKit's server sends them: the body's spacing, the token, the headers; and a caller that posts them."""

import base64
import concurrent.futures
import dataclasses
import hashlib
import hmac
import http.client
import json
import random
import threading
import time
import urllib.parse

LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


_random = random.SystemRandom()


def new_id(prefix):
    return prefix + "".join(_random.choices(LETTERS, k=12))


def room_event(kind, room_sid, *, event_id=None, name=None, created_at=None, **more):
    """An event about a room, in protojson's spacing (a blank after commas, none after colons)."""
    now = int(created_at or time.time())
    room = {
        "sid": room_sid,
        "name": name or f"call-{room_sid[-4:]}",
        "emptyTimeout": 300,
        "departureTimeout": 20,
        "creationTime": str(now - 60),
        "creationTimeMs": str((now - 60) * 1000),
        "turnPassword": "turn-password-canary-" + room_sid,
        "enabledCodecs": [{"mime": mime} for mime in ("audio/opus", "audio/red", "video/VP8", "video/H264")],
    }
    event = {"event": kind, "room": room, **more, "id": event_id or new_id("EV_"), "createdAt": str(now)}
    return json.dumps(event, separators=(", ", ":")).encode()


def room_finished(room_sid, **more):
    return room_event("room_finished", room_sid, **more)


def _b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(body, key, secret, *, now=None, lifetime=300, header=None, **claims):
    """The bare JWT of a webhook. claims replace or, when None, remove the usual ones."""
    now = int(time.time() if now is None else now)
    usual = {
        "iss": key,
        "exp": now + lifetime,
        "nbf": now,
        "iat": now,
        "sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
    }
    payload = {name: value for name, value in (usual | claims).items() if value is not None}
    parts = [header or {"alg": "HS256", "typ": "JWT"}, payload]
    signed = ".".join(_b64url(json.dumps(p, separators=(",", ":")).encode()) for p in parts)
    return signed + "." + _b64url(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int
    headers: dict
    body: bytes


def post(url, body, authorization=None, timeout=10, headers=()):
    """One request on a connection of its own, as LiveKit's sender churns them."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        sent = {
            "Content-Type": "application/webhook+json",
            "User-Agent": "Go-http-client/1.1",
            "Accept-Encoding": "gzip",
        }
        if authorization is not None:
            sent["Authorization"] = authorization
        connection.request("POST", parts.path or "/", body, {**sent, **dict(headers)})
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def post_at_once(url, signed, timeout=15):
    """Posts all of [(body, token)] at the same moment; returns the answers in their order."""
    start = threading.Barrier(len(signed))

    def one(pair):
        start.wait()
        return post(url, *pair, timeout=timeout)

    with concurrent.futures.ThreadPoolExecutor(len(signed)) as pool:
        return list(pool.map(one, signed))
