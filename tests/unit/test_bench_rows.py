"""Rounds become rows: pairs, histograms, timelines, saturation, the yardstick."""

import random

import pytest
from bench_support import call, make_round, make_row, pairs
from hdrh.histogram import HdrHistogram

from bench import rows
from bench.client import Call
from bench.driver import Driver
from bench.intervals import Estimate
from bench.rows import DIRECT, ROUTED, Point, Saturation


def test_calls_of_one_block_are_pairs_in_order() -> None:
    calls = pairs([0.001, 0.002, 0.003], [0.002, 0.004, 0.006])
    random.Random(1).shuffle(calls)
    found = rows.blocks(calls)
    assert [(a.target, b.target, a.block, b.block) for a, b in found] == [(DIRECT, ROUTED, i, i) for i in range(3)]


@pytest.mark.parametrize("failed", [DIRECT, ROUTED])
def test_a_block_with_a_failed_or_missing_call_is_no_pair(failed: int) -> None:
    calls = pairs([0.001, 0.002], [0.002, 0.004])
    calls[failed].ok = False
    assert [a.block for a, _ in rows.blocks(calls)] == [1]
    assert rows.blocks(calls[:1]) == []


def test_overhead_is_the_paired_difference_even_where_latencies_vary_more_than_it() -> None:
    rng = random.Random(4)
    direct = [rng.uniform(0.001, 0.1) for _ in range(2000)]
    found = rows.added(direct, [d + 0.0002 for d in direct])
    assert found is not None
    assert found.p50.value == pytest.approx(0.2)
    assert found.p99.value == pytest.approx(0.2)
    assert found.p50.hi - found.p50.lo < 1e-6  # unpaired, the interval is wider than the value
    assert found.p50_difference.hi - found.p50_difference.lo > 1
    assert (found.n, found.negative_ratio) == (2000, 0.0)


def test_a_tail_that_only_the_routed_calls_have_shows_at_p99() -> None:
    direct = [0.001] * 1000
    routed = [0.0012] * 980 + [0.005] * 20
    found = rows.added(direct, routed)
    assert found is not None
    assert found.p50.value == pytest.approx(0.2)
    assert found.p99.value == pytest.approx(4.0)
    assert found.p99_difference.value == pytest.approx(4.0)


def test_negative_differences_are_counted() -> None:
    found = rows.added([0.002, 0.001], [0.001, 0.002])
    assert found is not None
    assert found.negative_ratio == 0.5


def test_no_pairs_no_overhead() -> None:
    assert rows.added([], []) is None
    assert rows.measures([make_round()]) == {"total": None, "ttft": None, "chunk": None}


def test_histograms_can_be_decoded_and_hold_every_value() -> None:
    decoded = HdrHistogram.decode(rows.histogram([0.001] * 98 + [0.1] * 2 + [-0.5, 100.0]))
    assert decoded.get_total_count() == 102
    assert decoded.get_value_at_percentile(50) == pytest.approx(1e6, rel=1e-3)
    assert decoded.get_max_value() == pytest.approx(60e9, rel=1e-3)
    assert decoded.get_min_value() < 1000


def test_measures_of_streams_have_first_content_and_chunks() -> None:
    calls: list[Call] = pairs([0.010] * 50, [0.012] * 50)
    for c in calls:
        c.chunks_ns = [100_000, 110_000] if c.target == DIRECT else [150_000, 170_000]
    found = rows.measures([make_round(calls)])
    assert found["total"] is not None
    assert found["ttft"] is not None
    assert found["chunk"] is not None
    assert found["total"].p50.value == pytest.approx(2.0)
    assert found["ttft"].p50.value == pytest.approx(1.0)
    assert found["chunk"].p50.value == pytest.approx(0.05)
    assert found["chunk"].n == 100


def test_streams_with_a_lost_stamp_give_no_chunks() -> None:
    calls = pairs([0.01], [0.012])
    calls[0].chunks_ns, calls[1].chunks_ns = [1, 2], [1]
    assert rows.chunk_pairs(rows.blocks(calls)) == ([], [])


def test_rounds_are_pooled() -> None:
    found = rows.measures([make_round(pairs([0.001] * 10, [0.002] * 10)), make_round(pairs([0.001] * 20, [0.002] * 20))])
    assert found["total"] is not None
    assert found["total"].n == 30


def test_cpu_is_the_median_of_rounds() -> None:
    rounds = [make_round(pairs([0.001] * 100, [0.002] * 100), cpu_s={1: s, 2: 0.001}) for s in (0.004, 0.005, 0.030)]
    found = rows.cpu_us(rounds, 1)
    assert found is not None
    assert found.value == pytest.approx(60.0)
    assert (found.lo, found.hi) == (pytest.approx(50.0), pytest.approx(310.0))
    assert rows.cpu_us([make_round(cpu_s={})], 1) is None


def test_latencies_are_those_of_answered_routed_calls() -> None:
    calls = pairs([0.001, 0.001], [0.003, 0.002])
    calls.append(call(ROUTED, 9, 5.0, ok=False))
    assert rows.latencies([make_round(calls)]) == pytest.approx([0.002, 0.003])
    assert rows.latencies([make_round(latencies_s=[0.2, 0.1])]) == [0.1, 0.2]


def test_a_timeline_tells_when_it_was_slow() -> None:
    calls = [call(ROUTED, i, 2.0 if 1.0 <= i / 100 < 1.5 else 0.001, 100 + i / 100) for i in range(400)]
    found = rows.timeline(make_round(calls), 4.0)
    assert len(found) == rows.BINS
    assert [p.at_s for p in found if p.routed_p99_ms is not None and p.routed_p99_ms > 100] == pytest.approx(
        [1.0, 1.1, 1.2, 1.3, 1.4]
    )
    assert found[0].direct_p99_ms is None
    assert found[0].per_s == pytest.approx(100, abs=10)


def ramp(slow_from: int | None, lag_ms: float = 0.1) -> list[Point]:
    return [
        Point(float(i), 100.0 * i, None, 500.0 if slow_from is not None and i >= slow_from else 1.0, lag_ms if i >= 5 else 0.1)
        for i in range(10)
    ]


@pytest.mark.parametrize(
    ("points", "overflowed", "expected"),
    [
        (ramp(None), False, Saturation(900.0, None)),
        (ramp(6), False, Saturation(500.0, "contender")),
        (ramp(6, lag_ms=400.0), False, Saturation(500.0, "driver")),
        (ramp(0), False, Saturation(0.0, "contender")),
        (ramp(None), True, Saturation(900.0, "contender")),
        ([], False, None),
    ],
)
def test_saturation(points: list[Point], overflowed: bool, expected: Saturation | None) -> None:
    assert rows.saturation(points, 50.0, overflowed) == expected


def test_one_slow_moment_is_not_saturation() -> None:
    points = ramp(None)
    points[3] = Point(3.0, 300.0, None, 500.0, 0.1)
    assert rows.saturation(points, 50.0, False) == Saturation(900.0, None)


def test_the_worst_driver_of_all_rounds() -> None:
    assert rows.worst([Driver(0.1, 0.5, 0.2), Driver(0.05, 0.9, 0.4)]) == Driver(0.1, 0.9, 0.4)


@pytest.mark.parametrize(
    ("cpu_s", "workers", "share"),
    [({1: 0.01, 2: 3.0, 3: 1.0}, 2, 0.75), ({1: 2.0}, 1, None), ({1: 2.0}, 2, None), ({1: 0.0, 2: 0.0}, 2, None)],
)
def test_the_busiest_worker(cpu_s: dict[int, float], workers: int, share: float | None) -> None:
    assert rows.largest_share(make_round(cpu_s=cpu_s), workers) == share


def test_cpu_is_compared_with_nginx_under_the_same_load() -> None:
    given = [
        make_row("nginx", cpu_us=Estimate(20.0, 19.0, 21.0), connections=16),
        make_row("fastroute", cpu_us=Estimate(60.0, 58.0, 62.0), connections=16),
        make_row("fastroute", cpu_us=Estimate(70.0, 68.0, 72.0), connections=1000),
        make_row("elsewhere", cpu_us=None, connections=16),
    ]
    assert [r.x_nginx for r in rows.beside_nginx(given)] == [1.0, 3.0, None, None]


def test_failures_of_rounds_are_added_up() -> None:
    rounds = [make_round(failures={"status 503": 1}), make_round(failures={"unanswered": 3, "status 503": 1})]
    assert list(rows.failures(rounds).items()) == [("unanswered", 3), ("status 503", 2)]


def test_memory_is_the_median_of_rounds() -> None:
    rounds = [make_round(rss_idle_bytes=i << 20, rss_peak_bytes=(i + 5) << 20) for i in (50, 51, 90)]
    assert rows.rss_mib(rounds) == (51.0, 56.0)
