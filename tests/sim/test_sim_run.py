"""Whole runs: the production router in a simulated world, start to end."""

import asyncio
from collections import Counter

import msgspec
import pytest
from sim_support import CHEAP, DEAR, ROUTE, endpoint, played, route, setting, world

from fastroute.core.failures import Failure
from fastroute.core.types import Objective, Role
from fastroute.policy.registry import strategy
from fastroute.sim.measures import numbers, reactions
from fastroute.sim.run import Contender, Played, Run, Setting, Sight, play
from fastroute.sim.traces import Row, Trace
from fastroute.sim.worldfile import EndpointWorld, Fault, World


def fault(
    kind: str, from_s: float = 60.0, for_s: float = 60.0, endpoints: tuple[str, ...] = ("cheap",), **kwargs: object
) -> Fault:
    return Fault(kind, from_s, for_s, endpoints, **kwargs)


def endpoints_used(run: Played, from_s: float, until_s: float) -> Counter:
    return Counter(t.endpoint for line in run.lines if from_s <= line.at_s < until_s for t in line.tries)


# --- the run itself ---


def test_every_request_is_served_once_in_order():
    run = played(requests=300)
    assert len(run.lines) == 300
    assert [line.at_s for line in run.lines] == sorted(line.at_s for line in run.lines)
    assert all(line.met for line in run.lines)
    assert 150 <= run.ended_s <= 160


def test_the_same_seed_gives_the_same_record():
    faults = [fault("gray", share=0.3, how="hang"), fault("brownout", 100.0, 20.0, factor=5.0, jitter_s=5.0)]
    first, again = played(*faults), played(*faults)
    assert msgspec.json.encode(first) == msgspec.json.encode(again)


def test_another_seed_gives_another():
    assert played(seed=1).lines != played(seed=2).lines


def test_two_strategies_meet_the_same_luck():
    """A request's first attempt at an endpoint takes as long whoever sent it there."""
    one, other = played(), played(on=route(strategy="round_robin"))
    first = {(line.at_s, line.tries[0].endpoint): line.tries[0].ttft_s for line in one.lines}
    shared = [(first[key], line.tries[0].ttft_s) for line in other.lines if (key := (line.at_s, line.tries[0].endpoint)) in first]
    assert len(shared) > 50
    assert all(a == pytest.approx(b) for a, b in shared)


def test_what_the_router_books_is_what_providers_bill_in_fair_weather():
    found = numbers(played(requests=300))
    assert found.booked_usd == pytest.approx(found.cost_usd)
    assert found.cost_usd > 0


def test_in_fair_weather_the_cheap_endpoint_serves():
    used = endpoints_used(played(requests=400), 100.0, 200.0)
    assert used["cheap"] > 0.95 * sum(used.values())


def test_whole_replies_are_simulated_too():
    run = played(stream=False)
    assert all(line.met and line.ttft_s is None for line in run.lines)
    assert numbers(run).booked_usd == pytest.approx(numbers(run).cost_usd)


def test_a_request_that_breaks_the_router_breaks_the_run():
    class Broken:
        name = "broken"

        def decide(self, situation, rng):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        play(Contender("it", ROUTE, lambda sight: Broken()), setting(requests=3), 1)


def test_a_learner_is_shown_every_trail():
    class Curious:
        name = "curious"

        def __init__(self):
            self.seen = 0

        def decide(self, situation, rng):
            return strategy("cost_slo").decide(situation, rng)

        def emit(self, trail):
            self.seen += 1

    curious = Curious()
    play(Contender("it", ROUTE, lambda sight: curious), setting(requests=40), 1)
    assert curious.seen == 40


def test_a_learner_that_fails_breaks_the_run():
    class Failing:
        name = "failing"

        def decide(self, situation, rng):
            return strategy("cost_slo").decide(situation, rng)

        def emit(self, trail):
            raise KeyError("lost")

    with pytest.raises(KeyError):
        play(Contender("it", ROUTE, lambda sight: Failing()), setting(requests=3), 1)


def test_oracles_see_the_world_and_its_lengths():
    seen: list[Sight] = []

    def make(sight: Sight):
        seen.append(sight)
        return strategy("cost_slo")

    play(Contender("it", ROUTE, make), setting(requests=3), 1)
    assert set(seen[0].providers) == {"cheap", "dear"}
    assert set(seen[0].lengths) == {100}


def test_tiers_are_kept():
    run = played(fault("down", how="refuse"), on=route(tiers=((CHEAP,), (DEAR,))), requests=240)
    assert set(endpoints_used(run, 0.0, 55.0)) == {"cheap"}
    assert Role.ESCALATION in {t.role for line in run.lines for t in line.tries}


def test_a_key_never_enters_the_simulation():
    secret = msgspec.structs.replace(CHEAP, key="sk-secret")
    seen = []

    async def main():
        run = Run(Contender("it", route(tiers=((secret,),))), Setting(world(), Trace((Row(0.0, 9, 9),)), 1), 1)
        seen.extend(p.endpoint.key for p in run.providers.values())
        await run.go()

    asyncio.run(main())
    assert seen == [None]


