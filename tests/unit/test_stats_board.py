"""The scoreboard: flights end once, failures teach nothing about latency, waiting is seen while it lasts."""

import json
import random

import msgspec
import pytest
from policy_cases import endpoint

from fastroute.core.failures import Blame
from fastroute.core.types import BreakerState, EndpointView, TailTable
from fastroute.stats.board import Scoreboard

A, B = endpoint("a"), endpoint("b")


def board(*endpoints) -> Scoreboard:
    made = Scoreboard()
    for e in endpoints or (A, B):
        made.add(e)
    return made


def served(b: Scoreboard, e=A, ttft_s: float = 0.5, tokens: int | None = 100, at_s: float = 0.0, stream: bool = True) -> None:
    flight = b.begin(e, at_s, 500, 2.0, stream)
    end_s = at_s + ttft_s + (tokens or 1) * 0.01
    if stream:
        b.first_content(flight, at_s + ttft_s)
    b.finish(flight, end_s, ok=True, stream=stream, output_tokens=tokens)


def warm(b: Scoreboard, count: int = 50, e=A, ttft_s: float = 0.5) -> float:
    for i in range(count):
        served(b, e, ttft_s, at_s=i * 1.0)
    b.tick(float(count))
    return float(count)


def failed(b: Scoreboard, blame: Blame, now_s: float, e=A, took_s: float = 0.005) -> None:
    flight = b.begin(e, now_s, 500, None)
    b.finish(flight, now_s + took_s, ok=False, stream=True, output_tokens=None, blame=blame)


def test_a_fresh_endpoint_is_unknown_not_instant():
    """Pitfall 11."""
    view = board().view(A, 0.0)
    assert (view.samples, view.age_s, view.effective_n) == (0, None, 0.0)
    assert view.predicted_ttft_s(500) == pytest.approx(0.6)
    assert view.ttft_tail.p_over(2.0) > 0.1
    assert view.p_fail == pytest.approx(0.05)


def test_the_operators_priors_seed_it():
    slow = endpoint("s", prior_ttft_s=2.0, prior_tpot_s=0.05)
    view = board(slow).view(slow, 0.0)
    assert (view.predicted_ttft_s(1), view.tpot_s) == (pytest.approx(2.0), pytest.approx(0.05))


def test_a_view_carries_what_others_say():
    view = board().view(A, 0.0, breaker=BreakerState.HALF_OPEN, suspect=True, admits=False, gate_left_s=3.0)
    assert (view.breaker, view.suspect, view.admits, view.gate_left_s) == (BreakerState.HALF_OPEN, True, False, 3.0)
    plain = board().view(A, 0.0)
    assert (plain.breaker, plain.suspect, plain.admits, plain.gate_left_s) == (BreakerState.CLOSED, False, True, 0.0)


def test_streams_teach_ttft_pace_and_length():
    b = board()
    now_s = warm(b) + 2.0
    view = b.view(A, now_s)
    assert view.samples == 50
    assert view.predicted_ttft_s(500) == pytest.approx(0.5, rel=0.05)
    assert view.tpot_s == pytest.approx(0.0101, rel=0.05)
    assert view.output_tokens == pytest.approx(100, rel=0.2)
    assert view.ttft_quantile_s(0.5, 500) == pytest.approx(0.5, rel=0.1)
    assert 0 < view.age_s < 2.0
    assert view.rate_per_s == pytest.approx(1.0, rel=0.2)


def test_whole_replies_teach_ttft_by_inference():
    b, rng = board(), random.Random(1)
    for i in range(60):
        served(b, A, 0.5, tokens=rng.randint(20, 300), at_s=float(i), stream=False)
    b.tick(60.0)
    view = b.view(A, 60.0)
    assert view.samples == 60
    assert view.predicted_ttft_s(500) == pytest.approx(0.5, rel=0.2)
    assert view.tpot_s == pytest.approx(0.01, rel=0.2)


def test_whole_replies_without_usage_still_count():
    b = board()
    for i in range(20):
        served(b, A, 0.5, tokens=None, at_s=float(i), stream=False)
    assert b.view(A, 20.0).samples == 20


