"""One absolute deadline per request."""

import msgspec


class Deadline(msgspec.Struct, frozen=True):
    """A monotonic instant, fixed when the request is accepted.

    It bounds queueing, every attempt, failover and escalation; nothing ever restarts it.
    """

    at_s: float

    @classmethod
    def after(cls, now_s: float, seconds: float) -> "Deadline":
        return cls(now_s + seconds)

    def left_s(self, now_s: float) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self.at_s - now_s)

    def passed(self, now_s: float) -> bool:
        return now_s >= self.at_s
