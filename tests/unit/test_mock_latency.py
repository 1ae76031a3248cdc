"""Paces: medians, stragglers, load, and the same luck for the same seed."""

import math
import statistics
from random import Random
from typing import Any

import pytest

from fastroute.mock.latency import Pace, PaceSource
from fastroute.mock.schema import LatencySpec


def source(seed: int = 1, **members: Any) -> PaceSource:
    return PaceSource(LatencySpec(**members), Random(seed))


def test_without_spread_the_median_is_the_value() -> None:
    pace = source(ttft_ms=200, sigma=0, tpot_ms=10).draw(100, 0)
    assert pace.first_s == pytest.approx(0.2)
    assert pace.tpot_s == pytest.approx(0.01)
    assert pace.due_s(5) == pytest.approx(0.25)
    assert pace.headers_s == pace.first_s


def test_input_tokens_add_time() -> None:
    paces = source(ttft_ms=100, sigma=0, per_input_token_ms=0.5)
    assert paces.draw(1000, 0).first_s == pytest.approx(0.6)


def test_the_spread_is_log_normal_around_the_median() -> None:
    paces = source(ttft_ms=300, sigma=0.4)
    drawn = [paces.draw(0, 0).first_s for _ in range(4000)]
    assert statistics.median(drawn) == pytest.approx(0.3, rel=0.03)
    assert statistics.stdev(math.log(d) for d in drawn) == pytest.approx(0.4, rel=0.05)


def test_stragglers_are_as_frequent_and_as_slow_as_configured() -> None:
    paces = source(ttft_ms=100, sigma=0, straggler_ratio=0.1, straggler_factor=8)
    drawn = [round(paces.draw(0, 0).first_s, 6) for _ in range(3000)]
    assert set(drawn) == {0.1, 0.8}
    assert drawn.count(0.8) / 3000 == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(("in_flight", "factor"), [(0, 1.0), (3, 1.0), (4, 1.5), (5, 2.0), (9, 4.0)])
def test_above_the_knee_everything_slows_down(in_flight: int, factor: float) -> None:
    pace = source(ttft_ms=100, sigma=0, tpot_ms=10, knee_in_flight=4, slope_ratio=0.5).draw(0, in_flight)
    assert pace.first_s == pytest.approx(0.1 * factor)
    assert pace.tpot_s == pytest.approx(0.01 * factor)


def test_without_a_knee_load_does_not_matter() -> None:
    assert source(ttft_ms=100, sigma=0).draw(0, 10_000).first_s == pytest.approx(0.1)


def test_headers_come_early_but_never_after_the_first_token() -> None:
    assert source(ttft_ms=100, sigma=0, headers_ms=20).draw(0, 0).headers_s == pytest.approx(0.02)
    assert source(ttft_ms=100, sigma=0, headers_ms=900).draw(0, 0).headers_s == pytest.approx(0.1)


def test_the_same_seed_gives_the_same_luck_whatever_the_load() -> None:
    quiet, busy = source(5, sigma=0.5, straggler_ratio=0.2), source(5, sigma=0.5, straggler_ratio=0.2)
    assert [quiet.draw(10, 0) for _ in range(20)] == [busy.draw(10, n) for n in range(20)]


def test_a_slower_pace_and_a_dripping_one() -> None:
    pace = Pace(0.2, 0.01, 0.1)
    assert pace.slowed(3) == Pace(pytest.approx(0.6), pytest.approx(0.03), pytest.approx(0.3))
    assert pace.dripping(0.5) == Pace(0.2, 0.5, 0.1)
