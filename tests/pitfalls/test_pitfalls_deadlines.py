"""Pitfalls of deadlines and failover: 19, 20, 21. See docs/pitfalls.md."""

import asyncio
import random

import naive_deadlines as naive
import pytest
from engine_world import Script
from pitfall_support import Driven, answers, caught, demand, endpoint, errors, hangs, route

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.types import Objective
from fastroute.sim.loop import run_virtual

# --- 19 ---


def check_failover() -> None:
    """The first endpoint refuses after 5 ms: the second attempt starts within 20 ms. However both are combined, attempts
    never exceed the route's three."""

    async def main() -> None:
        refused = Fault(Failure.CONNECT, "connection refused")
        refusing = [False]

        def serve():
            return Script([], headers_delay_s=0.005, open_error=FaultError(refused)) if refusing[0] else answers(0.2)

        world = Driven({"cheap": serve, "dear": lambda: answers(0.2)}, route())
        await world.steady(2.0, 60.0)
        refusing[0] = True
        client = await world.ask()
        first, second = client.trail.attempts
        world.stop()
        gap_s = second.started_s - first.started_s
        demand(gap_s < 0.025, f"the second attempt began {gap_s:.3f} s after the first")

    async def storm() -> None:
        rng = random.Random(19)
        six = [endpoint(name, 0.1 * (i + 1)) for i, name in enumerate("abcdef")]
        ill = [False]

        def serve():
            return rng.choice((errors(500, 1.3), errors(503, 0.1), hangs())) if ill[0] else answers(0.3)

        world = Driven({e.name: serve for e in six}, route(*six, objective=Objective(ttft_s=1.5)))
        await world.steady(4.0, 60.0)
        ill[0] = True
        await world.steady(4.0, 20.0)
        world.stop()
        most = max(len(t.attempts) for t in world.trails)
        demand(most <= 3, f"{most} attempts of at most 3")
        ill_from_s = world.trails[-1].request.accepted_s - 10.0
        late = [t for t in world.trails if t.request.accepted_s > ill_from_s]
        ratio = sum(len(t.attempts) for t in late) / len(late)
        demand(ratio <= 1.5, f"{ratio:.2f} attempts a request in an outage")

    run_virtual(main())
    run_virtual(storm())


def test_pitfall_19_failover_at_once_and_never_multiplied():
    check_failover()


@pytest.mark.parametrize("mistake", [naive.failover_waits_for_the_hedge, naive.retries_times_hedges])
def test_pitfall_19_the_naive_version_fails(mistake):
    with mistake():
        caught(check_failover)


# --- 20 ---


def check_time_to_fail_over() -> None:
    """The first endpoint hangs: a second attempt starts while the other's 90th percentile is left. Without hedges."""

    async def main() -> None:
        hanging, rng = [False], random.Random(20)
        scripts = {
            "cheap": lambda: hangs() if hanging[0] else answers(0.3),
            "dear": lambda: answers(2.0 + rng.random()),
        }
        world = Driven(scripts, route(objective=Objective(total_s=9.0), deadline_s=10.0))
        for keeper in ("dear", "cheap"):  # both are known
            other = world.keeper("dear" if keeper == "cheap" else "cheap")
            other.enabled = False
            await world.steady(2.0, 20.0)
            other.enabled = True
        hanging[0] = True
        client = await world.ask(overrides=world.request().overrides.__class__(hedge=False))
        world.stop()
        attempts = client.trail.attempts
        demand(len(attempts) == 2, f"{len(attempts)} attempts")
        left_s = 10.0 - (attempts[1].started_s - client.trail.request.accepted_s)
        demand(left_s >= 2.9, f"only {left_s:.1f} s left for an endpoint that needs 2.9")
        demand(client.status == 200 and client.complete, "no answer")

    run_virtual(main())


def test_pitfall_20_time_left_to_fail_over():
    check_time_to_fail_over()


def test_pitfall_20_the_naive_version_fails():
    with naive.waits_until_the_deadline():
        caught(check_time_to_fail_over)


# --- 21 ---


def check_one_deadline() -> None:
    """Three slow attempts end ten seconds after the request was accepted. The wall clock goes back an hour: nothing changes."""

    async def main(step_s: float) -> tuple[float, int]:
        three = [endpoint(name) for name in "abc"]
        world = Driven({e.name: hangs(200.0) for e in three}, route(*three, deadline_s=10.0, first_content_timeout_s=4.0))
        accepted_s = asyncio.get_running_loop().time()
        if step_s:
            asyncio.get_running_loop().call_later(5.0, lambda: setattr(world.clock, "_epoch_s", world.clock._epoch_s + step_s))
        try:
            async with asyncio.timeout(100.0):
                client = await world.ask()
        except TimeoutError:
            demand(False, "it never ended")
        world.stop()
        took_s = asyncio.get_running_loop().time() - accepted_s
        demand(abs(took_s - 10.0) <= 0.05, f"ended after {took_s:.2f} s")
        demand(client.status == 504, f"status {client.status}")
        return took_s, len(client.trail.attempts)

    steady, stepped = (run_virtual(main(step_s)) for step_s in (0.0, -3600.0))
    demand(steady == stepped, f"a step of the wall clock made {steady} {stepped}")


def test_pitfall_21_one_deadline_on_the_monotonic_clock():
    check_one_deadline()


@pytest.mark.parametrize("mistake", [naive.restarts_per_attempt, naive.wall_clock])
def test_pitfall_21_the_naive_version_fails(mistake):
    with mistake():
        caught(check_one_deadline)
