"""How long answers are: one histogram over all endpoints, and how much longer or shorter each endpoint's own are.

Theory of operation. Lengths belong to the requests more than to the endpoint, so all endpoints share one distribution: weights
in buckets of 8 %, decayed by count, begun with a prior of 10 answers. An endpoint has a scale of its own, taken from the mean
of its log lengths against the pool's, as far as that is more than luck: two standard errors of the difference count as none.
`points` are means of stretches between fixed quantiles, so they give the right expected length, do not go beyond what was
seen, and are finer toward the tail: P(miss) must not jump by as much as a promise allows.

What can go wrong. Endpoints that serve different routes share one shape, and only their scales differ. Answers that were cut
are not seen, so a slow endpoint's longest are missing.

Source: selection notes 2.1 (histograms of lengths). That they are pooled is ours: five log-normal points for each endpoint
cost a quarter of the spend (docs/simulation.md).
"""

import math
from bisect import bisect_left
from itertools import accumulate, pairwise

from fastroute.stats import priors
from fastroute.stats.kept import WEIGHT, KeptSums

SIGMA = 0.8  # prior
PRIOR_WEIGHT = 10.0
WIDTH = math.log(1.08)
BUCKETS = 180  # up to a million tokens
MEMORY = 1.0 - 1.0 / 3000.0
OWN_MEMORY = 1.0 - 1.0 / 500.0
HEAVIEST = 1e9
DOUBT = 4.0  # variances of its error by which a difference between an endpoint and the pool is shrunk
SPREAD_WEIGHT = 20.0  # answers that the pool's spread counts for beside an endpoint's own: a few of one length are luck
CUTS = (0.0, 0.5, 0.8, 0.92, 0.97, 0.99, 0.997, 1.0)  # quantiles between which one point stands for all
SHARES = tuple(b - a for a, b in pairwise(CUTS))
FRESH, FRESH_MOST = 0.02, 64  # points are made anew after so much more, and so many at most
LOGS = tuple(max(0.0, WIDTH * (i - 0.5)) for i in range(BUCKETS))  # the middle of each bucket
TOKENS = tuple(math.exp(log) for log in LOGS)
POOL_FORM, FORM = "log buckets of 8 %", "log moments"  # see `KeptSums`
LONGEST_LOG = 20.0  # some 500 million tokens

Points = tuple[tuple[float, float], ...]


class Pool:
    """The lengths of all endpoints' answers. `log_mean`, `log_variance`: of their logarithms, when points were made last."""

    __slots__ = ("_added", "_due", "_points", "_unit", "_weights", "log_mean", "log_variance")

    def __init__(self) -> None:
        self._weights = list(PRIOR)
        self._unit = 1.0  # what the next answer weighs: it grows, so that what is old loses weight untouched
        self._added = 0
        self._make()

    def observe(self, log: float) -> None:
        """One answer, by the logarithm of its tokens."""
        self._weights[_bucket(log)] += self._unit
        self._unit /= MEMORY
        self._added += 1
        if self._unit > HEAVIEST:
            self._weights, self._unit = self._as_of_now(), 1.0

    def points(self) -> Points:
        """The distribution as (tokens, weight), short to long."""
        if self._added >= self._due:
            self._make()
        return self._points

    def kept(self) -> KeptSums:
        """For the next run."""
        return KeptSums(POOL_FORM, self._as_of_now())

    def recall(self, kept: KeptSums) -> None:
        """Begins with what was kept, at half its weight."""
        weights = kept.sums
        fits = kept.form == POOL_FORM and len(weights) == BUCKETS and min(weights) >= 0.0
        if fits and 1.0 <= sum(weights) <= PRIOR_WEIGHT + 1.0 / (1.0 - MEMORY):
            self._weights, self._unit = [WEIGHT * w for w in weights], 1.0
            self._make()

    def _as_of_now(self) -> list[float]:
        return [w / self._unit for w in self._weights]

    def _make(self) -> None:
        """Costs as much as some fifty answers, so it is put off until there is something new."""
        self._due = self._added + 1 + min(int(self._added * FRESH), FRESH_MOST)
        below = [0.0, *accumulate(self._weights)]
        tokens = [0.0, *accumulate(w * t for w, t in zip(self._weights, TOKENS, strict=True))]
        total = below[-1]
        sums = [_up_to(cut * total, below, tokens) for cut in CUTS]
        self._points = tuple(((b - a) / (share * total), share) for (a, b), share in zip(pairwise(sums), SHARES, strict=True))
        self.log_mean = sum(w * x for w, x in zip(self._weights, LOGS, strict=True)) / total
        self.log_variance = sum(w * (x - self.log_mean) ** 2 for w, x in zip(self._weights, LOGS, strict=True)) / total


