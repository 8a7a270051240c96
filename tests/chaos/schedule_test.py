"""The plan follows from its seed, holds its limits, and has every kind in five minutes."""

import collections

import pytest

from chaos.schedule import AT_ONCE, CALM_S, COUNT, KINDS, Operation, locks_of, plan

MINUTES = 5
SEEDS = range(1, 41)


def rested(operation: Operation) -> float:
    return operation.until + operation.kind.rest


def test_the_same_seed_is_the_same_plan():
    assert plan(7, MINUTES) == plan(7, MINUTES)


def test_other_seeds_are_other_plans():
    assert len({tuple(map(str, plan(seed, MINUTES))) for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_has_its_turn(seed):
    assert {o.kind for o in plan(seed, MINUTES)} == set(KINDS)


@pytest.mark.parametrize("minutes", [0.5, 1, MINUTES, 20])
def test_it_is_over_before_the_end(minutes):
    for seed in SEEDS:
        operations = plan(seed, minutes)
        assert operations and max(o.until for o in operations) <= 60 * minutes - CALM_S
        assert [o.at for o in operations] == sorted(o.at for o in operations)


@pytest.mark.parametrize("seed", SEEDS)
def test_few_at_once_and_one_for_each_party(seed):
    operations = plan(seed, MINUTES)
    for one in operations:
        others = [o for o in operations if o is not one and o.at <= one.at]
        assert sum(o.until > one.at for o in others) < AT_ONCE
        locks = locks_of(one.kind, one.target)
        assert not [o for o in others if locks_of(o.kind, o.target) & locks and rested(o) > one.at]


def test_durations_and_targets_are_of_the_table():
    for seed in SEEDS:
        for operation in plan(seed, MINUTES):
            least, most = operation.kind.seconds
            assert least - 0.011 <= operation.until - operation.at <= most + 0.011, operation
            assert 0 <= operation.target < COUNT[operation.kind.party] and operation.how in operation.kind.how


def test_weights_count_in_the_long_run():
    seen = collections.Counter(o.kind.name for seed in SEEDS for o in plan(seed, 30))
    assert seen["kill:consumer"] > 2 * seen["clock:consumer"]
