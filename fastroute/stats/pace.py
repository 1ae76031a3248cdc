"""How fast an answer comes once it has begun, and what a reply seen only as a whole says about its first token.

Theory of operation. Streams show both: TTFT, and the pace (time per output token, TPOT) after it. A whole reply shows only
its total time T and its n output tokens. Over many replies T = TTFT + n x TPOT is a line: its slope is fitted with a ridge
toward the pace that streams have shown, or else toward a prior of 12 ms (or less, where the endpoint's own prior is), so
that the slope follows the data only as far as answer lengths vary. The inferred TTFT is T - n x slope.

What can go wrong. Where all answers are equally long the line cannot be told from the prior; then the inferred TTFT is
never less than 30 % of T, so a slow endpoint does not look instant because we guessed its pace too slow. A straggler is cut
to three times what was expected before it enters the fit. A reply without a token count is split at the mean length.
"""

import math

from fastroute.stats import priors
from fastroute.stats.latency import Scale, seconds

PACE_HALF_LIFE_S = 30.0
FEWEST_TOKENS = 16  # below, the time between tokens is mostly packetisation
FASTEST_S = 1e-5
WHOLE_PRIOR_S = 0.012
MEMORY = 0.98
CAUTION = 0.30  # least share of T that is TTFT while its split is a guess
CAUTION_SHOWN = 0.05
STREAMS_SHOW = 3  # streams after which the pace is known
SPREAD_SHOWS = 0.5  # share of the slope that is data, not prior


class Pace:
    """One endpoint's time per output token."""

    def __init__(self, prior_s: float | None) -> None:
        self._scale = Scale(max(FASTEST_S, priors.TPOT_S if prior_s is None else prior_s), PACE_HALF_LIFE_S)
        self._streams = 0
        self._whole = _Line()
        self._guess_s = min(WHOLE_PRIOR_S, self._scale.long_run())
        self._marked: float | None = None

    def tpot_s(self, now_s: float) -> float:
        return self._scale.value(now_s)

    def observe_stream(self, after_first_s: float, output_tokens: int, now_s: float) -> None:
        """A stream's time from first content to its last, and all its output tokens. Short answers say nothing."""
        if output_tokens < FEWEST_TOKENS:
            return
        self._streams += 1
        self._scale.step(min(max(after_first_s / (output_tokens - 1), FASTEST_S), 60.0), now_s)

    def split(self, total_s: float, output_tokens: float, now_s: float) -> float:
        """The TTFT that a reply which took `total_s` for `output_tokens` probably had."""
        slope = self._whole.slope(self._toward_s(now_s), self._ridge())
        return max(total_s - output_tokens * slope, self._caution(now_s) * total_s)

    def observe_whole(self, total_s: float, output_tokens: int, now_s: float) -> None:
        """A whole reply's time and tokens."""
        self._whole.add(float(output_tokens), seconds(total_s))
        toward_s = self._toward_s(now_s)
        if self._whole.shown(toward_s, self._ridge()) >= SPREAD_SHOWS and self._streams < STREAMS_SHOW:
            self._scale.step(max(FASTEST_S, self._whole.slope(toward_s, self._ridge())), now_s)

    def mark(self) -> None:
        self._marked = self._scale.long_run()

    def restore(self) -> None:
        if self._marked is not None:
            self._scale.recover(self._marked)
        self._marked = None

    def _toward_s(self, now_s: float) -> float:
        return self._scale.value(now_s) if self._streams >= STREAMS_SHOW else self._guess_s

    def _ridge(self) -> float:
        return 4.0 if self._streams >= STREAMS_SHOW else 1.0

    def _caution(self, now_s: float) -> float:
        shown = self._streams >= STREAMS_SHOW or self._whole.shown(self._toward_s(now_s), self._ridge()) >= SPREAD_SHOWS
        return CAUTION_SHOWN if shown else CAUTION


class _Line:
    """Decayed moments of (tokens, total seconds), and the slope of the line through them."""

    __slots__ = ("_n", "_nn", "_nt", "_t", "_weight")

    def __init__(self) -> None:
        self._weight = self._n = self._t = self._nn = self._nt = 0.0

    def add(self, n: float, t: float) -> None:
        if self._weight >= 5.0:
            mean_n, mean_t = self._n / self._weight, self._t / self._weight
            t = min(t, 3.0 * mean_t * max(1.0, n / max(1.0, mean_n)))
        self._weight = self._weight * MEMORY + 1.0
        self._n, self._t = self._n * MEMORY + n, self._t * MEMORY + t
        self._nn, self._nt = self._nn * MEMORY + n * n, self._nt * MEMORY + n * t

    def slope(self, toward: float, strength: float) -> float:
        """Ridge regression toward `toward`, between 0 and what the mean reply allows."""
        if self._weight == 0.0:
            return toward
        ridge = self._ridge(toward, strength)
        covariance = self._nt - self._n * self._t / self._weight
        slope = (covariance + ridge * toward) / (self._spread() + ridge)
        return min(max(slope, 0.0), self._t / max(1.0, self._n))

    def shown(self, toward: float, strength: float) -> float:
        """Share of the slope that rests on data, 0 to 1."""
        if self._weight == 0.0:
            return 0.0
        spread = self._spread()
        return spread / (spread + self._ridge(toward, strength))

    def _spread(self) -> float:
        return max(0.0, self._nn - self._n * self._n / self._weight)

    def _ridge(self, toward: float, strength: float) -> float:
        """Noise variance of T over the prior variance of the slope: T is off by a third, the prior by two thirds."""
        return strength * math.pow(0.5 * self._t / self._weight / max(FASTEST_S, toward), 2.0) + 1e-9
