"""Requests that real providers took, as recorded in the field: the mock's checks must take them too.

Reads recordings beside the repository, where they are; skips where they are not.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from fastroute.mock.anthropic_messages import AnthropicMessages
from fastroute.mock.ask import Rejected
from fastroute.mock.openai_chat import OpenAIChat

WIRE = Path(__file__).resolve().parents[3] / "shared" / "wire"


def accepted(provider: str, api: str) -> list[tuple[str, dict[str, Any]]]:
    """The request bodies of that API which the provider answered with 200."""
    if not WIRE.is_dir():
        pytest.skip("no recordings beside this checkout")
    found = []
    for path in sorted((WIRE / provider).glob("*.json")):
        exchange = json.loads(path.read_text())
        request = exchange["request"] or {}
        if exchange["api"] == api and exchange["response"]["status"] == 200 and isinstance(request.get("body"), dict):
            found.append((path.name, request["body"]))
    assert found
    return found


def refused(dialect: Any, headers: dict[str, str], exchanges: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    reasons = {}
    for name, body in exchanges:
        try:
            dialect.read(headers, json.dumps(body).encode(), strict=True)
        except Rejected as rejected:
            reasons[name] = rejected.message
    return reasons


def test_what_openai_took_the_mock_takes() -> None:
    assert refused(OpenAIChat(), {}, accepted("openai", "openai.chat")) == {}


def test_what_anthropic_took_the_mock_takes() -> None:
    found = refused(AnthropicMessages(), {"anthropic-version": "2023-06-01"}, accepted("anthropic", "anthropic.messages"))
    alternating = {name: why for name, why in found.items() if "roles must alternate" not in why}  # stricter on purpose
    assert alternating == {}
