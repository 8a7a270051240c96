"""Torture: ./dev torture. A test is one program in one phase with one kind of faults, in parts for several processes."""

import collections
import itertools
import os
import pathlib
import subprocess
import uuid

import pytest
from harness.migrated import migrated_database
from harness.postgres import drop_database

from torture.page import Page
from torture.subjects import TortureWorld

HERE = pathlib.Path(__file__).resolve().parent
COLUMNS = ("runs", "hits", "answered", "ended with a line", "ended by a library")


def pytest_addoption(parser):
    parser.addoption("--sample", type=int, default=1, help="each k-th fault only")
    parser.addoption("--only", default="", help="faults whose name, as a failed run prints it, fits this expression")


def pytest_configure(config):
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    if not (os.environ.get("ROOMCLAIM_TEST_PG") and os.environ.get("ROOMCLAIM_TEST_KAFKA")):
        pytest.exit('no servers: use ./dev torture, or first eval "$(./dev up)"', 4)
    template = os.environ["ROOMCLAIM_TEST_TEMPLATE"] = f"template_{uuid.uuid4().hex[:8]}"
    server = os.environ["ROOMCLAIM_TEST_PG"]
    migrated_database(server, template)
    config.add_cleanup(lambda: drop_database(server, template))


def pytest_collection_modifyitems(config, items):
    """A sample is one part."""
    if config.option.sample > 1:
        items[:] = [
            item for item in items if getattr(item, "callspec", None) is None or not item.callspec.params.get("part")
        ]


def pytest_terminal_summary(terminalreporter):
    """The table: what was hit, what came of it, and whether the promises held afterwards."""
    rows: dict = collections.defaultdict(collections.Counter)
    kept: dict = collections.defaultdict(lambda: True)
    reports = itertools.chain.from_iterable(terminalreporter.stats.values())
    for report in (r for r in reports if getattr(r, "when", "") == "call"):
        told = dict(report.user_properties)
        if "row" in told:
            rows[told["row"]].update(told["counts"])
            kept[told["row"]] &= report.passed
    if not rows:
        return
    terminalreporter.section("torture")
    print("".join([f"{'':34}", *(f"{name:>20}" for name in COLUMNS), f"{'promises':>10}"]))
    for row, counts in sorted(rows.items()):
        words = "kept" if kept[row] else "BROKEN"
        print("".join([f"{row:34}", *(f"{counts[name]:>20}" for name in COLUMNS), f"{words:>10}"]))
    total = sum(rows.values(), collections.Counter())
    print(f"{total['runs']} runs, {total['hits']} hits")


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    made = tmp_path_factory.mktemp("torture") / "torture.so"
    flags = ["-std=gnu17", "-shared", "-fPIC", "-O1", "-g", "-Wno-missing-attributes"]
    subprocess.run(["gcc", *flags, "-o", made, HERE / "torture.c"], check=True)
    return made


@pytest.fixture
def page(tmp_path):
    return Page(tmp_path / "page")


@pytest.fixture
def preload(library, page):
    """Settings of a program that the page rules."""
    return {"LD_PRELOAD": library, "TORTURE": page.path}


@pytest.fixture
def world(tmp_path):
    servers = [os.environ[f"ROOMCLAIM_TEST_{name}"] for name in ("KAFKA", "PG", "TEMPLATE")]
    made = TortureWorld(tmp_path, f"torture-{uuid.uuid4().hex[:8]}", *servers)
    yield made
    made.close()
