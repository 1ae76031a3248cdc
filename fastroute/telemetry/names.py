"""Every metric fastroute exports: its name, kind, labels and meaning. The table in docs/operations.md lists the same.

Rules. Label values come from closed sets or from the configuration, never from a client: a route or an endpoint that
the configuration does not name is `other`; where there was none it is `none`. Base units are seconds, tokens and dollars.
What is not known has no sample: an endpoint that never answered has no TTFT, it does not have one of 0.
"""

import enum

import msgspec

from fastroute.core.failures import Failure

OTHER = "other"
NONE = "none"
OK = "ok"
OUTCOMES: tuple[str, ...] = (OK, *(f.value for f in Failure))
TOKEN_KINDS: tuple[str, ...] = ("input", "output", "cached_input", "cache_write", "reasoning")

_LATENCY_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 60.0, 120.0)
_OVERHEAD_S = (5e-05, 1e-04, 2e-04, 3e-04, 5e-04, 1e-03, 2e-03, 5e-03, 0.01, 0.025, 0.1, 0.5, 2.0)


class Kind(enum.StrEnum):
    """Prometheus metric types in use."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Metric(msgspec.Struct, frozen=True):
    """One exported metric. `name` is as scraped (histograms add their own suffixes); `buckets` in the metric's unit."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    text: str
    buckets: tuple[float, ...] = ()


REQUESTS = Metric(
    "fastroute_requests_total",
    Kind.COUNTER,
    ("route", "endpoint", "status_class"),
    "Requests ended, by the endpoint that answered (none: nobody did) and the class of the status the client got.",
)
ATTEMPTS = Metric(
    "fastroute_attempts_total",
    Kind.COUNTER,
    ("endpoint", "role", "outcome"),
    "Upstream sends, by why they were sent and how they ended (ok, or the failure's name).",
)
TTFT = Metric(
    "fastroute_ttft_seconds",
    Kind.HISTOGRAM,
    ("route",),
    "Accept to the client's first content, streams only.",
    _LATENCY_S,
)
TOTAL = Metric(
    "fastroute_total_seconds",
    Kind.HISTOGRAM,
    ("route",),
    "Accept to the end of the reply, successful or not.",
    _LATENCY_S,
)
OVERHEAD = Metric(
    "fastroute_overhead_seconds",
    Kind.HISTOGRAM,
    (),
    "What the router itself added to a request: everything but waiting for providers.",
    _OVERHEAD_S,
)
TOKENS = Metric(
    "fastroute_tokens_total",
    Kind.COUNTER,
    ("endpoint", "kind"),
    "Tokens used over all attempts: input (cached inside), output (reasoning inside), cached_input, cache_write, reasoning.",
)
COST = Metric("fastroute_cost_usd_total", Kind.COUNTER, ("endpoint",), "Dollars charged over all attempts, estimates included.")
COST_ESTIMATED = Metric(
    "fastroute_cost_estimated_usd_total",
    Kind.COUNTER,
    ("endpoint",),
    "The part of fastroute_cost_usd_total that rests on estimated usage.",
)
OBJECTIVE = Metric(
    "fastroute_objective_total",
    Kind.COUNTER,
    ("route", "met"),
    "Requests with an objective and a verdict on it: met is true or false.",
)
UNPRICED = Metric(
    "fastroute_unpriced_total", Kind.COUNTER, ("endpoint",), "Attempts whose cost is unknown because their model has no price."
)
IN_FLIGHT = Metric("fastroute_in_flight_requests", Kind.GAUGE, (), "Requests accepted and not ended.")
ENDPOINT_IN_FLIGHT = Metric("fastroute_endpoint_in_flight", Kind.GAUGE, ("endpoint",), "Attempts under way.")
ENDPOINT_TTFT = Metric(
    "fastroute_endpoint_ttft_seconds",
    Kind.GAUGE,
    ("endpoint", "quantile"),
    "Predicted TTFT for a 500-token prompt at quantile 0.5 and 0.99. No sample until the endpoint has answered once.",
)
ENDPOINT_SAMPLES = Metric(
    "fastroute_endpoint_effective_samples",
    Kind.GAUGE,
    ("endpoint",),
    "Decayed number of samples behind fastroute_endpoint_ttft_seconds; below about 230 a p99 is a guess.",
)
ENDPOINT_FAILURE = Metric(
    "fastroute_endpoint_failure_ratio",
    Kind.GAUGE,
    ("endpoint",),
    "Share of recent attempts that failed, rate limits apart. No sample until the endpoint has answered once.",
)
ENDPOINT_BREAKER = Metric(
    "fastroute_endpoint_breaker",
    Kind.GAUGE,
    ("endpoint", "state"),
    "1 for the breaker's present state (closed, open, half_open), 0 for the others.",
)
ENDPOINT_GATE = Metric(
    "fastroute_endpoint_gate_seconds", Kind.GAUGE, ("endpoint",), "Seconds until a rate-limited endpoint may be used again."
)
DROPPED = Metric(
    "fastroute_sink_dropped_total",
    Kind.COUNTER,
    ("sink",),
    "Records a sink could not keep because its queue was full.",
)
SINK_ERRORS = Metric("fastroute_sink_errors_total", Kind.COUNTER, ("sink",), "Exceptions raised by a sink.")
PRICE_AGE = Metric("fastroute_price_snapshot_age_days", Kind.GAUGE, (), "Age of the price snapshot.")
BUILD = Metric("fastroute_build_info", Kind.GAUGE, ("version",), "Always 1; the label says which version runs.")

ALL: tuple[Metric, ...] = (
    REQUESTS,
    ATTEMPTS,
    TTFT,
    TOTAL,
    OVERHEAD,
    TOKENS,
    COST,
    COST_ESTIMATED,
    OBJECTIVE,
    UNPRICED,
    IN_FLIGHT,
    ENDPOINT_IN_FLIGHT,
    ENDPOINT_TTFT,
    ENDPOINT_SAMPLES,
    ENDPOINT_FAILURE,
    ENDPOINT_BREAKER,
    ENDPOINT_GATE,
    DROPPED,
    SINK_ERRORS,
    PRICE_AGE,
    BUILD,
)
