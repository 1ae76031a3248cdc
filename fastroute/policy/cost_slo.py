"""The default strategy: the cheapest endpoint expected to meet the request's objective.

Theory of operation. Every usable endpoint gets a score in pico-dollars; the lowest wins:

    score = cost + L x risk + P(fail) x (cost_next + L x max(risk_next, 0.05))

- *cost* is the expected cost; an unpriced endpoint counts as twice the dearest priced one.
- *L* is what a miss is worth: 30 times the median expected cost of the tier's priced candidates, at least USD 0.0005 (but
  at most 60 medians where requests are cheaper than that), times sqrt(0.01 / (1 - target)) within 0.2 to 5.
- *risk* is P(miss) with two allowances. What the target allows (1 - target) is nearly free, so among endpoints that keep
  the promise the cheapest wins. And young endpoints have the benefit of the doubt: two standard errors, by samples ever
  seen, are taken off, so that a cheap endpoint is tried before it is judged, and one straggler does not judge it.
- *next* is the best other candidate: a failed attempt goes there. An error costs time even where the next one is quick.

Scores within 2 % are a tie: least in flight, then chance. Then three exceptions, in this order:
- *Infeasible*: where every P(miss) is 0.5 or more, `on_infeasible` decides.
- *Cold start*: a best candidate with fewer than 5 TTFT samples may hold 2 x 2^samples in flight; beyond, the next one is
  taken, whatever it holds. Not so where spilling buys no safety: the next one is less known; or it is cold too, and the
  best one is expected to meet the objective even so, or was itself taken because a cheaper one is too slow.
- *Probe*: a cheaper endpoint that nobody has measured for 20 s gets this request with a small chance, so that its recovery
  is found. It is judged by its long-run prediction, and ranked with the P(miss) that the promise allows, so that it is not
  passed over again. Probes stay near 2 % of requests; one that the long run speaks against is tried far more rarely.

What can go wrong. Prices so far apart that a median means little: L then follows the dearer half, which favours attainment.

Source: selection notes 2.3, 2.4, 2.10; pitfalls 11, 39; allowances and the cold exception are ours, from the simulation in
`tests/unit/test_policy_choice_sim.py`.
"""

import math

from fastroute.core.ports import Rng
from fastroute.core.types import Candidate, Decision, Exclusion, Situation
from fastroute.policy import eligible, probing
from fastroute.policy.picking import appraise, by_score, count_tied, exclusions_say, least_loaded_first, promoted, with_score
from fastroute.policy.risk import expected_total_s, lost

MISS_REQUESTS = 30.0
MISS_FLOOR_PUSD = 500_000_000.0
MISS_FLOOR_REQUESTS = 60.0
ALLOWED_SLOPE = 0.15
DOUBT = 2.0
DOUBT_WEIGHT = 20.0
FAILURE_RISK = 0.05
BAND = 0.02
COLD_SAMPLES = 5
COLD_IN_FLIGHT = 2
COLD_EASE = 0.05
FEASIBLE = 0.5
RISK_STEP = 0.1
TIME_STEP = math.log(1.1)


class CostSlo:
    """See the module's text."""

    name = "cost_slo"

    def decide(self, situation: Situation, rng: Rng) -> Decision:
        usable, excluded = eligible.split(situation)
        if not usable:
            return Decision(self.name, (), tuple(excluded), exclusions_say(excluded))
        ranked = by_score(scored(appraise(usable, situation), situation))
        tied = count_tied(ranked, BAND)
        ranked, why = least_loaded_first(ranked, tied, rng), "lowest expected cost and risk"
        feasible = any(c.p_miss < FEASIBLE for c in ranked)
        lasts = feasible and _settled(ranked, tied, situation)
        if not feasible:
            ranked, why = _by_fallback(ranked, situation)
        spilled = _spill(ranked, situation)
        if spilled is not None:
            ranked, why = promoted(ranked, spilled), f"{ranked[0].endpoint.name} is new and has enough in flight"
        probe = probing.probe(ranked, situation, rng) if situation.may_probe else None
        if probe is not None:
            ranked, why = (
                probing.with_probe(ranked, probe, situation),
                "probe: cheap, and not measured lately",
            )
        elif not feasible and situation.on_infeasible == "reject":
            return _rejected(self.name, ranked, excluded)
        tied = tied if lasts else 1
        return Decision(self.name, tuple(ranked), tuple(excluded), _why(ranked[0], why), lasts, tied, probe is not None)


def _settled(ranked: list[Candidate], tied: int, situation: Situation) -> bool:
    """Neither chance nor load has a say but among the tied ones: none is new, and no probe is due whatever is in flight."""
    return all(evidence(c, situation) >= COLD_SAMPLES for c in ranked[:tied]) and not probing.may_probe(ranked, situation)


