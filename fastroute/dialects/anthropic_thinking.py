"""How much a Claude model is to think, and how many tokens it may then write.

Rules. A model known to decide for itself (`adaptive`) gets the effort; the others get a budget by effort: low 1,024, medium
4,096, high 16,384, more 32,768. What cannot go with thinking wins over thinking: a forced tool, a tool result whose call came
without signed reasoning, a reply begun for the model. `max_tokens` counts the thinking: where it would leave none for the
answer, the budget is added to it, up to what the model can write.

Source: Anthropic's thinking, effort and adaptive thinking pages (2026); wire notes 3.2, traps 18, 28, 44.
"""

from typing import Any

import msgspec

from fastroute.core.types import Endpoint
from fastroute.dialects._faults import unsupported
from fastroute.dialects.anthropic_models import Traits
from fastroute.dialects.canonical import Conversation

# Anthropic requires a number. Every Claude model can write 4,096 tokens, so it is the largest default that none refuses; a
# model's own limit, where the configuration knows it, is what OpenAI clients expect of an absent max_tokens.
DEFAULT_MAX_TOKENS = 4096
MIN_BUDGET_TOKENS = 1024
_BUDGET_TOKENS = {"minimal": 1024, "low": 1024, "medium": 4096, "high": 16384, "xhigh": 32768, "max": 32768}
_LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high"}
_MEMBERS = ("type", "budget_tokens", "display")


class Plan(msgspec.Struct):
    """What to send. None: leave it out."""

    max_tokens: int
    thinking: dict[str, Any] | None = None
    effort: str | None = None
    dropped: list[str] = []

    @property
    def thinks(self) -> bool:
        return self.thinking is not None and self.thinking.get("type") in ("enabled", "adaptive")


def with_reasoning(asked: Conversation) -> Conversation:
    """The conversation with OpenRouter's `reasoning` member, where the client used that, read as effort or budget."""
    raw = asked.extras.get("reasoning")
    given = None if raw is None else msgspec.json.decode(raw)
    if not isinstance(given, dict) or asked.reasoning_effort is not None or asked.thinking is not None:
        return asked
    budget, effort = given.get("max_tokens"), given.get("effort")
    extras = {name: value for name, value in asked.extras.items() if name != "reasoning"}
    if given.get("enabled") is False:
        return msgspec.structs.replace(asked, reasoning_effort="none", extras=extras)
    if isinstance(budget, int) and budget > 0:
        thinking = {"type": "enabled", "budget_tokens": max(MIN_BUDGET_TOKENS, budget)}
        return msgspec.structs.replace(asked, thinking=thinking, extras=extras)
    if isinstance(effort, str) or given.get("enabled"):
        return msgspec.structs.replace(asked, reasoning_effort=effort or "medium", extras=extras)
    return asked


def plan(asked: Conversation, endpoint: Endpoint, known: Traits, may_budget: bool) -> Plan:
    """The thinking settings and `max_tokens`. `may_budget`: thinking by budget is allowed at this point of the conversation.

    Raises `FaultError` (UNSUPPORTED) for an effort nobody defined.
    """
    out = Plan(_max_tokens(asked, endpoint), dropped=[])
    effort = asked.reasoning_effort
    if effort not in (None, "none", *_BUDGET_TOKENS):
        raise unsupported("reasoning_effort", f"no such effort: {effort}")
    if not known.thinking:
        out.dropped += _asked_fields(asked)
        return out
    if effort not in (None, "none") and known.effort:
        out.effort = _level(str(effort), known)
    out.thinking = _wanted(asked, known, out.dropped)
    if out.thinks and out.thinking and out.thinking["type"] == "enabled":
        _fit(out, endpoint.capabilities.max_output_tokens, may_budget, asked)
    return out


def _asked_fields(asked: Conversation) -> list[str]:
    off = asked.thinking is None or asked.thinking.get("type") == "disabled"
    fields = [] if off else ["thinking"]
    return fields if asked.reasoning_effort in (None, "none") else [*fields, "reasoning_effort"]


def _max_tokens(asked: Conversation, endpoint: Endpoint) -> int:
    limit = endpoint.capabilities.max_output_tokens
    wanted = asked.max_output_tokens if asked.max_output_tokens is not None else limit or DEFAULT_MAX_TOKENS
    return wanted if limit is None else min(wanted, limit)


def _level(effort: str, known: Traits) -> str:
    if effort in _LEVELS:
        return _LEVELS[effort]
    if not known.adaptive:
        return "high"
    return "xhigh" if effort == "xhigh" and known.xhigh else "max"


def _wanted(asked: Conversation, known: Traits, dropped: list[str]) -> dict[str, Any] | None:
    if asked.thinking is not None:
        return _explicit(asked.thinking, asked.reasoning_effort, known, dropped)
    if asked.reasoning_effort is None:
        return None
    if asked.reasoning_effort == "none":
        return {"type": "disabled"} if known.thinks_unasked else None
    return {"type": "adaptive"} if known.adaptive else _enabled(asked.reasoning_effort)


def _explicit(given: dict[str, Any], effort: str | None, known: Traits, dropped: list[str]) -> dict[str, Any]:
    """The client's own settings, in the form this model takes: other dialects write `enabled` without a budget."""
    thinking = {key: given[key] for key in _MEMBERS if given.get(key) is not None}
    budget = thinking.get("budget_tokens")
    if thinking.get("type") == "enabled" and (budget is None or not known.budget) and known.adaptive:
        if thinking.pop("budget_tokens", None) is not None:
            dropped.append("thinking.budget_tokens")
        thinking["type"] = "adaptive"
    elif (thinking.get("type") == "enabled" and budget is None) or (thinking.get("type") == "adaptive" and not known.adaptive):
        thinking |= _enabled(effort)
    return thinking


def _enabled(effort: str | None) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": _BUDGET_TOKENS.get(effort or "medium", _BUDGET_TOKENS["medium"])}


def _fit(out: Plan, limit: int | None, may_budget: bool, asked: Conversation) -> None:
    """Makes the budget and `max_tokens` fit each other, or gives thinking up."""
    assert out.thinking is not None
    budget = out.thinking["budget_tokens"]
    if out.max_tokens <= budget:
        out.max_tokens += budget
    if limit is not None and out.max_tokens > limit:
        out.max_tokens = limit
        budget = min(budget, max(MIN_BUDGET_TOKENS, limit // 2))
    if not may_budget or budget >= out.max_tokens:
        out.max_tokens = min(out.max_tokens, _max_asked(asked, out.max_tokens))
        out.thinking = None
        out.dropped += _asked_fields(asked)
    else:
        out.thinking["budget_tokens"] = budget


def _max_asked(asked: Conversation, otherwise: int) -> int:
    return otherwise if asked.max_output_tokens is None else asked.max_output_tokens