def test_the_tail_moves_on_a_tick_only():
    """Pitfall 1: no table is made on the request path."""
    b = board()
    before = b.view(A, 0.0).ttft_tail
    for i in range(20):
        served(b, A, 0.5, at_s=float(i))
    assert b.view(A, 20.0).ttft_tail is before
    b.tick(20.0)
    assert b.view(A, 20.0).ttft_tail is not before


def test_a_view_computes_no_percentile(monkeypatch):
    """Pitfall 1."""
    b = board()
    now_s = warm(b)

    def fail(*args: object) -> None:
        raise AssertionError("a percentile on the request path")

    monkeypatch.setattr(TailTable, "quantile", fail)
    monkeypatch.setattr("fastroute.stats.window.survival", fail)
    assert isinstance(b.view(A, now_s + 0.1), EndpointView)


def test_only_dirty_endpoints_get_a_new_table():
    b = board()
    warm(b)
    quiet = b.view(B, 50.0).ttft_tail
    served(b, A, at_s=50.0)
    b.tick(51.0)
    assert b.view(B, 51.0).ttft_tail is quiet


def test_in_flight_counts_up_and_down():
    b = board()
    flights = [b.begin(A, 0.0, 100, None) for _ in range(3)]
    assert (b.view(A, 0.0).in_flight, b.view(B, 0.0).in_flight) == (3, 0)
    b.finish(flights[0], 1.0, ok=True, stream=True, output_tokens=5)
    b.abandon(flights[1], 1.0)
    assert b.view(A, 1.0).in_flight == 1


def test_a_second_end_is_ignored():
    b = board()
    flight = b.begin(A, 0.0, 100, None)
    b.first_content(flight, 0.5)
    b.finish(flight, 1.0, ok=True, stream=True, output_tokens=50)
    b.finish(flight, 2.0, ok=False, stream=True, output_tokens=None, blame=Blame.ERROR)
    b.abandon(flight, 3.0)
    b.first_content(flight, 4.0)
    view = b.view(A, 4.0)
    assert (view.in_flight, view.samples) == (0, 1)
    assert view.p_fail < 0.05


def test_first_content_counts_once():
    b = board()
    flight = b.begin(A, 0.0, 100, None)
    b.first_content(flight, 0.5)
    b.first_content(flight, 9.0)
    assert b.view(A, 9.0).samples == 1


def test_a_hang_is_seen_while_it_lasts():
    """Pitfall 4: all calls hang for 60 s; they are overdue as soon as their patience ends."""
    b = board()
    now_s = warm(b)
    flights = [b.begin(A, now_s + i * 0.1, 500, 2.0) for i in range(3)]
    assert b.tick(now_s + 1.9) == []
    late = b.tick(now_s + 2.3)
    assert late == flights
    assert all(f.overdue and f.endpoint == "a" for f in late)
    assert b.tick(now_s + 10.0) == []


def test_hanging_requests_raise_the_risk_before_any_of_them_ends():
    """Pitfall 4."""
    b = board()
    now_s = warm(b)
    before = b.view(A, now_s).ttft_tail.p_over(3.0)
    for i in range(40):
        b.begin(A, now_s + i * 0.1, 500, 2.0)
    b.tick(now_s + 6.5)
    view = b.view(A, now_s + 6.5)
    assert view.ttft_tail.p_over(1.9 / view.predicted_ttft_s(500)) > 0.25 > before


def test_an_overdue_request_that_is_answered_is_one_sample():
    """Pitfall 4: the later real value is not added to the censored one, it takes its place."""
    b = board()
    now_s = warm(b)
    n = b.view(A, now_s).effective_n
    flight = b.begin(A, now_s, 500, 2.0)
    b.tick(now_s + 2.1)
    b.first_content(flight, now_s + 3.0)
    b.finish(flight, now_s + 4.0, ok=True, stream=True, output_tokens=50)
    view = b.view(A, now_s + 4.0)
    assert view.samples == 51
    assert view.effective_n < n + 1.2


def test_an_answered_request_is_never_overdue():
    b = board()
    flight = b.begin(A, 0.0, 500, 2.0)
    b.first_content(flight, 1.0)
    done = b.begin(A, 0.0, 500, 2.0)
    b.abandon(done, 0.5)
    forever = b.begin(A, 0.0, 500, None)
    assert b.tick(100.0) == []
    assert not forever.overdue


