"""What the tests of the 42 pitfalls share.

Each pitfall has one check: a function that plays a scenario and `demand`s what a router without the mistake gives. Two tests
call it: one on the production code, one on a naive variant, kept in a `naive_*` module, which must be caught by it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import pytest
from engine_world import PROFILE, FakeClient, Script, World

from fastroute.core.types import Endpoint, Objective, Price, Route
from fastroute.stats.board import Scoreboard

TICK_S = 0.25


class Pitfall(AssertionError):
    """The mistake was made. Nothing but `demand` raises it, so a test that breaks for another reason is not taken for a catch."""


def demand(condition: object, what: str) -> None:
    if not condition:
        raise Pitfall(what)


def caught(check: Callable[..., Any], *subject: Any) -> None:
    """The check finds the mistake."""
    with pytest.raises(Pitfall):
        check(*subject)


def endpoint(name: str, usd_per_mtok: float = 1.0, **members: Any) -> Endpoint:
    price = Price(int(usd_per_mtok * 1e6), int(usd_per_mtok * 4e6))
    return msgspec.structs.replace(Endpoint(name, "fake", PROFILE, f"http://{name}", f"model-{name}", price=price), **members)


CHEAP, DEAR = endpoint("cheap", 0.1), endpoint("dear", 1.0)


def route(*endpoints: Endpoint, **members: Any) -> Route:
    return msgspec.structs.replace(Route("auto", (endpoints or (CHEAP, DEAR),), Objective(ttft_s=2.0, total_s=8.0)), **members)


def answers(ttft_s: float = 0.3, tokens: int = 20, tpot_s: float = 0.01, headers_s: float = 0.01) -> Script:
    """A healthy stream with its usage."""
    pieces = [(ttft_s - headers_s, b"C"), *([(tpot_s, b"C")] * (tokens - 1)), (0.0, b"U!")]
    return Script(pieces, headers_delay_s=headers_s)


def hangs(for_s: float = 60.0) -> Script:
    return Script([(for_s, b"C"), (0.0, b"!")], headers_delay_s=0.01)


def errors(status: int = 500, after_s: float = 0.005, **headers: str) -> Script:
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    return Script([(0.0, b"failed")], status=status, headers=named, headers_delay_s=after_s)


class Driven(World):
    """A world with its tick running and its requests sent at a steady pace."""

    def __init__(self, scripts: Mapping[str, Script | Callable[[], Script]], on: Route, board: Scoreboard | None = None) -> None:
        super().__init__(scripts, on)
        if board is not None:
            for keeper in self.admission.keepers():
                board.add(keeper.endpoint)
            self.admission.board = board
        self._ticking = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.admission.tick(self.clock.now_s())

    async def steady(
        self, rate_per_s: float, for_s: float, client: Callable[[], FakeClient] | None = None, **members: Any
    ) -> None:
        """So many requests a second for so long, each in a task of its own; waits for all of them."""
        tasks = []
        for _ in range(round(rate_per_s * for_s)):
            tasks.append(asyncio.create_task(self.ask(client() if client else None, **members)))
            await asyncio.sleep(1.0 / rate_per_s)
        await asyncio.gather(*tasks)

    def keeper(self, name: str):
        return next(k for k in self.admission.keepers() if k.endpoint.name == name)

    def view(self, name: str):
        return self.admission.view(self.keeper(name), self.clock.now_s())

    def record(self, name: str):
        return self.admission.board._records[name]

    def share(self, name: str, from_s: float = 0.0, until_s: float = 1e9) -> float:
        """Of the requests accepted in that time, the share whose first attempt went there."""
        firsts = Counter(t.attempts[0].endpoint for t in self.trails if t.attempts and from_s <= t.request.accepted_s < until_s)
        return firsts[name] / max(1, sum(firsts.values()))

    def stop(self) -> None:
        self._ticking.cancel()


def ratio_of(values: Iterable[bool]) -> float:
    found = list(values)
    return sum(found) / max(1, len(found))
