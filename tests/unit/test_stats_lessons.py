import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.stats.lessons import FEWEST_TOLD, KINDS, Kind, Lesson, Tally, pace


def round_of(tally, samples):
    """How many samples of one round are told."""
    told = 0
    for _ in range(samples):
        tally.samples += 1
        told += tally.samples % tally.stride == 0
    return told


def test_few_samples_are_all_told():
    tally = Tally(0)
    for _ in range(5):
        assert round_of(tally, 10) == 10
        pace([tally], 12)


def test_of_many_a_few_are_told_from_the_second_round_on():
    tally = Tally(0)
    assert round_of(tally, 1000) == 1000
    pace([tally], 20)
    for _ in range(5):
        assert 18 <= round_of(tally, 1000) <= 20
        pace([tally], 20)


def test_busy_and_idle_endpoints_get_the_same_share():
    busy, quiet, idle = Tally(0), Tally(1), Tally(2)
    for _ in range(3):
        shares = round_of(busy, 5000), round_of(quiet, 50)
        pace([busy, quiet, idle], 20)
    assert shares[0] == pytest.approx(10, abs=1)
    assert shares[1] == pytest.approx(10, abs=1)
    assert idle.stride == 1


def test_every_busy_endpoint_is_told_of_however_small_the_budget():
    tallies = [Tally(i) for i in range(50)]
    for _ in range(3):
        told = [round_of(tally, 100) for tally in tallies]
        pace(tallies, 10)
    assert {FEWEST_TOLD - 1 <= count <= FEWEST_TOLD for count in told} == {True}


def test_after_a_rush_all_is_told_again():
    tally = Tally(0)
    round_of(tally, 5000)
    pace([tally], 10)
    assert tally.stride > 100
    round_of(tally, 3)
    pace([tally], 10)
    assert round_of(tally, 3) == 3


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=20), st.integers(1, 100))
def test_strides_are_odd_and_keep_the_budget(rates, budget):
    tallies = [Tally(i) for i in range(len(rates))]
    for tally, rate in zip(tallies, rates, strict=True):
        round_of(tally, rate)
    pace(tallies, budget)
    assert all(tally.stride % 2 == 1 for tally in tallies)
    told = sum(round_of(tally, rate) for tally, rate in zip(tallies, rates, strict=True))
    assert told <= max(budget, FEWEST_TOLD * len(rates)) + len(rates)


def test_of_two_kinds_that_take_turns_both_are_told():
    tally, told = Tally(0), {0: 0, 1: 0}
    for _ in range(3):
        for n in range(1000):
            tally.samples += 1
            told[n % 2] += tally.samples % tally.stride == 0
        pace([tally], 10)
        first, told = told, {0: 0, 1: 0}
    assert first[0] == pytest.approx(first[1], abs=1)


def test_a_lesson_is_frozen_and_plain():
    lesson = Lesson(Kind.GOOD, 0, 100.0, 99.0)
    with pytest.raises(AttributeError):
        lesson.endpoint = 3
    assert msgspec.structs.replace(lesson, stands_for=3).stands_for == 3
    assert set(KINDS) == set(Kind)
