"""A process dies or sleeps at every point there is, and every promise holds."""

import pytest
from harness import programs

from crash import promises
from crash.run import ACTIONS, POINTS
from crash.shows import SHOWS
from crash.workloads import WORKLOAD_OF, Load


def test_every_point_has_its_runs():
    assert set(WORKLOAD_OF) == set(POINTS)


def test_what_is_shown_is_run():
    """The table of faults names no run that there is not."""
    assert {run for runs in SHOWS.values() for run in runs} <= {f"{p}:{a}" for p in POINTS for a in ACTIONS}


@pytest.mark.parametrize("program", ["roomclaim-shim", "roomclaim-consumer"])
@pytest.mark.parametrize("fault", ["nowhere:kill", "nowhere", "settled:faint", "webhook_answered:kill:0"])
def test_an_unknown_fault_is_an_error(program, fault):
    done = programs.run(program, "--version", settings={"ROOMCLAIM_FAULT": fault})
    assert done.returncode == 78 and fault in done.stderr


@pytest.mark.parametrize("consumers", [1, 2])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("point", POINTS)
def test_crash(run, point, record_property):
    record_property("hit", False)
    offsets = promises.Offsets(run.world)
    load = Load(run.world)
    steps = WORKLOAD_OF[point](run, load)
    next(steps)
    run.expect_hit()
    record_property("hit", True)
    next(steps, None)
    broken = promises.left_undone(run, load)
    offsets.end()
    broken += promises.broken(run, load, offsets)
    assert not broken, "\n".join(broken) + run.tails()
