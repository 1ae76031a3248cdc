"""A rolling distribution of ratios (observed / predicted), as a survival table.

Rules. Time comes in; nothing here reads a clock. A record costs one bisect and two additions; a table costs one pass over
the buckets and is made on a tick, never on the request path. Everything kept is a sum of weights, so windows with the same
landmark and half-lives can be merged by adding their arrays.

Theory of operation. Forward decay: a sample at time t weighs 2^((t - landmark) / half_life), so old samples lose weight
without being touched. Two horizons see every sample: a short one (30 s to 10 min, so that it holds about 43 samples at any
rate up to one a second) and a long one (15 min or more). A request that was given up, or is still waiting when its
objective passes, is a *censored* sample: its ratio is at least so much. Kaplan-Meier turns both kinds into survival. The
long horizon leans on a prior worth 20 samples, the short one on the long one, worth 40. The prior takes part as that many
more samples, spread as it says: a request given up early then says next to nothing, one given up late moves what would
have come before to what comes after. A censored sample counts as evidence by how much of the prior lies below its bound.

What can go wrong. Weights overflow after days: arrays are rescaled first. Values of 0, below the range, above it or
infinite are clamped to the outer buckets; a NaN is no measurement and is dropped. Dropping censored samples would make slow
endpoints look fast (selection notes, finding 4).

Source: Cormode et al., "Forward Decay" (2009); Kaplan and Meier (1958); Susarla and Van Ryzin (1976); selection notes 2.2.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from math import exp2

from fastroute.core.types import TailTable
from fastroute.stats import priors
from fastroute.stats.kept import WEIGHT, KeptTail, half

BOUNDS: tuple[float, ...] = tuple(0.05 * 1.06**k for k in range(136))
LAST = len(BOUNDS) - 1
SHAPES: tuple[tuple[float, ...], ...] = tuple(priors.shape(BOUNDS, sigma) for sigma in priors.widths())
UNTRIED = TailTable(BOUNDS, SHAPES[0])
TOLD = tuple(max(1e-9, 1.0 - p) for p in SHAPES[0])  # by bucket: how much of a whole sample a censored one is worth

PRIOR_WEIGHT = 20.0
LONG_WEIGHT = 40.0
SHORT_HALF_LIFE_S = (30.0, 600.0)
LONG_HALF_LIFE_S = 900.0
LONG_TO_SHORT = 20.0
RESCALE_EXPONENT = 30.0
RATE_HALF_LIFE_S = 60.0


def bucket(ratio: float) -> int:
    """The index of the bucket that holds `ratio`, clamped to the range."""
    return min(bisect_left(BOUNDS, ratio), LAST) if ratio > 0.0 else 0


def survival(
    events: Sequence[float], censored: Sequence[float], lean: Sequence[float] | None = None, weight: float = 0.0
) -> list[float]:
    """Kaplan-Meier: P(ratio > BOUNDS[i]) for every i, from complete and censored weights. Flat where nothing is known.

    `lean`: a survival table that takes part with `weight`, as complete samples spread as it says.
    """
    at_risk = sum(events) + sum(censored) + weight
    negligible = at_risk * 1e-12
    alive, before, table = 1.0, 1.0, []
    for event, hidden, after in zip(events, censored, lean or (1.0,) * len(BOUNDS), strict=True):
        ended = event + weight * (before - after)
        if ended > 0.0 and at_risk > negligible:
            alive *= max(0.0, 1.0 - ended / at_risk)
        table.append(alive)
        at_risk -= ended + hidden
        before = after
    return table


class Horizon:
    """Decayed bucket weights with one half-life. `events` and `censored` are additive across equal landmarks.

    `total`: the weight of what is known: every complete sample, and each censored one by the share of `TOLD`.
    """

    __slots__ = ("censored", "events", "half_life_s", "landmark_s", "total")

    def __init__(self, half_life_s: float) -> None:
        self.half_life_s = half_life_s
        self.landmark_s = 0.0
        self.events = [0.0] * len(BOUNDS)
        self.censored = [0.0] * len(BOUNDS)
        self.total = 0.0

    def weight(self, now_s: float) -> float:
        """What a sample taken now weighs."""
        if self.total == 0.0:
            self.landmark_s = now_s
            return 1.0
        exponent = (now_s - self.landmark_s) / self.half_life_s
        if exponent > RESCALE_EXPONENT:
            self.rescale(now_s)
            return 1.0
        return exp2(exponent if exponent > -RESCALE_EXPONENT else -RESCALE_EXPONENT)

    def rescale(self, now_s: float) -> None:
        """Moves the landmark to now. Nothing else changes."""
        factor = exp2(min((self.landmark_s - now_s) / self.half_life_s, RESCALE_EXPONENT))
        self.events = [w * factor for w in self.events]
        self.censored = [w * factor for w in self.censored]
        self.total *= factor
        self.landmark_s = now_s

    def stretch(self, half_life_s: float, now_s: float) -> None:
        """Takes another half-life from now on."""
        self.rescale(now_s)
        self.half_life_s = half_life_s

    def effective_n(self, now_s: float) -> float:
        """How many samples taken now would weigh as much as all that is held."""
        weight = self.weight(now_s)  # may rescale, so the total is read after it
        return self.total / weight

    def add(self, i: int, amount: float) -> None:
        """A complete sample in bucket `i`."""
        self.events[i] += amount
        self.total += amount

    def add_bound(self, i: int, amount: float) -> None:
        """A sample known only to lie beyond bucket `i`."""
        self.censored[i] += amount
        self.total += amount * TOLD[i]

    def take_bound(self, i: int, amount: float) -> None:
        """Undoes an `add_bound`; never leaves a negative weight, whatever the rounding."""
        amount = min(amount, self.censored[i])
        self.censored[i] -= amount
        self.total = max(0.0, self.total - amount * TOLD[i])

    def survival(self, lean: Sequence[float] | None = None, weight: float = 0.0) -> list[float]:
        """See `survival`."""
        return survival(self.events, self.censored, lean, weight)

    def copy(self) -> "Horizon":
        twin = Horizon(self.half_life_s)
        twin.landmark_s, twin.total = self.landmark_s, self.total
        twin.events, twin.censored = list(self.events), list(self.censored)
        return twin


class Rate:
    """Samples per second, recently: a decayed count, corrected for the time before the first one."""

    __slots__ = ("_at_s", "_count", "_since_s")

    def __init__(self) -> None:
        self._count, self._at_s, self._since_s = 0.0, 0.0, 0.0

    def record(self, now_s: float, times: float = 1.0) -> None:
        if self._count == 0.0:
            self._since_s = self._at_s = now_s
        if now_s > self._at_s:
            self._count *= exp2((self._at_s - now_s) / RATE_HALF_LIFE_S)
            self._at_s = now_s
        self._count += times

    def per_s(self, now_s: float) -> float:
        """0.0 before the second sample: one instant has no rate."""
        age_s = now_s - self._since_s
        if self._count == 0.0 or age_s < 1e-3:
            return 0.0
        seen_s = RATE_HALF_LIFE_S / math.log(2) * (1.0 - exp2(-age_s / RATE_HALF_LIFE_S))
        return max(0.0, self._decayed(now_s) - exp2(-age_s / RATE_HALF_LIFE_S)) / seen_s

    def _decayed(self, now_s: float) -> float:
        return self._count * exp2(-max(0.0, now_s - self._at_s) / RATE_HALF_LIFE_S)


class Window:
    """One endpoint's ratios over two horizons. Call `table` on a tick; it keeps the last one until something changed."""

    def __init__(self) -> None:
        self.short = Horizon(SHORT_HALF_LIFE_S[0])
        self.long = Horizon(LONG_HALF_LIFE_S)
        self.rate = Rate()
        self.samples = 0  # complete ones, ever
        self._marked: Horizon | None = None
        self._table = UNTRIED
        self._made_s: float | None = None

    def record(self, ratio: float, now_s: float) -> None:
        """A complete sample."""
        if math.isnan(ratio):
            return
        i = bucket(ratio)
        for horizon in (self.short, self.long):
            horizon.add(i, horizon.weight(now_s))
        self.rate.record(now_s)
        self.samples += 1
        self._made_s = None

    def record_censored(self, ratio: float, now_s: float) -> None:
        """A sample known only to exceed `ratio`."""
        if math.isnan(ratio):
            return
        i = bucket(ratio)
        for horizon in (self.short, self.long):
            horizon.add_bound(i, horizon.weight(now_s))
        self._made_s = None

    def retract_censored(self, ratio: float, recorded_s: float) -> None:
        """Takes back a censored sample, because its whole value has become known."""
        if math.isnan(ratio):
            return
        i = bucket(ratio)
        for horizon in (self.short, self.long):
            horizon.take_bound(i, horizon.weight(recorded_s))
        self._made_s = None

    def effective_n(self, now_s: float) -> float:
        """Decayed samples behind the table: the short horizon's, and what the long one counts beside them."""
        long_n = self.long.effective_n(now_s)
        return self.short.effective_n(now_s) + LONG_WEIGHT * long_n / (long_n + PRIOR_WEIGHT)

    def clear(self) -> None:
        """Forgets every sample."""
        self.short, self.long = Horizon(self.short.half_life_s), Horizon(self.long.half_life_s)
        self.rate, self.samples = Rate(), 0
        self._made_s = None

    def mark(self) -> None:
        """Remembers the long horizon as it is, before an episode of trouble fills it."""
        self._marked = self.long.copy()

    def restore(self) -> None:
        """The episode is over: back to the marked long horizon, and an empty short one."""
        if self._marked is not None:
            self.long, self._marked = self._marked, None
        self.short = Horizon(self.short.half_life_s)
        self._made_s = None

    def kept(self, now_s: float) -> KeptTail:
        """The long horizon for the next run; in an episode of trouble, as it was before."""
        long = (self._marked or self.long).copy()
        unit = long.weight(now_s)
        return KeptTail([w / unit for w in long.events], [w / unit for w in long.censored], self.samples)

    def recall(self, kept: KeptTail, now_s: float) -> None:
        """Begins with what was kept, at half its weight."""
        self.clear()
        self.long.landmark_s = now_s
        for i, (events, censored) in enumerate(zip(kept.events, kept.censored, strict=True)):
            self.long.add(i, WEIGHT * events)
            self.long.add_bound(i, WEIGHT * censored)
        self.samples = half(kept.samples)

    def stale(self, now_s: float) -> bool:
        """Whether `table` would give something else than last time: new samples, or old ones that have lost weight."""
        if self._made_s is None:
            return True
        return self.short.total > 0.0 and now_s - self._made_s >= self.short.half_life_s / 4.0

    def table(self, now_s: float) -> TailTable:
        """The survival table as of now."""
        if self.stale(now_s):
            self._adapt(now_s)
            self._table = TailTable(BOUNDS, tuple(self._blend(now_s)))
            self._made_s = now_s
        return self._table

    def _blend(self, now_s: float) -> list[float]:
        prior = SHAPES[min(self.samples, priors.KNOWN)]
        if self.long.total == 0.0:
            return list(prior)
        long = self.long.survival(prior, PRIOR_WEIGHT * self.long.weight(now_s))
        return self.short.survival(long, LONG_WEIGHT * self.short.weight(now_s))

    def _adapt(self, now_s: float) -> None:
        """Fits the half-lives to the rate, with some play so that this is rare."""
        rate = self.rate.per_s(now_s)
        shortest, longest = SHORT_HALF_LIFE_S
        wanted_s = min(max(30.0 / rate, shortest), longest) if rate > 0.0 else self.short.half_life_s
        if not 0.75 <= wanted_s / self.short.half_life_s <= 1.33:
            self.short.stretch(wanted_s, now_s)
            self.long.stretch(max(LONG_HALF_LIFE_S, LONG_TO_SHORT * wanted_s), now_s)
