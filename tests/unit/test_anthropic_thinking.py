"""Thinking by effort or by budget, and the `max_tokens` that leaves room for an answer."""

from typing import Any

import msgspec
import pytest

from fastroute.core.failures import Failure, FaultError
from fastroute.core.types import Capabilities, Endpoint, Profile
from fastroute.dialects.anthropic_models import traits
from fastroute.dialects.anthropic_thinking import DEFAULT_MAX_TOKENS, Plan, plan, with_reasoning
from fastroute.dialects.canonical import Conversation

BUDGET_MODEL, ADAPTIVE_MODEL, OLD_MODEL = "claude-sonnet-4-5", "claude-opus-4-7", "claude-3-5-haiku-latest"


def planned(model: str = BUDGET_MODEL, limit: int | None = None, may_budget: bool = True, **asked: Any) -> Plan:
    profile = Profile("anthropic", "anthropic_messages", "/v1/messages")
    endpoint = Endpoint("e", "p", profile, "http://x", model, capabilities=Capabilities(max_output_tokens=limit))
    return plan(Conversation("auto", (), **asked), endpoint, traits(model), may_budget)


def enabled(budget: int) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": budget}


@pytest.mark.parametrize(
    ("asked", "limit", "expected"),
    [(None, None, DEFAULT_MAX_TOKENS), (None, 64000, 64000), (100, None, 100), (100, 64000, 100), (100000, 8192, 8192)],
)
def test_max_tokens_is_always_there(asked: int | None, limit: int | None, expected: int) -> None:
    out = planned(limit=limit, max_output_tokens=asked)
    assert (out.max_tokens, out.thinking, out.effort, out.dropped) == (expected, None, None, [])


@pytest.mark.parametrize(
    ("effort", "budget"), [("minimal", 1024), ("low", 1024), ("medium", 4096), ("high", 16384), ("xhigh", 32768)]
)
def test_budget_by_effort(effort: str, budget: int) -> None:
    out = planned(reasoning_effort=effort, max_output_tokens=50000)
    assert out.thinking == enabled(budget)
    assert out.max_tokens == 50000
    assert out.thinks


@pytest.mark.parametrize("asked", [1, 500, 4096])
def test_room_for_the_answer_is_added_where_the_budget_would_take_all(asked: int) -> None:
    out = planned(reasoning_effort="medium", max_output_tokens=asked)
    assert out.thinking == enabled(4096)
    assert out.max_tokens == 4096 + asked


def test_the_default_leaves_room_too() -> None:
    out = planned(reasoning_effort="high")
    assert out.max_tokens == 16384 + DEFAULT_MAX_TOKENS


def test_a_models_limit_shrinks_the_budget() -> None:
    out = planned(limit=8192, reasoning_effort="high")
    assert out.max_tokens == 8192
    assert out.thinking == enabled(4096)


def test_a_model_that_writes_too_little_does_not_think() -> None:
    out = planned(limit=1000, reasoning_effort="low")
    assert (out.thinking, out.max_tokens, out.dropped) == (None, 1000, ["reasoning_effort"])


def test_thinking_yields_where_it_must_not_begin() -> None:
    out = planned(may_budget=False, reasoning_effort="medium", max_output_tokens=300)
    assert (out.thinking, out.max_tokens, out.dropped) == (None, 300, ["reasoning_effort"])
    out = planned(may_budget=False, thinking=enabled(2000), max_output_tokens=3000)
    assert (out.thinking, out.max_tokens, out.dropped) == (None, 3000, ["thinking"])


@pytest.mark.parametrize(
    ("model", "effort", "level"),
    [
        ("claude-opus-4-7", "minimal", "low"),
        ("claude-opus-4-7", "medium", "medium"),
        ("claude-opus-4-7", "xhigh", "xhigh"),
        ("claude-opus-4-7", "max", "max"),
        ("claude-opus-4-6", "xhigh", "max"),
    ],
)
def test_adaptive_models_get_the_effort(model: str, effort: str, level: str) -> None:
    out = planned(model, may_budget=False, reasoning_effort=effort, max_output_tokens=50)
    assert (out.thinking, out.effort, out.max_tokens) == ({"type": "adaptive"}, level, 50)


def test_a_budget_model_that_knows_effort_gets_both() -> None:
    out = planned("claude-opus-4-5", reasoning_effort="xhigh")
    assert (out.effort, out.thinking) == ("high", enabled(32768))


