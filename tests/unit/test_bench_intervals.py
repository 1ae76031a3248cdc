"""Quantiles, their intervals and differences: known values, coverage, edges."""

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.intervals import Estimate, bootstrap, difference_of_quantiles, median_of, quantile, quantile_estimate

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200)


@pytest.mark.parametrize(("q", "value"), [(0.0, 1), (0.5, 50), (0.501, 51), (0.99, 99), (1.0, 100)])
def test_a_quantile_is_the_value_of_its_rank(q: float, value: int) -> None:
    assert quantile(range(1, 101), q) == value


def test_nothing_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)
    with pytest.raises(ValueError, match="no values"):
        quantile_estimate([], 0.5)
    with pytest.raises(ValueError, match="no values"):
        median_of([], random.Random(1))


@given(VALUES, st.floats(0, 1))
def test_a_quantile_lies_in_its_interval(values: list[float], q: float) -> None:
    found = quantile_estimate(sorted(values), q)
    assert min(values) <= found.lo <= found.value <= found.hi <= max(values)


def test_the_medians_interval_has_the_tabled_ranks() -> None:
    """n = 100: ranks 40 and 61 (Conover, table A3 by normal approximation)."""
    assert quantile_estimate(range(1, 101), 0.5) == Estimate(50, 39, 61)


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_the_interval_covers_the_true_quantile_about_19_times_of_20(q: float) -> None:
    rng = random.Random(11)
    covered = 0
    for _ in range(400):
        found = quantile_estimate(sorted(rng.random() for _ in range(1000)), q)
        covered += found.lo <= q <= found.hi
    assert covered / 400 >= 0.93


def test_a_difference_of_quantiles_covers_a_known_shift() -> None:
    rng = random.Random(5)
    covered = 0
    for _ in range(200):
        direct = sorted(rng.gauss(1.0, 0.1) for _ in range(500))
        routed = sorted(rng.gauss(1.2, 0.1) for _ in range(500))
        found = difference_of_quantiles(direct, routed, 0.9)
        covered += found.lo <= 0.2 <= found.hi
    assert covered / 200 >= 0.92


def test_a_difference_of_equal_samples_is_zero() -> None:
    rng = random.Random(2)
    values = sorted(rng.random() for _ in range(300))
    found = difference_of_quantiles(values, values, 0.5)
    assert found.value == 0.0
    assert found.lo < 0 < found.hi


def test_estimates_scale() -> None:
    assert Estimate(1.0, 0.5, 2.0).scaled(1e3) == Estimate(1000.0, 500.0, 2000.0)


def test_a_bootstrap_is_seeded_and_lies_within_the_values() -> None:
    values = [60.0, 64.0, 71.0]
    found = bootstrap(values, statistics.fmean, random.Random(3))
    assert found == bootstrap(values, statistics.fmean, random.Random(3))
    assert 60.0 <= found.lo < found.value < found.hi <= 71.0


def test_the_median_of_one_round_is_that_round() -> None:
    assert median_of([66.0], random.Random(1)) == Estimate(66.0, 66.0, 66.0)