def scored(candidates: list[Candidate], situation: Situation) -> list[Candidate]:
    """The same candidates with their scores."""
    costs = effective_costs(candidates)
    worth = miss_worth(candidates, situation.objective.target)
    risks = [worth * risk(c, situation) for c in candidates]
    sums = [cost + risk_ for cost, risk_ in zip(costs, risks, strict=True)]
    order = sorted(range(len(sums)), key=sums.__getitem__)
    out = []
    for i, candidate in enumerate(candidates):
        score = sums[i]
        if len(order) > 1:
            following = order[1] if order[0] == i else order[0]
            score += candidate.view.p_fail * (costs[following] + max(risks[following], worth * FAILURE_RISK))
        out.append(with_score(candidate, score))
    return out


def effective_costs(candidates: list[Candidate]) -> list[float]:
    """Expected costs, with a stand-in for the unpriced: twice the dearest priced one."""
    dearest = max((c.cost_pusd for c in candidates if c.cost_pusd is not None), default=0)
    unpriced = 2.0 * dearest or MISS_FLOOR_PUSD / MISS_REQUESTS
    return [unpriced if c.cost_pusd is None else float(c.cost_pusd) for c in candidates]


def miss_worth(candidates: list[Candidate], target: float) -> float:
    """What one missed objective is worth, in pico-dollars."""
    priced = sorted(c.cost_pusd for c in candidates if c.cost_pusd is not None)
    median = float(priced[len(priced) // 2]) if priced else 0.0
    floor = min(MISS_FLOOR_PUSD, MISS_FLOOR_REQUESTS * median) or MISS_FLOOR_PUSD
    strictness = math.sqrt(0.01 / max(1e-6, 1.0 - target))
    return max(MISS_REQUESTS * median, floor) * min(max(strictness, 0.2), 5.0)


def risk(candidate: Candidate, situation: Situation) -> float:
    """P(miss), less what the target allows and what doubt a young endpoint deserves."""
    p, allowed = candidate.p_miss, 1.0 - situation.objective.target
    doubt = DOUBT * math.sqrt(p * (1.0 - p) / (DOUBT_WEIGHT + evidence(candidate, situation)))
    return ALLOWED_SLOPE * min(p, allowed) + max(0.0, p - doubt - allowed)


def evidence(candidate: Candidate, situation: Situation) -> int:
    """How many TTFT samples speak for or against it. A TTFT inferred from a whole reply is worth half a seen one."""
    inferred = not situation.stream and situation.objective.ttft_s is not None
    return candidate.view.samples // 2 if inferred else candidate.view.samples


def _spill(ranked: list[Candidate], situation: Situation) -> Candidate | None:
    """The candidate that takes over where the best one is new and has enough in flight."""
    best = ranked[0]
    known = evidence(best, situation)
    if len(ranked) < 2 or known >= COLD_SAMPLES or best.view.in_flight < COLD_IN_FLIGHT << known:
        return None
    following = ranked[1]
    also_known = evidence(following, situation)
    if also_known < known:
        return None
    if also_known < COLD_SAMPLES and (_cost_key(best) > _least_cost(ranked) or best.p_miss <= _at_ease(situation)):
        return None
    return following


def _least_cost(candidates: list[Candidate]) -> float:
    return min(_cost_key(c) for c in candidates)


def _at_ease(situation: Situation) -> float:
    return max(COLD_EASE, 1.0 - situation.objective.target)


def _by_fallback(ranked: list[Candidate], situation: Situation) -> tuple[list[Candidate], str]:
    """The order where no candidate is likely to meet the objective."""
    if situation.on_infeasible == "cheapest":
        return sorted(ranked, key=_cost_key), "none is likely to meet the objective: the cheapest"
    if lost(situation):
        return sorted(ranked, key=lambda c: (_time_step(c, situation), _cost_key(c))), "the objective is lost: the soonest"
    return sorted(
        ranked, key=lambda c: (round(c.p_miss / RISK_STEP), _cost_key(c))
    ), "none is likely to meet the objective: the mildest"


def _cost_key(candidate: Candidate) -> float:
    return math.inf if candidate.cost_pusd is None else float(candidate.cost_pusd)


def _time_step(candidate: Candidate, situation: Situation) -> int:
    """Predicted remaining time in steps of 10 %."""
    return round(math.log(max(1e-3, expected_total_s(candidate.view, situation))) / TIME_STEP)


def _rejected(name: str, ranked: list[Candidate], excluded: list[Exclusion]) -> Decision:
    """Nothing is ranked: the route would rather refuse than be late."""
    late = [Exclusion(c.endpoint, f"likely to miss the objective (P = {c.p_miss:.2f})") for c in ranked]
    return Decision(name, (), (*excluded, *late), "none is likely to meet the objective, and the route rejects")


def _why(best: Candidate, why: str) -> str:
    return f"{best.endpoint.name}: {why}; P(miss) {best.p_miss:.3f}"
