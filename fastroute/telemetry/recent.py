"""The last requests by id, for `GET /v1/requests/{id}`, the dashboard and `fastroute top`.

Rules. A kept Trail has no prompt and no answer: the request's members and the replies' bodies are left behind. The Trail that
other sinks hold is not touched.

What can go wrong. Decisions hold frozen statistics, some 10 kB per endpoint and tick: memory is bounded by `capacity` only as
a count. A client may use one id twice: the later request is the one found.
"""

from collections import OrderedDict

import msgspec

from fastroute.core.trail import Attempt, Trail


class RecentTrails:
    """Keeps the last `capacity` Trails. A `core.ports.Sink`."""

    def __init__(self, capacity: int = 1000) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self._capacity = capacity
        self._by_id: OrderedDict[str, Trail] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_id)

    def emit(self, trail: Trail) -> None:
        self._by_id.pop(trail.request.id, None)
        self._by_id[trail.request.id] = without_content(trail)
        if len(self._by_id) > self._capacity:
            self._by_id.popitem(last=False)

    def lookup(self, request_id: str) -> Trail | None:
        """The Trail of a request; None once it has been pushed out, or never was."""
        return self._by_id.get(request_id)

    def last(self, n: int) -> list[Trail]:
        """Up to `n` Trails, newest first."""
        newest_first = reversed(self._by_id.values())
        return [trail for _, trail in zip(range(n), newest_first, strict=False)]


def without_content(trail: Trail) -> Trail:
    """A copy of a finished Trail that holds on to no prompt and no answer."""
    attempts = [_without_body(attempt) for attempt in trail.attempts]
    winner = trail.winner
    if winner is not None:
        winner = next((kept for kept, a in zip(attempts, trail.attempts, strict=True) if a is winner), _without_body(winner))
    request = msgspec.structs.replace(trail.request, fields={})
    return msgspec.structs.replace(trail, request=request, attempts=attempts, winner=winner)


def _without_body(attempt: Attempt) -> Attempt:
    outcome = attempt.outcome
    if outcome is None or not outcome.body:
        return attempt
    return msgspec.structs.replace(attempt, outcome=msgspec.structs.replace(outcome, body=b""))
