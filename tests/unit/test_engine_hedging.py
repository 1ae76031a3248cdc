"""Hedging in the engine, on virtual time: who wins, what the client sees, what the loser costs and teaches."""

import asyncio

import msgspec
import pytest
from engine_world import FakeClient, Script, World, endpoint, route

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.types import HedgeRule, Objective, Overrides, Role, Verdict
from fastroute.engine.hedge import Hedge
from fastroute.engine.watchdog import Alarms, Watchdog
from fastroute.sim.loop import VirtualClock, run_virtual

QUICK = {"prior_ttft_s": 0.4, "prior_tpot_s": 0.001}
A, B = endpoint("a", 1.0, **QUICK), endpoint("b", 1.5, **QUICK)
SLOW = Script([(4.0, b"C"), (0.1, b"!")])
GOOD = Script([(0.3, b"C"), (0.1, b"C"), (0.1, b"!")])
PLAIN = {"stream": True}


def world(a, b, **members) -> World:
    made = World({"a": a, "b": b}, route((A, B), max_attempts=3, **members))
    budget = made.admission.budget(made.route)
    budget.requests += 1000
    budget.spent_pusd += 10**15
    return made


def roles(client: FakeClient) -> list[tuple[str, Role, Failure | None]]:
    return [(a.endpoint, a.role, a.failure) for a in client.trail.attempts]


def test_a_straggler_is_sent_once_more_in_time_and_the_client_sees_one_good_answer():
    async def play():
        w = world(SLOW, GOOD)
        client = await w.ask()
        assert roles(client) == [("a", Role.PRIMARY, Failure.SUPERSEDED), ("b", Role.HEDGE, None)]
        assert client.body == b"CC!"
        assert client.complete
        assert client.answers == 1
        assert client.trail.objective_met
        assert client.trail.ttft_s < 2.0
        assert client.trail.winner.endpoint == "b"
        assert "close a" in w.transport.log
        assert w.in_flight() == [0, 0]
        assert len(asyncio.all_tasks()) == 1

    run_virtual(play())


def test_the_first_attempt_may_still_win_and_the_hedge_is_stopped():
    async def play():
        w = world(Script([(1.75, b"C"), (2.0, b"!")]), Script([(5.0, b"C"), (0.1, b"!")]))
        client = await w.ask()
        assert roles(client) == [("a", Role.PRIMARY, None), ("b", Role.HEDGE, Failure.SUPERSEDED)]
        assert client.body == b"C!"
        hedge = client.trail.attempts[1]
        assert hedge.ended_s == pytest.approx(client.first_at_s, abs=0.01)  # stopped in that instant, not at the end
        assert w.in_flight() == [0, 0]

    run_virtual(play())


def test_nothing_is_hedged_that_is_in_time():
    async def play():
        client = await world(GOOD, GOOD).ask()
        assert roles(client) == [("a", Role.PRIMARY, None)]

    run_virtual(play())


def test_an_error_never_wins():
    """Pitfall 16: the hedge fails at once, the first attempt comes late, and the client sees 200."""

    async def play():
        client = await world(Script([(1.9, b"C"), (0.1, b"!")]), Script([], status=503)).ask()
        assert client.status == 200
        assert client.body == b"C!"
        assert roles(client) == [("a", Role.PRIMARY, None), ("b", Role.HEDGE, Failure.OVERLOADED)]

    run_virtual(play())


def test_a_first_attempt_that_fails_leaves_the_request_to_the_hedge_under_way():
    async def play():
        broken = Script([(1.8, FaultError(Fault(Failure.RESET, "reset")))])
        w = world(broken, Script([(0.9, b"C"), (0.1, b"!")]))
        client = await w.ask()
        assert roles(client) == [("a", Role.PRIMARY, Failure.RESET), ("b", Role.HEDGE, None)]
        assert w.transport.sent == ["a", "b"]

    run_virtual(play())


def test_a_failure_does_not_wait_for_the_hedge_timer():
    """Pitfall 19."""

    async def play():
        w = world(Script(open_error=FaultError(Fault(Failure.CONNECT, "refused")), headers_delay_s=0.005), GOOD)
        client = await w.ask()
        assert [a.role for a in client.trail.attempts] == [Role.PRIMARY, Role.FAILOVER]
        assert client.trail.attempts[1].started_s - client.trail.request.accepted_s < 0.02

    run_virtual(play())


def test_both_fail_and_the_chain_goes_on_within_its_attempts():
    async def play():
        failing = Script([(1.7, FaultError(Fault(Failure.RESET, "reset")))])
        w = World(
            {"a": failing, "b": failing, "c": GOOD}, route((A, B), (endpoint("c", 30.0, prior_ttft_s=3.0),), max_attempts=3)
        )
        w.admission.budget(w.route).requests += 1000
        w.admission.budget(w.route).spent_pusd += 10**15
        client = await w.ask()
        assert len(client.trail.attempts) <= 3
        assert client.trail.attempts[-1].endpoint == "c"
        assert client.status == 200

    run_virtual(play())


