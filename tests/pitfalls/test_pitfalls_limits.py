"""Pitfalls of rate limits: 25, 30, 37. See docs/pitfalls.md."""

import random
from email.utils import formatdate

import naive_limits as naive
import pytest
from pitfall_support import CHEAP, DEAR, Driven, answers, caught, demand, route

from fastroute.core.failures import Failure, Fault
from fastroute.dialects.openai_dialect import OpenAIDialect
from fastroute.engine.admission import MAX_GATE_S, Gatekeeper
from fastroute.policy.limits import Ceiling
from fastroute.policy.pacing import Meter
from fastroute.sim.loop import run_virtual

# --- 25 ---

NOW_S = 1_780_000_000.0


def production_hint_s(headers, now_wall_s=None):
    """What the dialect makes of a 429 with these headers."""
    return OpenAIDialect(lambda: now_wall_s or NOW_S).fault(429, headers, b"{}").retry_after_s


FORMS = [
    ({"retry-after": "7"}, 7.0),
    ({"retry-after": "7.5"}, 7.5),
    ({"retry-after-ms": "250"}, 0.25),
    ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
    ({"retry-after": formatdate(NOW_S + 30.0, usegmt=True)}, 30.0),
    ({"retry-after": "86400"}, 120.0),
    ({"retry-after": "-5"}, None),
    ({"retry-after": "soon"}, None),
    ({"retry-after": "nan"}, None),
    ({"retry-after": ""}, None),
    ({}, None),
]


def check_forms(hint_s) -> None:
    """Every form of the hint; at most 120 s; nonsense is no hint."""
    for headers, expected in FORMS:
        try:
            found = hint_s(headers, NOW_S)
        except (ValueError, KeyError) as error:
            found = repr(error)
        right = (
            found == expected
            if expected is None or isinstance(found, str)
            else found == pytest.approx(expected, abs=1.01 if "GMT" in str(headers) else 1e-6)
        )
        demand(right, f"{headers} is taken for {found}, should be {expected}")


def check_spread() -> None:
    """Forty workers are told 10 s at once: they come back over at least a fifth of it, none before. 0 means: back off."""
    rng, back_s = random.Random(25), []
    for _ in range(40):
        keeper = Gatekeeper(CHEAP)
        keeper.refuse(Fault(Failure.RATE_LIMITED, "", 429, retry_after_s=10.0), 100.0, rng.random())
        back_s.append(keeper.gate_until_s - 100.0)
    demand(min(back_s) >= 10.0, f"one came back after {min(back_s):.2f} s")
    demand(max(back_s) - min(back_s) >= 2.0, f"all came back within {max(back_s) - min(back_s):.2f} s")
    keeper = Gatekeeper(CHEAP)
    keeper.refuse(Fault(Failure.RATE_LIMITED, "", 429, retry_after_s=0.0), 100.0, 0.5)
    demand(100.1 < keeper.gate_until_s <= 100.0 + MAX_GATE_S, "a hint of 0 is retried at once")


def test_pitfall_25_forms_of_retry_after():
    check_forms(production_hint_s)
    check_spread()


@pytest.mark.parametrize("hint_s", [naive.whole_seconds, naive.as_it_says])
def test_pitfall_25_the_naive_version_fails(hint_s):
    caught(check_forms, hint_s)


def test_pitfall_25_the_naive_version_without_spread_fails():
    with naive.all_at_once():
        caught(check_spread)


# --- 30 ---


def check_any_minute(make) -> None:
    """Ten a minute; a burst at :59 and one at :00, and bursts at any time: never more than ten in any 60 s."""
    for start_s in (59.0, 0.0, 7.3):
        meter, taken = make(10.0), []
        for i in range(2_000):
            now_s = start_s + 0.1 * i
            bursts = now_s % 60.0 >= 58.9 or now_s % 60.0 < 3.0 or start_s == 7.3
            while bursts and meter.wait_s(1.0, now_s) == 0.0:
                meter.take(1.0, now_s)
                taken.append(now_s)
        most = max(sum(at_s - 60.0 < other <= at_s for other in taken) for at_s in taken)
        demand(most <= 10, f"{most} in 60 s")


def test_pitfall_30_any_minute():
    check_any_minute(Meter)


@pytest.mark.parametrize("make", [naive.FixedMinute, naive.FullBucket])
def test_pitfall_30_the_naive_version_fails(make):
    caught(check_any_minute, make)


# --- 37 ---


def check_limit_while_idle(kind: type[Ceiling]) -> None:
    """Ten minutes with one in flight change no limit, and neither do answers ten times as long."""

    async def main() -> None:
        tokens = [20]
        world = Driven({"cheap": lambda: answers(0.3, tokens=tokens[0]), "dear": answers()}, route(CHEAP, DEAR))
        ceiling = world.keeper("cheap").ceiling
        before = ceiling.most
        await world.steady(1.0, 600.0)
        demand(ceiling.most == before, f"the limit was {before} and after ten idle minutes is {ceiling.most}")
        world.admission.keeper(CHEAP).ceiling.most = before
        tokens[0] = 250
        await world.steady(2.0, 60.0)
        world.stop()
        demand(ceiling.most == before, f"the limit was {before} and with longer answers is {ceiling.most}")

    with naive.ceiling(kind):
        run_virtual(main())


def check_limit_in_force() -> None:
    """A limit that a real overload made is neither raised by an idle endpoint nor by half-used one."""
    ceiling = Ceiling()
    ceiling.cut(20, 100.0, 0.3)
    before = ceiling.most
    for i in range(50):
        ceiling.good(1, 100.0 + i)
    demand(before == 14.0 and ceiling.most == before, f"a limit of {before} has become {ceiling.most} with one in flight")


def test_pitfall_37_adaptive_limit():
    check_limit_while_idle(Ceiling)
    check_limit_in_force()


@pytest.mark.parametrize("kind", [naive.AlwaysAdjusting, naive.ByWholeTime])
def test_pitfall_37_the_naive_version_fails(kind):
    caught(check_limit_while_idle, kind)
