"""Limits at the door: reservations at admission, headers, refusals, and what one account's endpoints share."""

import random

import pytest
from engine_world import FakeClient, Script, World, endpoint, route
from test_engine_admission import Clock, exchange, failed, fly

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import BreakerState, Outcome, Usage
from fastroute.engine.admission import GATE_SPREAD, MAX_GATE_S, Admission, Gatekeeper
from fastroute.engine.pacers import Pacers, account_of
from fastroute.policy.eligible import unavailable
from fastroute.policy.pacing import Allowance, Reading
from fastroute.sim.loop import run_virtual
from fastroute.stats.board import Scoreboard

A = endpoint("a")
SMALL = endpoint("s", requests_per_minute=10)


def made(clock, *endpoints, pacers=None):
    return Admission(Scoreboard(), endpoints, clock, random.Random(1), pacers)


def test_a_paced_endpoint_says_so_and_when_it_has_room():
    clock = Clock()
    room = made(clock, SMALL)
    for _ in range(3):
        fly(room, exchange(clock, (SMALL,)), SMALL, Outcome())
    view = room.views((SMALL,), clock.now_s())[0]
    assert (view.admits, view.gate_left_s) == (False, 0.0)
    assert view.paced_s == pytest.approx(6.0, abs=0.1)
    assert unavailable(view) == "paced: its rate limit has room for the next request in 6.0 s"
    assert room.earliest_s(route((SMALL,)), clock.now_s()) == pytest.approx(view.paced_s)
    assert not room.views((SMALL,), clock.now_s(), panic=True)[0].admits  # a limit is no opinion
    clock.at_s += 6.1
    assert room.views((SMALL,), clock.now_s())[0].admits


def test_plans_end_when_the_limit_is_used_up_and_none_is_made_while_it_is():
    clock = Clock()
    room = made(clock, SMALL)
    for flown in range(3):
        assert room.keeper(SMALL).calm(clock.now_s())
        epoch = room.epoch
        with room.flight(SMALL, exchange(clock, (SMALL,))):
            assert (room.epoch > epoch) == (flown == 2)
    assert not room.keeper(SMALL).calm(clock.now_s())


def test_pitfall_31_fifty_at_once_never_pass_the_limit_though_plans_are_shared():
    dear = endpoint("dear", usd_per_mtok=50.0)

    async def main():
        import asyncio

        world = World({"s": Script(), "dear": Script()}, route((SMALL, dear)))
        for _ in range(3):
            await world.ask()
            await asyncio.sleep(30.0)
        sent = len(world.transport.sent)
        await asyncio.gather(*(world.ask() for _ in range(50)))
        return world.transport.sent[sent:]

    sent = run_virtual(main())
    assert len(sent) == 50
    assert sent.count("s") <= 10


def test_endpoints_of_one_account_and_model_share_their_limits():
    clock = Clock()
    one, two = (endpoint(n, base_url="http://x", model="m", requests_per_minute=10) for n in "ab")
    room = made(clock, one, two)
    assert room.keeper(one).pacer is room.keeper(two).pacer
    for _ in range(3):
        fly(room, exchange(clock, (one,)), one, Outcome())
    assert not room.views((two,), clock.now_s())[0].admits


def test_another_key_or_model_is_another_limit():
    room = made(
        Clock(),
        *(endpoint(n, base_url="http://x", model=m, key=k) for n, m, k in (("a", "m", "1"), ("b", "m", "2"), ("c", "n", "1"))),
    )
    assert len({id(k.pacer) for k in room.keepers()}) == 3


def test_each_worker_keeps_its_share_of_a_limit():
    clock = Clock()
    room = made(clock, SMALL, pacers=Pacers(share_ratio=0.2))
    for _ in range(2):
        fly(room, exchange(clock, (SMALL,)), SMALL, Outcome())
    assert room.views((SMALL,), clock.now_s())[0].paced_s > 6.0


@pytest.mark.parametrize(
    ("outcome", "free"),
    [
        (Outcome(usage=Usage(100, 20)), True),  # less than was reserved
        (failed(Failure.RATE_LIMITED), True),  # refused: not used
        (failed(Failure.FIRST_CONTENT_TIMEOUT), False),  # not known: as reserved
        (Outcome(usage=Usage(400, 600)), False),
    ],
)
def test_reserved_tokens_are_settled_at_the_end(outcome, free):
    clock = Clock()
    tokens = endpoint("t", tokens_per_minute=2400)  # 400 at once
    room = made(clock, tokens)
    fly(room, exchange(clock, (tokens,)), tokens, outcome)
    left_s = room.keeper(tokens).pacer.wait_s(clock.now_s())
    reserved_s = (room_of(tokens, clock)).wait_s(clock.now_s())
    assert (left_s < reserved_s) == free


