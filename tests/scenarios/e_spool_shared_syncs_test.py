"""Webhooks that come at once share the syncs of the spool: a slow disk does not take its time for each of them."""

from harness import programs, spooling

AT_ONCE = 64


def test_a_sync_serves_many(tmp_path):
    counted = tmp_path / "syncs"
    counted.touch()
    slow = {"LD_PRELOAD": programs.preloaded(tmp_path, "slow_syncs"), "SLOW_SYNCS": counted}
    shim = spooling.start(tmp_path, "shim", **slow)
    assert set(spooling.post_rooms(shim, 1).values()) == {200}  # from now on Kafka is known to be away
    before = counted.stat().st_size
    answers = spooling.post_rooms(shim, AT_ONCE)
    syncs = counted.stat().st_size - before
    assert set(answers.values()) == {200}
    spooling.expect_spooled(shim, AT_ONCE + 1)
    assert 1 <= syncs <= AT_ONCE // 4, f"{syncs} syncs"
    shim.finish()
