"""SIGHUP: the model's new key counts from the next call on, and a configuration that went bad changes nothing."""

import signal

from harness.model import digest
from harness.processes import until


def test_the_models_key_is_rotated_by_sighup(world, tmp_path):
    old, new = "canary-old-model-key", "canary-new-model-key"
    secret = tmp_path / "key"
    secret.touch(0o600)
    secret.write_text(old + "\n")
    before, under_way, after, later = world.given_rooms(4)
    world.model.script(under_way, "hold")
    consumer = world.start_consumer(GEMINI_API_KEY=None, GEMINI_API_KEY_FILE=secret)
    world.publish(before)
    world.publish(under_way)
    world.expect_completed(before)
    world.expect_call_begun(under_way)

    secret.write_text(new + "\n")
    hang_up(consumer, "key re-read")
    world.publish(after)
    world.expect_completed(after)
    world.model.release()  # a call that began with the old key goes on

    secret.chmod(0o644)
    hang_up(consumer, "key not re-read")
    world.publish(later)
    world.expect_completed(under_way, later)
    used = [world.model.calls(room)[0]["key"] for room in (before, under_way, after, later)]
    assert used == [digest(old), digest(old), digest(new), digest(new)]


def hang_up(consumer, what):
    consumer.child.send(signal.SIGHUP)
    until(lambda: consumer.said(what), 10, what)
