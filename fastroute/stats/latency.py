"""How long first content takes, given the size of the prompt.

Theory of operation. Predicted TTFT = scale x (1 + k x input tokens) / (1 + k x usual input tokens). What the tail table
sees is the ratio observed / predicted, so that one distribution serves prompts of every size.
- *Scale* follows observations by clipped log-steps of 2 % a sample. It has a long-run twin ten times slower, and reads long
  + (short - long) x 2^(-age / half-life): without samples a bad spell fades and an endpoint is not exiled by it.
- *Warm-up*: with few samples the scale is the lower median of the prior and everything seen, so one straggler says nothing
  and two slow answers say it all. Ratios seen so far are computed again each time the scale jumps. Replies seen only as a
  whole wait until their split is more than a guess; until then the endpoint counts as untried.
- *Slope* k is fitted by least squares only after 100 samples whose sizes spread four-fold; before that it is 0.
- A request still waiting when its patience ends, or given up, is a *bound*: TTFT exceeds what was waited. Its real value,
  should it come, takes the bound's place; one request never counts twice.

What can go wrong. A shift in prompt sizes before the slope is known looks like a slowdown. A bound shorter than the
prediction says nothing about the scale and is kept out of it.

Source: selection notes 2.1, 2.2 and pitfalls 7, 10, 36; the lower median is ours.
"""

import math
from typing import Protocol

import msgspec

from fastroute.core.types import TailTable
from fastroute.stats import priors
from fastroute.stats.kept import WEIGHT, KeptScale, KeptSlope, KeptSums, KeptTail, half
from fastroute.stats.scale import Scale, seconds
from fastroute.stats.window import Window

SCALE_HALF_LIFE_S = 60.0
WARM_SAMPLES = 8
WARM_WHOLE = 24
WARM_ENTRIES = 32
FIT_SAMPLES = 100
FIT_EVERY = 20
FIT_SPREAD = 0.5  # standard deviation of log sizes: the 90th percentile is about four times the 10th
FIT_DOUBT = 4.0  # a slope under two standard errors is none, one little above it is shrunk
FIT_FORM = "least squares and log sizes"  # see `KeptSums`
FIT_MEMORY = 1.0 - 1.0 / 300.0


class Splitter(Protocol):
    """Infers the TTFT of replies seen only as a whole."""

    def split(self, total_s: float, output_tokens: float, now_s: float) -> float: ...

    def resolved(self) -> bool:
        """Whether enough has been seen for a split to be more than a guess."""


