"""Metrics that are read, not counted: what the router knows at the moment of a scrape.

What can go wrong. A gauge for something unknown would read as a real 0: it is left out instead.
"""

from collections.abc import Callable, Iterator

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from fastroute.core.types import BreakerState, EndpointView
from fastroute.telemetry import names
from fastroute.telemetry.names import Kind, Metric

REFERENCE_INPUT_TOKENS = 500  # the prompt size that endpoint quantiles are shown for

Family = GaugeMetricFamily | CounterMetricFamily
Samples = list[tuple[tuple[str, ...], float]]


class Readings(msgspec.Struct, frozen=True):
    """What is read at scrape time. Mappings are totals since the start, by sink name."""

    views: tuple[EndpointView, ...] = ()
    in_flight: int | None = None
    dropped: dict[str, int] = {}
    sink_errors: dict[str, int] = {}
    price_age_days: int | None = None


class Gauges(Collector):
    """What is read, not counted: one `Readings` per scrape."""

    def __init__(self, read: Callable[[], Readings], version: str) -> None:
        self._read, self._version = read, version

    def describe(self) -> list[Family]:
        """Nothing: registering must not read anything yet."""
        return []

    def collect(self) -> Iterator[Family]:
        readings = self._read()
        yield _family(names.BUILD, [((self._version,), 1)])
        yield _family(names.IN_FLIGHT, _known((), readings.in_flight))
        yield _family(names.PRICE_AGE, _known((), readings.price_age_days))
        for metric, totals in ((names.DROPPED, readings.dropped), (names.SINK_ERRORS, readings.sink_errors)):
            yield _family(metric, [((label,), n) for label, n in totals.items()])
        yield from _endpoint_families(readings.views)


def _endpoint_families(views: tuple[EndpointView, ...]) -> Iterator[Family]:
    seen = [v for v in views if v.samples]
    yield _family(names.ENDPOINT_IN_FLIGHT, [((v.endpoint.name,), v.in_flight) for v in views])
    yield _family(names.ENDPOINT_GATE, [((v.endpoint.name,), v.gate_left_s) for v in views])
    yield _family(names.ENDPOINT_SAMPLES, [((v.endpoint.name,), v.effective_n) for v in views])
    yield _family(names.ENDPOINT_FAILURE, [((v.endpoint.name,), v.p_fail) for v in seen])
    yield _family(
        names.ENDPOINT_TTFT,
        [((v.endpoint.name, str(q)), v.ttft_quantile_s(q, REFERENCE_INPUT_TOKENS)) for v in seen for q in (0.5, 0.99)],
    )
    yield _family(
        names.ENDPOINT_BREAKER,
        [((v.endpoint.name, state.value), float(v.breaker is state)) for v in views for state in BreakerState],
    )


def _family(metric: Metric, samples: Samples) -> Family:
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = kind(metric.name, metric.text, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _known(labels: tuple[str, ...], value: float | None) -> Samples:
    return [] if value is None else [(labels, value)]
