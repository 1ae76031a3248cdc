import random

from engine_world import endpoint, route

from fastroute.core.types import ChatRequest, Needs, Objective
from fastroute.engine.admission import Admission
from fastroute.engine.choice import Chooser
from fastroute.engine.explain import NOT_NEEDED, explain
from fastroute.policy.registry import strategy
from fastroute.stats.board import Scoreboard


class Clock:
    def now_s(self):
        return 50.0

    def wall_s(self):
        return 1e9


def told(*tiers, switch_off=(), needs=None, **kwargs):
    clock, rng = Clock(), random.Random(1)
    room = Admission(Scoreboard(), [e for tier in tiers for e in tier], clock, rng)
    for one in switch_off:
        room.keeper(one).enabled = False
    request = ChatRequest("r", "fake", "auto", {}, 50.0, 400, stream=True, needs=needs or Needs())
    chooser = Chooser({"cost_slo": strategy("cost_slo")}, room, clock, rng)
    return explain(request, route(*tiers, **kwargs), chooser, clock)


A, B, C = endpoint("a"), endpoint("b", 5.0), endpoint("c", 25.0)


def test_every_endpoint_is_a_candidate_or_excluded_with_a_reason():
    report = told((A, B), (C,))
    assert {c["endpoint"] for c in report["candidates"]} == {"a", "b"}
    assert report["excluded"] == [{"endpoint": "c", "reason": NOT_NEEDED}]
    assert (report["chosen"], report["route"]) == ("a", "auto")
    assert report["hedge"]["to"] == ["b"]
    assert 0 < report["hedge"]["after_ms"] < 2000
    assert report["why"].startswith("a: ")


def test_candidates_carry_predictions_cost_and_how_much_is_known():
    candidate = told((A,))["candidates"][0]
    assert candidate["predicted_ttft_ms"]["p50"] < candidate["predicted_ttft_ms"]["p99"] < candidate["predicted_total_ms"]["p99"]
    assert candidate["expected_cost_usd"] > 0
    assert (candidate["n"], candidate["age_s"], candidate["breaker"]) == (0, None, "closed")
    assert told((endpoint("u", price=None),))["candidates"][0]["expected_cost_usd"] is None


def test_an_endpoint_out_of_use_is_excluded_and_the_next_tier_serves():
    report = told((A,), (C,), switch_off=(A,))
    assert report["chosen"] == "c"
    assert [e["endpoint"] for e in report["excluded"]] == ["a"]


def test_nothing_usable_says_so():
    report = told((A,), switch_off=(A,))
    assert report["chosen"] is None
    assert report["why"].startswith("no endpoint may be used")


def test_a_tier_that_cannot_serve_what_is_needed_is_passed_over():
    blind = endpoint("blind", capabilities=A.capabilities.__class__(vision=False))
    report = told((blind,), (B,), needs=Needs(vision=True), objective=Objective())
    assert report["chosen"] == "b"
    assert "vision" in report["excluded"][0]["reason"] or "image" in report["excluded"][0]["reason"]
