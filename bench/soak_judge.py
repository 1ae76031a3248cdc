"""Whether a soak run held: the robust slope of a noisy series, and what must be back where it was. Pure.

Theory of operation. Memory is sampled once a second and moves in steps, so neighbours are far from independent. The series is
first cut into blocks, and a block counts as its median: what a fault brings and takes away again is gone. Through the blocks
goes a Theil-Sen line (the median of all pairwise slopes), with Sen's interval from Kendall's statistic. Its variance is widened
by (1 + r) / (1 - r), where r is the correlation of neighbouring blocks' residuals, or the interval would be too narrow.

A run of at least `LONG_S` after warm-up is judged by the slope itself. A short one cannot tell 1 MiB an hour from nothing: that
is 50 kB in three minutes, a dozen pages. It fails only where the whole interval lies above its limit, and that allows
`SETTLING_BYTES` once, which is what an allocator's arenas may still gain some minutes after the start. Growth that settles is
no line: it widens the interval by its own residuals, where a leak, which is a line, does not. So five minutes find a leak of
some 500 bytes a request (a forgotten Trail is five times that), an hour one of a few bytes.

Source: Sen 1968 (slope, interval); Yue and Wang 2004 (variance under serial correlation).
"""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence

import msgspec

from bench.intervals import Z_95, Estimate

MIB = 1 << 20
LIMIT_BYTES_PER_HOUR = 1.0 * MIB
SETTLING_BYTES = 6.0 * MIB
LONG_S = 1800.0
BLOCK_S = 10.0
LONG_BLOCK_S = 60.0  # all rounds of faults
MIN_BLOCKS = 8

Point = tuple[float, float]


def blocks(points: Sequence[Point], length_s: float) -> list[Point]:
    """The medians of consecutive stretches of the series; a last stretch of less than half the length is left out."""
    if not points:
        return []
    first_s = points[0][0]
    parts: dict[int, list[Point]] = {}
    for at_s, value in points:
        parts.setdefault(int((at_s - first_s) / length_s), []).append((at_s, value))
    last = max(parts)
    if last and parts[last][-1][0] - first_s < (last + 0.5) * length_s:
        del parts[last]
    return [(statistics.median(t for t, _ in part), statistics.median(v for _, v in part)) for part in parts.values()]


def theil_sen(points: Sequence[Point]) -> Estimate:
    """The slope per second with its 95 % interval. Raises ValueError for fewer than `MIN_BLOCKS` points."""
    n = len(points)
    if n < MIN_BLOCKS:
        raise ValueError(f"{n} points are too few for a slope; {MIN_BLOCKS} are needed")
    slopes = sorted((points[j][1] - points[i][1]) / (points[j][0] - points[i][0]) for i in range(n) for j in range(i + 1, n))
    slope = statistics.median(slopes)
    correlation = max(0.0, min(0.9, _neighbours(points, slope)))
    variance = n * (n - 1) * (2 * n + 5) / 18 * (1 + correlation) / (1 - correlation)
    reach = Z_95 * math.sqrt(variance)
    low, high = math.floor((len(slopes) - reach) / 2), math.ceil((len(slopes) + reach) / 2)
    return Estimate(slope, slopes[max(0, low)], slopes[min(len(slopes) - 1, high)])


def _neighbours(points: Sequence[Point], slope: float) -> float:
    """Lag-1 correlation of what a line of this slope leaves; 0 where it leaves nothing."""
    left = [value - slope * at_s for at_s, value in points]
    middle = statistics.fmean(left)
    off = [value - middle for value in left]
    total = sum(d * d for d in off)
    return sum(a * b for a, b in itertools.pairwise(off)) / total if total > 0 else 0.0


class Growth(msgspec.Struct, frozen=True):
    """Memory after warm-up. Slopes in bytes an hour."""

    measured_s: float
    samples: int
    slope: Estimate
    limit: float
    first_bytes: float  # median of the first third
    last_bytes: float  # median of the last third
    ok: bool

    @property
    def by_estimate(self) -> bool:
        """Whether the slope itself was judged, not the lower end of its interval."""
        return self.measured_s >= LONG_S


def growth(points: Sequence[Point]) -> Growth:
    """Judges a series of (second, bytes). Raises ValueError where it is too short."""
    measured_s = points[-1][0] - points[0][0] if points else 0.0
    long = measured_s >= LONG_S
    slope = theil_sen(blocks(points, LONG_BLOCK_S if long else BLOCK_S)).scaled(3600)
    limit = LIMIT_BYTES_PER_HOUR + (0.0 if long else SETTLING_BYTES * 3600 / measured_s)
    third = max(1, len(points) // 3)
    return Growth(
        measured_s=measured_s,
        samples=len(points),
        slope=slope,
        limit=limit,
        first_bytes=statistics.median(v for _, v in points[:third]),
        last_bytes=statistics.median(v for _, v in points[-third:]),
        ok=(slope.value if long else slope.lo) <= limit,
    )


def above(now: Mapping[str, int], before: Mapping[str, int], names: Sequence[str]) -> dict[str, str]:
    """Of the counts by these names, those that are higher than they were: "was -> is"."""
    return {n: f"{before.get(n, 0)} -> {now.get(n, 0)}" for n in names if now.get(n, 0) > before.get(n, 0)}


def grown(now: Mapping[str, int], before: Mapping[str, int], most: int = 15) -> dict[str, int]:
    """The types of objects that gained most, and by how much."""
    gains = {name: n - before.get(name, 0) for name, n in now.items() if n > before.get(name, 0)}
    return dict(sorted(gains.items(), key=lambda item: -item[1])[:most])
