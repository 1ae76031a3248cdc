"""Slopes of noisy series, and what counts as grown."""

import random

import pytest

from bench.soak_judge import LIMIT_BYTES_PER_HOUR, LONG_S, MIB, SETTLING_BYTES, above, blocks, grown, growth, theil_sen

BASE = 100 * MIB


def series(seconds: int, per_hour: float, noise: float = 0.0, seed: int = 1) -> list[tuple[float, float]]:
    rng = random.Random(seed)
    return [(float(t), BASE + per_hour * t / 3600 + rng.gauss(0, noise)) for t in range(seconds + 1)]


def test_a_block_is_the_median_of_its_stretch() -> None:
    assert blocks([(0, 1), (1, 9), (2, 2), (10, 4), (11, 5), (19, 6)], 10) == [(1, 2), (11, 5)]


def test_a_short_last_stretch_is_no_block() -> None:
    assert len(blocks([(float(t), 0.0) for t in range(24)], 10)) == 2
    assert len(blocks([(float(t), 0.0) for t in range(28)], 10)) == 3
    assert blocks([], 10) == []


def test_a_line_has_its_own_slope_and_no_interval_to_speak_of() -> None:
    found = theil_sen([(float(t), 3.0 * t + 7) for t in range(20)])
    assert (found.value, found.lo, found.hi) == pytest.approx((3, 3, 3))


def test_outliers_do_not_turn_the_line() -> None:
    points = [(float(t), 3.0 * t + (1e6 if t in (4, 17) else 0)) for t in range(30)]
    assert theil_sen(points).value == pytest.approx(3)


def test_too_few_points_have_no_slope() -> None:
    with pytest.raises(ValueError, match="too few"):
        theil_sen([(0.0, 1.0), (1.0, 2.0)])
    with pytest.raises(ValueError, match="too few"):
        growth([])


def test_the_interval_covers_the_true_slope() -> None:
    """Nominally 95 of 100; a few less are chance."""
    covered = 0
    for seed in range(100):
        rng = random.Random(seed)
        found = theil_sen([(float(t), 2.0 * t + rng.gauss(0, 20)) for t in range(25)])
        covered += found.lo <= 2.0 <= found.hi
    assert covered >= 88


def test_neighbours_that_follow_each_other_widen_the_interval() -> None:
    rng, level, walk, white = random.Random(3), 0.0, [], []
    for t in range(40):
        step = rng.gauss(0, 1)
        level = 0.9 * level + step
        walk.append((float(t), level))
        white.append((float(t), step))
    wide, narrow = theil_sen(walk), theil_sen(white)
    assert wide.hi - wide.lo > 2 * (narrow.hi - narrow.lo)


# --- an hour ---


def test_an_hour_is_judged_by_its_slope() -> None:
    assert growth(series(3300, 0.5 * MIB, noise=200_000)).ok
    leak = growth(series(3300, 2.0 * MIB, noise=200_000))
    assert not leak.ok
    assert leak.by_estimate
    assert leak.limit == LIMIT_BYTES_PER_HOUR
    assert leak.slope.value / MIB == pytest.approx(2.0, abs=0.3)


# --- five minutes ---


def test_a_short_run_does_not_fail_for_what_it_cannot_tell() -> None:
    found = growth(series(150, 2.0 * MIB, noise=300_000))
    assert found.ok
    assert not found.by_estimate
    assert found.measured_s < LONG_S
    assert found.limit == LIMIT_BYTES_PER_HOUR + SETTLING_BYTES * 24


def test_a_short_run_finds_500_bytes_a_request() -> None:
    leak_per_hour = 500 * 120 * 3600
    assert not growth(series(150, leak_per_hour, noise=300_000)).ok


def test_growth_that_settles_is_no_leak() -> None:
    points = [(t, BASE + min(t, 45.0) * 45_000) for t, _ in series(150, 0)]
    assert growth(points).ok


def test_thirds_show_what_happened() -> None:
    found = growth(series(300, 3600 * 1000))
    assert found.last_bytes - found.first_bytes == pytest.approx(200_000, rel=0.02)
    assert found.samples == 301


# --- counts ---


def test_above_names_only_what_is_watched_and_higher() -> None:
    assert above({"task": 5, "timer": 1, "dict": 900}, {"task": 4, "timer": 1}, ("task", "timer", "gone")) == {"task": "4 -> 5"}
    assert above({"new": 2}, {}, ("new",)) == {"new": "0 -> 2"}


def test_grown_gives_the_most_first() -> None:
    assert list(grown({"a": 5, "b": 50, "c": 1}, {"a": 1, "c": 3}, 2).items()) == [("b", 50), ("a", 4)]
