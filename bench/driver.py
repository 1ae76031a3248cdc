"""Is the driver fit to judge? Its lag and its core's load, and when a run is refused for them.

A driver that sends late measures itself. It shares a core with the canned upstream, so that core's load is the sum of both.
"""

from collections.abc import Sequence

import msgspec

from bench.intervals import quantile

MAX_CORE_RATIO = 0.9
MAX_LAG_SHARE = 0.5
LAG_FLOOR_MS = 0.5


class Refused(Exception):
    """The run says nothing about the contender: the driver was the bottleneck. The message says why and what to do."""


class Driver(msgspec.Struct, frozen=True):
    """How the driver did. Lag: actual send minus intended start. `core_ratio`: the busy share of its core, upstream included."""

    lag_p50_ms: float
    lag_p99_ms: float
    core_ratio: float


def judged(lags_s: Sequence[float], busy_s: float, seconds: float) -> Driver:
    """Raises ValueError without lags."""
    ordered = sorted(lags_s)
    p50_s, p99_s = quantile(ordered, 0.5), quantile(ordered, 0.99)
    return Driver(p50_s * 1e3, p99_s * 1e3, busy_s / seconds if seconds > 0 else 0.0)


def objection(driver: Driver, measured_p99_ms: float) -> str | None:
    """Why latencies of this run must not be believed; None where they may be."""
    if driver.core_ratio > MAX_CORE_RATIO:
        return (
            f"the driver's core was {driver.core_ratio:.0%} busy (limit {MAX_CORE_RATIO:.0%}): "
            "lower the rate, or give the driver a faster or idle core"
        )
    allowed_ms = max(LAG_FLOOR_MS, MAX_LAG_SHARE * measured_p99_ms)
    if driver.lag_p99_ms > allowed_ms:
        return (
            f"the driver sent up to {driver.lag_p99_ms:.2f} ms late at p99, more than {allowed_ms:.2f} ms, half of the p99 it "
            "measured: lower the rate, or run on a quieter machine"
        )
    return None
