"""One request under way: what its attempts share."""

from fastroute.core.deadline import Deadline
from fastroute.core.failures import Failure, Fault
from fastroute.core.ports import Clock, ReplyPort
from fastroute.core.trail import Attempt, Trail
from fastroute.core.types import AS_CONFIGURED, ChatRequest, Endpoint, Objective, Overrides, Role, Route

OVERDUE_SHARE = 0.3


def _objective(promised: Objective, asked: Overrides) -> Objective:
    """The route's promise, with what the client asked for in its place."""
    return Objective(
        ttft_s=promised.ttft_s if asked.ttft_s is None else asked.ttft_s,
        total_s=promised.total_s if asked.total_s is None else asked.total_s,
        target=promised.target,
    )


class Exchange:
    """The client's request and its reply port, the route, the one deadline, the Trail, and which endpoints were tried."""

    __slots__ = ("clock", "deadline", "deadline_s", "objective", "reply", "request", "route", "trail", "tried")

    def __init__(self, request: ChatRequest, reply: ReplyPort, route: Route, trail: Trail, clock: Clock) -> None:
        self.request, self.reply, self.route, self.trail, self.clock = request, reply, route, trail, clock
        asked = request.overrides
        self.objective = route.objective if asked is AS_CONFIGURED else _objective(route.objective, asked)
        self.deadline_s = asked.deadline_s or route.deadline_s
        self.deadline = Deadline(request.accepted_s + self.deadline_s)
        self.tried: set[str] = set()
        trail.route, trail.objective = route.name, self.objective

    @property
    def attempts_left(self) -> int:
        return self.route.max_attempts - len(self.trail.attempts)

    def elapsed_s(self) -> float:
        return self.clock.now_s() - self.request.accepted_s

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

    def patience_s(self, now_s: float) -> float:
        """How long first content may take before the attempt counts as overdue: until the objective is lost.

        Without an objective a share of the deadline stands in, so that a hanging endpoint is found out all the same.
        """
        limit_s = self.objective.ttft_s if self.request.stream else self.objective.total_s
        limit_s = limit_s if limit_s is not None else self.objective.total_s
        if limit_s is None:
            limit_s = OVERDUE_SHARE * (self.deadline.at_s - self.request.accepted_s)
        return max(0.0, limit_s - (now_s - self.request.accepted_s))

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
