"""Pitfalls of breakers, error classes and limits: 24, 26, 27, 28, 29, 31. See docs/pitfalls.md."""

import asyncio

import naive_breakers as naive
import pytest
from pitfall_support import CHEAP, DEAR, Driven, answers, caught, demand, endpoint, errors, route

from fastroute.core.failures import RULES, Blame, Failure, classify
from fastroute.core.types import BreakerState
from fastroute.policy.breaker import Breaker
from fastroute.sim.loop import run_virtual

# --- 24 ---


def check_rate_limit() -> None:
    """429 with Retry-After 7: nothing is sent there for 7 s, others serve meanwhile, then it does; its breaker stays closed."""

    async def main() -> None:
        limited_until_s = [0.0]

        def serve():
            limited = world.clock.now_s() < limited_until_s[0]
            sent_s.append(world.clock.now_s())
            return errors(429, retry_after="7") if limited else answers()

        sent_s: list[float] = []
        world = Driven({"cheap": serve, "dear": answers()}, route())
        await world.steady(4.0, 30.0)
        limited_until_s[0] = world.clock.now_s() + 0.3
        await asyncio.gather(*(world.ask() for _ in range(6)))
        start_s = max(s for s in sent_s if s < limited_until_s[0])
        await world.steady(4.0, 30.0)
        world.stop()
        state = world.keeper("cheap").breaker
        soon = [s for s in sent_s if start_s + 0.01 < s < start_s + 7.0]
        demand(not soon, f"{len(soon)} requests within the 7 s")
        demand(all(t.status == 200 for t in world.trails), "requests failed though another endpoint was free")
        demand(any(start_s + 7.0 <= s < start_s + 12.0 for s in sent_s), "not used again after the 7 s")
        demand(state.closed and state._level == 0, "a rate limit opened the breaker")

    run_virtual(main())


def test_pitfall_24_rate_limit_with_retry_after():
    check_rate_limit()


@pytest.mark.parametrize("mistake", [naive.rate_limits_are_errors, naive.rate_limits_ignored])
def test_pitfall_24_the_naive_version_fails(mistake):
    with mistake():
        caught(check_rate_limit)


# --- 26 ---


def check_error_classes() -> None:
    """The table of error classes, as far as money and blame go; and that a bad request is paid for once."""
    quota = classify(429, "insufficient_quota")
    demand(quota is Failure.QUOTA_EXHAUSTED and RULES[quota].blame is Blame.KEY, "a spent quota is retried like a rate limit")
    overloaded = RULES[classify(529)]
    demand(overloaded.blame is Blame.ERROR and overloaded.failover, "529 is not the provider's failure")
    for status, code in ((400, None), (422, None), (413, None), (400, "content_filter")):
        demand(not RULES[classify(status, code)].failover, f"{status} {code} goes on to the next provider")
    for status in (401, 403, 404, 402):
        found = RULES[classify(status)]
        demand(found.blame is Blame.KEY and found.failover, f"{status} is not the key's")
    for status in (500, 502, 503, 504):
        demand(RULES[classify(status)].blame is Blame.ERROR, f"{status} is not an error")
    demand(RULES[Failure.CLIENT_GONE].blame is Blame.NONE and RULES[classify(429)].blame is Blame.RATE, "wrong blame")

    async def main() -> None:
        three = [endpoint(name) for name in "abc"]
        world = Driven({e.name: errors(400) for e in three}, route(*three))
        client = await world.ask()
        world.stop()
        demand(
            client.status == 400 and len(world.transport.sent) == 1, f"a bad request was sent {len(world.transport.sent)} times"
        )

    run_virtual(main())


def test_pitfall_26_error_classes():
    check_error_classes()


@pytest.mark.parametrize("mistake", [naive.classified_by_status, naive.bad_requests_fail_over, naive.overload_is_our_rate])
def test_pitfall_26_the_naive_version_fails(mistake):
    with mistake():
        caught(check_error_classes)


# --- 27 ---


def check_half_open(kind: type[Breaker]) -> None:
    """A hundred at once at a half-open breaker: one passes. It is cancelled: the next one passes."""

    async def main() -> None:
        healthy = answers(ttft_s=5.0)
        world = Driven({"cheap": lambda: healthy if failed[0] else errors()}, route(CHEAP))
        failed = [False]
        for _ in range(3):
            await world.ask()
        breaker = world.keeper("cheap").breaker
        failed[0] = True
        world.keeper("cheap").suspicion.suspect = False  # only the breaker is on trial
        await asyncio.sleep(2.0)
        demand(breaker.state(world.clock.now_s()) is BreakerState.HALF_OPEN, "the breaker never opened")
        before = len(world.transport.sent)
        crowd = [asyncio.create_task(world.ask()) for _ in range(100)]
        await asyncio.sleep(0.1)
        first = len(world.transport.sent) - before
        for task in crowd:
            task.cancel()
        await asyncio.wait(crowd)
        demand(first == 1, f"{first} of 100 passed")
        again = asyncio.create_task(world.ask())
        await asyncio.sleep(0.1)
        passed = len(world.transport.sent) - before == 2
        again.cancel()
        await asyncio.wait((again,))
        world.stop()
        demand(passed, "the place of a cancelled probe was never given back")

    with naive.breaker(kind), naive.no_panic():
        run_virtual(main())


