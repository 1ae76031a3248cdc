"""Every strategy, on any situation: complete, repeatable, and without side effects. Breaker and suspicion on any history."""

import copy
import math
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.core.failures import Blame
from fastroute.core.types import (
    BreakerState,
    Capabilities,
    ChatRequest,
    Endpoint,
    EndpointView,
    Needs,
    Objective,
    Price,
    Profile,
    Route,
    Situation,
    TailTable,
)
from fastroute.policy.breaker import Breaker
from fastroute.policy.registry import BUILT_IN, strategy
from fastroute.policy.suspect import Suspicion
from fastroute.policy.timeouts import first_content_timeout_s, stall_timeout_s
from fastroute.stats.window import BOUNDS, SHAPES

PROFILE = Profile("fake", "fake", "/")
PRICES = st.none() | st.builds(Price, st.integers(0, 10**8), st.integers(0, 10**8), request_pusd=st.integers(0, 10**9))
FLAGS = st.sampled_from([None, True, False])
TOKENS = st.none() | st.integers(1, 200_000)
SECONDS = st.floats(0.001, 60.0)
TAILS = st.sampled_from([TailTable(BOUNDS, s) for s in (SHAPES[0], SHAPES[-1], (1.0,) * len(BOUNDS), (0.0,) * len(BOUNDS))])
POINTS = st.sampled_from([(), ((10.0, 0.5), (100.0, 0.5)), ((1.0, 1.0),), ((50.0, 0.9), (5e5, 0.1))])


@st.composite
def views(draw) -> tuple[EndpointView, ...]:
    found = []
    for i in range(draw(st.integers(0, 6))):
        can = Capabilities(draw(FLAGS), draw(FLAGS), draw(FLAGS), draw(TOKENS), draw(TOKENS))
        endpoint = Endpoint(
            f"e{i}",
            "fake",
            PROFILE,
            f"http://e{i}",
            "m",
            price=draw(PRICES),
            weight=draw(st.floats(-1.0, 10.0)),
            max_in_flight=draw(st.none() | st.integers(0, 5)),
            capabilities=can,
        )
        found.append(
            EndpointView(
                endpoint,
                draw(TAILS),
                draw(SECONDS),
                draw(st.floats(0.0, 0.01)),
                tpot_s=draw(st.floats(1e-5, 1.0)),
                output_tokens=draw(st.floats(1.0, 5000.0)),
                p_fail=draw(st.floats(0.0, 1.0)),
                in_flight=draw(st.integers(0, 200)),
                samples=draw(st.integers(0, 5000)),
                age_s=draw(st.none() | st.floats(0.0, 1e5)),
                breaker=draw(st.sampled_from(BreakerState)),
                suspect=draw(st.booleans()),
                admits=draw(st.booleans()),
                gate_left_s=draw(st.sampled_from([0.0, 0.0, 3.0])),
                output_points=draw(POINTS),
                ttft_long_ratio=draw(st.floats(0.01, 100.0)),
                rate_per_s=draw(st.floats(0.0, 100.0)),
            )
        )
    return tuple(found)


SITUATIONS = st.builds(
    Situation,
    views(),
    st.builds(Objective, st.none() | SECONDS, st.none() | SECONDS, st.sampled_from([0.0, 0.5, 0.9, 0.99, 0.9999, 1.0])),
    elapsed_s=st.floats(0.0, 30.0),
    left_s=st.floats(0.0, 30.0),
    input_tokens=st.integers(1, 200_000),
    max_output_tokens=TOKENS,
    stream=st.booleans(),
    needs=st.builds(Needs, st.booleans(), st.booleans(), st.booleans()),
    max_cost_pusd=st.none() | st.integers(0, 10**12),
    on_infeasible=st.sampled_from(["mildest", "cheapest", "reject"]),
    turn=st.integers(0, 10**9),
    deadline_covers_reply=st.booleans(),
)
EVERY = pytest.mark.parametrize("name", sorted(BUILT_IN))