def test_no_effort_is_no_thinking() -> None:
    assert planned(reasoning_effort="none").thinking is None
    assert planned(ADAPTIVE_MODEL, reasoning_effort="none").thinking is None
    assert planned("claude-opus-5", reasoning_effort="none").thinking == {"type": "disabled"}, "it would think unasked"
    assert not planned("claude-opus-5", reasoning_effort="none").thinks
    assert planned(reasoning_effort="none").dropped == []


def test_models_that_cannot_think_say_so() -> None:
    out = planned(OLD_MODEL, reasoning_effort="high", thinking=enabled(2048))
    assert (out.thinking, out.effort, out.dropped) == (None, None, ["thinking", "reasoning_effort"])
    assert planned(OLD_MODEL, reasoning_effort="none", thinking={"type": "disabled"}).dropped == []


def test_an_effort_nobody_knows_is_refused() -> None:
    with pytest.raises(FaultError) as caught:
        planned(reasoning_effort="turbo")
    assert (caught.value.fault.failure, caught.value.fault.param) == (Failure.UNSUPPORTED, "reasoning_effort")


@pytest.mark.parametrize(
    ("model", "given", "sent"),
    [
        (BUDGET_MODEL, enabled(2048), enabled(2048)),
        (BUDGET_MODEL, {"type": "disabled"}, {"type": "disabled"}),
        (BUDGET_MODEL, {"type": "enabled"}, enabled(4096)),
        (BUDGET_MODEL, {"type": "adaptive"}, enabled(4096)),
        (BUDGET_MODEL, {"type": "enabled", "budget_tokens": 2000, "clear_thinking": False}, enabled(2000)),
        ("claude-opus-4-6", enabled(2048), enabled(2048)),
        ("claude-opus-4-6", {"type": "enabled"}, {"type": "adaptive"}),
        (ADAPTIVE_MODEL, enabled(2048), {"type": "adaptive"}),
        (ADAPTIVE_MODEL, {"type": "adaptive", "display": "summarized"}, {"type": "adaptive", "display": "summarized"}),
    ],
)
def test_explicit_settings_in_the_form_the_model_takes(model: str, given: dict[str, Any], sent: dict[str, Any]) -> None:
    before = dict(given)
    out = planned(model, thinking=given, max_output_tokens=9000)
    assert out.thinking == sent
    assert given == before, "the conversation is not touched"
    assert out.dropped == (["thinking.budget_tokens"] if "budget_tokens" in given and "budget_tokens" not in sent else [])


def test_explicit_settings_go_before_the_effort_but_share_its_level() -> None:
    assert planned(thinking=enabled(2048), reasoning_effort="high", max_output_tokens=9000).thinking == enabled(2048)
    assert planned(thinking={"type": "enabled"}, reasoning_effort="high", max_output_tokens=20000).thinking == enabled(16384)
    assert planned("claude-opus-4-6", thinking=enabled(2048), reasoning_effort="low", max_output_tokens=9000).effort == "low"


@pytest.mark.parametrize(
    ("given", "effort", "thinking"),
    [
        ({"effort": "high"}, "high", None),
        ({"enabled": True}, "medium", None),
        ({"effort": "medium", "enabled": True}, "medium", None),
        ({"enabled": False}, "none", None),
        ({"max_tokens": 2000}, None, enabled(2000)),
        ({"max_tokens": 100}, None, enabled(1024)),
    ],
)
def test_openrouters_reasoning(given: dict[str, Any], effort: str | None, thinking: dict[str, Any] | None) -> None:
    asked = Conversation("auto", (), extras={"reasoning": msgspec.Raw(msgspec.json.encode(given))})
    out = with_reasoning(asked)
    assert (out.reasoning_effort, out.thinking, out.extras) == (effort, thinking, {})


@pytest.mark.parametrize("raw", [b"null", b"5", b"{}", b'{"exclude": true}'])
def test_reasoning_that_says_nothing_stays_an_extra(raw: bytes) -> None:
    asked = Conversation("auto", (), extras={"reasoning": msgspec.Raw(raw)})
    assert with_reasoning(asked) is asked


def test_openais_own_member_goes_first() -> None:
    asked = Conversation("auto", (), reasoning_effort="low", extras={"reasoning": msgspec.Raw(b'{"effort":"high"}')})
    assert with_reasoning(asked) is asked
