"""Pitfalls of measuring: 2, 3, 4, 7, 8, 34, 35, 36. See docs/pitfalls.md."""

import asyncio
import math
import random

import naive_statistics as naive
import pytest
from pitfall_support import CHEAP, Driven, answers, caught, demand, errors, hangs, ratio_of, route

from fastroute.core.trail import candidate_dict
from fastroute.core.types import BreakerState, Candidate, Objective
from fastroute.sim.loop import run_virtual
from fastroute.stats.board import Scoreboard
from fastroute.stats.window import Horizon, Window

# --- 2 ---


def drawn_s(rng: random.Random) -> float:
    """Log-normal around 0.4 s; three of a hundred take six times as long."""
    return 0.4 * math.exp(rng.gauss(0.0, 0.3)) * (6.0 if rng.random() < 0.03 else 1.0)


class Told:
    """What production tells an operator of an endpoint: the row of `explain`."""

    def __init__(self) -> None:
        self.board, self.now_s = Scoreboard(), 0.0
        self.board.add(CHEAP)

    def observe(self, value_s: float) -> None:
        flight = self.board.begin(CHEAP, self.now_s, 100, None)
        self.board.first_content(flight, self.now_s + value_s)
        self.board.abandon(flight, self.now_s + value_s)
        self.now_s += 1.0

    def p99(self) -> tuple[float, float | None]:
        self.board.tick(self.now_s)
        row = candidate_dict(Candidate(self.board.view(CHEAP, self.now_s), 0.0, None, 0.0), 100)
        return row["predicted_ttft_ms"]["p99"] / 1000.0, row["n"]


def check_few_samples(make, trials: int = 500) -> None:
    """Of 500 times 30 samples, in 90 % the p99 that is told is no less than the true one, or it is told that n is small."""
    rng = random.Random(2)
    true_s = sorted(drawn_s(rng) for _ in range(100_000))[99_000]
    good = []
    for _ in range(trials):
        told = make()
        for _ in range(30):
            told.observe(drawn_s(rng))
        p99_s, n = told.p99()
        good.append(p99_s >= true_s or (n is not None and n < 100))
    demand(ratio_of(good) >= 0.9, f"a p99 of 30 samples stands for a p99: right in {ratio_of(good):.0%}")


def test_pitfall_02_p99_of_few_samples():
    check_few_samples(Told, 100)


def test_pitfall_02_the_naive_version_fails():
    caught(check_few_samples, naive.SortedList)


# --- 3 ---


def check_hedge_losers(make) -> None:
    """50,000 requests, each sent a second time after 0.6 s where it has not answered: the p99 that is kept is the true one."""
    board, rng = make(), random.Random(3)
    board.add(CHEAP)
    true = []
    for i in range(50_000):
        own_s, other_s = drawn_s(rng), 0.6 + drawn_s(rng)
        true.append(own_s)
        flight = board.begin(CHEAP, float(i), 100, None)
        if own_s <= other_s:
            board.first_content(flight, i + own_s)
        board.abandon(flight, i + min(own_s, other_s))
    board.tick(50_000.0)
    kept_s, true_s = board.view(CHEAP, 50_000.0).ttft_quantile_s(0.99, 100), sorted(true[-5000:])[-50]
    demand(abs(kept_s / true_s - 1.0) <= 0.15, f"p99 kept {kept_s:.2f} s, true {true_s:.2f} s")


def test_pitfall_03_hedge_losers():
    check_hedge_losers(Scoreboard)


@pytest.mark.parametrize("make", [naive.LosersDropped, naive.LosersComplete])
def test_pitfall_03_the_naive_version_fails(make):
    caught(check_hedge_losers, make)


# --- 4 ---


def check_hanging_calls(make) -> None:
    """From 30 s on all calls hang for a minute: suspect by then + objective + 3 arrivals."""

    async def main() -> None:
        hanging = False
        world = Driven({"cheap": lambda: hangs() if hanging else answers()}, route(CHEAP, deadline_s=90.0), make())
        await world.steady(2.0, 30.0)
        hanging = True
        asked = asyncio.create_task(world.steady(2.0, 10.0))
        await asyncio.sleep(2.0 + 3 * 0.5 + 0.25)  # the objective, three arrivals, a tick
        suspect = world.keeper("cheap").suspicion.suspect
        await asked
        world.stop()
        demand(suspect, "calls hang and nobody has noticed")

    run_virtual(main())


def test_pitfall_04_slow_requests_are_seen_while_they_wait():
    check_hanging_calls(Scoreboard)


def test_pitfall_04_the_naive_version_fails():
    caught(check_hanging_calls, naive.CountedAtTheEnd)


# --- 7 ---


def check_leavers(make) -> None:
    """Half of the clients leave before first content: the endpoint has not failed, and has not become quick."""

    async def main() -> None:
        rng = random.Random(7)
        world = Driven({"cheap": lambda: answers(ttft_s=1.0)}, route(CHEAP), make())

        async def leaves() -> None:
            asked = asyncio.create_task(world.ask())
            await asyncio.sleep(0.05 + 0.4 * rng.random())
            asked.cancel()
            await asyncio.wait((asked,))

        leaving = []
        for _ in range(60):
            leaving += [asyncio.create_task(leaves()), asyncio.create_task(world.ask())]
            await asyncio.sleep(0.5)
        await asyncio.gather(*leaving)
        world.stop()
        demand(world.record("cheap").outcomes.failed == 0, "clients that left are failures")
        demand(world.keeper("cheap").breaker.state(world.clock.now_s()) is BreakerState.CLOSED, "they opened the breaker")
        median_s = world.view("cheap").ttft_quantile_s(0.5, 100)
        demand(0.85 <= median_s <= 1.2, f"median {median_s:.2f} s of an endpoint that always takes 1 s")

    run_virtual(main())


