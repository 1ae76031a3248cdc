"""What finished requests add up to: plain integers and bucket counts, by the labels of `names`.

Rules. A label value taken from a client would grow without bound: routes and endpoints the configuration does not name fold
into `other`. Counts only grow. Money is summed in whole pico-dollars, so a sum is exact whatever its order.

Theory of operation. Counting is the hot part: one look-up by what the request shows as it is (route, endpoint, status) finds
the series it belongs to, with everything that series needs within reach; another does so for each attempt. From there it is
additions. Only a key never met before works out labels. Keys are forgotten when there are too many; series never are.

Workers. `totals` is what this process has counted since its start, as plain data: another process adds it to its own by
`added`. Totals, not differences: reading them twice does no harm, and a lost message loses nothing.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

import msgspec

from fastroute.core.trail import Attempt, Trail
from fastroute.telemetry import names
from fastroute.telemetry.measures import Measured

KEYS_KEPT = 4096

Labels = tuple[str, ...]
_LATENCY_S, _OVERHEAD_S = names.TOTAL.buckets, names.OVERHEAD.buckets


class Totals(msgspec.Struct):
    """Counted so far: (metric, labels, value) and (metric, labels, sum in s, counts by bucket). Dollars are in pico-dollars."""

    counters: list[tuple[str, Labels, int]] = []
    timings: list[tuple[str, Labels, float, list[int]]] = []


class Timing:
    """A histogram: how many values fell in each bucket; the last one is for what exceeds all bounds."""

    __slots__ = ("buckets", "sum_s")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.buckets, self.sum_s = [0] * (len(bounds) + 1), 0.0


class _Route:
    __slots__ = ("met", "missed", "total", "ttft")

    def __init__(self) -> None:
        self.ttft, self.total = Timing(_LATENCY_S), Timing(_LATENCY_S)
        self.met = self.missed = 0


class _Request:
    __slots__ = ("count", "route")

    def __init__(self, route: _Route) -> None:
        self.route, self.count = route, 0


class _Endpoint:
    __slots__ = (
        "cache_write",
        "cached",
        "cost_pusd",
        "estimated",
        "estimated_pusd",
        "input",
        "output",
        "priced",
        "reasoning",
        "unpriced",
    )

    def __init__(self) -> None:
        self.priced = self.unpriced = self.cost_pusd = self.estimated = self.estimated_pusd = 0
        self.input = self.output = self.cached = self.cache_write = self.reasoning = 0

    def tokens(self) -> tuple[int, ...]:
        """In the order of `names.TOKEN_KINDS`."""
        return self.input, self.output, self.cached, self.cache_write, self.reasoning


class _Attempt:
    __slots__ = ("count", "endpoint")

    def __init__(self, endpoint: _Endpoint) -> None:
        self.endpoint, self.count = endpoint, 0


class Counts:
    """Counts finished requests. `routes` and `endpoints`: the names that may be labels."""

    def __init__(self, routes: Iterable[str], endpoints: Iterable[str]) -> None:
        self._routes: dict[str, _Route] = {}
        self._endpoints: dict[str, _Endpoint] = {}
        self._requests: dict[Labels, _Request] = {}
        self._attempts: dict[Labels, _Attempt] = {}
        self._overhead = Timing(_OVERHEAD_S)
        self.know(routes, endpoints)

    def know(self, routes: Iterable[str], endpoints: Iterable[str]) -> None:
        """Sets the names that may be labels, at the start and after a reload. What was counted stays."""
        self._known_routes, self._known_endpoints = frozenset(routes), frozenset(endpoints)
        self._request_of: dict[tuple[str | None, str | None, int | None], _Request] = {}
        self._attempt_of: dict[tuple[str, str, str], _Attempt] = {}

    def add(self, trail: Trail, measured: Measured) -> None:
        """Counts one finished request. `measured`: of the same Trail."""
        winner = trail.winner
        key = (trail.route, None if winner is None else winner.endpoint, trail.status)
        series = self._request_of.get(key) or self._request(key)
        series.count += 1
        route = series.route
        ttft_s, total_s, overhead_s, met, _ = measured
        if ttft_s is not None:
            timing = route.ttft
            timing.sum_s += ttft_s
            timing.buckets[bisect_left(_LATENCY_S, ttft_s)] += 1
        if total_s is not None and overhead_s is not None:
            timing = route.total
            timing.sum_s += total_s
            timing.buckets[bisect_left(_LATENCY_S, total_s)] += 1
            timing = self._overhead
            timing.sum_s += overhead_s
            timing.buckets[bisect_left(_OVERHEAD_S, overhead_s)] += 1
        if met is not None:
            route.met += met
            route.missed += not met
        for attempt in trail.attempts:
            self._add_attempt(attempt)

    def _add_attempt(self, attempt: Attempt) -> None:
        # `_value_`: the same as `value`, without a property call; and an enum member's own hash is slow.
        outcome, usage = attempt.outcome, None
        ended = names.NONE
        if outcome is not None:
            usage, fault = outcome.usage, outcome.fault
            ended = names.OK if fault is None else fault.failure._value_
        key = (attempt.endpoint, attempt.role._value_, ended)
        series = self._attempt_of.get(key) or self._attempt(key)
        series.count += 1
        endpoint, cost_pusd = series.endpoint, attempt.cost_pusd
        if cost_pusd is None:
            endpoint.unpriced += 1
        else:
            endpoint.priced += 1
            endpoint.cost_pusd += cost_pusd
            if attempt.cost_estimated:
                endpoint.estimated += 1
                endpoint.estimated_pusd += cost_pusd
        if usage is not None:
            endpoint.input += usage.input_tokens or 0
            endpoint.output += usage.output_tokens or 0
            if usage.cached_input_tokens or usage.cache_write_tokens or usage.reasoning_tokens:
                endpoint.cached += usage.cached_input_tokens or 0
                endpoint.cache_write += usage.cache_write_tokens or 0
                endpoint.reasoning += usage.reasoning_tokens or 0

    def _request(self, key: tuple[str | None, str | None, int | None]) -> _Request:
        """The series of a key met for the first time."""
        route, endpoint, status = key
        labels = (
            _label(route, self._known_routes),
            _label(endpoint, self._known_endpoints),
            names.NONE if status is None else f"{status // 100}xx",
        )
        series = self._requests.get(labels)
        if series is None:
            series = self._requests[labels] = _Request(self._routes.setdefault(labels[0], _Route()))
        if len(self._request_of) >= KEYS_KEPT:
            self._request_of.clear()
        self._request_of[key] = series
        return series

    def _attempt(self, key: tuple[str, str, str]) -> _Attempt:
        endpoint, role, ended = key
        labels = (_label(endpoint, self._known_endpoints), role, ended)
        series = self._attempts.get(labels)
        if series is None:
            series = self._attempts[labels] = _Attempt(self._endpoints.setdefault(labels[0], _Endpoint()))
        if len(self._attempt_of) >= KEYS_KEPT:
            self._attempt_of.clear()
        self._attempt_of[key] = series
        return series

    def totals(self) -> Totals:
        """All that has been counted. What never happened has no entry, save the histogram without labels."""
        counters = [(names.REQUESTS.name, labels, series.count) for labels, series in self._requests.items()]
        counters += [(names.ATTEMPTS.name, labels, series.count) for labels, series in self._attempts.items()]
        timings: list[tuple[str, Labels, float, list[int]]] = [
            (names.OVERHEAD.name, (), self._overhead.sum_s, list(self._overhead.buckets))
        ]
        for route, of_route in self._routes.items():
            counters += _verdicts(route, of_route)
            for metric, timing in ((names.TTFT, of_route.ttft), (names.TOTAL, of_route.total)):
                if any(timing.buckets):
                    timings.append((metric.name, (route,), timing.sum_s, list(timing.buckets)))
        for endpoint, of_endpoint in self._endpoints.items():
            counters += _spent(endpoint, of_endpoint)
        return Totals(counters, timings)


def added(several: Iterable[Totals]) -> Totals:
    """The sum of what several processes have counted. Raises ValueError where their buckets differ."""
    counters: dict[tuple[str, Labels], int] = {}
    timings: dict[tuple[str, Labels], tuple[float, list[int]]] = {}
    for totals in several:
        for name, labels, value in totals.counters:
            counters[name, labels] = counters.get((name, labels), 0) + value
        for name, labels, sum_s, buckets in totals.timings:
            before_s, before = timings.get((name, labels), (0.0, [0] * len(buckets)))
            timings[name, labels] = (before_s + sum_s, [a + b for a, b in zip(before, buckets, strict=True)])
    return Totals([(*key, value) for key, value in counters.items()], [(*key, *value) for key, value in timings.items()])


def _verdicts(route: str, series: _Route) -> Iterator[tuple[str, Labels, int]]:
    for met, count in (("true", series.met), ("false", series.missed)):
        if count:
            yield names.OBJECTIVE.name, (route, met), count


def _spent(endpoint: str, series: _Endpoint) -> Iterator[tuple[str, Labels, int]]:
    for kind, tokens in zip(names.TOKEN_KINDS, series.tokens(), strict=True):
        if tokens:
            yield names.TOKENS.name, (endpoint, kind), tokens
    if series.unpriced:
        yield names.UNPRICED.name, (endpoint,), series.unpriced
    if series.priced:
        yield names.COST.name, (endpoint,), series.cost_pusd
    if series.estimated:
        yield names.COST_ESTIMATED.name, (endpoint,), series.estimated_pusd


def _label(name: str | None, known: frozenset[str]) -> str:
    if name is None:
        return names.NONE
    return name if name in known else names.OTHER