class SizeSlope:
    """How TTFT grows with the prompt, relative to a prompt of `usual` tokens."""

    __slots__ = ("_log", "_log2", "_n", "_weight", "_x", "_xx", "_xy", "_y", "_yy", "per_token", "usual")

    def __init__(self) -> None:
        self.per_token, self.usual = 0.0, 0.0
        self._n = 0
        self._weight = self._x = self._y = self._xx = self._xy = self._yy = self._log = self._log2 = 0.0

    def shape(self, input_tokens: float) -> float:
        """1.0 for the usual prompt."""
        return (1.0 + self.per_token * input_tokens) / (1.0 + self.per_token * self.usual)

    def observe(self, input_tokens: int, ratio: float) -> float | None:
        """One sample's observed / predicted. Gives the factor by which the unit of `shape` changed, when it did."""
        x, y = float(input_tokens), self.shape(input_tokens) * min(max(ratio, 0.2), 4.0)
        log = math.log(max(1.0, x))
        self._n += 1
        self._weight = self._weight * FIT_MEMORY + 1.0
        self._x, self._y = self._x * FIT_MEMORY + x, self._y * FIT_MEMORY + y
        self._xx, self._xy = self._xx * FIT_MEMORY + x * x, self._xy * FIT_MEMORY + x * y
        self._yy = self._yy * FIT_MEMORY + y * y
        self._log, self._log2 = self._log * FIT_MEMORY + log, self._log2 * FIT_MEMORY + log * log
        due = self._n >= FIT_SAMPLES and self._n % FIT_EVERY == 0
        return self._fit() if due and self._spread() >= FIT_SPREAD else None

    def kept(self) -> KeptSlope:
        """For the next run."""
        sums = [self._weight, self._x, self._y, self._xx, self._xy, self._yy, self._log, self._log2]
        return KeptSlope(self.per_token, self.usual, self._n, KeptSums(FIT_FORM, sums))

    def recall(self, kept: KeptSlope) -> None:
        """Begins with what was kept, at half its weight."""
        self.per_token, self.usual = kept.per_token, kept.usual
        if kept.fit.form == FIT_FORM and len(kept.fit.sums) == 8 and min(kept.fit.sums) >= 0.0 and kept.fit.sums[0] >= 1.0:
            sums = [WEIGHT * s for s in kept.fit.sums]
            self._weight, self._x, self._y, self._xx, self._xy, self._yy, self._log, self._log2 = sums
            self._n = half(kept.n)

    def _spread(self) -> float:
        mean = self._log / self._weight
        return math.sqrt(max(0.0, self._log2 / self._weight - mean * mean))

    def _fit(self) -> float:
        w, x, y = self._weight, self._x / self._weight, self._y / self._weight
        spread = max(1e-9, self._xx / w - x * x)
        slope = max(0.0, (self._xy / w - x * y) / spread)
        noise = max(0.0, self._yy / w - y * y - slope * slope * spread) / (spread * w)  # variance of the slope
        slope *= max(0.0, 1.0 - FIT_DOUBT * noise / (slope * slope)) if slope > 0.0 else 0.0
        start = max(0.05 * y, y - slope * x)
        factor = self.shape(x)
        self.per_token, self.usual = slope / start, x
        return factor


class Bound(msgspec.Struct):
    """A TTFT known only to exceed `value_s`; kept by whoever waits, so that the whole value can replace it."""

    value_s: float
    ratio: float
    at_s: float


class _Entry(msgspec.Struct):
    """What a warm-up remembers of one request. `whole`: the whole time and tokens that its TTFT was inferred from."""

    value_s: float
    at_s: float
    bound: Bound | None = None
    whole: tuple[float, float] | None = None


