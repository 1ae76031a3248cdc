"""`core.trail`: what a Trail adds up to, and what it shows."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from fastroute.core.failures import Failure, Fault
from fastroute.core.trail import Trail, candidate_dict, usage_dict
from fastroute.core.types import (
    BreakerState,
    Candidate,
    Decision,
    Endpoint,
    EndpointView,
    Exclusion,
    Objective,
    Outcome,
    Overrides,
    Profile,
    Role,
    TailTable,
    Usage,
)

MakeTrail = Callable[..., Trail]
MakeAttempt = Callable[..., Any]
ENDPOINT = Endpoint("flash", "acme", Profile("acme", "openai", "/chat"), "http://127.0.0.1:1", "m", key="the-KEY")


def view(**members: Any) -> EndpointView:
    table = TailTable(bounds=(1.0, 2.0, 4.0), survival=(0.5, 0.1, 0.005))
    known: dict[str, Any] = {"ttft_base_s": 0.1, "ttft_per_token_s": 0.001, "tpot_s": 0.01, "output_tokens": 50.0, "p_fail": 0.02}
    return EndpointView(ENDPOINT, table, **(known | members))


def test_times_count_from_accept(make_trail: MakeTrail) -> None:
    trail = make_trail(first_content_s=100.25, ended_s=101.5, upstream_s=1.4)
    assert (trail.ttft_s, trail.total_s) == (0.25, 1.5)
    assert trail.overhead_s(999.0) == pytest.approx(0.1)


def test_while_it_runs_nothing_has_ended(make_trail: MakeTrail) -> None:
    trail = make_trail(first_content_s=None, ended_s=None, upstream_s=0.2)
    assert trail.ttft_s is None
    assert trail.total_s is None
    assert trail.overhead_s(100.5) == pytest.approx(0.3)
    assert trail.to_dict()["overhead_ms"] is None


def test_overhead_is_never_negative(make_trail: MakeTrail) -> None:
    assert make_trail(ended_s=101.0, upstream_s=1.1).overhead_s(101.0) == 0.0


def test_cost_is_the_sum_of_all_attempts(make_trail: MakeTrail, make_attempt: MakeAttempt) -> None:
    trail = make_trail(attempts=[make_attempt(cost_pusd=0), make_attempt(cost_pusd=7), make_attempt(cost_pusd=35)])
    assert trail.cost_pusd == 42


def test_one_unpriced_attempt_makes_the_cost_unknown(make_trail: MakeTrail, make_attempt: MakeAttempt) -> None:
    assert make_trail(attempts=[make_attempt(cost_pusd=7), make_attempt(cost_pusd=None)]).cost_pusd is None
    assert make_trail(attempts=[]).cost_pusd is None


BOTH = Objective(ttft_s=0.5, total_s=2.0)


@pytest.mark.parametrize(
    ("members", "met"),
    [
        ({"objective": None}, None),
        ({"objective": Objective()}, None),
        ({"objective": BOTH}, True),
        ({"objective": BOTH, "first_content_s": 100.5}, True),  # at the limit
        ({"objective": BOTH, "first_content_s": 100.6}, False),
        ({"objective": BOTH, "ended_s": 102.5}, False),
        ({"objective": Objective(total_s=2.0), "first_content_s": 101.9}, True),
        ({"objective": Objective(ttft_s=0.5), "ended_s": 190.0}, True),
        ({"objective": BOTH, "first_content_s": None}, True),  # a whole reply: its TTFT cannot be seen
    ],
)
def test_whether_the_objective_was_met(make_trail: MakeTrail, members: dict[str, Any], met: bool | None) -> None:
    assert make_trail(**members).objective_met is met


@pytest.mark.parametrize(
    ("failure", "status", "met"),
    [
        (Failure.CLIENT_GONE, 499, None),
        (Failure.BAD_REQUEST, 400, None),
        (Failure.BAD_REQUEST, 404, None),  # no such route
        (Failure.CONTENT_FILTER, 400, None),
        (Failure.NO_CAPACITY, 503, False),
        (Failure.DEADLINE, 504, False),
        (Failure.RATE_LIMITED, 429, False),
        (Failure.STALL, 200, False),  # after commit: the client had its 200, and then an error event
        (Failure.TRUNCATED, 200, False),
    ],
)
def test_a_failure_misses_unless_it_was_the_clients(
    make_trail: MakeTrail, failure: Failure, status: int, met: bool | None
) -> None:
    assert make_trail(objective=BOTH, status=status, fault=Fault(failure, "no")).objective_met is met


def test_trails_do_not_share_their_lists(make_trail: MakeTrail) -> None:
    request = make_trail().request
    one, other = Trail(request, 0.0), Trail(request, 0.0)
    one.decisions.append(Decision("s", (), (), "why"))
    assert other.decisions == []


def test_an_attempts_failure(make_attempt: MakeAttempt) -> None:
    assert make_attempt().failure is None
    assert make_attempt(outcome=Outcome(Fault(Failure.RESET, "gone"))).failure is Failure.RESET
    attempt = make_attempt()
    attempt.outcome = None
    assert attempt.failure is None


def full_trail(make_trail: MakeTrail, make_attempt: MakeAttempt) -> Trail:
    decision = Decision(
        "cost_slo", (Candidate(view(), 0.01, 25_000_000, 1.0),), (Exclusion(ENDPOINT, "its breaker is open"),), "cheapest"
    )
    limited = make_attempt(
        "flash",
        outcome=Outcome(Fault(Failure.RATE_LIMITED, "slow down"), status=429),
        cost_pusd=0,
        ended_s=100.1,
        started_s=100.0,
    )
    won = make_attempt("sonnet", Role.FAILOVER, started_s=100.1, first_content_s=100.4, tier=1, cost_estimated=True)
    trail = make_trail(decisions=[decision], attempts=[limited, won], objective=BOTH, decide_s=0.0005)
    trail.request.overrides = Overrides(tags={"team": "search"})
    trail.request.fields = {"messages": msgspec.Raw(b'"the PROMPT"')}
    return trail


def test_the_public_shape(make_trail: MakeTrail, make_attempt: MakeAttempt) -> None:
    shown = full_trail(make_trail, make_attempt).to_dict()
    assert {k: v for k, v in shown.items() if k not in ("decisions", "attempts")} == {
        "id": "req-1",
        "route": "auto",
        "api": "openai_chat",
        "model": "auto",
        "stream": True,
        "started_at_s": 1_780_000_000.0,
        "grade": None,
        "tags": {"team": "search"},
        "objective": {"ttft_ms": 500.0, "total_ms": 2000.0, "target": 0.99},
        "objective_met": True,
        "endpoint": "sonnet",
        "status": 200,
        "failure": None,
        "ttft_ms": 400.0,
        "total_ms": 1000.0,
        "overhead_ms": 1.0,
        "decide_ms": 0.5,
        "cost_usd": 0.005,
    }
    assert shown["attempts"] == [
        {
            "endpoint": "flash",
            "provider": "acme",
            "model": "m",
            "tier": 0,
            "role": "primary",
            "started_ms": 0.0,
            "first_content_ms": None,
            "ended_ms": 100.0,
            "outcome": "failed",
            "failure": "rate_limited",
            "detail": "slow down",
            "status": 429,
            "usage": None,
            "cost_usd": 0.0,
            "estimated": False,
        },
        {
            "endpoint": "sonnet",
            "provider": "acme",
            "model": "m",
            "tier": 1,
            "role": "failover",
            "started_ms": 100.0,
            "first_content_ms": 400.0,
            "ended_ms": 1000.0,
            "outcome": "ok",
            "failure": None,
            "detail": None,
            "status": 200,
            "usage": usage_dict(Usage(input_tokens=100, output_tokens=20)),
            "cost_usd": 0.005,
            "estimated": True,
        },
    ]


def test_decisions_show_who_was_not_chosen_and_why(make_trail: MakeTrail, make_attempt: MakeAttempt) -> None:
    (decision,) = full_trail(make_trail, make_attempt).to_dict()["decisions"]
    assert (decision["strategy"], decision["why"]) == ("cost_slo", "cheapest")
    assert [c["endpoint"] for c in decision["candidates"]] == ["flash"]
    assert decision["excluded"] == [{"endpoint": "flash", "reason": "its breaker is open"}]


def test_it_is_json_and_holds_no_prompt_and_no_key(make_trail: MakeTrail, make_attempt: MakeAttempt) -> None:
    text = json.dumps(full_trail(make_trail, make_attempt).to_dict())
    assert "PROMPT" not in text
    assert "KEY" not in text


def test_an_empty_trail_shows_unknowns(make_trail: MakeTrail) -> None:
    shown = Trail(make_trail().request, 0.0).to_dict()
    for member in ("route", "objective", "objective_met", "endpoint", "status", "failure", "ttft_ms", "total_ms", "cost_usd"):
        assert shown[member] is None, member


def test_a_candidates_predictions_are_those_of_its_view() -> None:
    shown = candidate_dict(Candidate(view(samples=3, effective_n=2.46, age_s=1.23456), 0.012345, None, 1.0), input_tokens=100)
    assert shown["predicted_ttft_ms"] == {"p50": 200.0, "p99": 800.0}
    assert shown["predicted_total_ms"] == {"p50": 700.0, "p99": 1300.0}
    assert (shown["p_miss"], shown["expected_cost_usd"]) == (0.0123, None)
    assert (shown["n"], shown["effective_n"], shown["age_s"]) == (3, 2.5, 1.235)
    assert (shown["breaker"], shown["in_flight"]) == (BreakerState.CLOSED.value, 0)


def test_a_known_length_of_the_answer_outranks_the_expected_one() -> None:
    shown = candidate_dict(Candidate(view(), 0.0, None, 1.0), input_tokens=100, output_tokens=10)
    assert shown["predicted_total_ms"]["p50"] == 300.0


def test_usage_keeps_unknown_apart_from_nothing() -> None:
    assert usage_dict(None) is None
    shown = usage_dict(Usage(input_tokens=0))
    assert shown is not None
    assert (shown["input_tokens"], shown["output_tokens"]) == (0, None)
