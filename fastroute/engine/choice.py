"""Asks the route's strategy which endpoint comes next, tier by tier.

Theory of operation. Statistics change on a tick, so within one tick requests of the same class (route, prompt size within 12 %,
limits, needs) get the same answer, unless load or chance has a say. The first request of a class makes a `Plan`; the others
take it over, and only choose among endpoints that tie, by the load of this instant. A plan holds for the `epoch` of the
admission, and only where every endpoint it looked at is calm: anything out of the ordinary is decided anew each time.
"""

from collections.abc import Mapping

import msgspec

from fastroute.core.failures import Failure
from fastroute.core.ports import Clock, Rng, Strategy
from fastroute.core.trail import Attempt
from fastroute.core.types import AS_CONFIGURED, Candidate, Decision, Endpoint, EndpointView, Role, Situation
from fastroute.engine.admission import Admission, Gatekeeper
from fastroute.engine.exchange import Exchange
from fastroute.policy import climbing, eligible, hedging, retrying, timeouts
from fastroute.policy.cost_slo import miss_worth
from fastroute.policy.picking import appraise

FRESH_S = 0.005  # a request no older than this is as good as new
MAX_PLANS = 4096
LONG_BITS = 13  # 8,192 tokens and more
Key = tuple[object, ...]


class Choice(msgspec.Struct, frozen=True, gc=False):
    """Where the next attempt goes, and how long it may take: seconds to first content (or a whole reply), and to stall.

    `hedge_after_s`: seconds after the request was accepted at which a duplicate is thought of; None: never.
    """

    candidate: Candidate
    tier: int
    role: Role
    first_content_s: float
    stall_s: float
    hedge_after_s: float | None = None


class Plan(msgspec.Struct, frozen=True, gc=False):
    """What a class of requests is told until the epoch ends. `ways`: equally good ones, each with its decisions."""

    ways: tuple[tuple[Gatekeeper, Choice, tuple[Decision, ...]], ...]


