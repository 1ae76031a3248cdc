"""One endpoint's circuit breaker: closed (flows), open (refuses), half open (one probe).

Rules.
- CLOSED -> OPEN: three errors in a row; or, of at least 8 outcomes in 30 s, half are errors or rate-limit answers; or 60 %
  are slow. A rate-limit answer counts in the rate only; it neither makes nor breaks a row. A wrong key or a missing
  deployment opens at once, for 5 minutes.
- OPEN lasts 1 s x 2^k, at most 20 s, give or take 20 %; k counts openings and falls by one per healthy (closed) minute.
- HALF OPEN admits one attempt at a time. Two good ones close the breaker; any bad one, a rate-limit answer too, opens it
  again. An attempt that taught nothing (client gone, bad request) gives its place back.

Theory of operation. Time comes in. Every attempt calls `take_off`, then exactly one of `land` and `release`. `take_off`
says whether the attempt holds the half-open place; handing that back to `land` or `release` tells apart a probe and an
attempt that was sent before the breaker opened: the latter's late failure says nothing new. Who does not hand it back is
taken for the probe.

What can go wrong. Counts are exact, in 10 buckets of 3 s, since averages by time hide bursts. An attempt sent through an
open breaker (a panic) that goes well is evidence: the breaker turns half open with one good.

Source: selection notes 2.8; pitfalls 24, 27, 28.
"""

from fastroute.core.failures import Blame
from fastroute.core.types import BreakerState

BUCKET_S, BUCKETS = 3.0, 10
IN_A_ROW = 3
FEWEST = 8
ERROR_RATIO = 0.5
SLOW_RATIO = 0.6
OPEN_S, LONGEST_OPEN_S, KEY_OPEN_S = 1.0, 20.0, 300.0
JITTER = 0.2
HEALTHY_S = 60.0
GOODS_TO_CLOSE = 2


class _Counts:
    """(outcomes, errors and rate limits, slow) of the last 30 s, exact."""

    __slots__ = ("_buckets", "_newest")

    def __init__(self) -> None:
        self._buckets: list[list[int]] = [[0, 0, 0] for _ in range(BUCKETS)]
        self._newest = 0

    def add(self, blame: Blame, now_s: float) -> None:
        self._turn(now_s)
        bucket = self._buckets[self._newest % BUCKETS]
        bucket[0] += 1
        if blame is not Blame.NONE:
            bucket[1] += blame in (Blame.ERROR, Blame.RATE)
            bucket[2] += blame is Blame.SLOW

    def totals(self) -> tuple[int, int, int]:
        outcomes, errors, slow = (sum(column) for column in zip(*self._buckets, strict=True))
        return outcomes, errors, slow

    def clear(self) -> None:
        for bucket in self._buckets:
            bucket[:] = [0, 0, 0]

    def _turn(self, now_s: float) -> None:
        number = int(now_s / BUCKET_S)
        if number <= self._newest:
            return
        for passed in range(self._newest + 1, min(number, self._newest + BUCKETS) + 1):
            self._buckets[passed % BUCKETS][:] = [0, 0, 0]
        self._newest = number


class Breaker:
    """Mutable; touched by the loop's thread only. Starts closed."""

    def __init__(self) -> None:
        self._counts = _Counts()
        self._row = 0
        self.closed = True
        self._opens_s = 0.0  # when an open breaker turns half open
        self._level = 0  # k
        self._healthy_since_s: float | None = None
        self._goods = 0
        self._probing = False
        self._key = False  # opened by a wrong key or deployment: only a probe of its own says that it is right now

    def state(self, now_s: float) -> BreakerState:
        if self.closed:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now_s < self._opens_s else BreakerState.HALF_OPEN

    def admits(self, now_s: float) -> bool:
        """Whether one more attempt may be sent."""
        return self.closed or (now_s >= self._opens_s and not self._probing)

    def opens_in_s(self, now_s: float) -> float:
        """Seconds until an open breaker turns half open; 0.0 where it is not open."""
        return 0.0 if self.closed else max(0.0, self._opens_s - now_s)

    def take_off(self, now_s: float) -> bool:
        """An attempt is sent. True: it holds the half-open place, and gives it back by landing or release."""
        if self.closed or now_s < self._opens_s or self._probing:
            return False
        self._probing = True
        return True

    def release(self, now_s: float, probe: bool = True) -> None:
        """An attempt ended that says nothing about the endpoint."""
        if probe:
            self._probing = False

    def went_well(self, now_s: float) -> None:
        """`land` of an attempt that ended well while closed, in short: by far the commonest end."""
        self._row = 0
        if self._healthy_since_s is None:
            self._healthy_since_s = now_s
        self._counts.add(Blame.NONE, now_s)

    def land(self, blame: Blame, now_s: float, jitter: float, probe: bool = True) -> None:
        """An attempt ended: NONE means well. `jitter` in 0..1 spreads openings. `probe`: what `take_off` said."""
        held = probe and self._probing
        self.release(now_s, probe)
        if blame is Blame.KEY:
            self._key = True
            self._open(now_s, KEY_OPEN_S * (1.0 + JITTER * jitter))
        elif self.closed:
            self._count(blame, now_s, jitter)
        elif blame is Blame.NONE and (held or not self._key):
            self._good(now_s)
        elif held:
            self._trip(now_s, jitter)

    def _count(self, blame: Blame, now_s: float, jitter: float) -> None:
        if blame is Blame.NONE:
            self.went_well(now_s)
            return
        self._healthy_since_s = now_s if self._healthy_since_s is None else self._healthy_since_s
        self._counts.add(blame, now_s)
        if blame is Blame.ERROR:
            self._row += 1
        if self._row >= IN_A_ROW or self._too_many():
            self._trip(now_s, jitter)

    def _too_many(self) -> bool:
        outcomes, errors, slow = self._counts.totals()
        return outcomes >= FEWEST and (errors >= ERROR_RATIO * outcomes or slow >= SLOW_RATIO * outcomes)

    def _trip(self, now_s: float, jitter: float) -> None:
        """Opens for longer each time."""
        if self._healthy_since_s is not None:
            self._level = max(0, self._level - int((now_s - self._healthy_since_s) / HEALTHY_S))
        length_s = min(OPEN_S * 2.0**self._level, LONGEST_OPEN_S)
        self._level = min(self._level + 1, 16)
        self._open(now_s, length_s * (1.0 - JITTER + 2.0 * JITTER * jitter))

    def _open(self, now_s: float, length_s: float) -> None:
        self.closed = False
        self._opens_s = now_s + length_s
        self._row = self._goods = 0
        self._healthy_since_s = None
        self._counts.clear()

    def _good(self, now_s: float) -> None:
        """An attempt went well while not closed."""
        self._opens_s = min(self._opens_s, now_s)
        self._goods += 1
        if self._goods >= GOODS_TO_CLOSE:
            self.closed, self._key = True, False
            self._healthy_since_s = now_s
