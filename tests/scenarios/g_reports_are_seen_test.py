"""A leak that is planted in each daemon must be reported: else silence of the sanitizers, or of valgrind, would prove nothing."""

import pytest


@pytest.mark.valgrind
@pytest.mark.parametrize("which", ["start_shim", "start_consumer"])
def test_a_planted_leak_is_reported(world, which):
    daemon = getattr(world, which)(ROOMCLAIM_FAULT_LEAK="1")
    daemon.ended = daemon.child.stop()

    assert "fault_leak" in daemon.report()
    with pytest.raises(AssertionError, match="fault_leak"):
        daemon.check()
    daemon.forget_reports()
