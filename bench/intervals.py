"""Quantiles with intervals, and paired differences. Pure.

Intervals are distribution-free: the ranks between which the true quantile lies with the given confidence follow from the
binomial distribution (normal approximation with continuity correction). They take the values as independent; neighbours in
time are not quite, so that real intervals are somewhat wider. A difference of two quantiles takes both standard errors.

Source: Conover, Practical Nonparametric Statistics, 3.2 (order statistics); Price and Bonett 2002 (differences).
"""

import math
import random
import statistics
from collections.abc import Callable, Sequence

import msgspec

Z_95 = 1.959964


class Estimate(msgspec.Struct, frozen=True):
    """A value with its 95 % interval."""

    value: float
    lo: float
    hi: float

    def scaled(self, factor: float) -> "Estimate":
        return Estimate(self.value * factor, self.lo * factor, self.hi * factor)


def quantile(ordered: Sequence[float], q: float) -> float:
    """The value of rank ceil(q n) of an ascending sequence. Raises ValueError where it is empty."""
    if not ordered:
        raise ValueError("no values")
    return ordered[min(len(ordered) - 1, max(0, math.ceil(q * len(ordered)) - 1))]


def quantile_estimate(ordered: Sequence[float], q: float) -> Estimate:
    """A quantile of an ascending sequence with its interval; too few values give the extremes. Raises ValueError where empty."""
    n = len(ordered)
    value = quantile(ordered, q)
    spread = Z_95 * math.sqrt(n * q * (1 - q)) + 0.5
    lo, hi = math.floor(n * q - spread), math.ceil(n * q + spread)
    return Estimate(value, ordered[max(0, lo - 1)], ordered[min(n - 1, hi - 1 if hi > 0 else 0)])


def difference_of_quantiles(direct: Sequence[float], routed: Sequence[float], q: float) -> Estimate:
    """q-quantile of `routed` minus that of `direct`, both ascending. Raises ValueError where one is empty."""
    a, b = quantile_estimate(direct, q), quantile_estimate(routed, q)
    value = b.value - a.value
    return Estimate(value, value - math.hypot(a.hi - a.value, b.value - b.lo), value + math.hypot(a.value - a.lo, b.hi - b.value))


def bootstrap(values: Sequence[float], of: Callable[[Sequence[float]], float], rng: random.Random, times: int = 1000) -> Estimate:
    """Percentile bootstrap of a statistic of few values, such as rounds. Raises ValueError where there are none."""
    if not values:
        raise ValueError("no values")
    found = sorted(of(rng.choices(values, k=len(values))) for _ in range(times))
    return Estimate(of(values), quantile(found, 0.025), quantile(found, 0.975))


def median_of(values: Sequence[float], rng: random.Random) -> Estimate:
    """The median of rounds with a bootstrap interval. Raises ValueError where there are none."""
    return bootstrap(values, statistics.median, rng, 400)
