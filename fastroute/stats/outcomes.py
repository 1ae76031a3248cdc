"""Exact counts of how attempts ended, over the last minute.

Exact and not averaged: a moving average by time hides bursts. Source: selection notes 2.1, 2.3, pitfall 28.
"""

SLOT_S = 3.0
SLOTS = 20


class OutcomeRing:
    """A ring of slots of (failed, ended). Rate-limit answers are counted apart and are neither."""

    __slots__ = ("_ended", "_failed", "_limited", "_slot", "ended", "failed", "limited")

    def __init__(self) -> None:
        self._failed, self._ended, self._limited = [0] * SLOTS, [0] * SLOTS, [0] * SLOTS
        self.failed = self.ended = self.limited = 0
        self._slot = 0

    def ok(self, now_s: float) -> None:
        self._ended[self._turn(now_s)] += 1
        self.ended += 1

    def failure(self, now_s: float) -> None:
        self._failed[self._turn(now_s)] += 1
        self.failed += 1
        self.ok(now_s)

    def rate_limited(self, now_s: float) -> None:
        self._limited[self._turn(now_s)] += 1
        self.limited += 1

    def p_fail(self, now_s: float) -> float:
        """(failed + 0.5) / (ended + 10): 5 % where nothing is known."""
        self._turn(now_s)
        return (self.failed + 0.5) / (self.ended + 10.0)

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
