"""While Kafka is away, webhooks are synced to the spool, answered 200, and sent on in order when it is back."""

import json
import signal
import sqlite3

import pytest
from harness import livekit, programs
from harness.processes import until
from harness.spooling import (
    TOPIC,
    WITHIN,
    expect_drained,
    expect_spooled,
    gauge,
    post,
    post_all,
    rooms,
    settings_of,
    start,
)


@pytest.mark.shows("F46")
def test_what_kafka_does_not_take_is_kept_and_sent_on(tmp_path, mock, topics_of):
    sids = [livekit.new_id("RM_") for _ in range(200)]
    away = start(tmp_path, "away")
    assert set(post_all(away, [livekit.room_finished(sid) for sid in sids])) == {200}
    assert away.ready() and away.metrics()[("roomclaim_webhooks_total", "spooled")] == 200
    expect_spooled(away, 200)
    away.kill()

    back = start(tmp_path, "back", mock.bootstrap)
    assert back.said("the spool holds webhooks from before")
    expect_drained(back)
    records = topics_of(mock).records(TOPIC)
    assert sorted(rooms(records)) == sorted(sids)
    assert {headers["roomclaim-origin"] for _, _, headers in records} == {b"spool"}
    back.finish()


@pytest.mark.shows("F46")
def test_a_rooms_events_keep_their_order(tmp_path, mock, topics_of):
    """The broker hangs, the spool fills, and what comes when it is back does not overtake what lies there."""
    shim = start(tmp_path, "shim", mock.bootstrap)
    room = livekit.new_id("RM_")
    bodies = [livekit.room_event(name, room) for name in ("room_started", "participant_joined", "participant_left")]
    assert post(shim, bodies[0]) == 200
    mock.child.send(signal.SIGSTOP)
    until(mock.child.is_stopped, WITHIN, "the broker hangs")
    assert [post(shim, body) for body in bodies[1:]] == [200, 200]
    until(lambda: gauge(shim, "roomclaim_spool_records") >= 1, WITHIN, "one is in the spool")
    mock.child.send(signal.SIGCONT)
    assert post(shim, livekit.room_finished(room)) == 200
    expect_drained(shim)
    seen = [json.loads(value)["event"] for _, value, _ in topics_of(mock).records(TOPIC)]
    first = [seen.index(name) for name in ("room_started", "participant_joined", "participant_left", "room_finished")]
    assert first == sorted(first), seen
    shim.finish()


@pytest.mark.shows("F48")
@pytest.mark.parametrize("point", ["spool_written", "spool_synced"])
def test_killed_around_the_sync(tmp_path, mock, topics_of, point):
    """Nobody was answered: LiveKit sends again. What was synced goes out too, as a duplicate."""
    sid = livekit.new_id("RM_")
    dying = start(tmp_path, "dying", ROOMCLAIM_FAULT=f"{point}:kill")
    with pytest.raises(OSError):
        post(dying, livekit.room_finished(sid))
    assert dying.child.wait(WITHIN) == -signal.SIGKILL and dying.said("fault")
    dying.ended = -signal.SIGKILL
    after = start(tmp_path, "after")
    expect_spooled(after, 1 if point == "spool_synced" else 0)
    assert post(after, livekit.room_finished(sid)) == 200
    after.kill()
    last = start(tmp_path, "last", mock.bootstrap)
    expect_drained(last)
    assert set(rooms(topics_of(mock).records(TOPIC))) == {sid}
    last.finish()


@pytest.mark.shows("F48")
def test_killed_after_the_drain_before_the_removal(tmp_path, mock, topics_of):
    sids = [livekit.new_id("RM_") for _ in range(20)]
    away = start(tmp_path, "away")
    assert set(post_all(away, [livekit.room_finished(sid) for sid in sids])) == {200}
    away.kill()
    dying = start(tmp_path, "dying", mock.bootstrap, ROOMCLAIM_FAULT="spool_drained:kill")
    assert dying.child.wait(WITHIN) == -signal.SIGKILL and dying.said("fault")
    dying.ended = -signal.SIGKILL
    last = start(tmp_path, "last", mock.bootstrap)
    expect_drained(last)
    found = rooms(topics_of(mock).records(TOPIC))
    assert set(found) == set(sids) and len(found) == 40  # once before the kill, once after
    last.finish()


@pytest.mark.shows("F49")
def test_a_second_shim_is_refused(tmp_path):
    first = start(tmp_path, "first")
    second = programs.Shim(tmp_path / "second", settings_of(tmp_path))
    assert second.child.wait(WITHIN) == 78
    assert "another process has it" in second.tail()
    assert post(first, livekit.room_finished("RM_second")) == 200
    first.finish()