def test_an_empty_trace_of_requests_is_no_run_but_one_request_is():
    assert len(played(requests=1).lines) == 1


# --- faults ---


@pytest.mark.parametrize(("how", "attempts"), [("refuse", 3), ("error", 3), ("hang", 2 * 2 + 3)])
def test_hard_down_is_found_soon_and_all_but_a_few_are_served(how, attempts):
    """Within three requests; one that hangs within the objective (two seconds, two requests each) and three more."""
    run = played(fault("down", how=how), requests=360)
    (reaction,) = reactions(run)
    assert reaction.attempts <= attempts
    missed = [line for line in run.lines if not line.met]
    assert len(missed) <= 20
    used = endpoints_used(run, 75.0, 120.0)
    assert used["dear"] > 0.7 * sum(used.values())


def test_a_brownout_moves_traffic_away_and_back():
    run = played(fault("brownout", factor=10.0), requests=480)
    (reaction,) = reactions(run)
    assert reaction.detect_s <= 6.0
    assert reaction.recover_s is not None
    used = endpoints_used(run, 70.0, 120.0)
    assert used["dear"] > 0.7 * sum(used.values())


def test_a_rate_cut_shows_as_429_and_requests_are_served_elsewhere():
    spec = EndpointWorld(ttft_ms=300, sigma=0.2, tpot_ms=10, requests_per_minute=600)
    fine = setting(fault("rate_cut", factor=0.01), requests=240)
    run = play(Contender("it", ROUTE), msgspec.structs.replace(fine, world=world(*fine.world.faults, cheap=spec)), 1)
    failures = Counter(t.failure for line in run.lines for t in line.tries if t.failure)
    assert set(failures) == {Failure.RATE_LIMITED}
    assert all(line.met for line in run.lines)


def test_cut_streams_are_resets_after_commit():
    run = played(fault("cut", share=1.0), requests=180)
    cut = [t for line in run.lines for t in line.tries if t.failure is Failure.RESET]
    assert cut
    assert any(t.won for t in cut)


def test_a_clock_step_changes_nothing():
    stepped = played(Fault("clock_step", 30.0, step_s=-3600.0))
    assert stepped.lines == played().lines


def test_a_price_change_is_billed_but_not_booked():
    """The router has no way to know; the report shows the difference."""
    found = numbers(played(fault("price_change", 0.0, 1000.0, factor=3.0)))
    assert found.cost_usd == pytest.approx(3.0 * found.booked_usd, rel=0.05)


def test_billing_after_cancel_shows_in_the_bill():
    spec = EndpointWorld(ttft_ms=300, sigma=0.2, tpot_ms=10, cancel_stops_billing=False)
    profile = msgspec.structs.replace(CHEAP.profile, cancel_stops_billing=False)
    cheap = msgspec.structs.replace(CHEAP, profile=profile)
    slow = setting(fault("brownout", factor=30.0), requests=240)
    run = play(
        Contender("it", route(tiers=((cheap, DEAR),))),
        msgspec.structs.replace(slow, world=world(*slow.world.faults, cheap=spec)),
        1,
    )
    lost = [t for line in run.lines for t in line.tries if t.failure is Failure.FIRST_CONTENT_TIMEOUT]
    assert lost
    full = 400 * CHEAP.price.input_pusd + 100 * CHEAP.price.output_pusd
    assert all(t.bill_pusd == full for t in lost)
    assert all(t.cost_pusd == pytest.approx(full, rel=0.6) for t in lost)


def test_load_dependence_is_felt():
    """A knee of one and a steep slope: a burst at once is slower than the same requests in a row."""
    burst = Trace(tuple(Row(0.001 * i, 400, 100) for i in range(8)))
    spec = EndpointWorld(ttft_ms=300, sigma=0.0, tpot_ms=1, tpot_sigma=0.0, knee_in_flight=1, slope_ratio=1.0)
    only = World(endpoints={"cheap": spec})
    run = play(Contender("it", route(tiers=((CHEAP,),), objective=Objective(total_s=9.0))), Setting(only, burst, 8), 1)
    firsts = sorted(t.ttft_s for line in run.lines for t in line.tries)
    assert firsts[0] == pytest.approx(0.3, rel=0.05)
    assert firsts[-1] > 4 * firsts[0]


def test_predictions_are_recorded_for_calibration():
    run = played(requests=200)
    assert all(line.p_miss is not None and line.missed is False for line in run.lines)


def test_unpriced_endpoints_can_be_simulated():
    bare = msgspec.structs.replace(endpoint("cheap"), price=None)
    found = numbers(played(on=route(tiers=((bare,),)), requests=20))
    assert (found.cost_usd, found.attainment) == (None, 1.0)
