import asyncio
import random

import pytest
from engine_world import FakeClient, endpoint, route

from fastroute.core.failures import Failure, Fault
from fastroute.core.trail import Trail
from fastroute.core.types import BreakerState, ChatRequest, Outcome
from fastroute.engine import admission
from fastroute.engine.admission import Admission, Gatekeeper
from fastroute.engine.exchange import Exchange
from fastroute.policy.budget import Budget
from fastroute.sim.loop import run_virtual
from fastroute.stats.board import Scoreboard

A, B = endpoint("a"), endpoint("b")


def made(clock, *endpoints):
    return Admission(Scoreboard(), endpoints, clock, random.Random(1))


def exchange(clock, *tiers):
    request = ChatRequest("r", "fake", "auto", {}, clock.now_s(), 400, stream=True)
    return Exchange(request, FakeClient(clock), route(*tiers), Trail(request, started_wall_s=0.0), clock, Budget(0.05, 0.05))


def fly(room, x, on, outcome):
    with room.flight(on, x) as flight:
        flight.land(outcome, x.clock.now_s())


def failed(failure, **kwargs):
    return Outcome(fault=Fault(failure, "x", **kwargs))


class Clock:
    def __init__(self):
        self.at_s = 100.0

    def now_s(self):
        return self.at_s

    def wall_s(self):
        return self.at_s


def test_a_flight_is_counted_for_as_long_as_its_block_lasts():
    clock = Clock()
    room = made(clock, A)
    x = exchange(clock, (A,))
    with room.flight(A, x), room.flight(A, x):
        assert room.keeper(A).in_flight == 2
        assert room.views((A,), clock.now_s())[0].in_flight == 2
    assert room.keeper(A).in_flight == 0
    with pytest.raises(ValueError, match="boom"):
        raise_inside(room, x)
    assert room.views((A,), clock.now_s())[0].in_flight == 0


def raise_inside(room, x):
    with room.flight(A, x):
        raise ValueError("boom")


def test_an_endpoint_is_full_at_its_limit():
    clock = Clock()
    limited = endpoint("l", max_in_flight=1)
    room = made(clock, limited)
    with room.flight(limited, exchange(clock, (limited,))):
        assert not room.views((limited,), clock.now_s())[0].admits
        assert not room.views((limited,), clock.now_s(), panic=True)[0].admits
    assert room.views((limited,), clock.now_s())[0].admits


def test_three_connection_failures_open_the_breaker_and_time_half_opens_it():
    clock = Clock()
    room = made(clock, A)
    for _ in range(3):
        fly(room, exchange(clock, (A,)), A, failed(Failure.CONNECT))
    view = room.views((A,), clock.now_s())[0]
    assert (view.breaker, view.admits) == (BreakerState.OPEN, False)
    assert not room.any_open(route((A,)), clock.now_s())
    assert 0 < room.earliest_s(route((A,)), clock.now_s()) <= 3.0
    assert room.views((A,), clock.now_s(), panic=True)[0].admits
    clock.at_s += 5.0
    assert room.views((A,), clock.now_s())[0].admits


@pytest.mark.parametrize("failure", [Failure.CLIENT_GONE, Failure.BAD_REQUEST, Failure.UNSUPPORTED, Failure.INTERNAL])
def test_what_is_not_the_endpoints_fault_is_not_held_against_it(failure):
    clock = Clock()
    room = made(clock, A)
    for _ in range(20):
        fly(room, exchange(clock, (A,)), A, failed(failure))
    view = room.views((A,), clock.now_s())[0]
    assert (view.breaker, view.suspect, view.p_fail < 0.06) == (BreakerState.CLOSED, False, True)


def test_a_retry_hint_closes_the_gate_for_at_least_as_long():
    clock = Clock()
    room = made(clock, A)
    fly(room, exchange(clock, (A,)), A, failed(Failure.RATE_LIMITED, retry_after_s=7.0))
    assert 7.0 <= room.views((A,), clock.now_s())[0].gate_left_s <= 8.75
    clock.at_s += 8.76
    assert room.views((A,), clock.now_s())[0].gate_left_s == 0.0
    assert room.views((A,), clock.now_s())[0].breaker is BreakerState.CLOSED


def test_hints_are_capped_and_absent_ones_back_off():
    keeper = Gatekeeper(A)
    keeper.refuse(Fault(Failure.RATE_LIMITED, "x", retry_after_s=86_400.0), 0.0, 0.0)
    assert keeper.gate_until_s == admission.MAX_GATE_S
    keeper = Gatekeeper(A)
    holds = []
    for _ in range(8):
        keeper.gate_until_s = 0.0
        keeper.refuse(Fault(Failure.RATE_LIMITED, "x"), 0.0, 0.5)
        holds.append(keeper.gate_until_s)
    assert holds[:4] == pytest.approx([0.25, 0.5, 1.0, 2.0])
    assert max(holds) == admission.MAX_UNHINTED_GATE_S


