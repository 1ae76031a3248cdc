"""Shared by all tests: hypothesis profiles, the shared data folder, Trails made to measure."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from fastroute.core.trail import Attempt, Trail
from fastroute.core.types import ChatRequest, Outcome, Role, Usage

hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded traffic beside the checkout. Tests that need it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"no shared data beside the checkout ({folder.name}/)")
    return folder


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.monotonic_s, self.epoch_s = 1000.0, 1_780_000_000.0

    def now_s(self) -> float:
        return self.monotonic_s

    def wall_s(self) -> float:
        return self.epoch_s

    def advance(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.epoch_s += seconds


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def make_trail() -> Callable[..., Trail]:
    """Builds the Trail of a request accepted at 100.0 s that one attempt answered well; keywords replace members."""

    def build(request_id: str = "req-1", attempts: list[Attempt] | None = None, **members: Any) -> Trail:
        request = ChatRequest(
            id=request_id, api="openai_chat", model="auto", fields={}, accepted_s=100.0, input_bytes=400, stream=True
        )
        attempts = [make_attempt()] if attempts is None else attempts
        known: dict[str, Any] = {
            "route": "auto",
            "first_content_s": 100.4,
            "ended_s": 101.0,
            "upstream_s": 0.999,
            "status": 200,
            "winner": attempts[-1] if attempts else None,
        }
        return Trail(request=request, started_wall_s=1_780_000_000.0, attempts=attempts, **(known | members))

    return build


def make_attempt(endpoint: str = "flash", role: Role = Role.PRIMARY, outcome: Outcome | None = None, **members: Any) -> Attempt:
    """An attempt, by default one that went well and cost half a cent."""
    outcome = Outcome(committed=True, status=200, usage=Usage(input_tokens=100, output_tokens=20)) if outcome is None else outcome
    known: dict[str, Any] = {"started_s": 100.001, "ended_s": 101.0, "cost_pusd": 5_000_000_000, "tier": 0}
    return Attempt(endpoint=endpoint, provider="acme", model="m", role=role, outcome=outcome, **(known | members))


@pytest.fixture(name="make_attempt")
def make_attempt_fixture() -> Callable[..., Attempt]:
    return make_attempt
