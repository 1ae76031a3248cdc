"""Asks the route's strategy which endpoint comes next, tier by tier."""

from collections.abc import Mapping

import msgspec

from fastroute.core.failures import Failure
from fastroute.core.ports import Clock, Rng, Strategy
from fastroute.core.types import Candidate, Decision, Endpoint, EndpointView, Role, Situation
from fastroute.engine.admission import Admission
from fastroute.engine.exchange import Exchange
from fastroute.policy import climbing, retrying


class Choice(msgspec.Struct, frozen=True):
    """Where the next attempt goes, and who could still follow it."""

    candidate: Candidate
    tier: int
    role: Role
    others: tuple[EndpointView, ...]


class Chooser:
    """Frozen views in, one endpoint out; every decision enters the Trail."""

    def __init__(self, strategies: Mapping[str, Strategy], admission: Admission, clock: Clock, rng: Rng) -> None:
        self._strategies, self._admission, self._clock, self._rng = strategies, admission, clock, rng
        self._turns: dict[str, int] = {}

    def choose(self, x: Exchange) -> Choice | None:
        """The next endpoint, or None when none is left that may be used."""
        panic = not self._admission.any_open(x.route, self._clock.now_s())
        tiers = [x.untried(tier) for tier in x.route.tiers]
        decisions = self._decide(x, tiers, panic)
        start = climbing.start_tier(decisions, x.objective.target)
        x.trail.decisions.extend(decisions)
        if start < 0:
            return self._repeat(x)
        best = decisions[start].ranked[0]
        return Choice(best, start, self._role(x, start), self._others(decisions, best, tiers))

    def _others(self, decisions: list[Decision], best: Candidate, tiers: list[tuple[Endpoint, ...]]) -> tuple[EndpointView, ...]:
        """Views of the endpoints that could still follow the chosen one."""
        ranked = [c.view for d in decisions for c in d.ranked if c is not best]
        beyond = [e for tier in tiers[len(decisions) :] for e in tier]
        views = self._admission.views(beyond, self._clock.now_s()) if beyond else ()
        return (*ranked, *(v for v in views if v.admits and not v.gate_left_s))

    def _decide(self, x: Exchange, tiers: list[tuple[Endpoint, ...]], panic: bool) -> list[Decision]:
        """Decisions from the lowest tier up, as far as they are needed."""
        strategy = self._strategies[x.route.strategy]
        decisions: list[Decision] = []
        turn = self._turn(x)
        for tier in tiers:
            if not tier:
                decisions.append(Decision(strategy.name, (), (), "every endpoint of this tier was tried"))
                continue
            decisions.append(strategy.decide(self._situation(x, tier, panic, turn), self._rng))
            if climbing.at_ease(decisions[-1], x.objective.target):
                break
        return decisions

    def _situation(self, x: Exchange, tier: tuple[Endpoint, ...], panic: bool, turn: int) -> Situation:
        now_s = self._clock.now_s()
        return Situation(
            views=self._admission.views(tier, now_s, panic=panic),
            objective=x.objective,
            elapsed_s=x.elapsed_s(),
            left_s=x.deadline.left_s(now_s),
            input_tokens=x.request.input_tokens,
            max_output_tokens=x.request.max_output_tokens,
            stream=x.request.stream,
            needs=x.request.needs,
            max_cost_pusd=x.request.overrides.max_cost_pusd,
            on_infeasible=x.route.on_infeasible,
            turn=turn,
            deadline_covers_reply=x.route.deadline_covers == "last_byte" or not x.request.stream,
        )

    def _turn(self, x: Exchange) -> int:
        """How many requests this route has had; attempts of one request share a turn."""
        name = x.route.name
        if not x.trail.attempts:
            self._turns[name] = self._turns.get(name, -1) + 1
        return self._turns.get(name, 0)

    def _repeat(self, x: Exchange) -> Choice | None:
        """The last endpoint once more, where its connection failed and nothing else is left."""
        if not x.trail.attempts:
            return None
        last = x.trail.attempts[-1]
        times = sum(a.endpoint == last.endpoint for a in x.trail.attempts)
        if not retrying.may_repeat(x.last_fault(), times):
            return None
        endpoint = next(e for e in x.route.tiers[last.tier] if e.name == last.endpoint)
        decision = self._strategies[x.route.strategy].decide(self._situation(x, (endpoint,), True, 0), self._rng)
        x.trail.decisions.append(decision)
        return Choice(decision.ranked[0], last.tier, Role.RETRY, ()) if decision.ranked else None

    def _role(self, x: Exchange, tier: int) -> Role:
        if not x.trail.attempts:
            return Role.PRIMARY
        last = x.trail.attempts[-1]
        climbs = tier > last.tier and last.failure is not Failure.UNSUPPORTED
        return Role.ESCALATION if climbs else Role.FAILOVER
