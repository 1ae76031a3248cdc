"""`telemetry.metrics`: what a Trail counts as, what may be a label, and what a scrape gets."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import generate_latest as plain_text
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from fastroute.core.failures import Failure, Fault
from fastroute.core.trail import Trail
from fastroute.core.types import BreakerState, Endpoint, EndpointView, Objective, Outcome, Profile, Role, TailTable, Usage
from fastroute.telemetry import names
from fastroute.telemetry.counts import Totals
from fastroute.telemetry.gauges import Readings
from fastroute.telemetry.measures import measure
from fastroute.telemetry.metrics import OPEN_METRICS_TYPE, PLAIN_TYPE, Metrics

MakeTrail = Callable[..., Trail]


class Scraped:
    """Metrics over readings that a test may change."""

    def __init__(self, clock: Any) -> None:
        self.readings = Readings()
        self.reads = 0
        self.metrics = Metrics(self._read, clock, version="1.2.3", routes=["auto"], endpoints=["flash", "sonnet"])

    def _read(self) -> Readings:
        self.reads += 1
        return self.readings

    def value(self, name: str, **labels: str) -> float | None:
        """One sample, None where there is none."""
        return self.metrics.registry.get_sample_value(name, labels)

    def emit(self, *trails: Trail) -> None:
        for trail in trails:
            self.metrics.counts.add(trail, measure(trail))


@pytest.fixture
def scraped(clock: Any) -> Scraped:
    return Scraped(clock)


def view(name: str, **members: Any) -> EndpointView:
    endpoint = Endpoint(name, "acme", Profile("acme", "openai", "/chat"), "http://127.0.0.1:1", "m")
    table = TailTable(bounds=(0.5, 1.0, 2.0, 4.0), survival=(0.9, 0.5, 0.1, 0.005))
    known: dict[str, Any] = {"ttft_base_s": 0.2, "ttft_per_token_s": 0.0004, "tpot_s": 0.01, "output_tokens": 200.0}
    return EndpointView(endpoint, table, **(known | {"p_fail": 0.02, "samples": 7, "effective_n": 5.5} | members))


def test_a_good_request(scraped: Scraped, make_trail: MakeTrail) -> None:
    scraped.emit(make_trail())
    assert scraped.value("fastroute_requests_total", route="auto", endpoint="flash", status_class="2xx") == 1
    assert scraped.value("fastroute_attempts_total", endpoint="flash", role="primary", outcome="ok") == 1
    assert scraped.value("fastroute_ttft_seconds_sum", route="auto") == pytest.approx(0.4)
    assert scraped.value("fastroute_total_seconds_sum", route="auto") == pytest.approx(1.0)
    assert scraped.value("fastroute_overhead_seconds_sum") == pytest.approx(0.001)
    assert scraped.value("fastroute_tokens_total", endpoint="flash", kind="input") == 100
    assert scraped.value("fastroute_tokens_total", endpoint="flash", kind="output") == 20
    assert scraped.value("fastroute_cost_usd_total", endpoint="flash") == pytest.approx(0.005)


def test_counts_add_up(scraped: Scraped, make_trail: MakeTrail) -> None:
    scraped.emit(*(make_trail(f"r{i}") for i in range(5)))
    assert scraped.value("fastroute_requests_total", route="auto", endpoint="flash", status_class="2xx") == 5
    assert scraped.value("fastroute_total_seconds_count", route="auto") == 5
    assert scraped.value("fastroute_cost_usd_total", endpoint="flash") == pytest.approx(0.025)


def test_every_attempt_counts_under_its_own_name(
    scraped: Scraped, make_trail: MakeTrail, make_attempt: Callable[..., Any]
) -> None:
    limited = make_attempt("flash", outcome=Outcome(Fault(Failure.RATE_LIMITED, "slow down"), status=429), cost_pusd=0)
    scraped.emit(make_trail(attempts=[limited, make_attempt("sonnet", Role.FAILOVER)]))
    assert scraped.value("fastroute_attempts_total", endpoint="flash", role="primary", outcome="rate_limited") == 1
    assert scraped.value("fastroute_attempts_total", endpoint="sonnet", role="failover", outcome="ok") == 1
    assert scraped.value("fastroute_requests_total", route="auto", endpoint="sonnet", status_class="2xx") == 1


def test_a_refused_request_has_no_endpoint_and_no_ttft(scraped: Scraped, make_trail: MakeTrail) -> None:
    fault = Fault(Failure.NO_CAPACITY, "no endpoint may serve")
    scraped.emit(make_trail(attempts=[], status=503, fault=fault, first_content_s=None))
    assert scraped.value("fastroute_requests_total", route="auto", endpoint="none", status_class="5xx") == 1
    assert scraped.value("fastroute_ttft_seconds_count", route="auto") is None
    assert scraped.value("fastroute_total_seconds_count", route="auto") == 1


def test_an_unknown_route_never_becomes_a_label(
    scraped: Scraped, make_trail: MakeTrail, make_attempt: Callable[..., Any]
) -> None:
    for i in range(200):
        scraped.emit(make_trail(route=f"from-a-client-{i}", attempts=[make_attempt(f"acme/{i}")]))
    body, _ = scraped.metrics.render()
    assert b"from-a-client" not in body
    assert b"acme/" not in body
    assert scraped.value("fastroute_requests_total", route="other", endpoint="other", status_class="2xx") == 200


def test_no_route_is_none(scraped: Scraped, make_trail: MakeTrail) -> None:
    scraped.emit(make_trail(route=None, attempts=[], status=404, first_content_s=None))
    assert scraped.value("fastroute_requests_total", route="none", endpoint="none", status_class="4xx") == 1


def test_a_reload_names_new_routes_and_keeps_counts(scraped: Scraped, make_trail: MakeTrail) -> None:
    scraped.emit(make_trail(), make_trail(route="batch"))
    scraped.metrics.counts.know(["batch"], ["flash"])
    scraped.emit(make_trail(), make_trail(route="batch"))
    counted = {
        route: scraped.value("fastroute_requests_total", route=route, endpoint="flash", status_class="2xx")
        for route in ("auto", "batch", "other")
    }
    assert counted == {"auto": 1, "batch": 1, "other": 2}


@pytest.mark.parametrize(("limit_s", "met"), [(0.5, "true"), (0.3, "false")])
def test_objectives_count_as_met_or_missed(scraped: Scraped, make_trail: MakeTrail, limit_s: float, met: str) -> None:
    scraped.emit(make_trail(objective=Objective(ttft_s=limit_s)))
    assert scraped.value("fastroute_objective_total", route="auto", met=met) == 1


def test_no_objective_no_verdict(scraped: Scraped, make_trail: MakeTrail) -> None:
    scraped.emit(make_trail(objective=Objective()), make_trail(objective=None))
    body, _ = scraped.metrics.render()
    assert b"fastroute_objective_total{" not in body


def test_unpriced_is_counted_and_is_not_zero_dollars(
    scraped: Scraped, make_trail: MakeTrail, make_attempt: Callable[..., Any]
) -> None:
    scraped.emit(make_trail(attempts=[make_attempt(cost_pusd=None)]))
    assert scraped.value("fastroute_unpriced_total", endpoint="flash") == 1
    assert scraped.value("fastroute_cost_usd_total", endpoint="flash") is None


def test_free_is_priced(scraped: Scraped, make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    scraped.emit(make_trail(attempts=[make_attempt(cost_pusd=0)]))
    assert scraped.value("fastroute_unpriced_total", endpoint="flash") is None
    assert scraped.value("fastroute_cost_usd_total", endpoint="flash") == 0


def test_estimated_cost_is_shown_apart(scraped: Scraped, make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    scraped.emit(make_trail(attempts=[make_attempt(cost_estimated=True)]), make_trail("r2"))
    assert scraped.value("fastroute_cost_usd_total", endpoint="flash") == pytest.approx(0.01)
    assert scraped.value("fastroute_cost_estimated_usd_total", endpoint="flash") == pytest.approx(0.005)


def test_tokens_that_were_not_reported_have_no_series(
    scraped: Scraped, make_trail: MakeTrail, make_attempt: Callable[..., Any]
) -> None:
    usage = Usage(input_tokens=10, output_tokens=None, cached_input_tokens=4, cache_write_tokens=3, reasoning_tokens=2)
    scraped.emit(make_trail(attempts=[make_attempt(outcome=Outcome(usage=usage))]))
    counted = {kind: scraped.value("fastroute_tokens_total", endpoint="flash", kind=kind) for kind in names.TOKEN_KINDS}
    assert counted == {"input": 10, "output": None, "cached_input": 4, "cache_write": 3, "reasoning": 2}


def test_an_attempt_without_an_outcome_is_none(scraped: Scraped, make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    attempt = make_attempt()
    attempt.outcome = None
    scraped.emit(make_trail(attempts=[attempt], winner=None))
    assert scraped.value("fastroute_attempts_total", endpoint="flash", role="primary", outcome="none") == 1


def test_endpoint_gauges(scraped: Scraped) -> None:
    scraped.readings = Readings(views=(view("flash", in_flight=3, breaker=BreakerState.HALF_OPEN, gate_left_s=1.5),))
    assert scraped.value("fastroute_endpoint_in_flight", endpoint="flash") == 3
    assert scraped.value("fastroute_endpoint_gate_seconds", endpoint="flash") == 1.5
    assert scraped.value("fastroute_endpoint_effective_samples", endpoint="flash") == 5.5
    assert scraped.value("fastroute_endpoint_failure_ratio", endpoint="flash") == 0.02
    states = {s: scraped.value("fastroute_endpoint_breaker", endpoint="flash", state=s) for s in ("closed", "open", "half_open")}
    assert states == {"closed": 0, "open": 0, "half_open": 1}


def test_endpoint_quantiles_are_those_of_the_view_at_the_reference_size(scraped: Scraped) -> None:
    scraped.readings = Readings(views=(view("flash"),))
    assert scraped.value("fastroute_endpoint_ttft_seconds", endpoint="flash", quantile="0.5") == pytest.approx(0.4)
    assert scraped.value("fastroute_endpoint_ttft_seconds", endpoint="flash", quantile="0.99") == pytest.approx(1.6)


def test_an_endpoint_never_seen_has_no_quantile(scraped: Scraped) -> None:
    scraped.readings = Readings(views=(view("flash", samples=0, effective_n=0.0),))
    assert scraped.value("fastroute_endpoint_ttft_seconds", endpoint="flash", quantile="0.99") is None
    assert scraped.value("fastroute_endpoint_failure_ratio", endpoint="flash") is None
    assert scraped.value("fastroute_endpoint_effective_samples", endpoint="flash") == 0


def test_process_gauges(scraped: Scraped) -> None:
    scraped.readings = Readings(in_flight=4, price_age_days=12, dropped={"log": 2}, sink_errors={"log": 1})
    assert scraped.value("fastroute_in_flight_requests") == 4
    assert scraped.value("fastroute_price_snapshot_age_days") == 12
    assert scraped.value("fastroute_sink_dropped_total", sink="log") == 2
    assert scraped.value("fastroute_sink_errors_total", sink="log") == 1
    assert scraped.value("fastroute_build_info", version="1.2.3") == 1


def test_unknown_process_gauges_are_absent(scraped: Scraped) -> None:
    assert scraped.value("fastroute_in_flight_requests") is None
    assert scraped.value("fastroute_price_snapshot_age_days") is None


def test_nothing_is_read_before_the_first_scrape_and_once_per_second(scraped: Scraped, clock: Any, make_trail: MakeTrail) -> None:
    assert scraped.reads == 0
    first, _ = scraped.metrics.render()
    scraped.emit(make_trail())
    assert scraped.metrics.render()[0] is first
    assert scraped.reads == 1
    clock.advance(1.0)
    later, _ = scraped.metrics.render()
    assert scraped.reads == 2
    assert b'fastroute_requests_total{endpoint="flash"' in later
    assert b'fastroute_requests_total{endpoint="flash"' not in first


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, PLAIN_TYPE),
        ("", PLAIN_TYPE),
        ("*/*", PLAIN_TYPE),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", PLAIN_TYPE),
        ("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5", OPEN_METRICS_TYPE),
        ("Application/OpenMetrics-Text; version=banana", OPEN_METRICS_TYPE),
    ],
)
def test_the_accept_header_chooses_the_format(scraped: Scraped, accept: str | None, content_type: str) -> None:
    body, got = scraped.metrics.render(accept)
    assert got == content_type
    assert body.endswith(b"# EOF\n") == (content_type == OPEN_METRICS_TYPE)


def everything(scraped: Scraped, make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    """Makes every metric have a sample."""
    scraped.readings = Readings((view("flash"),), 1, {"log": 1}, {"log": 1}, 1)
    unpriced = make_attempt(cost_pusd=None)
    scraped.emit(make_trail(objective=Objective(ttft_s=1.0), attempts=[unpriced, make_attempt(cost_estimated=True)]))


def test_both_formats_parse_and_hold_every_declared_metric(
    scraped: Scraped, make_trail: MakeTrail, make_attempt: Callable[..., Any]
) -> None:
    everything(scraped, make_trail, make_attempt)
    declared = {m.name.removesuffix("_total"): m for m in names.ALL}
    plain = {f.name: f for f in parse_plain(scraped.metrics.render()[0].decode())}
    open_ = {f.name: f for f in parse_open(scraped.metrics.render("application/openmetrics-text")[0].decode())}
    assert set(declared) == set(open_)
    assert set(declared) <= set(plain)
    for name, metric in declared.items():
        family = open_[name]
        assert family.type == metric.kind.value, name
        assert family.documentation == metric.text, name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), name


def test_metric_names_follow_the_conventions() -> None:
    assert len({m.name for m in names.ALL}) == len(names.ALL)
    for metric in names.ALL:
        assert metric.name.startswith("fastroute_"), metric
        assert metric.name.endswith("_total") == (metric.kind is names.Kind.COUNTER), metric
        assert bool(metric.buckets) == (metric.kind is names.Kind.HISTOGRAM), metric
        assert list(metric.buckets) == sorted(set(metric.buckets)), metric
        assert metric.text.endswith("."), metric
        assert not {"model", "id", "user", "tag"} & set(metric.labels), metric


def test_outcomes_cover_every_failure() -> None:
    assert set(names.OUTCOMES) == {"ok", *(f.value for f in Failure)}


@pytest.mark.parametrize("value_s", [0.05, 0.0500001, 0.3, 119.9, 120.0, 500.0])
def test_a_value_counts_in_every_bucket_it_does_not_exceed(scraped: Scraped, make_trail: MakeTrail, value_s: float) -> None:
    trail = make_trail(ended_s=100.0 + value_s)
    total_s = trail.ended_s - trail.request.accepted_s
    scraped.emit(trail)
    for bound in names.TOTAL.buckets:
        counted = scraped.value("fastroute_total_seconds_bucket", route="auto", le=str(bound))
        assert counted == (total_s <= bound), bound
    assert scraped.value("fastroute_total_seconds_bucket", route="auto", le="+Inf") == 1


def test_samples_are_what_prometheus_client_would_have_counted(scraped: Scraped, make_trail: MakeTrail) -> None:
    registry = CollectorRegistry()
    theirs = Histogram("fastroute_ttft_seconds", names.TTFT.text, ["route"], registry=registry, buckets=names.TTFT.buckets)
    for i in range(300):
        trail = make_trail(first_content_s=100.0 + 1.03**i / 20)
        scraped.emit(trail)
        theirs.labels("auto").observe(trail.ttft_s)
    text = scraped.metrics.render()[0].decode()
    ours = next(f for f in parse_plain(text) if f.name == "fastroute_ttft_seconds")
    expected = next(f for f in parse_plain(plain_text(registry).decode()) if f.name == "fastroute_ttft_seconds")
    assert [(s.name, s.labels, s.value) for s in ours.samples] == [
        (s.name, s.labels, pytest.approx(s.value)) for s in expected.samples if not s.name.endswith("_created")
    ]


# --- several processes ---


def test_other_processes_counts_are_added(scraped: Scraped, clock: Any, make_trail: MakeTrail) -> None:
    other = Scraped(clock)
    scraped.emit(make_trail(), make_trail("r2"))
    other.emit(make_trail("r3"), make_trail("r4", route="elsewhere"))
    scraped.metrics.merge([other.metrics.snapshot()])
    assert scraped.value("fastroute_requests_total", route="auto", endpoint="flash", status_class="2xx") == 3
    assert scraped.value("fastroute_requests_total", route="other", endpoint="flash", status_class="2xx") == 1
    assert scraped.value("fastroute_total_seconds_count", route="auto") == 3
    assert scraped.value("fastroute_total_seconds_bucket", route="auto", le="1.0") == 3
    assert scraped.value("fastroute_overhead_seconds_count") == 4
    assert scraped.value("fastroute_overhead_seconds_sum") == pytest.approx(0.004)
    assert scraped.value("fastroute_cost_usd_total", endpoint="flash") == pytest.approx(0.02)


def test_merging_again_replaces_and_does_not_count_twice(scraped: Scraped, clock: Any, make_trail: MakeTrail) -> None:
    other = Scraped(clock)
    for _ in range(3):
        other.emit(make_trail())
        scraped.metrics.merge([other.metrics.snapshot(), other.metrics.snapshot()])
    assert scraped.value("fastroute_requests_total", route="auto", endpoint="flash", status_class="2xx") == 6
    scraped.metrics.merge([])
    assert scraped.value("fastroute_requests_total", route="auto", endpoint="flash", status_class="2xx") is None


def test_a_snapshot_is_of_this_process_only(scraped: Scraped, clock: Any, make_trail: MakeTrail) -> None:
    other = Scraped(clock)
    other.emit(make_trail())
    before = scraped.metrics.snapshot()
    scraped.metrics.merge([other.metrics.snapshot()])
    assert scraped.metrics.snapshot() == before


def test_a_broken_snapshot_is_refused_and_changes_nothing(scraped: Scraped, clock: Any, make_trail: MakeTrail) -> None:
    other = Scraped(clock)
    other.emit(make_trail())
    good = other.metrics.snapshot()
    scraped.metrics.merge([good])
    narrower = msgspec.msgpack.encode(Totals(timings=[("fastroute_overhead_seconds", (), 1.0, [1, 2])]))
    for bad, error in ((good[:-3], msgspec.DecodeError), (b"", msgspec.DecodeError), (narrower, ValueError)):
        with pytest.raises(error):
            scraped.metrics.merge([good, bad])
    assert scraped.value("fastroute_requests_total", route="auto", endpoint="flash", status_class="2xx") == 1
