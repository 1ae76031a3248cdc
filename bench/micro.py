"""`python -m bench.micro`: what deciding and learning cost, as ratios of one bisect, so that machines can be compared.

Rules. The unit is one `bisect_left` in a list of 136 floats, measured in the same process. Every figure is the least of several
rounds: what else the machine does can only add. A choice is measured three ways: taken over from a plan (what most requests of
a busy
router meet), as a mean over what arrives between ticks, and decided anew. Exit code 1 where a limit is broken.

What can go wrong. A mean over what arrives depends on how many requests share a class and a tick: it is shown for several rates.
"""

import argparse
import json
import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter_ns

import msgspec

from bench.micro_world import TICK_S, Warm
from fastroute.sim.table import markdown
from fastroute.stats.lessons import Kind, Lesson
from fastroute.stats.shared import Slab
from fastroute.stats.window import Window

BOUNDS = [0.05 * 1.06**k for k in range(136)]
ROUNDS = 5
MAX_BISECTS, MAX_GROWTH, MAX_TICK_RATIO = 40.0, 8.0, 0.01
RATES = (1000, 100, 20)


class Figure(msgspec.Struct, frozen=True):
    """One measurement. `unit`: bisects, or times something. `limit` None: there is none."""

    what: str
    ns: float
    ratio: float
    unit: str
    limit: float | None = None

    @property
    def holds(self) -> bool:
        return self.limit is None or self.ratio <= self.limit


def least_ns(once: Callable[[], int], rounds: int = ROUNDS) -> float:
    """The least of several rounds; `once` gives nanoseconds."""
    return float(min(once() for _ in range(rounds)))


def each_ns(act: Callable[[], object], times: int) -> float:
    """What one call costs, the loop taken off."""

    def loop(body: Callable[[], object]) -> int:
        started = perf_counter_ns()
        for _ in range(times):
            body()
        return perf_counter_ns() - started

    return max(0.1, (least_ns(lambda: loop(act)) - least_ns(lambda: loop(_nothing))) / times)


def _nothing() -> None:
    return None


def bisect_ns(times: int = 20_000) -> float:
    """One bisect at places all over the list, in a plain loop as policy has it."""
    values = [BOUNDS[(7 * i) % 136] * 1.01 for i in range(times)]

    def once() -> int:
        bounds = BOUNDS
        started = perf_counter_ns()
        for value in values:
            bisect_left(bounds, value)
        return perf_counter_ns() - started

    def empty() -> int:
        started = perf_counter_ns()
        for _value in values:
            pass
        return perf_counter_ns() - started

    return (least_ns(once) - least_ns(empty)) / times


# --- choices ---


def chosen_ns(warm: Warm, rate_per_s: int, ticks: int) -> float:
    """The mean choice at a rate of arrivals with a tick every quarter of a second."""
    each = max(1, round(rate_per_s * TICK_S))

    def once() -> int:
        spent = 0
        for _ in range(ticks):
            warm.answer_everywhere()
            warm.tick()
            arrived = [warm.exchange() for _ in range(each)]
            choose = warm.chooser.choose
            started = perf_counter_ns()
            for x in arrived:
                choose(x)
            spent += perf_counter_ns() - started
        return spent

    return least_ns(once, 3) / (ticks * each)


def planned_ns(warm: Warm, times: int = 500) -> float:
    """A choice that is taken over from a plan."""

    def once() -> int:
        arrived = [warm.exchange() for _ in range(times)]
        for x in arrived:
            warm.chooser.choose(x)
            x.trail.decisions.clear()
        started = perf_counter_ns()
        for x in arrived:
            warm.chooser.choose(x)
        return perf_counter_ns() - started

    return least_ns(once) / times


def decided_ns(warm: Warm, times: int = 200) -> float:
    """Policy's decision alone, its views at hand."""
    situations = [warm.situation() for _ in range(times)]

    def once() -> int:
        decide, rng = warm.strategy.decide, warm.rng
        started = perf_counter_ns()
        for situation in situations:
            decide(situation, rng)
        return perf_counter_ns() - started

    return least_ns(once) / times


