"""The spool's disk fails: 503 and an alarm, the shim lives, goes on when the disk does, and nothing acknowledged is lost."""

import signal

import pytest
from harness import livekit, programs
from harness.processes import until
from harness.spooling import (
    TOPIC,
    WITHIN,
    acknowledged,
    expect_drained,
    expect_spooled,
    gauge,
    post,
    post_rooms,
    rooms,
    start,
)


@pytest.fixture
def disk(tmp_path):
    return programs.Disk(tmp_path)


@pytest.mark.shows("F47")
@pytest.mark.parametrize("how", ["write", "sync"])
def test_an_error_is_a_503(tmp_path, disk, mock, topics_of, how):
    shim = start(tmp_path, "shim", **disk.settings)
    before = post_rooms(shim, 30)
    disk.fails(how)
    meanwhile = post_rooms(shim, 30)
    assert set(before.values()) == {200} and set(meanwhile.values()) == {503}
    assert shim.said("the spool fails")[0]["error"] == "disk I/O error"
    assert not shim.ready()
    until(lambda: gauge(shim, "roomclaim_spool_failures_total") > 0, WITHIN, "the failures are counted")
    disk.works()
    after = post_rooms(shim, 30)
    assert set(after.values()) == {200}
    assert shim.ready()
    expect_spooled(shim, 60)
    shim.kill()

    back = start(tmp_path, "back", mock.bootstrap)
    expect_drained(back)
    assert {*before, *after} <= set(rooms(topics_of(mock).records(TOPIC)))
    assert not list(tmp_path.glob("spool.db.damaged-*"))
    back.finish()


@pytest.mark.shows("F47")
@pytest.mark.parametrize("how", ["write", "sync"])
def test_what_can_not_be_removed_is_removed_later(tmp_path, disk, mock, topics_of, how):
    away = start(tmp_path, "away")
    answers = post_rooms(away, 50)
    away.kill()
    # The records go to Kafka, and their removal from the spool fails.
    shim = start(tmp_path, "shim", mock.bootstrap, ROOMCLAIM_FAULT="spool_drained:stop", **disk.settings)
    until(shim.child.is_stopped, WITHIN, "it stops before the removal")
    disk.fails(how)
    shim.child.send(signal.SIGCONT)
    until(lambda: shim.said("the spool fails"), WITHIN, shim.tail)
    assert gauge(shim, "roomclaim_spool_records") == 50
    assert post(shim, livekit.room_finished("RM_direct")) == 200  # Kafka takes it
    disk.works()
    expect_drained(shim)
    assert sorted(rooms(topics_of(mock).records(TOPIC))) == sorted([*answers, "RM_direct"])
    shim.finish()


@pytest.mark.shows("F47")
def test_a_disk_that_hangs(tmp_path, disk):
    shim = start(tmp_path, "shim", **disk.settings)
    before = post_rooms(shim, 5)
    disk.fails("hang")
    meanwhile = post_rooms(shim, 5)  # within the time for an answer
    assert set(before.values()) == {200} and set(meanwhile.values()) == {503}
    until(lambda: not shim.ready(), WITHIN, "it is not ready")
    disk.works()
    until(shim.ready, WITHIN, "it is ready again")
    assert post(shim, livekit.room_finished("RM_after")) == 200
    shim.finish()


def test_stopped_while_the_disk_hangs(tmp_path, disk, mock, topics_of):
    shim = start(tmp_path, "shim", **disk.settings)
    before = post_rooms(shim, 5)
    disk.fails("hang")
    assert set(post_rooms(shim, 3).values()) == {503}
    shim.stop(expect=2)
    assert shim.said("the spool's disk hangs")
    disk.works()
    back = start(tmp_path, "back", mock.bootstrap)
    expect_drained(back)
    assert acknowledged(before) <= set(rooms(topics_of(mock).records(TOPIC)))
    back.finish()
