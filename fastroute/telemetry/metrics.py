"""Prometheus metrics in a registry of our own: counted in `counts`, gauges read when somebody scrapes.

Theory of operation. Nothing is pushed into prometheus_client while requests run: a scrape turns what `Counts` has added up
into samples. What changes by itself (breakers, quantiles, in flight) is asked for then, as `gauges.Readings`. A rendering is
kept for a second, so that many scrapers cost one.
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest as plain_text
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from fastroute.core.money import to_usd
from fastroute.core.ports import Clock
from fastroute.telemetry import names
from fastroute.telemetry.counts import Counts, Totals, added
from fastroute.telemetry.gauges import Gauges, Readings
from fastroute.telemetry.names import Kind, Metric

RENDERING_LASTS_S = 1.0
PLAIN_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

COUNTERS = (
    names.REQUESTS,
    names.ATTEMPTS,
    names.TOKENS,
    names.COST,
    names.COST_ESTIMATED,
    names.OBJECTIVE,
    names.UNPRICED,
)
HISTOGRAMS = (names.TTFT, names.TOTAL, names.OVERHEAD)
IN_DOLLARS = frozenset((names.COST.name, names.COST_ESTIMATED.name))


class Metrics:
    """The registry, the counts behind it, and its renderings. `read` is called once per rendering, on the caller's thread."""

    def __init__(
        self, read: Callable[[], Readings], clock: Clock, version: str, routes: Iterable[str] = (), endpoints: Iterable[str] = ()
    ) -> None:
        self.registry = CollectorRegistry()
        self.counts = Counts(routes, endpoints)
        self._counted = Counted(self.counts)
        self.registry.register(self._counted)
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

    def snapshot(self) -> bytes:
        """What this process has counted since its start, for `merge` in another one."""
        return msgspec.msgpack.encode(self.counts.totals())

    def merge(self, snapshots: Iterable[bytes]) -> None:
        """From now on adds what other processes have counted; replaces what the last call said.

        A process that has ended must stay among them, or counters would go down. Raises `msgspec.DecodeError`, and ValueError
        where another version counted in other buckets.
        """
        others = added(msgspec.msgpack.decode(snapshot, type=Totals) for snapshot in snapshots)
        added((others, self.counts.totals()))
        self._counted.others = others


class Counted(Collector):
    """Counters and histograms, as samples: this process's and, where there are workers, the others'."""

    def __init__(self, counts: Counts) -> None:
        self._counts, self.others = counts, Totals()

    def describe(self) -> list[CounterMetricFamily]:
        """Nothing: the names are known to be free in a registry of our own."""
        return []

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        totals = added((self._counts.totals(), self.others))
        for metric in COUNTERS:
            yield _counter(metric, totals)
        for metric in HISTOGRAMS:
            yield _histogram(metric, totals)


def _counter(metric: Metric, totals: Totals) -> CounterMetricFamily:
    assert metric.kind is Kind.COUNTER
    family = CounterMetricFamily(metric.name, metric.text, labels=metric.labels)
    for name, labels, value in totals.counters:
        if name == metric.name:
            family.add_metric(labels, to_usd(value) if name in IN_DOLLARS else value)
    return family


def _histogram(metric: Metric, totals: Totals) -> HistogramMetricFamily:
    family = HistogramMetricFamily(metric.name, metric.text, labels=metric.labels)
    for name, labels, sum_s, buckets in totals.timings:
        if name == metric.name:
            family.add_metric(labels, _cumulative(metric.buckets, buckets), sum_s)
    return family


def _cumulative(bounds: tuple[float, ...], buckets: list[int]) -> list[tuple[str, int]]:
    """(upper bound, values up to it), as Prometheus wants them."""
    shown, so_far = [], 0
    for bound, count in zip((*bounds, float("inf")), buckets, strict=True):
        so_far += count
        shown.append((floatToGoString(bound), so_far))  # type: ignore[no-untyped-call]
    return shown
