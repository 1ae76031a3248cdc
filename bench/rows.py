"""What a scenario's rounds say together: rows with estimates, histograms and a timeline. Pure.

Rules. Overhead is the difference between a routed call and the direct call of the same block. Latencies count from the
intended start. Failed calls have no latency here; they are counted. What was not measured is None.
"""

import random
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # it ships none

from bench.client import Call
from bench.driver import Driver
from bench.intervals import Estimate, difference_of_quantiles, median_of, quantile, quantile_estimate

DIRECT, ROUTED = 0, 1
BINS = 40


class Round(NamedTuple):
    """One contender under the load once. `calls` have target 0 direct and 1 routed; a closed loop has latencies only."""

    calls: list[Call]
    start_s: float
    latencies_s: Sequence[float]
    done: int
    failures: dict[str, int]
    seconds: float
    cpu_s: dict[int, float]
    waited_s: float  # ready to run, without a core
    routed: int  # routed calls that were answered: what the CPU time was spent on
    rss_idle_bytes: int
    rss_peak_bytes: int
    driver: Driver
    overflowed: bool


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """What the contender adds to one measure, in milliseconds. `p50`, `p99`: quantiles of paired differences.

    `p99_difference` is the p99 of routed calls minus that of direct ones: noise that both have is not in it.
    Histograms are HdrHistogram V2, compressed, base64, in nanoseconds; differences below zero are recorded as 0.
    """

    n: int
    p50: Estimate
    p99: Estimate
    p50_difference: Estimate
    p99_difference: Estimate
    negative_ratio: float
    direct_ms: dict[str, float]
    routed_ms: dict[str, float]
    hdr_added: str
    hdr_direct: str
    hdr_routed: str


class Saturation(msgspec.Struct, frozen=True):
    """Where a ramp's p99 passed the limit. `by`: "contender", "driver", or None where it held to the end."""

    per_s: float
    by: str | None