def test_clients_that_leave_are_neither_failures_nor_fast_answers():
    """Pitfall 7: half of all clients leave after 0.1 s."""
    b, plain = board(), board()
    for i in range(100):
        served(b, A, 0.5, at_s=float(i))
        served(plain, A, 0.5, at_s=float(i))
        b.abandon(b.begin(A, i + 0.2, 500, 2.0), i + 0.3)
    b.tick(100.0)
    plain.tick(100.0)
    left, stayed = b.view(A, 100.0), plain.view(A, 100.0)
    assert left.p_fail == pytest.approx(stayed.p_fail)
    assert left.predicted_ttft_s(500) == pytest.approx(stayed.predicted_ttft_s(500), rel=0.05)
    assert left.ttft_quantile_s(0.1, 500) >= 0.9 * stayed.ttft_quantile_s(0.1, 500)


@pytest.mark.parametrize("blame", [Blame.ERROR, Blame.RATE, Blame.KEY, Blame.NONE])
def test_fast_errors_leave_latency_alone(blame):
    """Pitfall 8: an endpoint that answers 500 in 5 ms is not fast."""
    b = board()
    now_s = warm(b)
    before = b.view(A, now_s)
    for i in range(50):
        failed(b, blame, now_s + i * 0.01)
    b.tick(now_s + 0.6)
    after = b.view(A, now_s + 0.6)
    assert after.predicted_ttft_s(500) == pytest.approx(before.predicted_ttft_s(500), rel=0.01)
    assert after.samples == before.samples
    assert after.ttft_quantile_s(0.5, 500) == pytest.approx(before.ttft_quantile_s(0.5, 500), rel=0.07)


@pytest.mark.parametrize(
    ("blame", "counted"), [(Blame.ERROR, True), (Blame.SLOW, True), (Blame.KEY, True), (Blame.RATE, False), (Blame.NONE, False)]
)
def test_which_blames_count_as_failures(blame, counted):
    """Pitfall 24: rate limits are counted apart; the request's own fault is nobody's."""
    b = board()
    for i in range(20):
        failed(b, blame, i * 0.1)
    assert (b.view(A, 2.0).p_fail > 0.5) == counted
    assert b.describe(A, 2.0)["rate_limited"] == (20 if blame is Blame.RATE else 0)


def test_one_timeout_does_not_exile_an_endpoint():
    """Pitfall 9."""
    b = board()
    now_s = warm(b)
    failed(b, Blame.SLOW, now_s, took_s=8.0)
    b.tick(now_s + 8.0)
    view = b.view(A, now_s + 8.0)
    assert view.ttft_tail.p_over(2.0 / view.predicted_ttft_s(500)) < 0.1
    assert view.predicted_ttft_s(500) < 0.6


def test_a_timeout_is_a_long_wait_not_a_fast_answer():
    b = board()
    now_s = warm(b)
    for i in range(30):
        failed(b, Blame.SLOW, now_s + i, took_s=4.0)
    b.tick(now_s + 35.0)
    view = b.view(A, now_s + 35.0)
    assert view.samples == 50
    assert view.ttft_tail.p_over(3.5 / view.predicted_ttft_s(500)) > 0.25


def test_a_failure_after_first_content_keeps_its_ttft():
    b = board()
    flight = b.begin(A, 0.0, 500, 2.0)
    b.first_content(flight, 0.5)
    b.finish(flight, 1.0, ok=False, stream=True, output_tokens=None, blame=Blame.ERROR)
    view = b.view(A, 1.0)
    assert view.samples == 1
    assert view.p_fail > 0.1


def test_a_brownout_is_forgotten_when_it_is_over():
    """Pitfall 10: poisoned tenfold for two minutes, then recovered: the risk is back at once, not after the long run."""
    b = board()
    now_s = warm(b, 300)
    b.suspected(A)
    for i in range(100):
        served(b, A, 5.0, at_s=now_s + i)
    now_s += 110.0
    b.tick(now_s)
    assert b.view(A, now_s).ttft_tail.p_over(2.0 / b.view(A, now_s).predicted_ttft_s(500)) > 0.3
    b.recovered(A)
    b.tick(now_s)
    view = b.view(A, now_s)
    assert view.predicted_ttft_s(500) == pytest.approx(0.5, rel=0.1)
    assert view.ttft_tail.p_over(2.0 / view.predicted_ttft_s(500)) < 0.01


