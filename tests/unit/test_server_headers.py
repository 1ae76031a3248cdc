"""Response headers from the Trail."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.core.failures import Failure, Fault
from fastroute.core.money import Pusd
from fastroute.core.trail import Attempt, Trail
from fastroute.core.types import (
    Candidate,
    ChatRequest,
    Decision,
    Endpoint,
    EndpointView,
    Exclusion,
    Outcome,
    Overrides,
    Profile,
    Role,
    TailTable,
)
from fastroute.server.headers import (
    MAX_DECISION_CHARS,
    MAX_VALUE_CHARS,
    decision_header,
    failure_headers,
    reply_lines,
    request_id,
    safe_value,
)


def attempt(name: str = "flash", tier: int = 0, **changes: Any) -> Attempt:
    fields: dict[str, Any] = {
        "started_s": 100.01,
        "ended_s": 100.31,
        "outcome": Outcome(status=200),
        "cost_pusd": Pusd(1_500_000),
    }
    return Attempt(name, "gemini", "gemini-1.5-flash", tier, Role.PRIMARY, **{**fields, **changes})


def trail(*attempts: Attempt, overrides: Overrides | None = None, **changes: Any) -> Trail:
    request = ChatRequest("req-1", "openai_chat", "auto", {}, 100.0, 400, overrides=overrides or Overrides())
    fields: dict[str, Any] = {"route": "auto", "decide_s": 0.0005, "upstream_s": 0.3}
    return Trail(request, 1.7e9, attempts=list(attempts), **{**fields, **changes})


def reply_headers(trail: Trail, now_s: float, whole: bool) -> dict[str, str]:
    lines = reply_lines(trail, now_s, whole).decode("ascii").split("\r\n")
    assert lines.pop() == ""
    return dict(line.split(": ", 1) for line in lines)


def endpoint(name: str) -> Endpoint:
    return Endpoint(name, "gemini", Profile("gemini", "gemini", "/x"), "https://x", "m", key="sk-secret")


def decision(ranked: int, excluded: int = 0, name: str = "endpoint") -> Decision:
    view = EndpointView(endpoint(name), TailTable((1.0, 2.0), (0.5, 0.0)), 0.3, 0.0001, 0.01, 200.0, 0.01, samples=50)
    return Decision(
        "cost_slo",
        tuple(Candidate(view, 0.002, Pusd(40_000_000), float(i)) for i in range(ranked)),
        tuple(Exclusion(endpoint(f"out-{i}"), "breaker open") for i in range(excluded)),
        "cheapest that meets the objective \u2264 1 %",
    )


# --- request ids ---


@pytest.mark.parametrize("sent", ["a", "req_123", "!" * 128, "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "a:b/c?d=e"])
def test_good_request_ids_are_kept(sent: str) -> None:
    assert request_id(sent) == sent


@pytest.mark.parametrize("sent", [None, "", "a" * 129, "a b", "a\r\nx: y", "a\x00", "caf\u00e9", "a\n", "\t", "\udce9"])
def test_other_request_ids_are_replaced(sent: str | None) -> None:
    fresh = request_id(sent)
    assert fresh != sent
    assert len(fresh) == 32
    assert fresh.isalnum()
    assert request_id(sent) != fresh


# --- values ---


def test_line_breaks_cannot_get_into_a_header() -> None:
    assert safe_value("a\r\nset-cookie: x") == "a??set-cookie: x"


@given(st.text(max_size=600))
def test_values_are_printable_and_short(text: str) -> None:
    value = safe_value(text)
    assert len(value) <= MAX_VALUE_CHARS
    assert value.isascii()
    assert value.isprintable()


# --- what is told ---


def test_whole_reply() -> None:
    won = attempt(tier=1)
    headers = reply_headers(trail(won, winner=won), 100.35, whole=True)
    assert headers == {
        "x-request-id": "req-1",
        "x-fastroute-route": "auto",
        "x-fastroute-endpoint": "flash",
        "x-fastroute-tier": "1",
        "x-fastroute-attempts": "1",
        "x-fastroute-cost-usd": "0.0000015",
        "x-fastroute-overhead-ms": "50.000",
        "server-timing": "decide;dur=0.500, upstream;dur=300.000, total;dur=350.000",
    }


def test_stream_does_not_know_its_cost_yet() -> None:
    won = attempt(ended_s=None, first_content_s=100.21, cost_pusd=None)
    headers = reply_headers(trail(won, winner=won, upstream_s=0.0), 100.25, whole=False)
    assert "x-fastroute-cost-usd" not in headers
    assert headers["server-timing"] == "decide;dur=0.500, upstream;dur=200.000, total;dur=250.000"
    assert headers["x-fastroute-overhead-ms"] == "50.000"


def test_unknown_price_is_not_zero() -> None:
    won = attempt(cost_pusd=None)
    assert reply_headers(trail(won, winner=won), 100.35, whole=True)["x-fastroute-cost-usd"] == "unpriced"


def test_cost_is_that_of_every_attempt() -> None:
    lost, won = attempt("a", cost_pusd=Pusd(1_000_000_000)), attempt("b", cost_pusd=Pusd(500_000_000))
    headers = reply_headers(trail(lost, won, winner=won), 100.9, whole=True)
    assert headers["x-fastroute-cost-usd"] == "0.0015"
    assert headers["x-fastroute-attempts"] == "2"
    assert headers["x-fastroute-endpoint"] == "b"


def test_failed_chain_names_the_last_endpoint() -> None:
    headers = reply_headers(trail(attempt("a"), attempt("b", tier=2)), 100.9, whole=True)
    assert headers["x-fastroute-endpoint"] == "b"
    assert headers["x-fastroute-tier"] == "2"


def test_refused_before_any_attempt() -> None:
    headers = reply_headers(trail(route=None, upstream_s=0.0), 100.001, whole=True)
    assert headers["x-fastroute-attempts"] == "0"
    assert not {"x-fastroute-route", "x-fastroute-endpoint", "x-fastroute-tier", "x-fastroute-cost-usd"} & set(headers)


def test_overhead_is_never_negative() -> None:
    assert reply_headers(trail(attempt(), upstream_s=9.0), 100.1, whole=True)["x-fastroute-overhead-ms"] == "0.000"


def test_names_are_made_safe() -> None:
    won = attempt("fl\u00e4sh\r\nx: y")
    headers = reply_headers(trail(won, winner=won, route="r\n"), 100.4, whole=True)
    assert headers["x-fastroute-endpoint"] == "fl?sh??x: y"
    assert headers["x-fastroute-route"] == "r?"


def test_decision_is_told_only_where_asked_for() -> None:
    won = attempt()
    assert "x-fastroute-decision" not in reply_headers(trail(won, decisions=[decision(1)]), 100.4, whole=True)
    asked = trail(won, overrides=Overrides(explain=True), decisions=[decision(1), decision(2)])
    value = json.loads(reply_headers(asked, 100.4, whole=True)["x-fastroute-decision"])
    assert len(value["candidates"]) == 2
    assert value["candidates"][0]["p_miss"] == 0.002
    assert value["candidates"][0]["expected_cost_usd"] == 0.00004
    assert value["why"].endswith("\u2264 1 %")
    assert "cut" not in value


def test_no_decision_is_told_before_one_was_made() -> None:
    asked = trail(overrides=Overrides(explain=True))
    assert "x-fastroute-decision" not in reply_headers(asked, 100.4, whole=True)


@pytest.mark.parametrize(("ranked", "excluded", "name"), [(200, 0, "e"), (0, 200, "e"), (100, 100, "\u00e9" * 500)])
def test_decision_header_is_bounded(ranked: int, excluded: int, name: str) -> None:
    text = decision_header(decision(ranked, excluded, name), 100)
    assert len(text) <= MAX_DECISION_CHARS
    assert text.isascii()
    value = json.loads(text)
    assert value["cut"] is True
    assert value["candidates"] or value["excluded"]


def test_no_key_is_told() -> None:
    assert "sk-secret" not in decision_header(decision(3, 3), 100)


# --- when to come back ---


def test_exhausted_chain_is_not_retried_by_the_client() -> None:
    assert failure_headers(503, Fault(Failure.OVERLOADED, "x", retry_after_s=2.5)) == {
        "x-should-retry": "false",
        "retry-after-ms": "2500",
        "retry-after": "3",
    }


def test_unknown_hint_has_a_default_for_503_and_504_only() -> None:
    assert failure_headers(503, None)["retry-after-ms"] == "1000"
    assert failure_headers(504, Fault(Failure.DEADLINE, "x"))["retry-after"] == "1"
    assert failure_headers(500, None) == {"x-should-retry": "false"}
    assert failure_headers(400, Fault(Failure.BAD_REQUEST, "x")) == {}


@pytest.mark.parametrize(("hint_s", "ms"), [(0.0, "0"), (-5.0, "0"), (0.0001, "1"), (1e9, "86400000")])
def test_hints_are_bounded(hint_s: float, ms: str) -> None:
    assert failure_headers(503, Fault(Failure.RATE_LIMITED, "x", retry_after_s=hint_s))["retry-after-ms"] == ms


@pytest.mark.parametrize("hint_s", [float("nan"), float("inf")])
def test_impossible_hints_count_as_none(hint_s: float) -> None:
    fault = Fault(Failure.RATE_LIMITED, "x", retry_after_s=hint_s)
    assert failure_headers(503, fault)["retry-after-ms"] == "1000"
    assert failure_headers(500, fault) == {"x-should-retry": "false"}
