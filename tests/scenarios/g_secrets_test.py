"""Secrets and the users' words are in no log, no metric and no dead letter's headers, also at debug and when things fail."""

from harness import livekit


def test_no_secret_is_logged(world):
    room, failing, refused = world.given_rooms(3)
    world.model.script(failing, "misfit", 500)
    world.model.script(refused, "safety")
    shim = world.start_shim(log__level="debug")
    consumer = world.start_consumer(log__level="debug")
    for sid in (room, failing, refused):
        world.webhook(sid, copies=2)
    body = livekit.room_finished(room)
    assert livekit.post(shim.url, body, livekit.token(body, "devkey", "canary-wrong-secret")).status == 401
    assert livekit.post(shim.url, body, "canary-not-a-token").status == 401

    world.expect_completed(room, failing)
    world.expect_parked(refused, "blocked")
    world.expect_settled()
    for _, value, headers in world.expect_dead_letters(1):
        assert b"canary" not in value and b"canary" not in b"".join(headers.values())
    for _, value, _ in world.kafka.records(world.topic):
        assert b"canary" not in value  # room.turnPassword is cut out
    for daemon in (shim, consumer):
        daemon.metrics()  # looks for the word itself; the logs are looked through at the end of every scenario
        daemon.stop()
        daemon.check()