def room_of(tokens, clock):
    """The pacer after the same flight, still in the air."""
    room = made(clock, tokens)
    room.flight(tokens, exchange(clock, (tokens,))).__enter__()
    return room.keeper(tokens).pacer


def test_what_headers_tell_is_kept_to():
    told = []

    def read(headers, wall_s):
        told.append(headers)
        return Reading(Allowance(60.0, 2.0 - len(told), 50.0))

    async def main():
        world = World({"a": Script(headers={"x": "y"})}, route((A,)))
        world.admission.pacers.read = read
        world.admission.keeper(A).pacer.look_s = 0.0
        await world.ask()
        paced = world.admission.views((A,), world.clock.now_s())[0]
        await world.ask()
        refused = FakeClient(world.clock)
        await world.ask(refused)
        return paced, refused

    paced, refused = run_virtual(main())
    assert told == [{"x": "y"}] * 2
    assert paced.paced_s == 0.0  # one is left
    assert (refused.status, refused.trail.fault.failure) == (503, Failure.NO_CAPACITY)
    assert refused.trail.fault.retry_after_s > 0.0


def test_without_a_reader_headers_are_never_looked_at():
    async def main():
        world = World({"a": Script(headers={})}, route((A,)))
        await world.ask()
        return world.admission.keeper(A).pacer.look_s

    assert run_virtual(main()) == float("inf")


def test_pitfall_24_a_refusal_with_a_hint_keeps_away_as_long_and_leaves_others_and_the_breaker_alone():
    clock = Clock()
    b = endpoint("b")
    room = made(clock, A, b)
    for _ in range(20):
        fly(room, exchange(clock, (A,)), A, Outcome())
    fly(room, exchange(clock, (A,)), A, failed(Failure.RATE_LIMITED, retry_after_s=7.0))
    for _ in range(69):
        clock.at_s += 0.1
        assert unavailable(room.views((A,), clock.now_s())[0]) is not None
        assert unavailable(room.views((b,), clock.now_s())[0]) is None
    clock.at_s += 2.0
    view = room.views((A,), clock.now_s())[0]
    assert (unavailable(view), view.breaker) == (None, BreakerState.CLOSED)


@pytest.mark.parametrize("hint_s", [7.0, 86_400.0])
def test_pitfall_25_those_refused_together_come_back_apart(hint_s):
    rng = random.Random(3)
    holds = []
    for _ in range(50):
        keeper = Gatekeeper(A)
        keeper.refuse(Fault(Failure.RATE_LIMITED, "x", retry_after_s=hint_s), 0.0, rng.random())
        holds.append(keeper.gate_until_s)
    least = min(hint_s, MAX_GATE_S)
    assert min(holds) >= least
    assert max(holds) <= least * (1.0 + GATE_SPREAD)
    assert (max(holds) - min(holds)) / least >= 0.2


@pytest.mark.parametrize("hint_s", [None, 0.0])
def test_pitfall_25_no_hint_or_none_to_speak_of_backs_off(hint_s):
    keeper, holds = Gatekeeper(A), []
    for _ in range(8):
        keeper.gate_until_s = 0.0
        keeper.refuse(Fault(Failure.RATE_LIMITED, "x", retry_after_s=hint_s), 0.0, 0.5)
        holds.append(keeper.gate_until_s)
    assert holds == pytest.approx([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0])


def test_pitfall_26_a_spent_quota_takes_out_all_endpoints_of_the_account_and_nobody_else():
    clock = Clock()
    ours, also = (endpoint(n, base_url="http://x", model=n, key="k") for n in ("a", "b"))
    other = endpoint("c", base_url="http://x", model="a", key="another")
    room = made(clock, ours, also, other)
    fly(room, exchange(clock, (ours,)), ours, failed(Failure.QUOTA_EXHAUSTED))
    states = [v.breaker for v in room.views((ours, also, other), clock.now_s())]
    assert states == [BreakerState.OPEN, BreakerState.OPEN, BreakerState.CLOSED]
    clock.at_s += 299.0
    assert not room.views((also,), clock.now_s())[0].admits
    clock.at_s += 62.0
    assert room.views((also,), clock.now_s())[0].admits  # one probe