@EVERY
@given(SITUATIONS, st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_every_endpoint_is_ranked_or_excluded_with_a_reason_exactly_once(name, situation, seed):
    decision = strategy(name).decide(situation, random.Random(seed))
    ranked = [c.endpoint.name for c in decision.ranked]
    excluded = [e.endpoint.name for e in decision.excluded]
    assert sorted(ranked + excluded) == sorted(v.endpoint.name for v in situation.views)
    assert all(e.reason for e in decision.excluded)
    assert decision.why
    assert decision.strategy == name


@EVERY
@given(SITUATIONS, st.integers(0, 1000))
@settings(max_examples=80, deadline=None)
def test_the_same_situation_and_rng_give_the_same_decision_and_nothing_changes(name, situation, seed):
    before = msgspec.msgpack.encode(situation)
    one = strategy(name).decide(situation, random.Random(seed))
    two = strategy(name).decide(copy.deepcopy(situation), random.Random(seed))
    assert msgspec.msgpack.encode(one) == msgspec.msgpack.encode(two)
    assert msgspec.msgpack.encode(situation) == before


@EVERY
@given(SITUATIONS)
@settings(max_examples=100, deadline=None)
def test_numbers_are_sound(name, situation):
    for candidate in strategy(name).decide(situation, random.Random(1)).ranked:
        assert 0.0 <= candidate.p_miss <= 1.0
        assert math.isfinite(candidate.score)
        assert candidate.cost_pusd is None or (isinstance(candidate.cost_pusd, int) and candidate.cost_pusd >= 0)
        assert (candidate.cost_pusd is None) == (candidate.endpoint.price is None)


@EVERY
@given(SITUATIONS)
@settings(max_examples=100, deadline=None)
def test_nobody_is_ranked_who_may_not_serve(name, situation):
    for candidate in strategy(name).decide(situation, random.Random(1)).ranked:
        view, can = candidate.view, candidate.endpoint.capabilities
        assert view.admits
        assert view.gate_left_s == 0.0
        assert view.breaker is not BreakerState.OPEN
        assert not (situation.needs.vision and can.vision is False)
        assert can.context_tokens is None or situation.input_tokens <= can.context_tokens
        assert situation.max_cost_pusd is None or (
            candidate.cost_pusd is not None and candidate.cost_pusd <= situation.max_cost_pusd
        )


BLAMES = st.sampled_from(list(Blame))


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.sampled_from(["send", "land", "release"]), BLAMES, st.floats(0.0, 1.0))))
@settings(max_examples=200, deadline=None)
def test_a_breaker_admits_one_at_a_time_while_half_open_and_never_sticks(steps):
    """Pitfall 27, on any history."""
    breaker, air, now_s = Breaker(), [], 0.0
    for gap_s, step, blame, jitter in steps:
        now_s += gap_s
        state = breaker.state(now_s)
        assert breaker.admits(now_s) == (state is BreakerState.CLOSED or (state is BreakerState.HALF_OPEN and not any(air)))
        assert (breaker.opens_in_s(now_s) > 0.0) == (state is BreakerState.OPEN)
        if step == "send" and breaker.admits(now_s):
            air.append(breaker.take_off(now_s))
        elif step == "land" and air:
            breaker.land(blame, now_s, jitter, air.pop(0))
        elif step == "release" and air:
            breaker.release(now_s, air.pop(0))
        assert sum(air) <= 1
    for probe in air:
        breaker.release(now_s, probe)
    assert breaker.admits(now_s + 400.0)


@given(st.lists(st.tuples(st.floats(0.0, 10.0), st.sampled_from(["good", "bad", "send"]), st.floats(0.0, 1.0)), max_size=100))
def test_a_suspect_is_always_let_through_again_within_a_minute(steps):
    suspicion, now_s = Suspicion(), 0.0
    for gap_s, step, jitter in steps:
        now_s += gap_s
        if step == "bad":
            suspicion.bad(now_s, jitter)
        elif step == "good":
            suspicion.good(now_s)
        else:
            suspicion.take_off(now_s)
        assert suspicion.admits(now_s, 0) or suspicion.suspect
        assert suspicion.admits_in_s(now_s) <= 24.0 + 1e-9
        assert not (suspicion.suspect and suspicion.admits(now_s, suspicion.goods + 1))
    for i in range(16):
        suspicion.good(now_s + i)
    assert not suspicion.suspect


@given(views(), st.floats(0.01, 60.0), st.integers(0, 3), st.booleans(), TOKENS)
@settings(max_examples=100, deadline=None)
def test_timeouts_fit_into_what_is_left(found, left_s, attempts_left, stream, most):
    if not found:
        return
    request = ChatRequest("r", "fake", "auto", {}, 0.0, 2000, stream=stream, max_output_tokens=most)
    route = Route("auto", ((found[0].endpoint,),))
    timeout_s = first_content_timeout_s(route, found[0], found[1:], left_s, request, attempts_left)
    assert min(1.0, left_s) <= timeout_s <= left_s
    if attempts_left == 0 or len(found) == 1:
        assert timeout_s == left_s
    assert stall_timeout_s(found[0]) >= 3.0
