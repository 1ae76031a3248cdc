"""Gemini's usage, finish reasons and errors in canonical terms, and what its models accept.

Source: wire notes 3.3, 3.4 and 3.6; Google's API reference (FinishReason, UsageMetadata, google.rpc.QuotaFailure), November 2026.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import Usage
from fastroute.dialects.canonical import FinishReason

_FILTERED = frozenset(
    (
        *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"),
        *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
    )
)
_FAILED = frozenset(
    (
        *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"),
        *("MISSING_THOUGHT_SIGNATURE", "OTHER", "IMAGE_OTHER", "NO_IMAGE"),
    )
)
_NUMBERS = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}  # the same in both of Google's APIs
_NAME = re.compile(r"gemini-(?:[a-z]+-)*(\d+)(?:\.(\d+))?")
_NEWEST = (99, 0)

_TEXTS = {
    "exceeds the maximum number of tokens": Failure.CONTEXT_LENGTH,
    "input context is too long": Failure.CONTEXT_LENGTH,
    "user location is not supported": Failure.AUTH,
    "billing": Failure.QUOTA_EXHAUSTED,
}


def reason_word(raw: Any) -> str:
    """A finish reason as a word. Some clients of Google get enums as numbers, and so may their recordings."""
    return _NUMBERS.get(raw, str(raw)) if isinstance(raw, int) else str(raw)


def finish_reason(word: str, called: bool) -> FinishReason | Failure:
    """What a finish reason means. `called`: the client has calls to answer. An unknown word is a stop."""
    if word in _FAILED:
        return Failure.GENERATION_FAILED
    if word in _FILTERED:
        return FinishReason.CONTENT_FILTER
    if word == "MAX_TOKENS":
        return FinishReason.LENGTH
    return FinishReason.TOOL_CALLS if called else FinishReason.STOP


def canonical_usage(raw: Mapping[str, Any]) -> Usage | None:
    """`usageMetadata`; None while it counts nothing. Google counts thoughts and tool prompts apart; zeros are left out."""
    prompt, tools = _count(raw.get("promptTokenCount")), _count(raw.get("toolUsePromptTokenCount"))
    if prompt is None and tools is None:
        return None
    thoughts, spoken = _count(raw.get("thoughtsTokenCount")), _count(raw.get("candidatesTokenCount"))
    return Usage(
        input_tokens=(prompt or 0) + (tools or 0),
        output_tokens=None if thoughts is None and spoken is None else (thoughts or 0) + (spoken or 0),
        cached_input_tokens=_count(raw.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
    )


def gemini_usage(usage: Usage) -> dict[str, int]:
    """`usage` as `usageMetadata`. What nobody reported is left out."""
    reasoning = usage.reasoning_tokens or 0
    spoken = None if usage.output_tokens is None else max(0, usage.output_tokens - reasoning)
    known = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": spoken,
        "totalTokenCount": (usage.input_tokens or 0) + (usage.output_tokens or 0),
        "cachedContentTokenCount": usage.cached_input_tokens,
        "thoughtsTokenCount": usage.reasoning_tokens,
    }
    return {name: count for name, count in known.items() if count is not None}


def blocked_fault(feedback: Mapping[str, Any]) -> Fault | None:
    """The fault of a prompt that Google would not answer; None where it says nothing of the kind."""
    reason = feedback.get("blockReason")
    if not reason or reason == "BLOCK_REASON_UNSPECIFIED":
        return None
    said = feedback.get("blockReasonMessage")
    more = f": {said}" if isinstance(said, str) and said else ""
    return Fault(Failure.CONTENT_FILTER, f"the provider blocked the prompt ({reason}){more}", code="content_filter")


def reread(fault: Fault, body: bytes) -> Fault:
    """The fault, where Google's text or details say more than its status does."""
    failure = _reread(fault, body)
    return fault if failure is fault.failure else msgspec.structs.replace(fault, failure=failure)


def _reread(fault: Fault, body: bytes) -> Failure:
    if fault.failure is Failure.RATE_LIMITED:
        return Failure.QUOTA_EXHAUSTED if _spent(body) else fault.failure
    if fault.failure is not Failure.BAD_REQUEST:
        return fault.failure
    text = fault.message.lower()
    found = next((failure for words, failure in _TEXTS.items() if words in text), None)
    if found is Failure.CONTEXT_LENGTH or (found is not None and fault.type == "FAILED_PRECONDITION"):
        return found
    return fault.failure


def _spent(body: bytes) -> bool:
    """Whether a quota is gone for the day, or was never there: waiting as told would be for nothing."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    value = value[0] if isinstance(value, list) and value else value
    error = value.get("error") if isinstance(value, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    violations = [
        violation
        for detail in (details if isinstance(details, list) else ())
        if isinstance(detail, dict) and isinstance(detail.get("violations"), list)
        for violation in detail["violations"]
        if isinstance(violation, dict)
    ]
    return any("PerDay" in str(v.get("quotaId", "")) or str(v.get("quotaValue", "")) == "0" for v in violations)


@lru_cache(maxsize=256)
def generation(model: str) -> tuple[int, int]:
    """(major, minor) of a Gemini model by its name; an alias or a name we cannot read counts as the newest."""
    found = _NAME.search(model.lower())
    return _NEWEST if found is None else (int(found[1]), int(found[2] or 0))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
