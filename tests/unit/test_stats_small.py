"""Priors, the record of one endpoint, and the seams between lengths, export and the rest."""

import itertools
import math

import pytest
from policy_cases import endpoint

from fastroute.stats import priors
from fastroute.stats.export import HIGHEST_MS, LatencyHistogram
from fastroute.stats.lengths import Lengths, Pool
from fastroute.stats.record import SCALARS_KEEP_S, EndpointRecord, Flight
from fastroute.stats.window import BOUNDS, UNTRIED

A = endpoint("a")


def record(**kwargs) -> EndpointRecord:
    return EndpointRecord(endpoint("a", **kwargs), Pool())


def flight(r: EndpointRecord, at_s: float = 0.0, stream: bool = True) -> Flight:
    return Flight(r, at_s, 500, None, stream)


def streamed(r: EndpointRecord, at_s: float = 0.0, ttft_s: float = 0.5, tokens: int | None = 101, tpot_s: float = 0.01) -> None:
    f = flight(r, at_s)
    f.first_content_s = at_s + ttft_s
    r.saw_first_content(f, at_s + ttft_s)
    r.saw_stream_end(f, tokens, at_s + ttft_s + ((tokens or 1) - 1) * tpot_s)


@pytest.mark.parametrize(("z", "p"), [(0.0, 0.5), (1.2815515655, 0.1), (1.959963985, 0.025), (-1.2815515655, 0.9), (40.0, 0.0)])
def test_normal_survival_is_that_of_the_tables(z, p):
    assert priors.normal_survival(z) == pytest.approx(p, abs=1e-9)


@pytest.mark.parametrize("sigma", [0.1, 0.35, 0.7])
def test_a_shape_is_a_survival_table_around_one(sigma):
    shape = priors.shape(BOUNDS, sigma)
    assert all(a >= b for a, b in itertools.pairwise(shape))
    assert 0.0 < shape[-1] <= shape[0] <= 1.0
    assert priors.shape([1.0], sigma)[0] == pytest.approx(0.5, abs=0.01)


def test_a_shape_keeps_a_straggler_tail():
    """Far out only stragglers are left: half a percent, falling as 1 / ratio."""
    ten, twenty = priors.shape([10.0, 20.0], priors.SHAPE_SIGMA)
    assert ten == pytest.approx(priors.STRAGGLER_RATIO / 10.0, rel=1e-3)
    assert twenty == pytest.approx(ten / 2.0, rel=1e-3)


def test_widths_narrow_with_every_sample_to_the_shape_itself():
    widths = priors.widths()
    assert len(widths) == priors.KNOWN + 1
    assert widths[0] == pytest.approx(math.hypot(priors.SHAPE_SIGMA, priors.SCALE_SIGMA))
    assert all(a > b for a, b in itertools.pairwise(widths))
    assert widths[-1] == priors.SHAPE_SIGMA


def test_an_untried_endpoint_is_uncertain_both_ways():
    """Pitfall 11: it may be much slower than its prior, and much faster, but not instant."""
    assert UNTRIED.p_over(2.0) > 0.1
    assert UNTRIED.p_over(0.5) < 0.9
    assert UNTRIED.p_over(0.1) > 0.99


def test_a_new_record_is_its_priors():
    r = record(prior_ttft_s=1.5, prior_tpot_s=0.03)
    known = r.scalars(0.0)
    assert (known.base_s, known.per_token_s, known.tpot_s) == (pytest.approx(1.5), 0.0, pytest.approx(0.03))
    assert known.output_tokens == pytest.approx(sum(t * w for t, w in known.output_points))
    assert (known.effective_n, known.rate_per_s, known.long_ratio) == (0.0, 0.0, pytest.approx(1.0))
    assert (r.in_flight, r.sampled_s, r.tail) == (0, None, UNTRIED)