def test_pitfall_27_half_open():
    check_half_open(Breaker)


@pytest.mark.parametrize("kind", [naive.AdmitsEveryone, naive.LeaksItsPlace])
def test_pitfall_27_the_naive_version_fails(kind):
    caught(check_half_open, kind)


# --- 28 ---


def check_few_and_bursts(kind: type[Breaker]) -> None:
    """One call in five seconds, all failing: open by the third. Eight failures in 10 ms or in 20 s: the same verdict."""
    breaker = kind()
    for i in range(3):
        breaker.land(Blame.ERROR, 100.0 + 5.0 * i, 0.5)
    demand(not breaker.closed, "three of three failed, and it is closed")
    verdicts = []
    for span_s in (0.01, 20.0):
        breaker = kind()
        for i in range(8):  # every other one is a rate limit, so that none are three in a row
            breaker.land(Blame.ERROR if i % 2 else Blame.RATE, 102.0 + span_s * i / 8, 0.5)
            if not breaker.closed:
                break
        verdicts.append(breaker.closed)
    demand(verdicts[0] == verdicts[1], f"closed after a burst: {verdicts[0]}, after 20 s: {verdicts[1]}")


def test_pitfall_28_few_calls_and_bursts():
    check_few_and_bursts(Breaker)


@pytest.mark.parametrize("kind", [naive.AHundredCalls, naive.AveragedByTime])
def test_pitfall_28_the_naive_version_fails(kind):
    caught(check_few_and_bursts, kind)


# --- 29 ---


def check_panic() -> None:
    """All breakers open: requests are served all the same; but not by who asked to be left alone."""

    async def main() -> None:
        ill = [True]
        scripts = {
            "cheap": lambda: errors(429, retry_after="60") if ill[0] else answers(),
            "dear": lambda: errors() if ill[0] else answers(),
        }
        world = Driven(scripts, route(), None)
        for _ in range(8):
            await world.ask()
        cheap, dear = world.keeper("cheap"), world.keeper("dear")
        now_s = world.clock.now_s()
        for _ in range(3):
            cheap.breaker.land(Blame.ERROR, now_s, 0.5)
            dear.breaker.land(Blame.ERROR, now_s, 0.5)
        ill[0] = False
        assert not cheap.breaker.admits(now_s)
        assert not dear.breaker.admits(now_s)
        assert cheap.gate_until_s > now_s + 10.0
        before = len(world.transport.sent)
        client = await world.ask()
        world.stop()
        demand(client.status == 200, f"all breakers are open, and the client has a {client.status}")
        demand(world.transport.sent[before:] == ["dear"], "a rate limit was run into")

    run_virtual(main())


def test_pitfall_29_all_breakers_open():
    check_panic()


def test_pitfall_29_the_naive_version_fails():
    with naive.no_panic():
        caught(check_panic)


def test_pitfall_29_the_naive_version_that_overlooks_gates_fails():
    with naive.panic_overlooks_gates():
        caught(check_panic)


# --- 31 ---


def check_simultaneous() -> None:
    """Fifty at once where ten may be in flight: never more than ten are."""

    async def main() -> None:
        few = endpoint("cheap", 0.1, max_in_flight=10)
        most, flying = [0], [0]

        def serve():
            flying[0] += 1
            most[0] = max(most[0], flying[0])
            asyncio.get_running_loop().call_later(1.0, lambda: flying.__setitem__(0, flying[0] - 1))
            return answers(0.8, tokens=1)

        world = Driven({"cheap": serve, "dear": answers()}, route(few, DEAR))
        await world.steady(2.0, 20.0)
        await asyncio.sleep(2.0)
        most[0] = flying[0]
        await asyncio.gather(*(world.ask() for _ in range(50)))
        world.stop()
        demand(0 < most[0] <= 10, f"{most[0]} in flight where ten may be")

    run_virtual(main())


def test_pitfall_31_simultaneous_arrivals():
    check_simultaneous()


def test_pitfall_31_the_naive_version_fails():
    with naive.counted_when_done():
        caught(check_simultaneous)
