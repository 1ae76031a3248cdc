"""What a route may spend on attempts beyond the first: retries (failover, hedge, escalation) and, of those, hedges.

Rules. Every attempt after a request's first draws on the retry budget: 15 % of the requests of the last ten seconds, and one
more every five seconds, of which three can be saved up; a failover after a rate limit, which cost the provider nothing, draws
half. A hedge draws on it too, and on two budgets of its own: `max_ratio` of the requests (three can be saved up), and
`max_spend_ratio` of what the route spent in the last ten minutes. Neither has a free
reserve: who serves nothing hedges nothing.

Theory of operation. The request path adds to two counters (`requests`, `spent_pusd`); what they allow is worked out when
somebody asks. What is earned fades with a mean life of ten seconds (retries) or ten minutes (spend), so that a long calm does not
pay for a storm: in a full outage a route sends hardly more attempts than requests.

What can go wrong. A route with little traffic lives on the three in reserve: a first failure always finds one.

Source: selection notes 2.6, 2.9 (Finagle `RetryBudget`; gRPC A6); pitfalls 14, 15, 19.
"""

import math

from fastroute.core.types import HedgeRule, Route

RETRY_RATIO = 0.15
RETRY_LIFE_S = 10.0
RESERVE, RESERVE_PER_S = 3.0, 0.2
MOST_HEDGES = 3.0
SPEND_LIFE_S = 600.0
RATE_LIMITED_TOKENS = 0.5


class Budget:
    """One route's. Mutable; touched by the loop's thread only."""

    __slots__ = (
        "_at_s",
        "_earned",
        "_hedge_spend",
        "_hedges",
        "_max_ratio",
        "_max_spend_ratio",
        "_reserve",
        "_seen_pusd",
        "_seen_requests",
        "_spend",
        "requests",
        "spent_pusd",
    )

    def __init__(self, max_ratio: float, max_spend_ratio: float) -> None:
        """`max_ratio`: hedges per request; `max_spend_ratio`: spend on hedges per spend. 0 forbids them."""
        self._max_ratio, self._max_spend_ratio = max_ratio, max_spend_ratio
        self.requests = 0  # ever accepted; the request path adds to it
        self.spent_pusd = 0  # ever spent on attempts; likewise
        self._seen_requests = self._seen_pusd = 0
        self._at_s: float | None = None
        self._earned, self._reserve = 0.0, RESERVE
        self._hedges = 0.0
        self._spend = self._hedge_spend = 0.0

    def retry(self, now_s: float, tokens: float = 1.0) -> bool:
        """Draws for one more attempt of a request. False: the budget is spent, and nothing is drawn."""
        self._settle(now_s)
        if self._earned + self._reserve < tokens:
            return False
        drawn = min(tokens, self._earned)
        self._earned -= drawn
        self._reserve -= tokens - drawn
        return True

    def may_hedge(self, now_s: float, cost_pusd: int | None) -> bool:
        """Whether a hedge of this expected cost (None: unpriced) is within all three budgets."""
        self._settle(now_s)
        dear = cost_pusd is not None and self._hedge_spend + cost_pusd > self._max_spend_ratio * self._spend
        return self._hedges >= 1.0 and not dear and self._earned + self._reserve >= 1.0

    def hedge(self, now_s: float, cost_pusd: int | None) -> bool:
        """Draws for a hedge. False: not within the budgets, and nothing is drawn."""
        if not self.may_hedge(now_s, cost_pusd):
            return False
        self._hedges -= 1.0
        self._hedge_spend += cost_pusd or 0
        return self.retry(now_s)

    def _settle(self, now_s: float) -> None:
        """Counts in what has happened since, and lets fade what is old."""
        elapsed_s = 0.0 if self._at_s is None else max(0.0, now_s - self._at_s)
        self._at_s = now_s
        requests, pusd = self.requests - self._seen_requests, self.spent_pusd - self._seen_pusd
        self._seen_requests, self._seen_pusd = self.requests, self.spent_pusd
        if elapsed_s > 0.0:
            self._earned *= math.exp(-elapsed_s / RETRY_LIFE_S)
            kept = math.exp(-elapsed_s / SPEND_LIFE_S)
            self._spend *= kept
            self._hedge_spend *= kept
        self._reserve = min(RESERVE, self._reserve + RESERVE_PER_S * elapsed_s)
        self._earned += RETRY_RATIO * requests * min(1.0, RETRY_LIFE_S / elapsed_s if elapsed_s > 0.0 else 1.0)
        self._hedges = min(MOST_HEDGES, self._hedges + self._max_ratio * requests)
        self._spend += pusd


def budget_of(route: Route) -> Budget:
    """A fresh one, with the route's own limits on hedges or the usual ones."""
    rule = route.hedge or HedgeRule()
    return Budget(rule.max_ratio, rule.max_spend_ratio)