def test_a_flight_knows_its_endpoint_and_starts_open():
    f = flight(record(), 3.0)
    assert f.endpoint == "a"
    assert (f.started_s, f.first_content_s, f.ended, f.overdue, f.bound) == (3.0, None, False, False, None)


def test_scalars_are_kept_until_something_is_seen():
    r = record()
    first = r.scalars(0.0)
    assert r.scalars(SCALARS_KEEP_S * 0.9) is first
    streamed(r)
    assert r.scalars(SCALARS_KEEP_S * 0.9) is not first


def test_scalars_age_out_and_do_not_survive_time_that_goes_back():
    r = record()
    first = r.scalars(10.0)
    assert r.scalars(10.0 + SCALARS_KEEP_S) is not first
    second = r.scalars(20.0)
    assert r.scalars(19.0) is not second


def test_recovery_shows_at_once():
    r = record()
    for i in range(40):
        streamed(r, float(i), 0.5)
    r.suspected()
    for i in range(40, 80):
        streamed(r, float(i), 5.0)
    slow_s = r.scalars(80.0).base_s
    r.recovered()
    assert r.scalars(80.0).base_s < slow_s * 0.9
    assert r.scalars(80.0).base_s == pytest.approx(0.5, rel=0.1)


def test_a_stream_without_usage_teaches_ttft_only():
    r = record()
    before = r.lengths.points(), r.pace.tpot_s(0.0)
    streamed(r, tokens=None)
    assert r.first.samples == 1
    assert (r.lengths.points(), r.pace.tpot_s(0.0)) == before
    assert r.total_export.to_dict()["count"] == 1


def test_a_stream_that_never_had_content_teaches_no_pace():
    r = record()
    before = r.pace.tpot_s(0.0)
    r.saw_stream_end(flight(r), 400, 30.0)
    assert r.pace.tpot_s(0.0) == before
    assert r.first.samples == 0
    assert r.ttft_export.to_dict()["count"] == 0


def test_waiting_is_noted_once_and_replaced():
    r = record()
    for i in range(40):
        streamed(r, float(i))
    f = flight(r, 40.0)
    r.saw_waiting(f, 42.0)
    noted = f.bound
    r.saw_waiting(f, 50.0)
    assert f.bound is not noted
    assert f.bound.value_s == pytest.approx(10.0)
    assert sum(w > 1e-9 for w in r.first.window.long.censored) == 1
    r.saw_first_content(f, 51.0)
    assert f.bound is None
    assert sum(r.first.window.long.censored) == pytest.approx(0.0, abs=1e-9)
    assert r.first.samples == 41


def test_waiting_for_a_whole_reply_counts_only_the_part_before_its_first_token():
    streams, wholes = record(), record()
    waiting, whole = flight(streams), flight(wholes, stream=False)
    streams.saw_waiting(waiting, 4.0)
    wholes.saw_waiting(whole, 4.0)
    assert 0.0 < whole.bound.value_s < waiting.bound.value_s == pytest.approx(4.0)


def test_a_table_is_made_anew_only_where_something_changed():
    r = record()
    r.refresh(0.0)
    made = r.tail
    r.refresh(0.25)
    assert r.tail is made
    streamed(r)
    assert r.tail is made
    r.refresh(2.0)
    assert r.tail is not made


def test_endpoints_share_one_pool_of_lengths():
    pool = Pool()
    idle, busy = EndpointRecord(A, pool), Lengths(pool)
    before = idle.scalars(0.0).output_tokens
    for _ in range(200):
        busy.observe(2000)
    assert idle.scalars(1.0).output_tokens > 3.0 * before


@pytest.mark.parametrize("value_s", [-1.0, 0.0, 1e-9, math.nan, math.inf, -math.inf, 1e300])
def test_an_exported_histogram_takes_any_float(value_s):
    histogram = LatencyHistogram()
    histogram.record_s(value_s)
    told = histogram.to_dict()
    assert told["count"] == 1
    assert 1 <= told["ms"]["p50"] <= HIGHEST_MS * 1.01
