"""One request under way: what its attempts share."""

from fastroute.core.deadline import Deadline
from fastroute.core.failures import Blame, Failure, Fault
from fastroute.core.ports import Clock, ReplyPort
from fastroute.core.trail import Attempt, Trail
from fastroute.core.types import AS_CONFIGURED, ChatRequest, Endpoint, Objective, Overrides, Role, Route
from fastroute.engine.hedge import Hedge
from fastroute.policy.budget import RATE_LIMITED_TOKENS, Budget

OVERDUE_SHARE = 0.3


def _objective(promised: Objective, asked: Overrides) -> Objective:
    """The route's promise, with what the client asked for in its place."""
    return Objective(
        ttft_s=promised.ttft_s if asked.ttft_s is None else asked.ttft_s,
        total_s=promised.total_s if asked.total_s is None else asked.total_s,
        target=promised.target,
    )


class Exchange:
    """The client's request and its reply port, the route, the one deadline and the one budget, the Trail, what was tried.

    `hedge`: the duplicate under way. `may_hedge`: none was sent yet, and neither client nor route forbids it.
    """

    __slots__ = (
        "budget", "budget_spent", "clock", "deadline", "deadline_s", "hedge", "may_hedge",
        "objective", "reply", "request", "route", "trail", "tried",
    )  # fmt: skip

    def __init__(self, request: ChatRequest, reply: ReplyPort, route: Route, trail: Trail, clock: Clock, budget: Budget) -> None:
        self.request, self.reply, self.route, self.trail, self.clock = request, reply, route, trail, clock
        self.budget, self.budget_spent = budget, False
        budget.requests += 1
        asked = request.overrides
        self.objective = route.objective if asked is AS_CONFIGURED else _objective(route.objective, asked)
        self.deadline_s = asked.deadline_s or route.deadline_s
        self.deadline = Deadline(request.accepted_s + self.deadline_s)
        self.tried: set[str] = set()
        self.hedge: Hedge | None = None
        self.may_hedge = asked.hedge
        trail.route, trail.objective = route.name, self.objective

    @property
    def attempts_left(self) -> int:
        return self.route.max_attempts - len(self.trail.attempts)

    @property
    def promises(self) -> bool:
        """Whether there is an objective."""
        return self.objective.ttft_s is not None or self.objective.total_s is not None

    def elapsed_s(self) -> float:
        return self.clock.now_s() - self.request.accepted_s

    def draw_retry(self, now_s: float) -> bool:
        """Draws on the route's budget for an attempt after the last one failed. Free where no provider was burdened."""
        fault = self.last_fault()
        blame = Blame.NONE if fault is None else fault.rule.blame
        tokens = RATE_LIMITED_TOKENS if blame is Blame.RATE else 1.0
        self.budget_spent = blame is not Blame.NONE and not self.budget.retry(now_s, tokens)
        return not self.budget_spent

    def claim(self, attempt: Attempt) -> bool:
        """First content, or a whole reply: this attempt serves, and its rival is stopped. False: another serves already."""
        trail = self.trail
        if trail.winner is None:
            trail.winner = attempt
            if self.hedge is not None:
                self.hedge.won_by(attempt)
        return trail.winner is attempt

    def is_lost(self, attempt: Attempt) -> bool:
        """Whether another attempt serves."""
        return self.trail.winner is not None and self.trail.winner is not attempt

    def last_fault(self) -> Fault | None:
        """What ended the latest attempt; None before any failed."""
        outcome = self.trail.attempts[-1].outcome if self.trail.attempts else None
        return outcome.fault if outcome else None

    def open_attempt(self, endpoint: Endpoint, tier: int, role: Role) -> Attempt:
        """Enters a new attempt into the Trail."""
        attempt = Attempt(endpoint.name, endpoint.provider, endpoint.model, tier, role, started_s=self.clock.now_s())
        self.tried.add(endpoint.name)
        self.trail.attempts.append(attempt)
        return attempt

    def patience_s(self) -> float:
        """How long first content may take before the attempt counts as overdue: what the objective allows a whole request.

        An attempt that began late, after another, is judged like one that began at once: the endpoint cannot help it.
        Without an objective a share of the deadline stands in, so that a hanging endpoint is found out all the same.
        """
        limit_s = self.objective.ttft_s if self.request.stream else self.objective.total_s
        limit_s = limit_s if limit_s is not None else self.objective.total_s
        return limit_s if limit_s is not None else OVERDUE_SHARE * self.deadline_s

    def untried(self, tier: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        """The endpoints of a tier that may still be tried. A prompt that did not fit is not sent to as small a model again."""
        rest = tuple(e for e in tier if e.name not in self.tried)
        fault = self.last_fault()
        if fault is None or fault.failure is not Failure.CONTEXT_LENGTH:
            return rest
        return tuple(e for e in rest if self._has_more_room(e))

    def _has_more_room(self, endpoint: Endpoint) -> bool:
        full = {a.model for a in self.trail.attempts if a.failure is Failure.CONTEXT_LENGTH}
        sizes = [e.capabilities.context_tokens for tier in self.route.tiers for e in tier if e.model in full]
        known = max((s for s in sizes if s is not None), default=None)
        mine = endpoint.capabilities.context_tokens
        return endpoint.model not in full and (known is None or mine is None or mine > known)
