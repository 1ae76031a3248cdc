"""Strategies by the name a route gives. Third parties add theirs with the entry point group `fastroute.strategies`.

An entry point names a class without constructor arguments, or an object, that is a `core.ports.Strategy`. Built-in names
cannot be taken over. A new built-in strategy is one file in this folder and one line here.
"""

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from fastroute.core.ports import Strategy
from fastroute.policy.cost_slo import CostSlo
from fastroute.policy.least_latency import LeastLatency
from fastroute.policy.round_robin import RoundRobin
from fastroute.policy.weighted import Weighted

GROUP = "fastroute.strategies"

BUILT_IN: dict[str, type[Strategy]] = {s.name: s for s in (CostSlo, LeastLatency, Weighted, RoundRobin)}


class UnknownStrategy(ValueError):
    """No strategy has this name. The message lists those that exist."""


def names() -> tuple[str, ...]:
    """Every strategy that `strategy` would find."""
    return tuple(sorted({*BUILT_IN, *(e.name for e in entry_points(group=GROUP))}))


def strategies() -> dict[str, Strategy]:
    """Every strategy, by name."""
    return {name: strategy(name) for name in names()}


def strategy(name: str) -> Strategy:
    """The strategy of that name. Raises `UnknownStrategy`; whatever a third party's module raises passes through."""
    if name in BUILT_IN:
        return BUILT_IN[name]()
    for entry in entry_points(group=GROUP, name=name):
        return _load(entry)
    known = names()
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise UnknownStrategy(f"there is no strategy {name!r}{hint} (known: {', '.join(known)})")


def _load(entry: EntryPoint) -> Strategy:
    loaded = entry.load()
    made = loaded() if isinstance(loaded, type) else loaded
    if not callable(getattr(made, "decide", None)):
        raise UnknownStrategy(f"the entry point {entry.name!r} ({entry.value}) is no strategy: it has no decide()")
    return cast(Strategy, made)
