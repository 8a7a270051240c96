"""The shim is stopped under load while Kafka hangs: some webhooks wait for it, some for the disk, some lie in the spool,
and a batch is on its way out of it. Whatever was answered 200 is in Kafka afterwards, in its room's order."""

import concurrent.futures
import json
import signal

import pytest
from harness import livekit
from harness.processes import until
from harness.programs import API_KEY, API_SECRET
from harness.spooling import TOPIC, WITHIN, expect_drained, gauge, post_rooms, rooms, start

EVENTS = ("room_started", "participant_joined", "participant_left", "room_finished")


def send_room(url, sid):
    """A room's events one after the other, as LiveKit does. The names of those that were answered 200."""
    taken = []
    for name in EVENTS:
        body = livekit.room_finished(sid) if name == "room_finished" else livekit.room_event(name, sid)
        try:
            if livekit.post(url, body, livekit.token(body, API_KEY, API_SECRET)).status == 200:
                taken.append(name)
        except OSError:
            break  # it has stopped
    return taken


@pytest.mark.shows("F46")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_under_load(tmp_path, mock, topics_of, end):
    away = start(tmp_path, "away")
    first = post_rooms(away, 100)
    away.kill()
    shim = start(tmp_path, "shim", mock.bootstrap)
    sids, url = [livekit.new_id("RM_") for _ in range(150)], shim.url
    with concurrent.futures.ThreadPoolExecutor(48) as pool:
        sent = {sid: pool.submit(send_room, url, sid) for sid in sids[:50]}
        concurrent.futures.wait(sent.values())
        mock.child.send(signal.SIGSTOP)
        sent |= {sid: pool.submit(send_room, url, sid) for sid in sids[50:]}
        until(lambda: gauge(shim, "roomclaim_spool_records") >= 30, WITHIN, "the spool fills")
        shim.child.send(end)
        taken = {sid: future.result() for sid, future in sent.items()}
    assert shim.child.wait(WITHIN) == (0 if end == signal.SIGTERM else -end)
    shim.check()

    mock.child.send(signal.SIGCONT)
    back = start(tmp_path, "back", mock.bootstrap)
    expect_drained(back)
    records = topics_of(mock).records(TOPIC)
    assert set(first) <= set(rooms(records))
    for sid in sids:
        seen = [json.loads(value)["event"] for key, value, _ in records if key.decode() == sid]
        assert set(taken[sid]) <= set(seen), sid
        order = sorted(set(seen), key=seen.index)
        assert order == sorted(order, key=EVENTS.index), (sid, seen)
    back.finish()
