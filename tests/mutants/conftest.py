"""Fixtures of the mutants: those of the scenarios, and programs that have one fault."""

import fcntl
import os
import pathlib
import shutil
import subprocess

import pytest
from scenarios import conftest as scenarios

world = scenarios.world
PROGRAMS = ("roomclaim-shim", "roomclaim-consumer")
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("ROOMCLAIM_MUTANT_BUILD", ROOT / "build" / "mutant"))


def pytest_configure(config):
    config.addinivalue_line("markers", "mutant: proves that the checker sees a fault; not part of the ordinary tests")
    scenarios.pytest_configure(config)


@pytest.fixture
def compiled(tmp_path):
    """compiled(n): the folder of programs that have mutant n. One build for all: only a few files differ."""

    def build(number):
        flags = ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS_DEBUG=-O1", "-DROOMCLAIM_FAULTS=ON"]
        BUILD.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bin").mkdir()
        with (BUILD / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # pytest may run several at once
            run("cmake", "-S", ROOT, "-B", BUILD, "-G", "Ninja", *flags, f"-DROOMCLAIM_MUTANT={number}")
            run("ninja", "-C", BUILD, *PROGRAMS)
            for program in PROGRAMS:
                shutil.copy(BUILD / "bin" / program, tmp_path / "bin")
        return tmp_path / "bin"

    return build


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
