"""The checker sees each mutant, by the invariant that the table names; and nothing wrong in the same run without it."""

import os
import pathlib
import shutil

import pytest
from checker.mutants import MUTANTS
from harness.recording import Recording

from mutants import scenarios

pytestmark = [pytest.mark.mutant, pytest.mark.timeout(300)]


class Run:
    """A scenario's hands: the world, its recording, and programs that may be a mutant's."""

    def __init__(self, world, recording, binaries):
        self.world, self.recording, self._binaries = world, recording, binaries
        self.rest_within = None

    def shim(self, **settings):
        return self.world.start_shim(binaries=self._binaries, **settings)

    def consumer(self, **settings):
        return self.world.start_consumer(binaries=self._binaries, **settings)


def patch(world, function, text, replacement):
    """Replaces text in one of roomclaim's functions; it must be there exactly once."""
    source = world.value(
        "SELECT pg_get_functiondef(p.oid) FROM pg_proc p WHERE p.proname = %s AND p.pronamespace = 'roomclaim'::regnamespace",
        function,
    )
    assert source and source.count(text) == 1, f"{function} has {text!r} {source.count(text) if source else 0} times"
    world.db.execute(source.replace(text, replacement))


def play(world, scenario, binaries=None):
    with Recording(world) as recording:
        run = Run(world, recording, binaries)
        getattr(scenarios, scenario)(run)
        recording.load.drain()
        recording.healed()
        recording.finish(run.rest_within)
    keep(recording, scenario, binaries)
    return recording.verdict()


def keep(recording, scenario, binaries):
    """ROOMCLAIM_TEST_RUNS=FOLDER: recordings are copied there."""
    if folder := os.environ.get("ROOMCLAIM_TEST_RUNS"):
        into = pathlib.Path(folder) / f"{scenario}-{recording.world.name}"
        shutil.copytree(recording.folder, into)


@pytest.mark.parametrize("scenario", sorted({m.scenario for m in MUTANTS}))
def test_green_without_a_mutant(world, scenario):
    verdict = play(world, scenario)
    print(verdict.stdout)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.number}-{m.scenario}")
def test_a_mutant_is_seen(world, compiled, mutant):
    binaries = compiled(mutant.number) if mutant.compiled else None
    for change in mutant.sql:
        patch(world, *change)
    verdict = play(world, mutant.scenario, binaries)
    for daemon in (*world.shims, *world.consumers):
        daemon.kill()  # who knows how a mutant ends
    print(verdict.stdout)
    assert verdict.returncode == 1, f"the checker does not see that {mutant.words}:\n{verdict.stdout}{verdict.stderr}"
    assert f"{mutant.invariant} (" in verdict.stdout, f"{mutant.invariant} is not red:\n{verdict.stdout}"
