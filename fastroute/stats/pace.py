"""How fast an answer comes once it has begun, and what a reply seen only as a whole says about its first token.

Theory of operation. Streams show both: TTFT, and the pace (time per output token, TPOT) after it. A whole reply shows only
its total time T and its n output tokens. Over many replies T = TTFT + n x TPOT is a line: its slope is fitted with a ridge
toward the pace that streams have shown, or else toward a prior of 12 ms (or less, where the endpoint's own prior is), so
that the slope follows the data only as far as answer lengths vary. The inferred TTFT is T - n x slope.

Until at least a few replies of varied length, three streams or eight replies of any kind were seen, a split would be a
guess: it is not `resolved`, and whoever keeps TTFT waits.

What can go wrong. Where all answers are equally long the line cannot be told from the prior; then the inferred TTFT is
never less than 30 % of T, so a slow endpoint does not look instant because we guessed its pace too slow.  A reply without a
token count is split at the mean length.
"""

import itertools
from bisect import bisect_left
from collections import deque

from fastroute.stats import priors
from fastroute.stats.kept import KeptPace, half
from fastroute.stats.scale import Scale, seconds

PACE_HALF_LIFE_S = 30.0
JUMP = 0.3  # twice the usual spread of the pace
FEWEST_TOKENS = 16  # below, the time between tokens is mostly packetisation
FASTEST_S = 1e-5
WHOLE_PRIOR_S = 0.012
REPLIES = 24
LEAN = 0.5
GUESS_AFTER = 8  # whole replies after which the prior has to do
CAUTION = 0.30  # least share of T that is TTFT while its split is a guess
CAUTION_SHOWN = 0.05
STREAMS_SHOW = 3  # streams after which the pace is known


class Pace:
    """One endpoint's time per output token."""

    def __init__(self, prior_s: float | None) -> None:
        self._scale = Scale(max(FASTEST_S, priors.TPOT_S if prior_s is None else prior_s), PACE_HALF_LIFE_S, JUMP)
        self._streams = self._wholes = 0
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
        known = self._streams >= STREAMS_SHOW
        slope = self._scale.value(now_s) if known else self._whole.slope(self._guess_s)
        least = CAUTION_SHOWN if known or self._whole.shown() else CAUTION
        return max(total_s - output_tokens * slope, least * total_s)

    def resolved(self) -> bool:
        """Whether a split rests on streams, on varied lengths, or at least on so many replies that the prior has to do."""
        return self._streams >= STREAMS_SHOW or self._wholes >= GUESS_AFTER or self._whole.shown()

    def observe_whole(self, total_s: float, output_tokens: int | None, now_s: float) -> None:
        """A whole reply's time and tokens. Once streams have shown the pace they alone are asked."""
        self._wholes += 1
        if output_tokens is None or self._streams >= STREAMS_SHOW:
            return
        self._whole.add(output_tokens, seconds(total_s), self._guess_s, LEAN)
        if self._whole.shown():
            self._scale.step(max(FASTEST_S, self._whole.slope(self._guess_s)), now_s)

    def refresh(self) -> None:
        """Call on a tick."""
        self._whole.refresh()

    def kept(self, now_s: float) -> KeptPace:
        """For the next run; in an episode of trouble the long run as it was before."""
        return KeptPace(self._scale.kept(now_s, self._marked), self._streams, self._wholes, self._whole.replies())

    def recall(self, kept: KeptPace, kept_s: float) -> None:
        """Begins with what was kept at `kept_s`, at half its weight. A pace that streams have shown stays shown."""
        self._scale.recall(kept.scale, kept_s)
        self._streams = max(half(kept.streams), min(kept.streams, STREAMS_SHOW))
        self._wholes = max(half(kept.wholes), min(kept.wholes, GUESS_AFTER))
        for tokens, total_s in kept.replies[-REPLIES:]:
            self._whole.add(tokens, total_s, self._guess_s, LEAN)

    def mark(self) -> None:
        self._marked = self._scale.long_run()

    def restore(self) -> None:
        if self._marked is not None:
            self._scale.recover(self._marked)
        self._marked = None


class _Line:
    """The last whole replies as (tokens, total seconds), and the slope of the line through them.

    The slope is the median of the slopes between all pairs, weighted by how far apart they are in tokens; the value it leans
    toward takes part as one more pair. One straggler among five replies does not move it. (Theil 1950, Sen 1968)
    """

    __slots__ = ("_due", "_replies", "_seen", "_share", "_slope")

    def __init__(self) -> None:
        self._replies: deque[tuple[int, float]] = deque(maxlen=REPLIES)
        self._seen = 0
        self._due: tuple[float, float] | None = None
        self._slope: float | None = None
        self._share = 0.0

    def add(self, tokens: int, total_s: float, toward: float, strength: float) -> None:
        self._replies.append((tokens, total_s))
        self._seen += 1
        if self._seen <= REPLIES:
            self._fit(toward, strength)
        else:
            self._due = (toward, strength)

    def refresh(self) -> None:
        """Fits the line to what was added. A fit costs as much as a hundred additions, so after the first it waits for a tick."""
        if self._due is not None:
            self._fit(*self._due)
            self._due = None

    def replies(self) -> list[tuple[int, float]]:
        return list(self._replies)

    def slope(self, toward: float) -> float:
        """Seconds per token, 0 at least."""
        return toward if self._slope is None else self._slope

    def shown(self) -> bool:
        """Whether the slope rests on data more than on what it leans toward."""
        return self._share >= 0.5

    def _fit(self, toward: float, strength: float) -> None:
        pairs = [((b_s - a_s) / (b - a), abs(b - a)) for (a, a_s), (b, b_s) in itertools.combinations(self._replies, 2) if a != b]
        mean_s = sum(total_s for _, total_s in self._replies) / len(self._replies)
        lean = strength * 0.5 * mean_s / max(FASTEST_S, toward) * len(self._replies)
        data = float(sum(weight for _, weight in pairs))
        self._share = data / (data + lean)
        self._slope = max(0.0, _weighted_median([*pairs, (toward, lean)]))


def _weighted_median(pairs: list[tuple[float, float]]) -> float:
    """The value of (value, weight) pairs that half the weight lies below."""
    ordered = sorted(pairs)
    below = list(itertools.accumulate(weight for _, weight in ordered))
    return ordered[bisect_left(below, below[-1] / 2.0)][0]
