"""The last requests by id, for `GET /v1/requests/{id}`, the dashboard and `fastroute top`.

Rules. A kept Trail has no prompt and no answer: they are taken out of the Trail itself, which is over by then. Whoever else
wants them reads them when the Trail is emitted to it.

Theory of operation. Adding a request is an append; what it takes to find one by id is made up when somebody asks.
A Trail's decisions hold the frozen statistics they were made on: tables of 136 numbers, new ones every tick. Under load, the
many requests of a tick share its tables, and they weigh little. When there are few, each would hold tables of its own, and ten
thousand Trails would weigh more than the rest of the process: then a table is cut down to the two quantiles that
`Trail.to_dict` shows. So what costs time is done only when there is time.

What can go wrong. A client may use one id twice: the later request is the one found.
"""

from collections import deque
from itertools import islice
from typing import Any

import msgspec

from fastroute.core.trail import Attempt, Trail
from fastroute.core.types import Candidate, Decision, EndpointView, Outcome, TailTable

SHOWN_QUANTILES = (0.5, 0.99)
CUT_TABLES_KEPT = 256
TABLE_SHARE = 4  # tables a batch may keep whole, as one for so many requests: some 1 kB a request
SAMPLE = 8  # one Trail of so many is looked at to find how many tables a batch holds

_NOTHING: dict[str, Any] = {}


class RecentTrails:
    """Keeps the last `capacity` Trails, some 3 kB each. A `core.ports.Sink` where it is used by itself."""

    def __init__(self, capacity: int = 1000) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self._capacity = capacity
        self._kept: deque[Trail] = deque(maxlen=capacity)
        self._added = self._indexed = 0  # Trails ever added; those of them that `_places` knows
        self._places: dict[str, int] = {}  # id -> how many Trails were added before it
        self._cuts = _Cuts()

    def __len__(self) -> int:
        return len(self._kept)

    def emit(self, trail: Trail) -> None:
        self.extend([trail])

    def extend(self, batch: list[Trail]) -> None:
        """Takes finished Trails over, oldest first, and takes their contents out."""
        for trail in batch:
            trail.request.fields = _NOTHING
            for attempt in trail.attempts:
                if attempt.outcome is not None and attempt.outcome.body:
                    _drop_body(attempt, attempt.outcome)
            winner = trail.winner
            if winner is not None and winner.outcome is not None and winner.outcome.body:
                _drop_body(winner, winner.outcome)
        if not _shares_tables(batch):
            for trail in batch:
                trail.decisions = [self._cuts.of(decision) for decision in trail.decisions]
        self._kept.extend(batch)
        self._added += len(batch)

    def lookup(self, request_id: str) -> Trail | None:
        """The Trail of a request; None once it has been pushed out, or never was."""
        self._index()
        place, first = self._places.get(request_id), self._added - len(self._kept)
        return None if place is None or place < first else self._kept[place - first]

    def last(self, n: int) -> list[Trail]:
        """Up to `n` Trails, newest first, one for each id."""
        found: dict[str, Trail] = {}
        for trail in reversed(self._kept):
            if len(found) >= n:
                break
            found.setdefault(trail.request.id, trail)
        return list(found.values())

    def _index(self) -> None:
        """Learns the places of what was added since the last time; forgets those of Trails long gone."""
        fresh = list(islice(reversed(self._kept), self._added - self._indexed))
        for place, trail in enumerate(reversed(fresh), self._added - len(fresh)):
            self._places[trail.request.id] = place
        self._indexed = self._added
        if len(self._places) > 2 * self._capacity:
            first = self._added - len(self._kept)
            self._places = {request_id: place for request_id, place in self._places.items() if place >= first}


def _drop_body(attempt: Attempt, was: Outcome) -> None:
    attempt.outcome = Outcome(was.fault, was.committed, was.status, was.ttft_s, was.usage)


def _shares_tables(batch: list[Trail]) -> bool:
    """Whether the batch's tables are few enough, for its length, to be kept whole."""
    sample = batch[::SAMPLE]
    tables = {id(c.view.ttft_tail) for trail in sample for decision in trail.decisions for c in decision.ranked}
    return len(tables) * TABLE_SHARE <= len(batch)


class _Cuts:
    """Decisions with their tables cut down. Remembers the latest tables' cuts, by identity."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[TailTable, TailTable]] = {}  # id -> (the table, which keeps the id taken; its cut)

    def of(self, decision: Decision) -> Decision:
        ranked = tuple([Candidate(self._view(c.view), c.p_miss, c.cost_pusd, c.score) for c in decision.ranked])
        return Decision(decision.strategy, ranked, decision.excluded, decision.why)

    def _view(self, view: EndpointView) -> EndpointView:
        return msgspec.structs.replace(view, ttft_tail=self._table(view.ttft_tail), output_points=())

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
