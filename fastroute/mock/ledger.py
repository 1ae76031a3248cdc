"""What every mock endpoint would have billed, and what happened to each request.

Rules. A prompt is charged once the model takes it up; each output token when it is generated, whether or not anyone still
listens. Answers that no model made (errors, pages, resets before the headers) cost nothing. Open requests count as far as they
have come, so a bill is right at any instant. Sums are exact, in pico-dollars.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from fastroute.core.money import to_usd
from fastroute.mock.schema import PriceSpec


class Record(msgspec.Struct, eq=False):
    """One request as it goes. Instants are monotonic seconds; None: has not happened."""

    endpoint: str
    arrived_s: float
    arrived_wall_s: float
    id: str | None = None  # the client's x-request-id
    model: str | None = None
    stream: bool | None = None
    status: int | None = None  # None: no head was sent
    fault: str | None = None  # the faults that struck, by kind
    billed: bool = False
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    tokens_after_cancel: int = 0
    writes: int = 0
    first_byte_s: float | None = None
    last_byte_s: float | None = None
    cancelled_s: float | None = None  # when the client's disconnect was noticed
    ended_s: float | None = None
    delivered: bool = False  # all that was to be sent was sent, and the client was still there
    body: str | None = None

    def wrote(self, now_s: float) -> None:
        self.writes += 1
        self.last_byte_s = now_s
        if self.first_byte_s is None:
            self.first_byte_s = now_s

    def generated(self, tokens: int) -> None:
        self.output_tokens += tokens
        if self.cancelled_s is not None:
            self.tokens_after_cancel += tokens


class _Totals(msgspec.Struct):
    """Sums of one endpoint."""

    requests: int = 0
    failed: int = 0  # answered with an error status
    cancelled: int = 0
    billed: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    tokens_after_cancel: int = 0

    def add(self, record: Record) -> None:
        self.requests += 1
        self.failed += record.status is not None and record.status >= 400
        self.cancelled += record.cancelled_s is not None
        self.billed += record.billed
        if record.billed:
            self.input_tokens += record.input_tokens
            self.cached_tokens += record.cached_tokens
            self.output_tokens += record.output_tokens
            self.tokens_after_cancel += record.tokens_after_cancel


class Ledger:
    """The books of all endpoints of a process. `keep` is how many requests the log holds."""

    def __init__(self, prices: Mapping[str, PriceSpec], keep: int) -> None:
        self._prices = prices
        self._closed = {name: _Totals() for name in prices}
        self._open: set[Record] = set()
        self._log: deque[Record] = deque(maxlen=keep)
        self.on_change: Callable[[], None] = lambda: None  # a request has arrived or ended

    def open(self, record: Record) -> Record:
        self._open.add(record)
        self._log.append(record)
        self.on_change()
        return record

    def close(self, record: Record, now_s: float) -> None:
        """Ends a record. Idempotent."""
        if record in self._open:
            record.ended_s = now_s
            self._open.discard(record)
            self._closed[record.endpoint].add(record)
            self.on_change()

    def count(self, endpoint: str, input_tokens: int, output_tokens: int) -> None:
        """Charges one request that has no record: a canned one."""
        sums = self._closed[endpoint]
        sums.requests += 1
        sums.billed += 1
        sums.input_tokens += input_tokens
        sums.output_tokens += output_tokens

    def bill(self) -> dict[str, Any]:
        """What has been charged so far: `total_usd`, and per endpoint its counts and `usd`."""
        totals = {name: self._totals(name) for name in self._prices}
        charges = {name: self._charge_pusd(name, sums) for name, sums in totals.items()}
        by_endpoint = {name: {**msgspec.to_builtins(sums), **_money(charges[name])} for name, sums in totals.items()}
        whole = sum(charges.values())
        return {"total_usd": to_usd(whole), "total_pusd": whole, "by_endpoint": by_endpoint}

    def requests(self, last: int | None = None) -> list[dict[str, Any]]:
        """The latest requests, oldest first; None: all that the log holds."""
        records = list(self._log)
        return [self._shown(r) for r in (records if last is None else records[max(0, len(records) - last) :])]

    @property
    def open_requests(self) -> int:
        return len(self._open)

    def _totals(self, name: str) -> _Totals:
        sums = msgspec.structs.replace(self._closed[name])
        for record in self._open:
            if record.endpoint == name:
                sums.add(record)
        return sums

    def _charge_pusd(self, name: str, sums: _Totals) -> int:
        tokens = self._prices[name].charge_pusd(sums.input_tokens, sums.output_tokens, sums.cached_tokens)
        return tokens + self._prices[name].per_request_pusd * sums.billed

    def _shown(self, record: Record) -> dict[str, Any]:
        shown = msgspec.to_builtins(record)
        for name in ("first_byte_s", "last_byte_s", "cancelled_s", "ended_s"):
            at_s = shown.pop(name)
            shown[name.removesuffix("_s") + "_ms"] = None if at_s is None else round((at_s - record.arrived_s) * 1000, 3)
        del shown["arrived_s"]
        shown["usd"] = to_usd(self._record_pusd(record))
        return {**shown, "cancelled": record.cancelled_s is not None, "open": record.ended_s is None}

    def _record_pusd(self, record: Record) -> int:
        sums = _Totals()
        sums.add(record)
        return self._charge_pusd(record.endpoint, sums)


def _money(pusd: int) -> dict[str, Any]:
    return {"usd": to_usd(pusd), "pusd": pusd}
