"""Anthropic's usage, stop reasons and error types in canonical terms. Source: wire notes 3.3, 3.4 and 3.6."""

from typing import Any

import msgspec

from fastroute.core.failures import Failure, Fault, classify
from fastroute.core.types import Usage
from fastroute.dialects.canonical import FinishReason
from fastroute.dialects.openai_faults import scrubbed

_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "pause_turn": FinishReason.STOP,  # a server tool pauses: the client sends the turn back; `raw` tells it
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}

# An error inside a 200 has no status but the one its type stands for.
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

# Said as a plain 400, but it is the account or the policy, not the request.
_TEXTS = {
    "credit balance is too low": Failure.QUOTA_EXHAUSTED,
    "content filtering policy": Failure.CONTENT_FILTER,
}


def finish_reason(raw: str | None, called: bool) -> FinishReason:
    """The canonical reason. `called`: the client has calls to answer, which then is why the reply ended."""
    reason = _REASONS.get(raw or "", FinishReason.STOP)
    return FinishReason.TOOL_CALLS if called and reason is FinishReason.STOP else reason


def canonical_usage(raw: dict[str, Any]) -> Usage:
    """Anthropic counts cached input apart; canonical input contains it. Thinking is inside the output already."""
    fresh = _count(raw.get("input_tokens"))
    read, written = _count(raw.get("cache_read_input_tokens")), _count(raw.get("cache_creation_input_tokens"))
    details = raw.get("output_tokens_details")
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=_count(raw.get("output_tokens")),
        cached_input_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=_count(details.get("thinking_tokens")) if isinstance(details, dict) else None,
    )


def reported_fault(error: Any) -> Fault:
    """An `error` object that came inside a 200, classified as if it had come with its own status."""
    said = error if isinstance(error, dict) else {"message": error}
    kind, message = said.get("type"), said.get("message")
    kind = kind if isinstance(kind, str) else None
    text = scrubbed(message) if isinstance(message, str) and message else "the provider reported an error inside its reply"
    return reread(Fault(classify(_STATUS.get(kind or "", 500), kind, message=text), text, type=kind))


def reread(fault: Fault) -> Fault:
    """The fault, by its text where Anthropic's type says less."""
    text = fault.message.lower()
    for words, failure in _TEXTS.items():
        if fault.failure is Failure.BAD_REQUEST and words in text:
            return msgspec.structs.replace(fault, failure=failure)
    return fault


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