def choices(unit_ns: float) -> list[Figure]:
    """Among 10 endpoints against the bisect, among 200 against 10."""
    few, many = Warm(10), Warm(200)
    kinds: list[tuple[str, Callable[[Warm], float]]] = [("from a plan", planned_ns)]
    kinds += [(f"mean at {r:,}/s", lambda warm, r=r: chosen_ns(warm, r, max(4, 40 * 20 // r))) for r in RATES]  # type: ignore[misc]
    kinds += [("decided anew, policy alone", decided_ns)]
    found = []
    for name, measured in kinds:
        small, large = measured(few), measured(many)
        found.append(Figure(f"choice among 10, {name}", small, small / unit_ns, "bisects", MAX_BISECTS))
        found.append(Figure(f"choice among 200, {name}", large, large / small, "x 10 endpoints", MAX_GROWTH))
    return found


# --- statistics ---


def ticked(warm: Warm, times: int = 8) -> Figure:
    """A tick where every endpoint has new samples."""

    def once() -> int:
        spent = 0
        for _ in range(times):
            warm.answer_everywhere()
            warm.clock.at_s += TICK_S
            started = perf_counter_ns()
            warm.admission.tick(warm.clock.at_s)
            spent += perf_counter_ns() - started
        return spent

    ns = least_ns(once) / times
    return Figure(f"tick, {len(warm.endpoints)} endpoints changed", ns, ns / (TICK_S * 1e9), "of a core", MAX_TICK_RATIO)


def learning(unit_ns: float) -> list[Figure]:
    """Recording, looking, and telling other workers."""
    warm, window, slab = Warm(10), Window(), Slab(memoryview(bytearray(Slab.size_bytes(10))), 10)
    lesson = Lesson(next(iter(Kind)), 3, 1000.0, 999.0, 999.5, 700, 120, True, False)
    now_s, endpoint = warm.clock.at_s, warm.endpoints[0]
    slab.write(lesson)
    acts: list[tuple[str, Callable[[], object]]] = [
        ("record one ratio", lambda: window.record(1.1, now_s)),
        ("record an attempt's whole life", lambda: warm.answer(endpoint)),
        ("look at one endpoint (view)", lambda: warm.board.view(endpoint, now_s)),
        ("tell a lesson to other workers", lambda: slab.write(lesson)),
        ("read a lesson of another worker", lambda: slab.read(slab.written - 1)),
    ]
    return [Figure(name, ns, ns / unit_ns, "bisects") for name, act in acts for ns in [each_ns(act, 1000)]]


def measured() -> tuple[float, list[Figure]]:
    """The unit in ns, and everything."""
    unit_ns = bisect_ns()
    return unit_ns, [*choices(unit_ns), ticked(Warm(50)), *learning(unit_ns)]


def text(unit_ns: float, figures: Sequence[Figure]) -> str:
    """As a Markdown table."""
    rows = [
        [f.what, _time(f.ns), _ratio(f, f.ratio), "-" if f.limit is None else _ratio(f, f.limit), _verdict(f)] for f in figures
    ]
    return f"one bisect in 136 floats: {unit_ns:.0f} ns\n\n" + markdown(("", "time", "ratio", "limit", ""), rows)


def _time(ns: float) -> str:
    return f"{ns / 1e6:.2f} ms" if ns >= 1e6 else f"{ns / 1e3:.2f} us" if ns >= 1e3 else f"{ns:.0f} ns"


def _ratio(figure: Figure, value: float) -> str:
    return f"{value:.2%} {figure.unit}" if figure.unit == "of a core" else f"{value:.1f} {figure.unit}"


def _verdict(figure: Figure) -> str:
    return "" if figure.limit is None else "holds" if figure.holds else "BROKEN"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints, exits."""
    found = argparse.ArgumentParser(prog="python -m bench.micro", description="What deciding and learning cost, in bisects.")
    found.add_argument("--json", type=Path, help="the figures, into this file")
    asked = found.parse_args(arguments)
    unit_ns, figures = measured()
    print(text(unit_ns, figures))
    if asked.json:
        plain = {"bisect_ns": unit_ns, "figures": [{**msgspec.to_builtins(f), "holds": f.holds} for f in figures]}
        asked.json.write_text(json.dumps(plain, indent=1) + "\n")
    sys.exit(0 if all(f.holds for f in figures) else 1)


if __name__ == "__main__":
    main()
