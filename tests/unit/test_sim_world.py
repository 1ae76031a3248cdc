"""Simulated endpoints: distributions, load, faults, limits, bills; luck that does not depend on who asks."""

import statistics

import pytest
from sim_support import CHEAP, DEAR

from fastroute.sim.traces import Row
from fastroute.sim.weather import phases
from fastroute.sim.world import Bucket, Job, Provider, job_of
from fastroute.sim.worldfile import EndpointWorld, Fault, World


def provider(spec: EndpointWorld | None = None, *faults: Fault, seed: int = 1, index: int = 0) -> Provider:
    spec = spec or EndpointWorld(ttft_ms=400, sigma=0.3, tpot_ms=10)
    schedule = phases(World(endpoints={"cheap": spec}, faults=faults), 10_000.0, seed)
    return Provider(CHEAP, spec, schedule, index, seed)


def job(number: int = 0, input_tokens: int = 100, output_tokens: int = 50) -> Job:
    return job_of(number, Row(0.0, input_tokens, output_tokens))


def ttfts(of: Provider, n: int = 4000, now_s: float = 0.0, **size: int) -> list[float]:
    return [of.plan(job(i, **size), now_s).ttft_s for i in range(n)]


def fault(kind: str, **kwargs: object) -> Fault:
    return Fault(kind, 100.0, 50.0, ("cheap",), **kwargs)


def test_ttft_is_log_normal_around_its_median():
    found = sorted(ttfts(provider()))
    assert statistics.median(found) == pytest.approx(0.4, rel=0.03)
    assert found[int(0.841 * len(found))] / statistics.median(found) == pytest.approx(2.718**0.3, rel=0.05)


def test_long_prompts_take_longer():
    spec = EndpointWorld(ttft_ms=400, per_input_token_ms=0.1)
    assert statistics.median(ttfts(provider(spec), input_tokens=4000)) == pytest.approx(0.8, rel=0.03)


def test_stragglers_are_as_frequent_as_said():
    spec = EndpointWorld(ttft_ms=400, sigma=0.1, straggler_ratio=0.05, straggler_factor=8)
    assert sum(t > 1.5 for t in ttfts(provider(spec))) / 4000 == pytest.approx(0.05, abs=0.012)


def test_load_beyond_the_knee_slows_everything():
    of = provider(EndpointWorld(ttft_ms=400, knee_in_flight=4, slope_ratio=0.5))
    idle = of.plan(job(), 0.0)
    of.in_flight = 3
    assert of.plan(job(), 0.0) == idle
    of.in_flight = 5
    assert of.plan(job(), 0.0).ttft_s == pytest.approx(2.0 * idle.ttft_s)
    assert of.plan(job(), 0.0).tpot_s == pytest.approx(2.0 * idle.tpot_s)


def test_luck_is_the_same_whoever_asks_and_another_for_the_next_try():
    one, other = provider(), provider()
    first = [one.plan(job(i), 0.0) for i in range(20)]
    assert [other.plan(job(i), 0.0) for i in reversed(range(20))] == first[::-1]
    mine = job(3)
    assert one.receive(mine, 0.0) == first[3]
    assert one.plan(mine, 0.0) != first[3]


def test_seeds_and_endpoints_have_luck_of_their_own():
    found = {provider(seed=s, index=i).plan(job(), 0.0).ttft_s for s in range(4) for i in range(4)}
    assert len(found) == 16


def test_a_fault_scales_the_same_luck():
    of = provider(None, fault("brownout", factor=3.0))
    assert of.plan(job(), 120.0).ttft_s == pytest.approx(3.0 * of.plan(job(), 0.0).ttft_s)
    assert of.plan(job(), 120.0).tpot_s == pytest.approx(3.0 * of.plan(job(), 0.0).tpot_s)
    assert of.plan(job(), 150.0) == of.plan(job(), 0.0)


@pytest.mark.parametrize(("how", "status", "refused"), [("refuse", 200, True), ("error", 500, False), ("hang", 200, False)])
def test_down_in_three_ways(how, status, refused):
    course = provider(None, fault("down", how=how)).plan(job(), 120.0)
    assert (course.status, course.refused, course.accepted) == (status, refused, False)
    assert (course.ttft_s is None) == (how == "hang")


def test_going_down_cuts_what_is_under_way():
    of = provider(None, fault("down", how="refuse"))
    course = of.plan(job(output_tokens=200), 99.0)
    assert course.end_s > 1.0
    assert course.cut_s == pytest.approx(1.0)
    assert of.plan(job(output_tokens=200), 0.0).cut_s is None


def test_gray_fails_a_share():
    of = provider(None, fault("gray", share=0.25, how="hang"))
    assert sum(t is None for t in ttfts(of, now_s=120.0)) / 4000 == pytest.approx(0.25, abs=0.02)