def test_a_mere_rate_limit_takes_out_nobody_else():
    clock = Clock()
    ours, also = (endpoint(n, base_url="http://x", model=n, key="k") for n in ("a", "b"))
    room = made(clock, ours, also)
    fly(room, exchange(clock, (ours,)), ours, failed(Failure.RATE_LIMITED, retry_after_s=5.0))
    assert unavailable(room.views((also,), clock.now_s())[0]) is None


def test_an_account_is_provider_address_and_key():
    assert account_of(endpoint("a", key="k")) == ("fake", "http://a", "k")


def crowd(room, on, clock, count):
    """So many flights in the air."""
    flights = [room.flight(on, exchange(clock, (on,))) for _ in range(count)]
    for flight in flights:
        flight.__enter__()
    return flights


def land(flight, clock, outcome=None):
    flight.land(outcome or Outcome(), clock.now_s())
    flight.__exit__(None, None, None)


def test_a_crowd_that_is_slow_sets_a_limit_and_the_next_goes_elsewhere():
    clock = Clock()
    b = endpoint("b")
    room = made(clock, A, b)
    for _ in range(30):
        with room.flight(A, exchange(clock, (A,))) as flight:
            clock.at_s += 0.4
            flight.first_content(clock.now_s())
            flight.land(Outcome(), clock.now_s())
    flights = crowd(room, A, clock, 10)
    room.tick(clock.now_s())
    assert room.keeper(A).calm(clock.now_s())
    clock.at_s += 1.5
    flights[0].first_content(clock.now_s())
    epoch = room.epoch
    land(flights.pop(), clock)  # without first content it says nothing
    assert not room.keeper(A).crowded
    land(flights.pop(0), clock)
    assert room.epoch > epoch
    assert room.keeper(A).crowded
    assert not room.keeper(A).calm(clock.now_s())
    views = room.views((A, b), clock.now_s())
    assert [v.admits for v in views] == [False, True]
    assert unavailable(views[0]) == f"at {int(room.keeper(A).ceiling.most)} in flight: beyond, it has become slow or refused"
    while flights:
        land(flights.pop(), clock)
    assert not room.keeper(A).crowded


@pytest.mark.parametrize(
    ("fault", "cuts"),
    [
        (Fault(Failure.OVERLOADED, "x"), True),
        (Fault(Failure.OVERLOADED, "x", retry_after_s=1.0), True),
        (Fault(Failure.RATE_LIMITED, "x"), True),
        (Fault(Failure.RATE_LIMITED, "x", retry_after_s=1.0), False),  # it said when, not that there are too many
        (Fault(Failure.SERVER_ERROR, "x"), False),
    ],
)
def test_what_says_that_there_are_too_many(fault, cuts):
    clock = Clock()
    room = made(clock, A)
    flights = crowd(room, A, clock, 10)
    land(flights[0], clock, Outcome(fault=fault))
    assert room.keeper(A).crowded == cuts


def test_where_all_are_crowded_none_is():
    clock = Clock()
    b = endpoint("b")
    room = made(clock, A, b)
    for e in (A, b):
        land(crowd(room, e, clock, 10)[0], clock, failed(Failure.OVERLOADED))
        room.keeper(e).gate_until_s = 0.0
    assert [(v.admits, v.crowd_limit) for v in room.views((A, b), clock.now_s())] == [(True, None)] * 2


def test_pitfall_37_longer_answers_do_not_lower_the_limit():
    clock = Clock()
    room = made(clock, A)
    for seconds in [2.0] * 30 + [20.0] * 30:
        flights = crowd(room, A, clock, 8)
        room.tick(clock.now_s())
        clock.at_s += 0.4
        for flight in flights:
            flight.first_content(clock.now_s())
        clock.at_s += seconds
        for flight in flights:
            land(flight, clock)
    assert room.keeper(A).ceiling.most == float("inf")


def test_a_limit_is_forgotten_a_minute_after_it_was_last_of_use():
    clock = Clock()
    room = made(clock, A)
    for flight in crowd(room, A, clock, 10):
        land(flight, clock, failed(Failure.OVERLOADED))
    assert room.keeper(A).ceiling.most < 10
    clock.at_s += 61.0
    room.tick(clock.now_s())
    assert room.keeper(A).ceiling.most == float("inf")
