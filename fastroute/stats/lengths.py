"""How long answers are: a log-normal distribution, per endpoint, that leans on the one over all endpoints.

An endpoint without answers of its own is taken to be as talkative as the others: else a length that only the busy one has
shown would make idle endpoints look cheap or dear. Source: selection notes 2.1; lengths of the Azure traces are close to
log-normal.
"""

import math

from fastroute.stats import priors
from fastroute.stats.kept import WEIGHT, KeptSums

SIGMA = 0.8  # prior
PRIOR_WEIGHT = 10.0
POOL_WEIGHT = 20.0
FORM = "log moments"  # see `KeptSums`
LONGEST_LOG = 20.0  # some 500 million tokens
MEMORY = 1.0 - 1.0 / 200.0
POINTS: tuple[tuple[float, float], ...] = (  # (z of the normal distribution, weight): where it is cut and how much lies there
    (-0.674, 0.50),
    (0.385, 0.30),
    (1.150, 0.15),
    (1.881, 0.04),
    (2.576, 0.01),
)


class Lengths:
    """Decayed moments of log answer lengths. `pool`: the distribution it leans on; None: the built-in prior."""

    __slots__ = ("_log", "_log2", "_pool", "_weight")

    def __init__(self, pool: "Lengths | None" = None) -> None:
        self._pool = pool
        self._weight = self._log = self._log2 = 0.0

    def observe(self, output_tokens: int) -> None:
        log = math.log(max(1, output_tokens))
        self._weight = self._weight * MEMORY + 1.0
        self._log, self._log2 = self._log * MEMORY + log, self._log2 * MEMORY + log * log

    def kept(self) -> KeptSums:
        """For the next run."""
        return KeptSums(FORM, [self._weight, self._log, self._log2])

    def recall(self, kept: KeptSums) -> None:
        """Begins with what was kept, at half its weight."""
        if kept.form != FORM or len(kept.sums) != 3:
            return
        weight, log, log2 = kept.sums
        if 0.0 < weight <= 1.0 / (1.0 - MEMORY) + 1.0 and 0.0 <= log <= weight * LONGEST_LOG and 0.0 <= log2 <= log * LONGEST_LOG:
            self._weight, self._log, self._log2 = WEIGHT * weight, WEIGHT * log, WEIGHT * log2

    def moments(self) -> tuple[float, float]:
        """Mean and variance of the log length."""
        if self._pool is None:
            mu, variance, weight = math.log(priors.OUTPUT_TOKENS) - SIGMA * SIGMA / 2.0, SIGMA * SIGMA, PRIOR_WEIGHT
        else:
            (mu, variance), weight = self._pool.moments(), POOL_WEIGHT
        if self._weight == 0.0:
            return mu, variance
        own = self._log / self._weight
        spread = max(0.0, self._log2 / self._weight - own * own)
        share = self._weight / (self._weight + weight)
        between = share * (1.0 - share) * (own - mu) ** 2
        return share * own + (1.0 - share) * mu, share * spread + (1.0 - share) * variance + between

    def points(self) -> tuple[tuple[float, float], ...]:
        """The distribution as five (tokens, weight), short to long."""
        mu, variance = self.moments()
        sigma = math.sqrt(variance)
        return tuple((math.exp(mu + sigma * z), weight) for z, weight in POINTS)
