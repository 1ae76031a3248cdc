"""What the schedule of faults makes of an endpoint at each instant: the true state, which only oracles may look at.

Theory of operation. The faults of one seed (onsets moved by their jitter, the period repeated) cut an endpoint's time into
spans; in each span the state is one frozen `Weather`. Finding it is one bisect.
"""

import random
from bisect import bisect_right
from collections.abc import Iterable

import msgspec

from fastroute.sim.worldfile import Fault, World

AFFECTING = ("brownout", "spike", "cold_start", "slow_drip", "down", "gray", "cut", "rate_cut", "tail_shape")
"""Kinds after which a router should move traffic away, and back."""


class Weather(msgspec.Struct, frozen=True):
    """Multipliers and shares in force at one endpoint. The default is fair weather."""

    first_factor: float = 1.0
    pace_factor: float = 1.0
    sigma_factor: float = 1.0
    straggler_ratio: float | None = None  # None: as usual
    down: str | None = None  # refuse, error, hang
    gray_ratio: float = 0.0
    gray_how: str = "hang"
    cut_ratio: float = 0.0  # so many replies are cut midway
    limit_ratio: float = 1.0  # what is left of the rate limit
    price_factor: float = 1.0


FAIR = Weather()


class Phase(msgspec.Struct, frozen=True):
    """One fault at one time. `nth`: how often the schedule has come round."""

    fault: Fault
    start_s: float
    end_s: float
    nth: int = 0

    @property
    def name(self) -> str:
        return self.fault.name


def phases(world: World, until_s: float, seed: int) -> tuple[Phase, ...]:
    """Every fault that begins before `until_s`, in order of time."""
    rng = random.Random(f"phases {seed}")
    found: list[Phase] = []
    nth = 0
    while True:
        offset_s = nth * (world.period_s or 0.0)
        for fault in world.faults:
            start_s = max(0.0, offset_s + fault.from_s + fault.jitter_s * (2.0 * rng.random() - 1.0))
            if start_s < until_s:
                found.append(Phase(fault, start_s, start_s + fault.for_s, nth))
        nth += 1
        if world.period_s is None or nth * world.period_s >= until_s:
            return tuple(sorted(found, key=lambda p: (p.start_s, p.name)))


class Forecast:
    """One endpoint's weather over time."""

    def __init__(self, endpoint: str, schedule: Iterable[Phase]) -> None:
        mine = [p for p in schedule if endpoint in p.fault.endpoints]
        self._from_s = [0.0, *sorted({t for p in mine for t in (p.start_s, p.end_s) if t > 0.0})]
        self._spans = [_combined(p.fault for p in mine if p.start_s <= t < p.end_s) for t in self._from_s]
        self._downs_s = sorted(p.start_s for p in mine if p.fault.kind == "down")

    def at(self, now_s: float) -> Weather:
        return self._spans[bisect_right(self._from_s, now_s) - 1]

    def goes_down_s(self, after_s: float, before_s: float) -> float | None:
        """When it goes down between two instants; None: it does not."""
        i = bisect_right(self._downs_s, after_s)
        return self._downs_s[i] if i < len(self._downs_s) and self._downs_s[i] < before_s else None


def _combined(faults: Iterable[Fault]) -> Weather:
    weather = FAIR
    for fault in faults:
        weather = msgspec.structs.replace(weather, **_change(weather, fault))
    return weather


def _change(weather: Weather, fault: Fault) -> dict[str, object]:
    factor, share = 1.0 if fault.factor is None else fault.factor, fault.share or 0.0
    slower, drips = {"first_factor": weather.first_factor * factor}, {"pace_factor": weather.pace_factor * factor}
    changes: dict[str, dict[str, object]] = {
        "brownout": {**slower, **drips},
        "spike": {**slower, **drips},
        "cold_start": {**slower},
        "slow_drip": {**drips},
        "down": {"down": fault.how},
        "gray": {"gray_ratio": share, "gray_how": fault.how},
        "cut": {"cut_ratio": share},
        "rate_cut": {"limit_ratio": weather.limit_ratio * factor},
        "tail_shape": {"sigma_factor": factor, "straggler_ratio": share},
        "price_change": {"price_factor": weather.price_factor * factor},
    }
    return changes.get(fault.kind, {})