class Point(msgspec.Struct, frozen=True):
    """A stretch of an open-loop run, by intended start."""

    at_s: float
    per_s: float
    direct_p99_ms: float | None
    routed_p99_ms: float | None
    lag_p99_ms: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One contender in one scenario. `cpu_us` per request, all its processes together."""

    scenario: str
    contender: str
    stream: bool
    load: str
    workers: int
    connections: int
    rounds: int
    n: int
    errors: int
    failures: dict[str, int] = {}
    """Why calls failed, direct ones too, and how many."""
    per_s: float
    cpu_us: Estimate | None
    x_nginx: float | None = None
    wait_us: float | None = None
    """Microseconds per request for which it could have run but had no core: what else ran there."""
    latency_ms: dict[str, float]
    total: Added | None
    ttft: Added | None
    chunk: Added | None
    rss_mib: float
    rss_peak_mib: float
    per_stream_kib: float | None
    largest_worker_share: float | None
    saturation: Saturation | None
    timeline: list[Point]
    driver: Driver


def blocks(calls: Iterable[Call]) -> list[tuple[Call, Call]]:
    """Pairs of a direct and a routed call of one block that both went well, in order of blocks."""
    direct = {c.block: c for c in calls if c.target == DIRECT and c.ok}
    routed = (c for c in calls if c.target == ROUTED and c.ok and c.block in direct)
    return [(direct[c.block], c) for c in sorted(routed, key=lambda c: c.block)]


def chunk_pairs(pairs: Iterable[tuple[Call, Call]]) -> tuple[list[float], list[float]]:
    """Seconds that the chunks of paired streams were under way: direct ones and routed ones, in pairs."""
    direct: list[float] = []
    routed: list[float] = []
    for a, b in pairs:
        if a.chunks_ns and b.chunks_ns and len(a.chunks_ns) == len(b.chunks_ns):
            direct += [ns / 1e9 for ns in a.chunks_ns]
            routed += [ns / 1e9 for ns in b.chunks_ns]
    return direct, routed


def added(direct_s: Sequence[float], routed_s: Sequence[float]) -> Added | None:
    """What routed values are above the direct ones at the same place; None without values."""
    if not direct_s:
        return None
    differences = sorted(b - a for a, b in zip(direct_s, routed_s, strict=True))
    direct, routed = sorted(direct_s), sorted(routed_s)
    return Added(
        n=len(differences),
        p50=quantile_estimate(differences, 0.5).scaled(1e3),
        p99=quantile_estimate(differences, 0.99).scaled(1e3),
        p50_difference=difference_of_quantiles(direct, routed, 0.5).scaled(1e3),
        p99_difference=difference_of_quantiles(direct, routed, 0.99).scaled(1e3),
        negative_ratio=sum(d < 0 for d in differences) / len(differences),
        direct_ms=quantiles_ms(direct),
        routed_ms=quantiles_ms(routed),
        hdr_added=histogram(differences),
        hdr_direct=histogram(direct),
        hdr_routed=histogram(routed),
    )


def histogram(values_s: Iterable[float]) -> str:
    """Encoded HdrHistogram of durations, three significant digits, 1 us to 60 s."""
    found = HdrHistogram(1000, 60_000_000_000, 3)
    for value_s in values_s:
        found.record_value(min(60_000_000_000, max(0, int(value_s * 1e9))))
    return str(found.encode().decode())


def quantiles_ms(ordered_s: Sequence[float]) -> dict[str, float]:
    """p50 to p99.9 and the maximum of an ascending sequence; empty where it is."""
    if not ordered_s:
        return {}
    named = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    return {name: quantile(ordered_s, q) * 1e3 for name, q in named.items()}


def timeline(found: Round, seconds: float) -> list[Point]:
    """The run in BINS stretches; empty for a closed loop."""
    width_s = seconds / BINS
    bins: list[list[Call]] = [[] for _ in range(BINS)]
    for call in found.calls:
        if call.ok and 0 <= (i := int((call.intended_s - found.start_s) / width_s)) < BINS:
            bins[i].append(call)
    return [_point(calls, i * width_s, width_s) for i, calls in enumerate(bins) if calls]


def _point(calls: list[Call], at_s: float, width_s: float) -> Point:
    routed = sorted(c.total_s for c in calls if c.target == ROUTED)
    direct = sorted(c.total_s for c in calls if c.target == DIRECT)
    return Point(
        at_s=at_s,
        per_s=len(routed) / width_s,
        direct_p99_ms=quantile(direct, 0.99) * 1e3 if direct else None,
        routed_p99_ms=quantile(routed, 0.99) * 1e3 if routed else None,
        lag_p99_ms=quantile(sorted(c.lag_s for c in calls), 0.99) * 1e3,
    )


def saturation(points: Sequence[Point], limit_ms: float, overflowed: bool) -> Saturation | None:
    """The rate of the last stretch before p99 stayed above the limit to the end, and who gave out; None without points."""
    kept = [i for i, p in enumerate(points) if p.routed_p99_ms is not None and p.routed_p99_ms <= limit_ms]
    if not points:
        return None
    last = kept[-1] if kept else -1
    if last == len(points) - 1 and not overflowed:
        return Saturation(points[-1].per_s, None)
    after = points[min(last + 1, len(points) - 1)]
    return Saturation(points[max(last, 0)].per_s, "driver" if after.lag_p99_ms > limit_ms / 2 else "contender")


def measures(rounds: Sequence[Round]) -> dict[str, Added | None]:
    """Total, TTFT and per-chunk overhead over all rounds; None for what has no pairs."""
    pairs = [pair for found in rounds for pair in blocks(found.calls)]
    chunks = chunk_pairs(pairs)
    return {
        "total": added([a.total_s for a, _ in pairs], [b.total_s for _, b in pairs]),
        "ttft": added([a.ttft_s for a, _ in pairs], [b.ttft_s for _, b in pairs]),
        "chunk": added(*chunks),
    }


def latencies(rounds: Sequence[Round]) -> list[float]:
    """Seconds that routed calls took, ascending."""
    opened = (c.total_s for found in rounds for c in found.calls if c.target == ROUTED and c.ok)
    return sorted([*opened, *(s for found in rounds for s in found.latencies_s)])


def cpu_us(rounds: Sequence[Round], seed: int) -> Estimate | None:
    """CPU microseconds per routed request: the median of rounds; None where no process was watched or nothing answered."""
    each = [sum(r.cpu_s.values()) / r.routed * 1e6 for r in rounds if r.cpu_s and r.routed]
    return median_of(each, random.Random(seed)) if each else None


def failures(rounds: Sequence[Round]) -> dict[str, int]:
    """Why calls failed, over all rounds, the most frequent first."""
    total: Counter[str] = Counter()
    for found in rounds:
        total.update(found.failures)
    return dict(total.most_common())


def wait_us(rounds: Sequence[Round]) -> float | None:
    """The same for waiting without a core, over all rounds."""
    watched = [r for r in rounds if r.cpu_s and r.routed]
    return sum(r.waited_s for r in watched) / sum(r.routed for r in watched) * 1e6 if watched else None


def worst(drivers: Sequence[Driver]) -> Driver:
    """The worst of each figure."""
    return Driver(max(d.lag_p50_ms for d in drivers), max(d.lag_p99_ms for d in drivers), max(d.core_ratio for d in drivers))


def largest_share(found: Round, workers: int) -> float | None:
    """The busiest worker's share of the workers' CPU time; None for fewer than two workers.

    The workers are the busiest of the processes: which of them is a parent that only watches cannot be told from outside.
    """
    used = sorted(found.cpu_s.values())[-workers:]
    return max(used) / sum(used) if workers > 1 and len(used) == workers and sum(used) > 0 else None


def rss_mib(rounds: Sequence[Round]) -> tuple[float, float]:
    """Resident MiB after warm-up, and at the peak: medians of rounds."""
    idle = statistics.median(r.rss_idle_bytes for r in rounds)
    return idle / 2**20, statistics.median(r.rss_peak_bytes for r in rounds) / 2**20


def beside_nginx(rows: Sequence[Row]) -> list[Row]:
    """The same rows with CPU as a multiple of nginx's under the same load, where nginx was measured."""
    yardsticks = {(r.load, r.workers, r.connections): r.cpu_us.value for r in rows if r.contender == "nginx" and r.cpu_us}
    found = []
    for row in rows:
        yardstick = yardsticks.get((row.load, row.workers, row.connections))
        ratio = row.cpu_us.value / yardstick if row.cpu_us and yardstick else None
        found.append(msgspec.structs.replace(row, x_nginx=ratio))
    return found