class Lengths:
    """One endpoint's answer lengths. `pool`: the distribution that it shares; None: one of its own."""

    __slots__ = ("_log", "_log2", "_pool", "_weight")

    def __init__(self, pool: Pool | None = None) -> None:
        self._pool = pool or Pool()
        self._weight = self._log = self._log2 = 0.0

    def observe(self, output_tokens: int) -> None:
        """One answer; the pool is told of it too."""
        log = math.log(max(1, output_tokens))
        self._weight = self._weight * OWN_MEMORY + 1.0
        self._log, self._log2 = self._log * OWN_MEMORY + log, self._log2 * OWN_MEMORY + log * log
        self._pool.observe(log)

    def scale(self) -> float:
        """How many times as long as the pool's its answers are; 1.0 unless more than luck says otherwise."""
        if self._weight < 2.0:
            return 1.0
        mean = self._log / self._weight
        apart = mean - self._pool.log_mean
        own = max(0.0, self._log2 - self._weight * mean * mean)
        spread = (own + SPREAD_WEIGHT * self._pool.log_variance) / (self._weight + SPREAD_WEIGHT)
        doubt = DOUBT * spread / self._weight
        return math.exp(apart * (1.0 - doubt / (apart * apart))) if apart * apart > doubt else 1.0

    def points(self) -> Points:
        """The distribution as (tokens, weight), short to long."""
        points, scale = self._pool.points(), self.scale()
        return points if scale == 1.0 else tuple((max(1.0, tokens * scale), weight) for tokens, weight in points)

    def kept(self) -> KeptSums:
        """For the next run: the endpoint's own part."""
        return KeptSums(FORM, [self._weight, self._log, self._log2])

    def recall(self, kept: KeptSums) -> None:
        """Begins with what was kept, at half its weight."""
        if kept.form != FORM or len(kept.sums) != 3:
            return
        weight, log, log2 = kept.sums
        most = 1.0 / (1.0 - OWN_MEMORY) + 1.0
        if 0.0 < weight <= most and 0.0 <= log <= weight * LONGEST_LOG and 0.0 <= log2 <= log * LONGEST_LOG:
            self._weight, self._log, self._log2 = WEIGHT * weight, WEIGHT * log, WEIGHT * log2


def _bucket(log: float) -> int:
    return min(BUCKETS - 1, math.ceil(log / WIDTH))


def _up_to(mass: float, below: list[float], tokens: list[float]) -> float:
    """The tokens of the shortest answers that weigh `mass` together."""
    i = min(max(1, bisect_left(below, mass)), BUCKETS)
    return tokens[i - 1] + (mass - below[i - 1]) * TOKENS[i - 1]


def _prior() -> list[float]:
    """Log-normal around the prior mean, by bucket."""
    mu = math.log(priors.OUTPUT_TOKENS) - SIGMA * SIGMA / 2.0
    beyond = [priors.normal_survival((WIDTH * i - mu) / SIGMA) for i in range(BUCKETS)]
    return [PRIOR_WEIGHT * (1.0 - beyond[0]), *(PRIOR_WEIGHT * (a - b) for a, b in pairwise(beyond))]


PRIOR = tuple(_prior())
