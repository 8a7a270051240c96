"""Crash points: ./dev crash. A run is one point of one program, one kind of fault, and one or two consumers."""

import itertools
import os
import re
import uuid

import pytest
from harness.migrated import migrated_database
from harness.model import Model
from harness.postgres import drop_database

from crash.run import ACTIONS, POINTS, CrashWorld, Run

THIRDS = 3
HITS = pytest.StashKey()  # a list with True or False for each run


def pytest_addoption(parser):
    parser.addoption("--third", type=int, choices=range(1, THIRDS + 1), help="only this third of the runs")
    parser.addoption("--arrival", type=int, default=1, help="the fault comes with this arrival at the point")


def pytest_configure(config):
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    if not (os.environ.get("ROOMCLAIM_TEST_PG") and os.environ.get("ROOMCLAIM_TEST_KAFKA")):
        pytest.exit('no servers: use ./dev crash, or first eval "$(./dev up)"', 4)
    template = os.environ["ROOMCLAIM_TEST_TEMPLATE"] = f"template_{uuid.uuid4().hex[:8]}"
    server = os.environ["ROOMCLAIM_TEST_PG"]
    migrated_database(server, template)
    config.add_cleanup(lambda: drop_database(server, template))


def third_of(item):
    """Each third has two runs of every point, with two kinds of fault, one of them with two consumers."""
    run = item.callspec.params if hasattr(item, "callspec") else {}
    if "point" not in run:
        return None
    return (list(POINTS).index(run["point"]) + ACTIONS.index(run["action"]) + run["consumers"]) % THIRDS + 1


def pytest_collection_modifyitems(config, items):
    wanted = config.option.third
    if wanted is None:
        return
    left_out = [item for item in items if third_of(item) not in (None, wanted)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter, config):
    reports = itertools.chain.from_iterable(terminalreporter.stats.values())
    runs = [dict(r.user_properties) for r in reports if getattr(r, "when", "") == "call"]
    config.stash[HITS] = [run["hit"] for run in runs if "hit" in run]


def pytest_unconfigure(config):
    """The last line."""
    if HITS in config.stash and not hasattr(config, "workerinput"):
        hits = config.stash[HITS]
        print(f"{len(hits)} runs, {sum(hits)} hits")


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """One stand-in for all runs of a worker: every room has a sid and a script of its own."""
    started = Model(tmp_path_factory.mktemp("model"), latency_ms=60).start()
    yield started
    started.stop()


@pytest.fixture
def run(request, tmp_path, model, point, action, consumers):
    name = re.sub(r"\W+", "-", f"{point}-{action}-{consumers}-{uuid.uuid4().hex[:6]}")
    servers = [os.environ[f"ROOMCLAIM_TEST_{kind}"] for kind in ("KAFKA", "PG", "TEMPLATE")]
    world = CrashWorld(tmp_path, name, *servers, model)
    made = Run(world, point, action, consumers, request.config.option.arrival)
    yield made
    made.close()