def test_pitfall_07_clients_that_leave():
    check_leavers(Scoreboard)


@pytest.mark.parametrize("make", [naive.LeaversFailed, naive.LosersComplete])
def test_pitfall_07_the_naive_version_fails(make):
    caught(check_leavers, make)


# --- 8 ---


def check_fast_errors(make) -> None:
    """The quicker of two begins to answer 500 in 5 ms: it loses its share, and its latency stays what it was."""

    async def main() -> None:
        failing = False
        scripts = {"cheap": lambda: errors() if failing else answers(0.3), "dear": lambda: answers(0.6)}
        world = Driven(scripts, route(strategy="least_latency"), make())
        await world.steady(2.0, 60.0)
        before = world.view("cheap").predicted_ttft_s(100)
        failing = True
        await world.steady(2.0, 60.0)
        after = world.view("cheap").predicted_ttft_s(100)
        world.stop()
        demand(after == pytest.approx(before, rel=0.01), f"errors changed the latency from {before:.3f} to {after:.3f} s")
        demand(world.share("cheap", 70.0, 120.0) < 0.5 * world.share("cheap", 20.0, 60.0), "whoever fails keeps its share")

    run_virtual(main())


def test_pitfall_08_fast_errors():
    check_fast_errors(Scoreboard)


def test_pitfall_08_the_naive_version_fails():
    caught(check_fast_errors, naive.ErrorsAreLatencies)


# --- 34 ---


def merged(one: Horizon, other: Horizon) -> Horizon:
    """Production's own means: both are brought to one landmark, then added."""
    later_s = max(one.landmark_s, other.landmark_s)
    for horizon in (one, other):
        horizon.rescale(later_s)
    return naive.added_as_they_are(one, other)


def check_landmarks(merge) -> None:
    """Two writers that began at different times: added up, they say what one writer would have."""
    rng = random.Random(34)
    for _ in range(20):
        horizons = [Horizon(60.0), Horizon(60.0), Horizon(60.0)]
        begins_s = rng.uniform(0.0, 1e4), rng.uniform(0.0, 1e4)
        events = sorted((rng.uniform(begins_s[w], 2e4), w, rng.randrange(136)) for w in (0, 1) for _ in range(50))
        for at_s, writer, i in events:
            for horizon in (horizons[writer], horizons[2]):
                horizon.add(i, horizon.weight(at_s))
        both, single = merge(horizons[0], horizons[1]), horizons[2]
        off = max(abs(a - b) for a, b in zip(both.survival(), single.survival(), strict=True))
        demand(off <= 1e-9, f"merged and single-writer survival differ by {off:.2g}")


def test_pitfall_34_landmarks():
    check_landmarks(merged)


def test_pitfall_34_the_naive_version_fails():
    caught(check_landmarks, naive.added_as_they_are)


# --- 35 ---


def check_thirty_days() -> None:
    """A sample a second for ten minutes, thirty days later the same again: weights stay finite, quantiles the same."""
    window, rng, tables = Window(), random.Random(35), []
    ratios = [math.exp(rng.gauss(0.0, 0.35)) for _ in range(600)]
    try:
        for start_s in (0.0, 30 * 86_400.0):
            for i, ratio in enumerate(ratios):
                window.record(ratio, start_s + i)
            tables.append(window.table(start_s + 600.0))
    except OverflowError:
        demand(False, "a weight has overflowed")
    held = [*window.short.events, *window.long.events]
    demand(all(map(math.isfinite, held)) and math.isfinite(window.effective_n(30 * 86_400.0 + 600.0)), "weights are not finite")
    for q in (0.1, 0.5, 0.9, 0.99):
        then, now = (t.quantile(q) for t in tables)
        demand(abs(now / then - 1.0) <= 0.13, f"quantile {q} was {then:.3f} and is {now:.3f}")


def test_pitfall_35_weights_after_days():
    check_thirty_days()


def test_pitfall_35_the_naive_version_fails():
    with naive.never_rescaled():
        caught(check_thirty_days)


# --- 36 ---


def check_mix_shift() -> None:
    """Prompts become ten times as long at a server that has not changed: the ratio to what is predicted stays about 1."""

    async def main() -> None:
        rng, size = random.Random(36), 500
        asked = [0]

        def serve():
            return answers(0.2 + 0.0002 * asked[0])

        world = Driven({"cheap": serve}, route(CHEAP, objective=Objective(ttft_s=15.0), deadline_s=60.0))
        ratios = []

        async def one() -> None:
            asked[0] = max(1, int(size * math.exp(rng.gauss(0.0, 0.8))))
            predicted_s = world.view("cheap").predicted_ttft_s(asked[0])
            ratios.append((0.2 + 0.0002 * asked[0]) / predicted_s)
            await world.ask(input_bytes=4 * asked[0])

        for _ in range(600):
            await one()
        size, suspects = 5_000, 0
        ratios.clear()
        for _ in range(200):
            await one()
            suspects += world.keeper("cheap").suspicion.suspect
        world.stop()
        median = sorted(ratios)[100]
        demand(abs(median - 1.0) <= 0.1, f"the median of observed / predicted is {median:.2f}")
        demand(suspects == 0, "longer prompts made it a suspect")

    run_virtual(main())


def test_pitfall_36_prompt_mix_shift():
    check_mix_shift()


def test_pitfall_36_the_naive_version_fails():
    with naive.sizes_ignored():
        caught(check_mix_shift)
