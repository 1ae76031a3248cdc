"""Prometheus metrics in a registry of our own: counted from each Trail, gauges read when somebody scrapes.

Theory of operation. `MetricsSink` keeps a bound child for every label combination it has met, so that counting a request
costs a dict look-up and an increment each. What changes by itself (breakers, quantiles, in flight) is not pushed: a scrape
asks for `gauges.Readings`. A rendering is kept for a second, so that many scrapers cost one.

What can go wrong. A label value taken from a client would grow without bound: routes and endpoints the configuration does
not name fold into `other`.
"""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest as plain_text
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics

from fastroute.core.money import to_usd
from fastroute.core.ports import Clock
from fastroute.core.trail import Attempt, Trail
from fastroute.core.types import Usage
from fastroute.telemetry import names
from fastroute.telemetry.gauges import Gauges, Readings
from fastroute.telemetry.names import Metric

RENDERING_LASTS_S = 1.0
PLAIN_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class MetricsSink:
    """Counts finished requests. A `core.ports.Sink`."""

    def __init__(self, registry: CollectorRegistry, routes: Iterable[str], endpoints: Iterable[str]) -> None:
        self._requests, self._attempts = _Counts(names.REQUESTS, registry), _Counts(names.ATTEMPTS, registry)
        self._ttft, self._total = _Timings(names.TTFT, registry), _Timings(names.TOTAL, registry)
        self._overhead = _Timings(names.OVERHEAD, registry)
        self._tokens, self._unpriced = _Counts(names.TOKENS, registry), _Counts(names.UNPRICED, registry)
        self._cost, self._estimated = _Counts(names.COST, registry), _Counts(names.COST_ESTIMATED, registry)
        self._objective = _Counts(names.OBJECTIVE, registry)
        self.know(routes, endpoints)

    def know(self, routes: Iterable[str], endpoints: Iterable[str]) -> None:
        """Sets the names that may be labels, at the start and after a reload. What was counted stays."""
        self._routes, self._endpoints = frozenset(routes), frozenset(endpoints)

    def emit(self, trail: Trail) -> None:
        route = _label(trail.route, self._routes)
        endpoint = _label(trail.winner.endpoint if trail.winner else None, self._endpoints)
        status_class = names.NONE if trail.status is None else f"{trail.status // 100}xx"
        self._requests(route, endpoint, status_class).inc()
        if trail.ttft_s is not None:
            self._ttft(route).observe(trail.ttft_s)
        if trail.ended_s is not None:
            self._total(route).observe(trail.ended_s - trail.request.accepted_s)
            self._overhead().observe(trail.overhead_s(trail.ended_s))
        if (met := trail.objective_met) is not None:
            self._objective(route, "true" if met else "false").inc()
        for attempt in trail.attempts:
            self._count(attempt)

    def _count(self, attempt: Attempt) -> None:
        endpoint = _label(attempt.endpoint, self._endpoints)
        self._attempts(endpoint, attempt.role.value, _outcome(attempt)).inc()
        if attempt.cost_pusd is None:
            self._unpriced(endpoint).inc()
        else:
            self._cost(endpoint).inc(to_usd(attempt.cost_pusd))
            if attempt.cost_estimated:
                self._estimated(endpoint).inc(to_usd(attempt.cost_pusd))
        usage = attempt.outcome.usage if attempt.outcome else None
        if usage is not None:
            for kind, tokens in zip(names.TOKEN_KINDS, _tokens(usage), strict=True):
                if tokens:
                    self._tokens(endpoint, kind).inc(tokens)


class Metrics:
    """The registry, the sink that feeds it, and its renderings. `read` is called once per rendering, on the caller's thread."""

    def __init__(
        self, read: Callable[[], Readings], clock: Clock, version: str, routes: Iterable[str] = (), endpoints: Iterable[str] = ()
    ) -> None:
        self.registry = CollectorRegistry()
        self.sink = MetricsSink(self.registry, routes, endpoints)
        self.registry.register(Gauges(read, version))
        self._clock = clock
        self._rendered: dict[str, tuple[float, bytes]] = {}

    def render(self, accept: str | None = None) -> tuple[bytes, str]:
        """The exposition and its content type: OpenMetrics where the `Accept` header names it, else the plain text format."""
        wants_open = accept is not None and "application/openmetrics-text" in accept.lower()
        content_type = OPEN_METRICS_TYPE if wants_open else PLAIN_TYPE
        now_s = self._clock.now_s()
        at_s, body = self._rendered.get(content_type, (None, b""))
        if at_s is None or now_s - at_s >= RENDERING_LASTS_S:
            body = open_metrics(self.registry) if wants_open else plain_text(self.registry)  # type: ignore[no-untyped-call]
            self._rendered[content_type] = (now_s, body)
        return body, content_type


class _Counts:
    """A counter's children by label values, each made once."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self._metric = Counter(metric.name, metric.text, metric.labels, registry=registry)
        self._children: dict[tuple[str, ...], Counter] = {}

    def __call__(self, *labels: str) -> Counter:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._metric.labels(*labels)
        return child


class _Timings:
    """A histogram's children, likewise; without labels it is its own child."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self._metric = Histogram(metric.name, metric.text, metric.labels, registry=registry, buckets=metric.buckets)
        self._children: dict[tuple[str, ...], Histogram] = {} if metric.labels else {(): self._metric}

    def __call__(self, *labels: str) -> Histogram:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._metric.labels(*labels)
        return child


def _label(name: str | None, known: frozenset[str]) -> str:
    if name is None:
        return names.NONE
    return name if name in known else names.OTHER


def _outcome(attempt: Attempt) -> str:
    if attempt.outcome is None:
        return names.NONE
    return attempt.failure.value if attempt.failure else names.OK


def _tokens(usage: Usage) -> tuple[int | None, ...]:
    """In the order of `names.TOKEN_KINDS`."""
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )
