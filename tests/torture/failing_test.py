"""The n-th allocation fails, the n-th system call fails, n = 1, 2, ...: the program goes on, or ends with a line; and what
was promised holds when it runs again."""

import re

import pytest
from harness.recording import Recording

from torture.run import Broken, Torture
from torture.subjects import LEASE_S, MODEL_S, SUBJECTS, SWEEP_S

PARTS = 2
MOST_BROKEN = 8  # then it is not worth going on


@pytest.mark.shows("F90")
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", ["allocations", "calls"])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_failing(world, page, preload, subject, kind, part, request, record_property):
    make, phase = SUBJECTS[subject]
    expect = {"lease_s": LEASE_S, "model_deadline_s": MODEL_S, "sweep_s": SWEEP_S, "max_attempts": 1000}
    with Recording(world, **expect) as run:
        torture = Torture(make(world, run, preload), page)
        faults = chosen(torture.faults(kind, phase), part, request.config.option)
        runs, broken = 0, []
        for fault in faults:
            runs += 1
            try:
                torture.run(fault, phase)
            except Broken as error:
                broken.append(str(error))
                torture.give_up()
            if len(broken) >= MOST_BROKEN:
                break
        record_property("row", f"{subject}, {kind}")
        record_property("counts", counted(torture, runs, broken))
        torture.heal()
        run.finish()
    assert not broken, "\n\n".join(broken)
    run.check()


def chosen(faults, part, option):
    wanted = [fault for fault in faults if re.search(option.only, str(fault))]
    if option.sample > 1:  # in one part: see conftest.py
        return wanted[:: option.sample]
    return wanted[part::PARTS]


def counted(torture, runs, broken):
    outcomes = dict(torture.outcomes)
    by_library = sum(n for name, n in outcomes.items() if name.startswith("ended by "))
    return outcomes | {"runs": runs, "hits": runs - len(broken), "ended by a library": by_library}
