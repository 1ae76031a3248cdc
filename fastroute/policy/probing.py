"""When to spend a request on measuring an endpoint again.

Rules. Only a usable endpoint with nothing in flight, unmeasured for 20 s (or suspect and let through by its gate), that is
cheaper than the chosen one, or is the chosen one and thought too risky. Only with a chance that keeps probes near 2 % of
requests.

Theory of operation. After a probe an endpoint rests for 20 s, so at R requests per second a chance p costs 1 / (20 R + 1 /
p) of them; solved for 2 %, p grows with R until above 2.5 requests per second every due probe is sent at once. A suspect
rests by its own gate (2 s growing to 30 s); its chance is a fifth at one request per second. An endpoint with fewer than
three samples is judged by next to nothing: it rests 5 s and its chance is a fifth. One whose long-run prediction speaks
against it is left alone for ten minutes, and then tried with a tenth of the chance: nothing is exiled for ever.

Source: selection notes 2.4; pitfalls 9, 10, 40.
"""

import msgspec

from fastroute.core.ports import Rng
from fastroute.core.types import Candidate, EndpointView, Situation
from fastroute.policy.risk import NEVER, limits_s

SHARE = 0.02
REST_S = 20.0
LONG_REST_S = 600.0
RARELY = 0.1
KNOWN_SAMPLES = 3
YOUNG_REST_S = 5.0
YOUNG_CHANCE = 0.2
SAFETY = 0.9
UNEASY = 0.05
SUSPECT_CHANCE = 0.5


def probe(ranked: list[Candidate], situation: Situation, rng: Rng) -> Candidate | None:
    """The candidate that this request should measure; None: none."""
    due = [c for c in ranked if _due(c.view) and _saves(c, ranked[0], situation)]
    if not due:
        return None
    candidate = min(due, key=lambda c: -1 if c.cost_pusd is None else c.cost_pusd)
    rate_per_s = sum(c.view.rate_per_s for c in ranked) / len(due)
    return candidate if rng.random() < _chance(candidate.view, situation, rate_per_s) else None


def may_probe(ranked: list[Candidate], situation: Situation) -> bool:
    """Whether any candidate could be probed, once it has nothing in flight and chance agrees."""
    rested = [c for c in ranked if _rested(c.view) and _saves(c, ranked[0], situation)]
    return any(_chance(c.view, situation, c.view.rate_per_s) > 0.0 for c in rested)


def with_probe(ranked: list[Candidate], probed: Candidate, situation: Situation) -> list[Candidate]:
    """The probe first, with the P(miss) that the promise allows: it is sent because what is known of it is old."""
    hopeful = msgspec.structs.replace(probed, p_miss=min(probed.p_miss, 1.0 - situation.objective.target))
    return [hopeful, *(c for c in ranked if c is not probed)]


def _due(view: EndpointView) -> bool:
    return view.in_flight <= view.goods and _rested(view)


def _rested(view: EndpointView) -> bool:
    rest_s = REST_S if view.samples >= KNOWN_SAMPLES else YOUNG_REST_S
    return view.suspect or view.age_s is None or view.age_s >= rest_s


def _saves(candidate: Candidate, best: Candidate, situation: Situation) -> bool:
    if candidate is best:
        return candidate.p_miss > max(UNEASY, 2.0 * (1.0 - situation.objective.target))
    if candidate.cost_pusd is None:
        return False
    return best.cost_pusd is None or candidate.cost_pusd < best.cost_pusd


def _chance(view: EndpointView, situation: Situation, rate_per_s: float) -> float:
    if view.samples < KNOWN_SAMPLES and view.age_s is not None:
        return YOUNG_CHANCE
    if not _hopeful(view, situation):
        return SHARE * RARELY if view.age_s is None or view.age_s >= LONG_REST_S else 0.0
    if view.suspect:
        return 1.0 if view.goods else min(1.0, max(SHARE, SUSPECT_CHANCE * rate_per_s))
    return SHARE / max(SHARE, 1.0 - SHARE * REST_S * rate_per_s)


def _hopeful(view: EndpointView, situation: Situation) -> bool:
    """Whether the long run, not the last bad spell, says that the objective can be met there."""
    limit_s = min(limits_s(situation))
    return (
        limit_s == NEVER
        or view.samples == 0
        or view.predicted_ttft_s(situation.input_tokens) * view.ttft_long_ratio < SAFETY * limit_s
    )
