"""A positive quantity that drifts, followed in log units, with a long-run twin.

Theory of operation. Observations move the short twin by clipped steps of 2 % (at first 1 / n, not clipped), the long one
ten times more slowly. Where three in a row are off to the same side by more than noise (`jump`), it is no noise: the short
twin then takes 30 % of each such step, not clipped, until one is near again. A reading is long + (short - long) x 2^(-age /
half-life): without observations a bad spell fades, so that an endpoint is not exiled by it for ever.

Source: selection notes 2.1, 2.4; pitfall 10.
"""

import math

from fastroute.stats.kept import KeptScale, half

GAIN = 0.02
LONG_GAIN = 0.002
CLIP = 0.7  # log units
IN_A_ROW, JUMP_GAIN = 3, 0.3
RECALLED = 25  # the most samples that what is read back counts as: the first new ones move it by 4 %
UNCLIPPED = 3  # the first samples may say that the prior was far off
FASTEST_S, SLOWEST_S = 1e-4, 3600.0


def seconds(value_s: float) -> float:
    """A measured duration, clamped to what durations can be. NaN counts as the longest."""
    return min(max(value_s, FASTEST_S), SLOWEST_S) if not math.isnan(value_s) else SLOWEST_S


class Scale:
    """A positive quantity that drifts, followed in log units, with a long-run twin that it returns to when unobserved."""

    __slots__ = ("_half_life_s", "_jump", "_long", "_row", "_seen_s", "_short", "n")

    def __init__(self, prior: float, half_life_s: float, jump: float = math.inf) -> None:
        """`jump`: in log units, how far off an observation must be to be no noise."""
        self._jump, self._row = jump, 0
        self._short = self._long = math.log(prior)
        self._half_life_s = half_life_s
        self._seen_s = 0.0
        self.n = 0

    def value(self, now_s: float) -> float:
        return math.exp(self._log_now(now_s))

    def long_run(self) -> float:
        return math.exp(self._long)

    def put(self, value: float, n: int, now_s: float) -> None:
        """Sets both twins, as `n` samples would have."""
        self._short = self._long = math.log(value)
        self.n, self._seen_s = n, now_s

    def step(self, value: float, now_s: float) -> None:
        """One observation."""
        short, long = self._log_now(now_s), self._long
        self._seen_s = now_s
        self.n = n = self.n + 1
        seen = math.log(value)
        clip = CLIP if n > UNCLIPPED else math.inf
        off = seen - short
        if -self._jump < off < self._jump:
            self._row = 0
        else:
            self._row = max(self._row, 0) + 1 if off > 0.0 else min(self._row, 0) - 1
        if abs(self._row) < IN_A_ROW:
            self._short = short + max(GAIN, 1.0 / n) * min(max(off, -clip), clip)
        else:
            self._short = short + JUMP_GAIN * off
        self._long = long + max(LONG_GAIN, 1.0 / n) * min(max(seen - long, -clip), clip)

    def stretch(self, factor: float) -> None:
        """Changes the unit of measurement."""
        self._short += math.log(factor)
        self._long += math.log(factor)

    def recover(self, long_run: float) -> None:
        """Back to a long-run value remembered from better days."""
        self._short = self._long = math.log(long_run)

    def kept(self, now_s: float, long_run: float | None = None) -> KeptScale:
        """For the next run. `long_run`: another than the present one."""
        return KeptScale(self.long_run() if long_run is None else long_run, self.value(now_s), self.n)

    def recall(self, kept: KeptScale, kept_s: float) -> None:
        """Begins with what was kept at `kept_s`: it has faded toward the long run since."""
        self._short, self._long = math.log(kept.now), math.log(kept.long)
        self._seen_s, self.n = kept_s, min(half(kept.n), RECALLED)

    def _log_now(self, now_s: float) -> float:
        age_s = now_s - self._seen_s
        if age_s <= 0.0:
            return self._short
        return self._long + (self._short - self._long) * math.exp2(-age_s / self._half_life_s)