def test_a_client_that_leaves_takes_both_with_it():
    async def play():
        w = world(SLOW, SLOW)
        task = asyncio.create_task(w.ask())
        await asyncio.sleep(1.9)
        assert w.in_flight() == [1, 1]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert w.in_flight() == [0, 0]
        assert [a.failure for a in w.trails[0].attempts] == [Failure.CLIENT_GONE] * 2
        assert len(asyncio.all_tasks()) == 1

    run_virtual(play())


def test_whole_replies_race_to_their_end():
    async def play():
        late = Script([(3.9, b"C!")])
        w = world(late, Script([(0.5, b"C!")]), objective=Objective(total_s=4.0))
        client = await w.ask(stream=False)
        assert client.answers == 1
        assert client.body == b"C!"
        assert client.status == 200
        assert roles(client)[0] == ("a", Role.PRIMARY, Failure.SUPERSEDED)
        assert client.trail.winner.endpoint == "b"

    run_virtual(play())


@pytest.mark.parametrize("why", ["header", "rule", "attempts", "budget", "nobody"])
def test_when_nothing_is_hedged(why):
    async def play():
        members = {"hedge": HedgeRule(0.0, 0.05)} if why == "rule" else {}
        w = world(SLOW, GOOD, **members)
        w.route = msgspec.structs.replace(w.route, max_attempts=1) if why == "attempts" else w.route
        if why == "nobody":
            w.admission.keeper(B).enabled = False
        if why == "attempts":
            w.router.parts.__class__  # the router holds the route it was made with
            w = World({"a": SLOW, "b": GOOD}, route((A, B), max_attempts=1))
        if why == "budget":
            w = World({"a": SLOW, "b": GOOD}, route((A, B)))
        asked = Overrides(hedge=why != "header")
        client = await w.ask(overrides=asked)
        assert Role.HEDGE not in [a.role for a in client.trail.attempts]

    run_virtual(play())


def test_who_is_late_with_something_else_is_sent_no_duplicate():
    async def play():
        w = world(SLOW, GOOD)
        w.admission.keeper(B).overdue = 1
        client = await w.ask()
        assert Role.HEDGE not in [a.role for a in client.trail.attempts]

    run_virtual(play())


def test_a_route_without_objective_hedges_only_where_it_asks_for_it():
    async def play(rule):
        w = world(SLOW, GOOD, objective=Objective(), hedge=rule)
        client = await w.ask()
        return [a.role for a in client.trail.attempts]

    assert run_virtual(play(None)) == [Role.PRIMARY]
    assert run_virtual(play(HedgeRule())) == [Role.PRIMARY, Role.HEDGE]


def test_the_loser_is_booked_and_neither_blamed_nor_praised():
    """Pitfalls 3 and 18: its prompt is paid for, and the wait so far is known to the statistics as a bound."""

    async def play():
        w = world(SLOW, GOOD)
        client = await w.ask()
        first, hedge = client.trail.attempts
        assert first.cost_pusd == 100 * 1_000_000
        assert first.cost_estimated
        assert client.trail.cost_pusd == first.cost_pusd + hedge.cost_pusd
        keeper = w.admission.keeper(A)
        assert keeper.breaker.closed
        assert not keeper.suspicion.suspect
        assert w.admission.board.view(A, w.clock.now_s()).p_fail == pytest.approx(
            w.admission.board.view(B, w.clock.now_s()).p_fail, abs=0.06
        )

    run_virtual(play())


def test_the_time_both_waited_counts_once():
    async def play():
        client = await world(SLOW, GOOD).ask()
        trail = client.trail
        assert trail.upstream_s == pytest.approx(trail.total_s, abs=0.02)

    run_virtual(play())


def test_the_trail_says_why():
    async def play():
        client = await world(SLOW, GOOD).ask()
        told = client.trail.to_dict()
        assert told["attempts"][0]["outcome"] == "superseded"
        assert told["decisions"][-1]["strategy"] == "hedge"
        assert "hedges a, which has waited" in told["decisions"][-1]["why"]

    run_virtual(play())


def test_a_hedge_that_breaks_is_reported_and_costs_the_client_nothing():
    async def play():
        told = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: told.append(context["message"]))

        async def breaks() -> Verdict:
            raise RuntimeError("a bug")

        watchdog = Watchdog(Alarms(VirtualClock(loop)), 10.0)
        hedge = Hedge(object(), watchdog, breaks())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await hedge.settle(Verdict.ACCEPT) is Verdict.ACCEPT
        await hedge.stop()
        assert told == ["a hedge broke"]

    run_virtual(play())


def test_the_reminder_comes_once_and_not_after_content():
    async def play():
        rung = []
        loop = asyncio.get_running_loop()
        alarms = Alarms(VirtualClock(loop))
        now_s = VirtualClock(loop).now_s()
        watchdog = Watchdog(alarms, now_s + 5.0)
        watchdog.remind(now_s + 1.0, lambda: rung.append(1))
        with pytest.raises(TimeoutError):
            with watchdog:
                await asyncio.sleep(100)
        assert rung == [1]
        moved = Watchdog(alarms, now_s + 50.0)
        moved.remind(now_s + 10.0, lambda: rung.append(2))
        with moved:
            moved.move(now_s + 40.0)
            await asyncio.sleep(20)
        assert rung == [1]

    run_virtual(play())
