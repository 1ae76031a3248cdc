"""Suspicion: the quick, mild measure below the breaker. A suspect gets one request at a time, and not often.

Rules. Of the last 8 outcomes 3 bad ones make a suspect. Bad is: the objective passed without first content (told the moment
it passes), a timeout, a stall, an error. A suspect is sent one attempt at a time: the first 2 s after the suspicion, then 2
s x 1.7^k after each bad one, at most 30 s, give or take 20 %. After a good one the next may follow at once: four in a row
clear it.

Theory of operation. Without the time gate a browned-out endpoint would be used continuously, one request after the other.
The gate is closed when an attempt is sent and opened early by a good end, so an attempt that ends neutrally costs a wait
and nothing else.

Source: selection notes 2.5; pitfall 4.
"""

from collections import deque

RING = 8
BAD = 3
GOODS_TO_CLEAR = 4
WAIT_S, GROWTH, LONGEST_WAIT_S = 2.0, 1.7, 30.0
JITTER = 0.2


class Suspicion:
    """One endpoint's ring. Mutable; touched by the loop's thread only."""

    def __init__(self) -> None:
        self._ring: deque[bool] = deque(maxlen=RING)
        self.suspect = False
        self._goods = 0
        self._level = 0
        self._next_s = 0.0
        self.probed_s = 0.0  # when an attempt was last sent to the suspect

    def admits(self, now_s: float, in_flight: int) -> bool:
        """Whether one more attempt may be sent, with so many in flight."""
        return not self.suspect or (in_flight == 0 and now_s >= self._next_s)

    def admits_in_s(self, now_s: float) -> float:
        """Seconds until the time gate lets a probe through; 0.0 where nothing waits."""
        return max(0.0, self._next_s - now_s) if self.suspect else 0.0

    def take_off(self, now_s: float) -> None:
        """An attempt is sent: another may follow no sooner than after the present wait, unless this one ends well."""
        if self.suspect:
            self.probed_s = now_s
            self._next_s = max(self._next_s, now_s + self._wait_s())

    def release(self, now_s: float) -> None:
        """An attempt ended that says nothing about the endpoint: the wait that began with it stands."""

    def bad(self, now_s: float, jitter: float) -> bool:
        """A bad outcome. `jitter` in 0..1 spreads waits. True: this one made the endpoint suspect."""
        self._ring.append(True)
        self._goods = 0
        if self.suspect:
            self._level += 1
        elif sum(self._ring) >= BAD:
            self.suspect, self._level = True, 0
        else:
            return False
        self._next_s = max(self._next_s, now_s + self._wait_s() * (1.0 - JITTER + 2.0 * JITTER * jitter))
        return self._level == 0

    def good(self, now_s: float) -> bool:
        """A good outcome. True: this one cleared the suspicion."""
        self._ring.append(False)
        if not self.suspect:
            return False
        self._goods += 1
        self._next_s = now_s
        if self._goods < GOODS_TO_CLEAR:
            return False
        self.suspect, self._goods = False, 0
        self._ring.clear()
        return True

    def _wait_s(self) -> float:
        return min(WAIT_S * GROWTH ** min(self._level, 16), LONGEST_WAIT_S)
