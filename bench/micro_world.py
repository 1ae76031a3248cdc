"""What the micro benchmarks measure on: a route over so many endpoints whose statistics are those of a warm router."""

import math
import random

from fastroute.core.trail import Trail
from fastroute.core.types import ChatRequest, Endpoint, Objective, Price, Profile, Route, Situation
from fastroute.engine.admission import Admission
from fastroute.engine.choice import Chooser
from fastroute.engine.exchange import Exchange
from fastroute.policy.registry import strategy
from fastroute.stats.board import Scoreboard

PROFILE = Profile("bench", "bench", "/chat")
WARM_SAMPLES = 300
TICK_S = 0.25


class HandClock:
    """A `core.ports.Clock` that is moved by hand."""

    def __init__(self) -> None:
        self.at_s = 1000.0

    def now_s(self) -> float:
        return self.at_s

    def wall_s(self) -> float:
        return 1_700_000_000.0 + self.at_s


class Warm:
    """`endpoints` of them, prices from cheap to ten times that, each with `WARM_SAMPLES` answers of about half a second."""

    def __init__(self, endpoints: int, seed: int = 1) -> None:
        self.rng, self.clock, self.board = random.Random(seed), HandClock(), Scoreboard()
        self.endpoints = tuple(_endpoint(i, endpoints) for i in range(endpoints))
        self.route = Route("auto", (self.endpoints,), Objective(2.0, 10.0), deadline_s=10.0)
        self.admission = Admission(self.board, self.endpoints, self.clock, self.rng)
        self.strategy = strategy("cost_slo")
        self.chooser = Chooser({"cost_slo": self.strategy}, self.admission, self.clock, self.rng)
        for _ in range(WARM_SAMPLES):
            self.clock.at_s += 0.2
            self.answer_everywhere()
        self.tick()

    def answer_everywhere(self) -> None:
        """One good answer from each endpoint, now."""
        for endpoint in self.endpoints:
            self.answer(endpoint)

    def answer(self, endpoint: Endpoint) -> None:
        """The whole life of one attempt, as statistics see it."""
        now_s, board = self.clock.at_s, self.board
        flight = board.begin(endpoint, now_s - 2.0, self.size(), 2.0)
        board.first_content(flight, now_s - 2.0 + 0.5 * math.exp(self.rng.gauss(0.0, 0.3)))
        board.answered(flight, now_s, 60 + int(self.rng.random() * 200))

    def size(self) -> int:
        """Prompt tokens: log-normal, as in recorded conversations."""
        return max(1, round(1000 * math.exp(self.rng.gauss(0.0, 0.7))))

    def tick(self) -> None:
        self.clock.at_s += TICK_S
        self.admission.tick(self.clock.at_s)

    def exchange(self) -> Exchange:
        """A request that has just arrived."""
        request = ChatRequest("r", "bench", "auto", {}, self.clock.at_s, 4 * self.size(), stream=True)
        trail = Trail(request, self.clock.wall_s())
        return Exchange(request, None, self.route, trail, self.clock, self.admission.budget(self.route))  # type: ignore[arg-type]

    def situation(self) -> Situation:
        """What policy is asked about such a request."""
        return Situation(
            views=self.admission.views(self.endpoints, self.clock.at_s),
            objective=self.route.objective,
            elapsed_s=0.0,
            left_s=self.route.deadline_s,
            input_tokens=self.size(),
            stream=True,
        )


def _endpoint(i: int, of: int) -> Endpoint:
    price = round(100_000 * 10 ** (i / max(1, of - 1)))
    return Endpoint(f"e{i}", "bench", PROFILE, f"http://e{i}", "m", price=Price(price, 4 * price))
