"""What others do, and what could be done: strategies to compare with, in the same simulator. No part of the product.

Rules. Each is a re-implementation of a documented rule, run by fastroute's own engine, and so better off than where it comes
from: it gets our failover, timeouts, breakers and rate-limit gates. Suspicion, predictions and probes are not for it. The two
oracles look at the simulated world itself: no real router can.

`python -m bench.baselines --help` compares them all; docs/simulation.md has the results.
"""

from collections.abc import Mapping
from functools import partial

from bench.baselines.clairvoyant import Clairvoyant
from bench.baselines.learned import CheapestUnderP99, LastTen, PeakEwma
from bench.baselines.rules import InverseSquare, LowestCost, RoundRobin, WeightedRandom
from fastroute.core.ports import Strategy
from fastroute.sim.frontier import state_oracle
from fastroute.sim.run import Make, Sight


def _plain(kind: type[Strategy], sight: Sight) -> Strategy:
    return kind()


def _timed(kind: type[LastTen] | type[PeakEwma] | type[CheapestUnderP99], sight: Sight) -> Strategy:
    return kind(sight.now_s)


def _clairvoyant(sight: Sight) -> Strategy:
    return Clairvoyant(sight.providers, sight.now_s)


BASELINES: Mapping[str, Make] = {
    "round_robin": partial(_plain, RoundRobin),
    "weighted": partial(_plain, WeightedRandom),
    "inverse_square": partial(_plain, InverseSquare),
    "lowest_cost": partial(_plain, LowestCost),
    "last_ten": partial(_timed, LastTen),
    "peak_ewma": partial(_timed, PeakEwma),
    "cheapest_p99": partial(_timed, CheapestUnderP99),
    "state_oracle": partial(state_oracle, worth_requests=120.0),
    "clairvoyant": _clairvoyant,
}
"""By name, each for `fastroute.sim.run.Contender.make`."""