def test_cuts_hit_a_share_before_the_end():
    of = provider(None, fault("cut", share=0.2))
    courses = [of.plan(job(i), 120.0) for i in range(4000)]
    cut = [c for c in courses if c.cut_s is not None]
    assert len(cut) / 4000 == pytest.approx(0.2, abs=0.02)
    assert all(c.cut_s < c.end_s for c in cut)


def test_a_tail_may_change_its_shape_around_the_same_median():
    of = provider(None, fault("tail_shape", factor=2.0, share=0.0))
    usual, changed = sorted(ttfts(of)), sorted(ttfts(of, now_s=120.0))
    assert statistics.median(changed) == pytest.approx(statistics.median(usual), rel=0.03)
    assert changed[int(0.99 * 4000)] > 1.6 * usual[int(0.99 * 4000)]


# --- limits ---


def test_a_bucket_lets_a_burst_in_and_then_the_rate():
    bucket, taken = Bucket(60), 0
    while bucket.lacks_s(1.0, 1.0, 0.0) == 0.0:
        bucket.take(1.0)
        taken += 1
    assert taken == 10
    assert bucket.lacks_s(1.0, 1.0, 0.0) == pytest.approx(1.0)
    assert bucket.lacks_s(1.0, 1.0, 1.0) == pytest.approx(0.0)


def test_over_the_limit_is_429_with_whole_seconds_and_nothing_is_charged():
    of = provider(EndpointWorld(requests_per_minute=6))
    assert of.receive(job(0), 0.0).status == 200
    course = of.receive(job(1), 0.0)
    assert (course.status, course.accepted) == (429, False)
    assert course.retry_after_s == 10.0
    assert of.receive(job(2), 10.1).status == 200


def test_a_rate_cut_leaves_a_share_of_the_limit():
    of = provider(EndpointWorld(requests_per_minute=600), fault("rate_cut", factor=0.01))
    passed = sum(of.receive(job(i), 100.0 + i).status == 200 for i in range(49))
    assert 4 <= passed <= 6


def test_tokens_have_a_limit_too():
    of = provider(EndpointWorld(tokens_per_minute=6000))
    found = [of.receive(job(i, 400, 100), 0.0).status for i in range(4)]
    assert found == [200, 200, 429, 429]


def test_a_request_larger_than_the_bucket_still_passes_when_it_is_full():
    of = provider(EndpointWorld(tokens_per_minute=60))
    assert of.receive(job(0, 4000, 100), 0.0).status == 200


def test_looking_takes_nothing():
    of = provider(EndpointWorld(requests_per_minute=6))
    for _ in range(5):
        assert of.plan(job(0), 0.0).status == 200


# --- bills ---


def bill(elapsed_s: float, spec: EndpointWorld | None = None, *faults: Fault, at_s: float = 0.0) -> int:
    of = provider(spec, *faults)
    mine = job(0, 100, 50)
    return of.bill_pusd(mine, of.plan(mine, at_s), elapsed_s)


INPUT, OUTPUT = CHEAP.price.input_pusd, CHEAP.price.output_pusd


def test_a_complete_reply_is_charged_in_full():
    assert bill(60.0) == 100 * INPUT + 50 * OUTPUT


def test_leaving_early_is_charged_for_the_prompt_and_what_was_written():
    assert bill(0.001) == 100 * INPUT
    of, mine = provider(), job(0, 100, 50)
    course = of.plan(mine, 0.0)
    halfway_s = course.ttft_s + 24.5 * course.tpot_s
    assert of.bill_pusd(mine, course, halfway_s) == 100 * INPUT + 25 * OUTPUT


def test_some_go_on_charging_when_the_caller_has_left():
    assert bill(0.001, EndpointWorld(cancel_stops_billing=False)) == 100 * INPUT + 50 * OUTPUT


@pytest.mark.parametrize("how", ["refuse", "error", "hang"])
def test_what_never_reached_a_model_is_free(how):
    assert bill(60.0, None, fault("down", how=how), at_s=120.0) == 0


def test_prices_may_change_without_notice():
    assert bill(60.0, None, fault("price_change", factor=3.0), at_s=120.0) == 3 * (100 * INPUT + 50 * OUTPUT)
    assert bill(60.0, EndpointWorld(price_factor=2.0)) == 2 * (100 * INPUT + 50 * OUTPUT)


def test_an_endpoint_without_a_price_is_free_in_the_world():
    import msgspec

    free = Provider(msgspec.structs.replace(DEAR, price=None), EndpointWorld(), (), 0, 1)
    assert free.price_pusd(1000, 1000) == 0