def test_unobserved_the_prediction_returns_to_the_long_run():
    """Pitfall 10, without anyone saying so."""
    b = board()
    now_s = warm(b, 600)
    for i in range(60):
        served(b, A, 5.0, at_s=now_s + i)
    now_s += 66.0
    b.tick(now_s)
    during, later = b.view(A, now_s), b.view(A, now_s + 240.0)
    assert during.predicted_ttft_s(500) > 0.85
    assert later.predicted_ttft_s(500) < 0.7
    assert during.ttft_long_ratio < 0.7
    assert later.ttft_long_ratio == pytest.approx(1.0, abs=0.1)


def test_answers_of_one_endpoint_inform_the_expected_length_of_another():
    b = board()
    for i in range(300):
        served(b, A, tokens=30, at_s=float(i))
    assert b.view(B, 300.0).output_tokens < 60


def test_adding_an_endpoint_again_keeps_what_is_known_of_the_same_server():
    b = board()
    now_s = warm(b)
    b.add(msgspec.structs.replace(A, weight=3.0))
    assert b.view(A, now_s).samples == 50
    b.add(msgspec.structs.replace(A, base_url="http://elsewhere"))
    assert b.view(A, now_s).samples == 0


def test_a_flight_outlives_its_endpoints_replacement():
    b = board()
    flight = b.begin(A, 0.0, 500, 2.0)
    b.add(msgspec.structs.replace(A, model="other"))
    b.finish(flight, 1.0, ok=True, stream=True, output_tokens=5)
    assert b.view(A, 1.0).in_flight == 0


def test_described_and_exported_as_json():
    b = board()
    now_s = warm(b)
    row = json.loads(json.dumps(b.describe(A, now_s)))
    assert row["n"] == 50
    assert row["ttft_ms"]["p50"] == pytest.approx(500, rel=0.1)
    assert row["ttft_ms"]["p99"] > row["ttft_ms"]["p50"]
    assert json.loads(json.dumps(b.describe(B, now_s)))["age_s"] is None
    exported = json.loads(json.dumps(b.export(A)))
    assert exported["ttft"]["count"] == exported["total"]["count"] == 50
    assert exported["ttft"]["ms"]["p50"] == pytest.approx(500, rel=0.02)
    assert b.export(B)["ttft"]["ms"]["p99"] is None


@pytest.mark.parametrize("cancels", [1, 16, 64])
def test_clients_that_leave_an_untried_endpoint_at_once_say_nothing_about_it(cancels):
    """Pitfall 7 without answers: Kaplan-Meier of nothing but bounds is 1.0 everywhere, and must not count as knowledge."""
    b = board()
    untried = b.view(A, 0.0).ttft_tail.p_over(2.0 / 0.6)
    for i in range(cancels):
        b.abandon(b.begin(A, i * 0.1, 500, 2.0), i * 0.1 + 0.01)
    b.tick(cancels * 0.1 + 1.0)
    view = b.view(A, cancels * 0.1 + 1.0)
    assert view.ttft_tail.p_over(2.0 / view.predicted_ttft_s(500)) == pytest.approx(untried, rel=0.02)
    assert view.effective_n < 0.1


def test_clients_that_leave_at_once_lend_no_certainty_to_a_few_answers():
    b = board()
    for i in range(9):
        served(b, A, 0.6 + 0.01 * i, at_s=2.0 * i)
    b.tick(18.0)
    n, p99 = b.view(A, 18.0).effective_n, b.view(A, 18.0).ttft_tail.quantile(0.99)
    for i in range(51):
        b.abandon(b.begin(A, 18.0 + 0.1 * i, 500, 2.0), 18.01 + 0.1 * i)
    b.tick(23.1)
    view = b.view(A, 23.1)
    assert view.effective_n <= n
    assert view.ttft_tail.quantile(0.99) == p99


def test_waiting_in_vain_does_count_against_an_untried_endpoint():
    b = board()
    untried = b.view(A, 0.0).ttft_tail.p_over(1.9 / 0.6)
    for i in range(3):
        b.begin(A, i * 0.1, 500, 2.0)
    b.tick(3.0)
    view = b.view(A, 3.0)
    assert view.ttft_tail.p_over(1.9 / view.predicted_ttft_s(500)) > untried + 0.1
    assert view.effective_n > 1.0