def test_overdue_flights_make_a_suspect_before_they_end():
    clock = Clock()
    room = made(clock, A)
    flights = [room.flight(A, exchange(clock, (A,))) for _ in range(3)]
    for flight in flights:
        flight.__enter__()
    clock.at_s += 2.1
    room.tick(clock.now_s())
    assert room.views((A,), clock.now_s())[0].suspect
    for flight in flights:
        flight.__exit__(None, None, None)
    assert room.keeper(A).in_flight == 0


def test_a_switched_off_endpoint_admits_nobody_even_in_a_panic():
    clock = Clock()
    room = made(clock, A)
    room.keeper(A).enabled = False
    assert not room.views((A,), clock.now_s(), panic=True)[0].admits
    assert room.earliest_s(route((A,)), clock.now_s()) is None


def test_models_named_by_clients_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(admission, "MAX_PASSING", 10)
    clock = Clock()
    room = made(clock, A, B)
    busy = endpoint("busy")
    with room.flight(busy, exchange(clock, (busy,))):
        for i in range(50):
            fly(room, exchange(clock, (A,)), endpoint(f"p/{i}"), Outcome())
        names = {k.endpoint.name for k in room.keepers()}
        assert names >= {"a", "b", "busy", "p/49"}
        assert len(names) <= 13
    assert room.keeper(busy).in_flight == 0


def test_virtual_time_never_waits_for_real():
    async def main():
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(3600)


def test_virtual_time_says_when_everything_waits_for_ever():
    with pytest.raises(RuntimeError, match="stands still"):
        run_virtual(asyncio.Event().wait())


class Pouring:
    """A stream as far as the admission looks at it."""

    def __init__(self, tokens, until_s):
        self.output_tokens_seen, self.pace_end_s = tokens, until_s


def streaming(room, x, tokens, after_s):
    """A stream that has given so many tokens in so long."""
    flight = room.flight(A, x).__enter__()
    x.clock.at_s += 0.5
    flight.first_content(x.clock.now_s(), Pouring(tokens, x.clock.now_s() + after_s))
    x.clock.at_s += after_s
    return flight


def test_a_slow_clients_pauses_are_not_the_providers_pace():
    """Pitfall 6: sixteen tokens came in 0.2 s; that the client takes half a minute over them says nothing."""
    clock = Clock()
    room = made(clock, A)
    for _ in range(5):
        streaming(room, exchange(clock, (A,)), 16, 0.2)
        clock.at_s += 30.0
        room.tick(clock.now_s())
    assert not room.keeper(A).suspicion.suspect
    assert room.views((A,), clock.now_s())[0].tpot_s < 0.02


def test_a_dripping_stream_is_bad_as_soon_as_its_pace_shows():
    """Pitfall 23: 200 tokens at 100 ms each end long after the deadline; nobody need wait for it."""
    clock = Clock()
    room = made(clock, A)
    for _ in range(3):
        streaming(room, exchange(clock, (A,)), 16, 1.6)
        room.tick(clock.now_s())
    assert room.keeper(A).suspicion.suspect
    assert room.views((A,), clock.now_s())[0].tpot_s > 0.03


@pytest.mark.parametrize(("tokens", "after_s"), [(16, 0.2), (15, 5.0), (100, 2.0)])
def test_a_stream_at_a_fair_pace_or_hardly_begun_is_not(tokens, after_s):
    clock = Clock()
    room = made(clock, A)
    for _ in range(5):
        streaming(room, exchange(clock, (A,)), tokens, after_s)
        room.tick(clock.now_s())
    assert not room.keeper(A).suspicion.suspect


def test_a_dripping_stream_counts_once_and_not_as_good_in_the_end():
    clock = Clock()
    room = made(clock, A)
    for _ in range(2):
        flight = streaming(room, exchange(clock, (A,)), 16, 1.6)
        for _ in range(3):
            room.tick(clock.now_s())
        flight.land(Outcome(), clock.now_s())
        flight.__exit__(None, None, None)
    keeper = room.keeper(A)
    assert not keeper.suspicion.suspect
    assert not room.streaming
    room._bad(keeper, clock.now_s(), 0.5)
    assert keeper.suspicion.suspect


def test_streams_that_ended_are_not_looked_at():
    clock = Clock()
    room = made(clock, A)
    flight = streaming(room, exchange(clock, (A,)), 3, 0.1)
    assert room.streaming
    flight.land(Outcome(), clock.now_s())
    flight.__exit__(None, None, None)
    assert not room.streaming


def test_when_one_has_become_suspect_the_next_one_needs_less():
    clock = Clock()
    room = made(clock, A, B)
    a, b = room.keeper(A), room.keeper(B)
    room._bad(b, clock.now_s(), 0.5)
    b.suspicion.good(clock.now_s())
    for _ in range(3):
        room._bad(a, clock.now_s(), 0.5)
    assert a.suspicion.suspect
    clock.at_s += 5.0
    room._bad(b, clock.now_s(), 0.5)
    assert b.suspicion.suspect