@pytest.mark.shows("F47")
def test_the_limit_is_a_503_and_an_alarm(tmp_path):
    shim = start(tmp_path, "shim", **{"shim.spool_max_size": "8KiB"})
    statuses = [post(shim, livekit.room_finished(livekit.new_id("RM_"))) for _ in range(20)]
    kept = statuses.count(200)
    assert statuses == [200] * kept + [503] * (20 - kept) and 3 < kept < 20
    assert shim.said("the spool fails")[0]["reason"] == "limit"
    expect_spooled(shim, kept)
    assert gauge(shim, "roomclaim_spool_failures_total") == 20 - kept
    shim.finish()


def test_a_spool_in_memory_is_refused(tmp_path, small_disk):
    path = small_disk / "spool.db"
    shim = programs.Shim(
        tmp_path / "shim", settings_of(tmp_path, **{"shim.spool_path": path, "shim.spool_in_memory": "false"})
    )
    assert shim.child.wait(WITHIN) == 78
    assert "tmpfs" in shim.tail()


def large(sid):
    event = json.loads(livekit.room_finished(sid))
    event["room"]["metadata"] = "m" * 40000
    return json.dumps(event).encode()


@pytest.mark.shows("F47")
def test_a_full_disk_is_a_503_and_nothing_acknowledged_is_lost(tmp_path, small_disk, mock, topics_of):
    settings = {"shim.spool_path": small_disk / "spool.db"}
    shim = start(tmp_path, "shim", **settings)
    sids = [livekit.new_id("RM_") for _ in range(400)]
    statuses = post_all(shim, [large(sid) for sid in sids])
    assert set(statuses) == {200, 503}
    assert shim.child.running() and shim.said("the spool fails")[0]["reason"] == "full"
    shim.kill()
    back = start(tmp_path, "back", mock.bootstrap, **settings)
    expect_drained(back)
    taken = {sid for sid, status in zip(sids, statuses, strict=True) if status == 200}
    assert taken <= set(rooms(topics_of(mock).records(TOPIC)))
    back.finish()


DAMAGE = {
    "garbage": lambda data: b"this was never a database" * 400,
    "no end": lambda data: data[: len(data) // 2],
    "a page of zeros": lambda data: data[:8192] + bytes(4096) + data[12288:],
    "empty": lambda data: b"",
}


@pytest.mark.shows("F48")
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_set_aside(tmp_path, mock, topics_of, kind):
    sids = [livekit.new_id("RM_") for _ in range(60)]
    away = start(tmp_path, "away")
    assert set(post_all(away, [livekit.room_finished(sid) for sid in sids])) == {200}
    away.stop()  # a clean end: all is in the main file
    path = tmp_path / "spool.db"
    path.write_bytes(DAMAGE[kind](path.read_bytes()))

    back = start(tmp_path, "back", mock.bootstrap)
    kept = list(tmp_path.glob("spool.db.damaged-*"))
    assert len(kept) == (0 if kind == "empty" else 1)
    assert bool(back.said("the spool was damaged")) == (kind != "empty")
    assert post(back, livekit.room_finished("RM_after")) == 200
    expect_drained(back)
    found = set(rooms(topics_of(mock).records(TOPIC)))
    assert found <= {*sids, "RM_after"} and "RM_after" in found
    if kind == "a page of zeros":
        assert len(found) > 30  # the rest was salvaged
    back.finish()


@pytest.mark.shows("F48")
def test_a_flipped_bit_is_not_published(tmp_path, mock, topics_of):
    sids = [livekit.new_id("RM_") for _ in range(5)]
    away = start(tmp_path, "away")
    assert set(post_all(away, [livekit.room_finished(sid) for sid in sids])) == {200}
    away.stop()
    path = tmp_path / "spool.db"
    data = path.read_bytes()
    assert data.count(sids[2].encode()) >= 1
    path.write_bytes(data.replace(sids[2].encode(), sids[2][:-1].encode() + bytes([ord(sids[2][-1]) ^ 1])))
    back = start(tmp_path, "back", mock.bootstrap)
    expect_drained(back)
    assert sorted(rooms(topics_of(mock).records(TOPIC))) == sorted({*sids} - {sids[2]})
    assert gauge(back, "roomclaim_spool_dead_records") == 1
    back.finish()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT reason FROM dead").fetchall() == [("damaged",)]


def test_an_unusable_webhook_reaches_the_dead_letters_later(tmp_path, mock, topics_of):
    body = json.dumps({"event": "room_finished", "room": {"name": "no sid"}, "id": "EV_x"}).encode()
    away = start(tmp_path, "away")
    assert post(away, body) == 200
    away.kill()
    back = start(tmp_path, "back", mock.bootstrap)
    expect_drained(back)
    [(_, value, headers)] = topics_of(mock).records(TOPIC + ".dlq")
    assert value == body and headers["roomclaim-reason"] == b"no_sid"
    back.finish()
