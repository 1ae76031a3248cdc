"""Suspicion: the quick, mild measure below the breaker. A suspect gets few requests at a time, and not often.

Rules. Of the last 8 outcomes 3 bad ones make a suspect. Two do where another endpoint has just become one (`alarmed`), and two
in a row where traffic is thin, under one outcome a second: a third would be long in coming there. Bad is: the objective
passed without first content (told the moment it passes), a timeout, a stall, an error, a stream so slow that it will be
late. A suspect is sent one attempt at a time: the first 2 s after the suspicion, then 2 s x 1.7^k after each bad one, at most
20 s, give or take 20 %. After a good one the next may follow at once, and one more beside it: four in a row clear it. Who
became suspect again within a minute of that needs twice as many, at most 16.

Theory of operation. Without the time gate a browned-out endpoint would be used continuously, one request after the other.
The gate is closed when an attempt is sent and opened early by a good end, so an attempt that ends neutrally costs a wait
and nothing else. An endpoint of which every fourth request hangs passes four probes in a row one time in three, so that it would
come back again and again; sixteen it does not pass.

Source: selection notes 2.5; pitfall 4. Alarm, relapse and the cap of 20 s are ours, from the simulator.
"""

from collections import deque

RING = 8
BAD, FEW_BAD = 3, 2
SLOW_RING_S = 8.0
GOODS_TO_CLEAR, MOST_GOODS = 4, 16
WAIT_S, GROWTH, LONGEST_WAIT_S = 2.0, 1.7, 20.0
JITTER = 0.2
RELAPSE_S = 60.0


class Suspicion:
    """One endpoint's ring. Mutable; touched by the loop's thread only."""

    def __init__(self) -> None:
        self._ring: deque[bool] = deque(maxlen=RING)
        self._times_s: deque[float] = deque(maxlen=RING)
        self.suspect = False
        self.goods = 0  # in a row, of a suspect
        self._needed = GOODS_TO_CLEAR
        self._level = 0
        self._next_s = 0.0
        self.probed_s = 0.0  # when an attempt was last sent to the suspect
        self._cleared_s: float | None = None

    def admits(self, now_s: float, in_flight: int) -> bool:
        """Whether one more attempt may be sent, with so many in flight."""
        return not self.suspect or (in_flight <= self.goods and now_s >= self._next_s)

    def admits_in_s(self, now_s: float) -> float:
        """Seconds until the time gate lets a probe through; 0.0 where nothing waits."""
        return max(0.0, self._next_s - now_s) if self.suspect else 0.0

    def take_off(self, now_s: float) -> None:
        """An attempt is sent: another may follow no sooner than after the present wait, unless this one ends well."""
        if not self.suspect:
            return
        self.probed_s = now_s
        if not self.goods:
            self._next_s = max(self._next_s, now_s + self._wait_s())

    def release(self, now_s: float) -> None:
        """An attempt ended that says nothing about the endpoint: the wait that began with it stands."""

    def bad(self, now_s: float, jitter: float, alarmed: bool = False) -> bool:
        """A bad outcome. `jitter` in 0..1 spreads waits; `alarmed`: others are in trouble too. True: this one made it suspect."""
        row = bool(self._ring) and self._ring[-1]
        self._note(True, now_s)
        self.goods = 0
        quick = alarmed or (row and now_s - self._times_s[0] >= SLOW_RING_S)
        if self.suspect:
            self._level += 1
        elif sum(self._ring) >= (FEW_BAD if quick else BAD):
            self._begin(now_s)
        else:
            return False
        self._next_s = max(self._next_s, now_s + self._wait_s() * (1.0 - JITTER + 2.0 * JITTER * jitter))
        return self._level == 0

    def _note(self, bad: bool, now_s: float) -> None:
        self._ring.append(bad)
        self._times_s.append(now_s)

    def _begin(self, now_s: float) -> None:
        relapsed = self._cleared_s is not None and now_s - self._cleared_s < RELAPSE_S
        self._needed = min(2 * self._needed, MOST_GOODS) if relapsed else GOODS_TO_CLEAR
        self.suspect, self._level = True, 0

    def good(self, now_s: float) -> bool:
        """A good outcome. True: this one cleared the suspicion."""
        self._note(False, now_s)
        if not self.suspect:
            return False
        self.goods += 1
        self._next_s = now_s
        if self.goods < self._needed:
            return False
        self.suspect, self.goods, self._cleared_s = False, 0, now_s
        self._ring.clear()
        return True

    def _wait_s(self) -> float:
        return min(WAIT_S * GROWTH ** min(self._level, 16), LONGEST_WAIT_S)