class FirstContent:
    """One endpoint's TTFT: prediction by size, and the distribution around it."""

    def __init__(self, prior_s: float | None, splitter: Splitter | None = None) -> None:
        self._splitter = splitter
        self._prior_s = seconds(priors.TTFT_S if prior_s is None else prior_s)
        self._scale = Scale(self._prior_s, SCALE_HALF_LIFE_S)
        self._slope = SizeSlope()
        self._warm: list[_Entry] | None = []
        self._marked: float | None = None
        self.window = Window()
        self.samples = 0

    def predicted(self, now_s: float) -> tuple[float, float]:
        """(base seconds, seconds per input token)."""
        at_zero = self._scale.value(now_s) / (1.0 + self._slope.per_token * self._slope.usual)
        return at_zero, at_zero * self._slope.per_token

    def predicted_s(self, input_tokens: int, now_s: float) -> float:
        return self._scale.value(now_s) * self._slope.shape(input_tokens)

    def long_ratio(self, now_s: float) -> float:
        """Long-run prediction / prediction."""
        return self._scale.long_run() / self._scale.value(now_s)

    def observe_whole(
        self, total_s: float, output_tokens: float, input_tokens: int, now_s: float, bound: Bound | None = None
    ) -> float:
        """A reply seen only as a whole. Gives the TTFT it probably had."""
        assert self._splitter is not None
        value_s = self._splitter.split(total_s, output_tokens, now_s)
        self._take(_Entry(seconds(value_s), now_s, whole=(total_s, output_tokens)), input_tokens, bound)
        return value_s

    def observe(self, value_s: float, input_tokens: int, now_s: float, bound: Bound | None = None) -> None:
        """A TTFT. `bound`: what was noted while this same request was waiting."""
        self._take(_Entry(seconds(value_s), now_s), input_tokens, bound)

    def _take(self, entry: _Entry, input_tokens: int, bound: Bound | None) -> None:
        value_s, now_s = entry.value_s, entry.at_s
        if bound is not None:
            self._retract(bound)
        if self._warm is not None:
            self._warm.append(entry)
            self._warm_up(now_s)
            return
        self.samples += 1
        ratio = value_s / self.predicted_s(input_tokens, now_s)
        self.window.record(ratio, now_s)
        self._scale.step(value_s / self._slope.shape(input_tokens), now_s)
        factor = self._slope.observe(input_tokens, ratio)
        if factor is not None:
            self._scale.stretch(factor)

    def exceeds(self, value_s: float, input_tokens: int, now_s: float, earlier: Bound | None = None) -> Bound:
        """A request has waited so long without first content. `earlier`: the bound of this same request that it replaces."""
        if earlier is not None:
            self._retract(earlier)
        value_s = seconds(value_s)
        bound = Bound(value_s, value_s / self.predicted_s(input_tokens, now_s), now_s)
        if self._warm is not None:
            self._warm.append(_Entry(value_s, now_s, bound))
            self._warm_up(now_s)
        else:
            self.window.record_censored(bound.ratio, now_s)
        return bound

    def mark(self) -> None:
        """Remembers the long run as it is, before an episode of trouble."""
        self._marked = self._scale.long_run()
        self.window.mark()

    def restore(self) -> None:
        """The episode is over: what it taught is forgotten."""
        if self._marked is not None and self._warm is None:
            self._scale.recover(self._marked)
            self.window.restore()
        self._marked = None

    def kept(self, now_s: float) -> tuple[KeptScale, KeptSlope, KeptTail] | None:
        """For the next run; in an episode of trouble the long run as it was before. None: too little is known."""
        if self._warm is not None:
            return None
        return self._scale.kept(now_s, self._marked), self._slope.kept(), self.window.kept(now_s)

    def recall(self, kept: tuple[KeptScale, KeptSlope, KeptTail], kept_s: float, now_s: float) -> None:
        """Begins with what was kept at `kept_s`, at half its weight: no warm-up is needed."""
        scale, slope, tail = kept
        self._scale.recall(scale, kept_s)
        self._slope.recall(slope)
        self.window.recall(tail, now_s)
        self._warm, self.samples = None, self.window.samples

    def table(self, now_s: float) -> TailTable:
        return self.window.table(now_s)

    def _retract(self, bound: Bound) -> None:
        if self._warm is not None:
            self._warm = [e for e in self._warm if e.bound is not bound]
        else:
            self.window.retract_censored(bound.ratio, bound.at_s)

    def _warm_up(self, now_s: float) -> None:
        """Sets the scale from all that was seen, and the window from the ratios to it."""
        assert self._warm is not None
        usable = [e for e in self._warm if self._resolve(e, now_s)]
        told = [e.value_s for e in usable if e.bound is None or e.value_s > self._prior_s]
        values = sorted([self._prior_s, *told])
        scale = values[(len(values) - 1) // 2]
        self._scale.put(scale, len(told), now_s)
        self.window.clear()
        for entry in usable:
            if entry.bound is None:
                self.window.record(entry.value_s / scale, entry.at_s)
            else:
                entry.bound.ratio = entry.value_s / scale
                self.window.record_censored(entry.bound.ratio, entry.at_s)
        self.samples = self.window.samples
        enough = WARM_WHOLE if any(e.whole for e in usable) else WARM_SAMPLES
        if self.samples >= enough or len(self._warm) >= WARM_ENTRIES:
            self._warm = None

    def _resolve(self, entry: _Entry, now_s: float) -> bool:
        """Splits a whole reply by what is known now. False: nothing is known yet, so it must wait."""
        if entry.whole is None:
            return True
        if self._splitter is None or not self._splitter.resolved():
            return False
        entry.value_s = seconds(self._splitter.split(*entry.whole, now_s))
        return True
