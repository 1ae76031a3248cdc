"""Finish reasons: whatever an OpenAI-style provider says, in OpenAI's words.

Source: wire notes 3.3; the providers' API references (August 2026).
"""

from fastroute.core.failures import Failure
from fastroute.dialects.canonical import FinishReason

LEGACY_CALL = "function_call"

_WORDS: dict[str, FinishReason] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete", "completed"), FinishReason.STOP),
    **dict.fromkeys(
        ("length", "model_length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"), FinishReason.LENGTH
    ),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", LEGACY_CALL), FinishReason.TOOL_CALLS),
    **dict.fromkeys(
        (
            "content_filter",
            "content_filtered",
            "guardrail_intervened",
            "refusal",
            "sensitive",
            "safety",
            "recitation",
            "language",
            "blocklist",
            "prohibited_content",
            "spii",
            "image_safety",
        ),
        FinishReason.CONTENT_FILTER,
    ),
}

_FAILURES: dict[str, Failure] = {
    "error": Failure.SERVER_ERROR,
    "network_error": Failure.SERVER_ERROR,
    "timeout": Failure.SERVER_ERROR,
    "abort": Failure.SERVER_ERROR,
    "insufficient_system_resource": Failure.OVERLOADED,
    "malformed_function_call": Failure.GENERATION_FAILED,
    "function_call_filter": Failure.GENERATION_FAILED,
    "unexpected_tool_call": Failure.GENERATION_FAILED,
    "too_many_tool_calls": Failure.GENERATION_FAILED,
}


def finish_reason(raw: str, called: bool = False) -> FinishReason | Failure:
    """What `raw` means: a finish, or a failure that the provider dressed as one.

    `called`: the choice holds tool calls for the client, so a plain stop is really a request to run them. An unknown word is a
    stop: the provider did end the answer by itself.
    """
    word = raw.split(":", 1)[0].strip().lower().replace("-", "_")
    failure = _FAILURES.get(word)
    if failure is not None:
        return failure
    reason = _WORDS.get(word, FinishReason.STOP)
    return FinishReason.TOOL_CALLS if called and reason is FinishReason.STOP else reason
