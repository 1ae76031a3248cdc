"""Probes: rare, on whoever may have recovered, and never twice at once."""

import pytest
from policy_cases import Fixed, names, rng, situation, view
from test_policy_cost_slo import tail

from fastroute.policy.cost_slo import CostSlo

STRATEGY = CostSlo()
ALWAYS, RARELY = Fixed(0.0), Fixed(0.05)


def stale(name: str = "cheap", **kwargs):
    """Cheap, once bad, not measured for 30 s, and fine in the long run."""
    return view(name, **{"usd_per_mtok": 1.0, "ttft_s": 0.5, "ttft_tail": tail(0.6), "age_s": 30.0, "samples": 300, **kwargs})


CHOSEN = view("chosen", 5.0, 0.4, rate_per_s=1.0)


def decide(*views, r=ALWAYS, **kwargs):
    return STRATEGY.decide(situation(*views, **kwargs), r)


def probed(*views, r=ALWAYS, **kwargs) -> bool:
    decision = decide(*views, r=r, **kwargs)
    return "probe" in decision.why


def test_a_cheaper_endpoint_not_measured_lately_is_probed():
    decision = decide(stale(), CHOSEN)
    assert names(decision) == ["cheap", "chosen"]
    assert decision.why.startswith("cheap: probe")


def test_a_probe_is_ranked_as_if_it_kept_the_promise():
    """Otherwise whoever compares tiers by P(miss) would pass it over again."""
    decision = decide(stale(), CHOSEN)
    assert decision.ranked[0].p_miss == pytest.approx(0.01)


def test_it_only_happens_by_chance():
    assert not probed(stale(), CHOSEN, r=Fixed(0.5))


@pytest.mark.parametrize(
    "change",
    [{"age_s": 10.0}, {"in_flight": 1}, {"usd_per_mtok": 9.0}, {"admits": False, "suspect": True}, {"gate_left_s": 1.0}],
    ids=["measured lately", "one under way", "dearer", "suspect and gated", "rate limited"],
)
def test_who_is_not_probed(change):
    assert not probed(stale(**change), CHOSEN)


def test_the_long_run_judges_not_the_last_spell():
    """Pitfall 10: predicted at 5 s now, 0.5 s in the long run."""
    assert probed(stale(ttft_s=5.0, ttft_long_ratio=0.1), CHOSEN, r=Fixed(0.01))


def test_whom_the_long_run_speaks_against_is_left_alone_for_ten_minutes():
    hopeless = {"ttft_s": 5.0}
    assert not probed(stale(**hopeless, age_s=300.0), CHOSEN)
    assert probed(stale(**hopeless, age_s=700.0), CHOSEN, r=Fixed(0.001))
    assert not probed(stale(**hopeless, age_s=700.0), CHOSEN, r=Fixed(0.01))


def test_a_suspect_let_through_by_its_gate_is_due_at_once():
    assert probed(stale(suspect=True, age_s=2.0), CHOSEN, r=Fixed(0.15))
    assert not probed(stale(suspect=False, age_s=2.0), CHOSEN, r=Fixed(0.0))


def test_a_young_endpoint_is_probed_soon():
    young = stale(samples=2, ttft_s=3.0, age_s=6.0)
    assert probed(young, CHOSEN, r=Fixed(0.15))
    assert not probed(stale(samples=3, ttft_s=3.0, age_s=6.0), CHOSEN, r=Fixed(0.0))


def test_the_only_endpoint_is_probed_when_it_looks_too_risky():
    """A tier of one: a tier above would be taken for ever if nobody measured this one again."""
    assert probed(stale())
    assert not probed(stale(ttft_tail=tail(0.001)))


def test_even_where_the_route_rejects():
    assert names(decide(stale(ttft_tail=tail(0.9)), on_infeasible="reject")) == ["cheap"]


@pytest.mark.parametrize("rate", [0.1, 1.0, 2.0, 10.0, 50.0])
def test_probes_stay_near_two_percent_of_requests(rate):
    """Pitfall 40: a probe rests its endpoint for 20 s."""
    r, now_s, measured_s, probes = rng(3), 0.0, -30.0, 0
    requests = 4000
    for _ in range(requests):
        now_s += 1.0 / rate
        chosen = view("chosen", 5.0, 0.4, rate_per_s=rate)
        if probed(stale(age_s=now_s - measured_s), chosen, r=r):
            probes, measured_s = probes + 1, now_s
    assert 0 < probes <= 0.026 * requests


def test_the_cheapest_of_several_is_probed():
    views = stale("b", usd_per_mtok=2.0), stale("a", usd_per_mtok=1.0), CHOSEN
    assert names(decide(*views))[0] == "a"


def test_an_unpriced_endpoint_saves_nothing():
    assert not probed(stale(usd_per_mtok=None), CHOSEN)


def test_probing_asks_the_rng_only_when_somebody_is_due():
    r = Fixed(0.999)
    decide(stale(age_s=1.0), CHOSEN, r=r)
    assert r.asked == 0
    decide(stale(), CHOSEN, r=r)
    assert r.asked == 1
    assert RARELY.asked == 0


def test_a_suspect_that_does_well_is_asked_again_at_once():
    well = stale(suspect=True, goods=1, age_s=0.1)
    assert probed(well, CHOSEN, r=Fixed(0.99))
    assert not probed(stale(suspect=True, age_s=0.1), CHOSEN, r=Fixed(0.99))


@pytest.mark.parametrize(("in_flight", "expected"), [(0, True), (1, True), (2, False)])
def test_and_by_one_more_at_a_time(in_flight, expected):
    assert probed(stale(suspect=True, goods=1, in_flight=in_flight), CHOSEN) == expected