class Chooser:
    """Frozen views in, one endpoint out; every decision enters the Trail."""

    def __init__(self, strategies: Mapping[str, Strategy], admission: Admission, clock: Clock, rng: Rng) -> None:
        self._strategies, self._admission, self._clock, self._rng = strategies, admission, clock, rng
        self._turns: dict[str, int] = {}
        self._plans: dict[Key, Plan] = {}
        self._epoch = -1

    def choose(self, x: Exchange) -> Choice | None:
        """The next endpoint, or None when none is left that may be used."""
        now_s = self._clock.now_s()
        if x.trail.attempts or now_s - x.request.accepted_s > FRESH_S:
            return self._decided(x, now_s, None)
        key = _class_of(x)
        if self._epoch != self._admission.epoch:
            self._plans.clear()
            self._epoch = self._admission.epoch
        plan = self._plans.get(key)
        return self._decided(x, now_s, key) if plan is None else self._planned(x, plan, now_s, key)

    def _planned(self, x: Exchange, plan: Plan, now_s: float, key: Key) -> Choice | None:
        """The plan's choice; of several, the one with fewest in flight, then chance."""
        way = plan.ways[0]
        if len(plan.ways) > 1:
            least = min(w[0].in_flight for w in plan.ways)
            ways = [w for w in plan.ways if w[0].in_flight == least]
            way = ways[int(self._rng.random() * len(ways)) % len(ways)]
        keeper = way[0]
        if keeper.limit is not None and keeper.in_flight >= keeper.limit:
            return self._decided(x, now_s, None)
        x.trail.decisions.extend(way[2])
        return way[1]

    def _decided(self, x: Exchange, now_s: float, key: Key | None) -> Choice | None:
        """A choice made for this request. `key`: its class, where the choice may be made for all of it."""
        tiers = [x.untried(tier) for tier in x.route.tiers]
        panic = not self._admission.any_open(x.route, now_s)
        decisions = self._decide(x, tiers, panic, 0.0 if key is not None else now_s - x.request.accepted_s)
        start = climbing.start_tier(decisions, x.objective.target)
        x.trail.decisions.extend(decisions)
        if start < 0:
            return self._repeat(x)
        best = decisions[start].ranked[0]
        others = self._others(decisions, best, tiers)
        choice = self._choice(x, best, start, others, decisions[start].probe)
        if key is not None and all(d.lasts for d in decisions):
            self._remember(x, key, decisions, choice, others)
        return choice

    def duplicate(self, x: Exchange, choice: Choice, first: Attempt) -> Choice | None:
        """Where a request that waits is sent once more, now; None: nowhere, for it would not help, or not be worth it."""
        if x.attempts_left <= 0:
            return None
        now_s = self._clock.now_s()
        candidates, situation = self._alternates(x, now_s)
        view = self._admission.view(self._admission.keeper(choice.candidate.endpoint), now_s)
        if x.promises:
            lost = hedging.chance_lost(view, situation, first.started_s - x.request.accepted_s)
            worth_pusd = miss_worth([choice.candidate, *(c for _, c in candidates)], x.objective.target)
            found, why = hedging.best(lost, worth_pusd, [c for _, c in candidates]), f"P(miss) {lost:.2f} by now"
        else:
            found, why = hedging.soonest(view, situation, [c for _, c in candidates]), "slower than 95 %"
        if found is None or not x.budget.hedge(now_s, found.cost_pusd):
            return None
        tier = next(t for t, c in candidates if c is found)
        why = f"{found.endpoint.name}: hedges {first.endpoint}, which has waited {now_s - first.started_s:.2f} s; {why}"
        x.trail.decisions.append(Decision("hedge", (found,), (), why))
        return Choice(
            found, tier, Role.HEDGE, x.deadline.left_s(now_s), x.route.stall_timeout_s or timeouts.stall_timeout_s(found.view)
        )

    def _alternates(self, x: Exchange, now_s: float) -> tuple[list[tuple[int, Candidate]], Situation]:
        """Who may serve the request and was not tried, none of them late with anything else, by tier; and the situation now."""
        found: list[tuple[int, Candidate]] = []
        for i, tier in enumerate(x.route.tiers):
            rest = tuple(e for e in x.untried(tier) if not self._admission.keeper(e).overdue)
            situation = self._situation(x, rest, False, 0, now_s - x.request.accepted_s)
            found += [(i, c) for c in appraise(eligible.split(situation)[0], situation)]
        return found, situation

    def _hedge_after_s(self, x: Exchange, first: EndpointView, others: tuple[EndpointView, ...], probe: bool) -> float | None:
        rule = x.route.hedge
        if not (x.may_hedge and others) or (rule is not None and rule.max_ratio <= 0.0) or x.attempts_left < 2:
            return None
        if x.promises:
            return hedging.moment_s(x.objective, x.request, first, others, probe)
        return None if rule is None else x.elapsed_s() + hedging.moment_without_objective_s(x.request, first)

    def _choice(self, x: Exchange, best: Candidate, tier: int, others: tuple[EndpointView, ...], probe: bool = False) -> Choice:
        first_s = timeouts.first_content_timeout_s(
            x.route,
            best.view,
            others,
            left_s=x.deadline.left_s(self._clock.now_s()),
            request=x.request,
            attempts_left=x.attempts_left - 1,
        )
        stall_s = x.route.stall_timeout_s or timeouts.stall_timeout_s(best.view)
        role = Role.PROBE if probe and not x.trail.attempts else self._role(x, tier)
        return Choice(best, tier, role, first_s, stall_s, self._hedge_after_s(x, best.view, others, probe))

    def _remember(
        self, x: Exchange, key: Key, decisions: list[Decision], choice: Choice, others: tuple[EndpointView, ...]
    ) -> None:
        """Makes the choice a plan for its class, where every endpoint of the route is calm."""
        now_s, keeper, start = self._clock.now_s(), self._admission.keeper, choice.tier
        if not all(keeper(e).calm(now_s) for tier in x.route.tiers for e in tier):
            return
        if len(self._plans) >= MAX_PLANS:
            self._plans.clear()
        chosen, first = decisions[start], choice.candidate
        ways = [(keeper(first.endpoint), choice, tuple(decisions))]
        for candidate in chosen.ranked[1 : chosen.tied]:
            follow = (first.view, *(v for v in others if v is not candidate.view))
            told = (*decisions[:start], _promoted(chosen, candidate), *decisions[start + 1 :])
            ways.append((keeper(candidate.endpoint), self._choice(x, candidate, start, follow), told))
        self._plans[key] = Plan(tuple(ways))

    def _others(self, decisions: list[Decision], best: Candidate, tiers: list[tuple[Endpoint, ...]]) -> tuple[EndpointView, ...]:
        """Views of the endpoints that could still follow the chosen one."""
        ranked = [c.view for d in decisions for c in d.ranked if c is not best]
        beyond = [e for tier in tiers[len(decisions) :] for e in tier]
        views = self._admission.views(beyond, self._clock.now_s()) if beyond else ()
        return (*ranked, *(v for v in views if v.admits and not v.gate_left_s))

    def _decide(self, x: Exchange, tiers: list[tuple[Endpoint, ...]], panic: bool, elapsed_s: float) -> list[Decision]:
        """Decisions from the lowest tier up, as far as they are needed."""
        strategy = self._strategies[x.route.strategy]
        decisions: list[Decision] = []
        turn = self._turn(x)
        for tier in tiers:
            if not tier:
                decisions.append(Decision(strategy.name, (), (), "every endpoint of this tier was tried"))
                continue
            decisions.append(strategy.decide(self._situation(x, tier, panic, turn, elapsed_s), self._rng))
            if climbing.at_ease(decisions[-1], x.objective.target):
                break
        return decisions

    def _situation(self, x: Exchange, tier: tuple[Endpoint, ...], panic: bool, turn: int, elapsed_s: float) -> Situation:
        now_s, request = self._clock.now_s(), x.request
        return Situation(
            views=self._admission.views(tier, now_s, panic=panic),
            objective=x.objective,
            elapsed_s=elapsed_s,
            left_s=max(0.0, x.deadline_s - elapsed_s),
            input_tokens=_rounded(request.input_tokens),
            max_output_tokens=request.max_output_tokens,
            stream=request.stream,
            needs=request.needs,
            max_cost_pusd=request.overrides.max_cost_pusd,
            on_infeasible=x.route.on_infeasible,
            turn=turn,
            may_probe=request.overrides.hedge,
            deadline_covers_reply=x.route.deadline_covers == "last_byte" or not request.stream,
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
        situation = self._situation(x, (endpoint,), True, 0, x.elapsed_s())
        decision = self._strategies[x.route.strategy].decide(situation, self._rng)
        x.trail.decisions.append(decision)
        if not decision.ranked:
            return None
        return msgspec.structs.replace(self._choice(x, decision.ranked[0], last.tier, ()), role=Role.RETRY)

    def _role(self, x: Exchange, tier: int) -> Role:
        if not x.trail.attempts:
            return Role.PRIMARY
        last = x.trail.attempts[-1]
        climbs = tier > last.tier and last.failure is not Failure.UNSUPPORTED
        return Role.ESCALATION if climbs else Role.FAILOVER


def _promoted(decision: Decision, candidate: Candidate) -> Decision:
    """The same decision for another one of the tied."""
    if candidate is decision.ranked[0]:
        return decision
    ranked = (candidate, *(c for c in decision.ranked if c is not candidate))
    why = f"{candidate.view.endpoint.name}: as good as {decision.ranked[0].view.endpoint.name}, and fewer in flight"
    return Decision(decision.strategy, ranked, decision.excluded, why, True, decision.tied)


def _rounded(tokens: int) -> int:
    """Prompts of about one size are one class: within 12 %, long ones within 3 %. The count is an estimate anyway.

    Half a class more or less moves a predicted TTFT by a few per cent, and the costs of all endpoints alike. Long prompts are
    told apart more finely, since they may exceed a context.
    """
    bits = tokens.bit_length()
    shift = bits - 3 if bits <= LONG_BITS else bits - 5
    return tokens if shift <= 0 else ((tokens >> shift) << shift) + ((1 << shift) >> 1)


def _class_of(x: Exchange) -> Key:
    """What two requests must have in common to be decided alike."""
    request, needs = x.request, x.request.needs
    asks_for = (request.max_output_tokens, request.stream, needs.vision, needs.tools, needs.json_schema)
    key = (x.route.name, _rounded(request.input_tokens), asks_for)
    asked = request.overrides
    if asked is AS_CONFIGURED:
        return key
    return (*key, asked.ttft_s, asked.total_s, asked.deadline_s, asked.max_cost_pusd, asked.hedge)
