"""What the state oracle pays for an attainment: the yardstick for cost.

Theory of operation. The oracle is played at several worths of a miss. Averaged over seeds, each is a point (attainment, cost);
those that no other point beats in both are the frontier. Between two neighbours it is linear: taking one worth for a share of
the requests and the other for the rest attains that. For an attainment the mixture is found on the averages, and then priced
seed by seed, so that a contender is compared with the oracle under the same luck.

What can go wrong. The oracle does not hedge. An attainment that it reaches at no worth has no cost, and is None.
"""

import statistics
from collections.abc import Sequence
from functools import partial
from typing import Self

import msgspec

from fastroute.core.types import Route
from fastroute.sim import measures
from fastroute.sim.oracle import WORTHS, StateOracle
from fastroute.sim.run import Contender, Played, Sight

TICK_S = 2.0  # an oracle has no use for statistics; only the engine's timeouts look at them


class Worth(msgspec.Struct, frozen=True):
    """The oracle at one worth of a miss: mean attainment, and its cost on each seed."""

    attainment: float
    costs_usd: tuple[float, ...]

    @property
    def cost_usd(self) -> float:
        """The mean."""
        return statistics.fmean(self.costs_usd)


class Frontier(msgspec.Struct, frozen=True):
    """From careless and cheap to careful and dear."""

    worths: tuple[Worth, ...]

    @classmethod
    def of(cls, groups: Sequence[Sequence[Played]]) -> Self:
        """From the runs at each worth, one a seed; what another point beats in both respects is left out."""
        found = sorted((_worth(runs) for runs in groups), key=lambda w: (w.attainment, -w.cost_usd))
        kept: list[Worth] = []
        for worth in reversed(found):
            if not kept or worth.cost_usd < kept[-1].cost_usd:
                kept.append(worth)
        return cls(tuple(reversed(kept)))

    def costs_usd(self, attainment: float) -> list[float] | None:
        """By seed, what attaining so much costs; the cheapest point's where that attains more; None beyond the dearest."""
        lower = None
        for upper in self.worths:
            if upper.attainment >= attainment:
                return list(upper.costs_usd) if lower is None else _mixed(lower, upper, attainment)
            lower = upper
        return None

    def means(self) -> tuple[tuple[float, float], ...]:
        """(attainment, cost) of each point."""
        return tuple((w.attainment, w.cost_usd) for w in self.worths)


def _mixed(lower: Worth, upper: Worth, attainment: float) -> list[float]:
    share = (attainment - lower.attainment) / (upper.attainment - lower.attainment)
    return [a + share * (b - a) for a, b in zip(lower.costs_usd, upper.costs_usd, strict=True)]


def _worth(runs: Sequence[Played]) -> Worth:
    found = [measures.numbers(played) for played in runs]
    return Worth(statistics.fmean(n.attainment or 0.0 for n in found), tuple(n.cost_usd or 0.0 for n in found))


def state_oracle(sight: Sight, worth_requests: float) -> StateOracle:
    """A `run.Make` once `worth_requests` is bound."""
    return StateOracle(sight.providers, sight.now_s, sight.lengths, worth_requests)


def rod_key(route: Route) -> str:
    """Routes with the same endpoints and promise share an oracle."""
    names = "+".join(sorted(e.name for tier in route.tiers for e in tier))
    promise = route.objective
    return f"{names} {promise.ttft_s}/{promise.total_s}/{promise.target} {route.deadline_s}"


def rods(contenders: Sequence[Contender]) -> dict[str, list[Contender]]:
    """By `rod_key`, the oracle at every worth, free to use any tier's endpoints."""
    found: dict[str, list[Contender]] = {}
    for route in (c.route for c in contenders):
        key = rod_key(route)
        if key not in found:
            flat = (tuple({e.name: e for tier in route.tiers for e in tier}.values()),)
            whole = msgspec.structs.replace(route, tiers=flat)
            makes = {w: partial(state_oracle, worth_requests=w) for w in WORTHS}
            found[key] = [Contender(f"{key} {w:g}", whole, make, tick_s=TICK_S) for w, make in makes.items()]
    return found
