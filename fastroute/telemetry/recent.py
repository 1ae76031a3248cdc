"""The last requests by id, for `GET /v1/requests/{id}`, the dashboard and `fastroute top`.

Rules. A kept Trail has no prompt and no answer: the request's members and the replies' bodies are left behind. The Trail that
other sinks hold is not touched.

Theory of operation. A Trail's decisions hold the frozen statistics they were made on: tables of 136 numbers, new ones every
tick. Kept whole, ten thousand Trails would weigh more than the rest of the process; so a table is cut down to the two
quantiles that `Trail.to_dict` shows. Requests of one tick share a table, so most find it already cut.

What can go wrong. A client may use one id twice: the later request is the one found.
"""

from collections import OrderedDict

import msgspec

from fastroute.core.trail import Attempt, Trail
from fastroute.core.types import Candidate, Decision, TailTable

SHOWN_QUANTILES = (0.5, 0.99)
CUT_TABLES_KEPT = 256


class RecentTrails:
    """Keeps the last `capacity` Trails, some 3 kB each. A `core.ports.Sink`."""

    def __init__(self, capacity: int = 1000) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self._capacity = capacity
        self._by_id: OrderedDict[str, Trail] = OrderedDict()
        self._cuts = _Cuts()

    def __len__(self) -> int:
        return len(self._by_id)

    def emit(self, trail: Trail) -> None:
        kept = without_content(trail)
        kept.decisions = [self._cuts.of(decision) for decision in trail.decisions]
        self._by_id.pop(trail.request.id, None)
        self._by_id[trail.request.id] = kept
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


class _Cuts:
    """Decisions with their tables cut down. Remembers the latest tables' cuts, by identity."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[TailTable, TailTable]] = {}  # id -> (the table, which keeps the id taken; its cut)

    def of(self, decision: Decision) -> Decision:
        return msgspec.structs.replace(decision, ranked=tuple([self._candidate(c) for c in decision.ranked]))

    def _candidate(self, candidate: Candidate) -> Candidate:
        view = msgspec.structs.replace(candidate.view, ttft_tail=self._table(candidate.view.ttft_tail), output_points=())
        return msgspec.structs.replace(candidate, view=view)

    def _table(self, table: TailTable) -> TailTable:
        known = self._known.get(id(table))
        if known is None:
            if len(self._known) >= CUT_TABLES_KEPT:
                self._known.clear()
            known = self._known[id(table)] = (table, cut(table))
        return known[1]


def cut(table: TailTable) -> TailTable:
    """The smallest table that answers `SHOWN_QUANTILES` as `table` does. Other questions it answers roughly."""
    return TailTable(
        bounds=tuple(table.quantile(q) for q in SHOWN_QUANTILES),
        survival=tuple(1.0 - q for q in SHOWN_QUANTILES),
    )
