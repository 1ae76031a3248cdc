"""Exact counts of how attempts ended, over the last minute, and how often they usually fail.

Exact and not averaged: a moving average by time hides bursts. P(fail) leans on what is usual, or an endpoint would be believed
to fail because nobody has used it for a minute; what is usual is never more than what is believed of an unknown one, or an
outage would be held against it for ever. Source: selection notes 2.1, 2.3, 2.4, pitfalls 10, 28.
"""

SLOT_S = 3.0
SLOTS = 20
LEAN = 10.0  # outcomes that what is usual counts for, beside the last minute's
UNKNOWN, RAREST = 0.05, 0.001
USUAL_MEMORY = 1.0 - 1.0 / 1000.0


class OutcomeRing:
    """A ring of slots of (failed, ended). Rate-limit answers are counted apart and are neither."""

    __slots__ = ("_ended", "_failed", "_limited", "_long_ended", "_long_failed", "_slot", "ended", "failed", "limited")

    def __init__(self) -> None:
        self._failed, self._ended, self._limited = [0] * SLOTS, [0] * SLOTS, [0] * SLOTS
        self.failed = self.ended = self.limited = 0
        self._slot = 0
        self._long_failed = self._long_ended = 0.0

    def ok(self, now_s: float) -> None:
        self._ended[self._turn(now_s)] += 1
        self.ended += 1
        self._long_failed *= USUAL_MEMORY
        self._long_ended = self._long_ended * USUAL_MEMORY + 1.0

    def failure(self, now_s: float) -> None:
        self._failed[self._turn(now_s)] += 1
        self.failed += 1
        self._long_failed += 1.0
        self.ok(now_s)

    def rate_limited(self, now_s: float) -> None:
        self._limited[self._turn(now_s)] += 1
        self.limited += 1

    def p_fail(self, now_s: float) -> float:
        """(failed + 10 x usual) / (ended + 10), and 0.1 % at least: 5 % where nothing is known."""
        if int(now_s / SLOT_S) > self._slot:
            self._turn(now_s)
        p = (self.failed + LEAN * self.usual()) / (self.ended + LEAN)
        return p if p > RAREST else RAREST

    def usual(self) -> float:
        """The long-run share of failures, between 0.1 and 5 %."""
        share = (self._long_failed + LEAN * UNKNOWN) / (self._long_ended + LEAN)
        return UNKNOWN if share > UNKNOWN else share if share > RAREST else RAREST

    def _turn(self, now_s: float) -> int:
        """Empties the slots that have passed; the index of the present one. Time that goes back stays in the newest slot."""
        slot = int(now_s / SLOT_S)
        if slot <= self._slot:
            return self._slot % SLOTS
        for passed in range(self._slot + 1, min(slot, self._slot + SLOTS) + 1):
            i = passed % SLOTS
            self.failed -= self._failed[i]
            self.ended -= self._ended[i]
            self.limited -= self._limited[i]
            self._failed[i] = self._ended[i] = self._limited[i] = 0
        self._slot = slot
        return self._slot % SLOTS
