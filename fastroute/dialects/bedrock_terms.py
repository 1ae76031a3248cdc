"""Bedrock's usage, stop reasons, error names and kinds of models in canonical terms.

What can go wrong. A ValidationException is a wrong request, a prompt that is too long, a model that does not exist here, or a
feature this model lacks: only the text tells. A throttled account answers 429 for a minute's tokens and for a day's alike.

Source: wire notes 3.3, 3.4 and 3.6; botocore's `bedrock-runtime` service model (2023-09-30); AWS's troubleshooting page of the
API.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from fastroute.core.failures import Failure, Fault, classify
from fastroute.core.types import Usage
from fastroute.dialects.canonical import FinishReason
from fastroute.dialects.openai_faults import reply_fault, scrubbed

_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.CONTENT_FILTER,
}
FAILED_REASONS = ("malformed_model_output", "malformed_tool_use")

# By the name without "Exception" or "Error", in lower case: in a stream an error has no status.
_NAMES: dict[str, tuple[Failure, int]] = {
    "throttling": (Failure.RATE_LIMITED, 429),
    "toomanyrequests": (Failure.RATE_LIMITED, 429),
    "modelnotready": (Failure.OVERLOADED, 429),
    "servicequotaexceeded": (Failure.QUOTA_EXHAUSTED, 400),
    "serviceunavailable": (Failure.OVERLOADED, 503),
    "internalserver": (Failure.SERVER_ERROR, 500),
    "internalfailure": (Failure.SERVER_ERROR, 500),
    "modelstream": (Failure.SERVER_ERROR, 424),
    "model": (Failure.SERVER_ERROR, 424),  # ModelErrorException
    "modeltimeout": (Failure.SERVER_ERROR, 408),
    "validation": (Failure.BAD_REQUEST, 400),
    "accessdenied": (Failure.AUTH, 403),
    "unrecognizedclient": (Failure.AUTH, 403),
    "expiredtoken": (Failure.AUTH, 403),
    "invalidsignature": (Failure.AUTH, 403),
    "incompletesignature": (Failure.AUTH, 403),
    "missingauthenticationtoken": (Failure.AUTH, 403),
    "notauthorized": (Failure.AUTH, 403),
    "optinrequired": (Failure.AUTH, 403),
    "resourcenotfound": (Failure.NOT_FOUND, 404),
}
_VALIDATIONS = (
    (
        re.compile(r"too long|too many (?:input )?tokens|context (?:length|window)|maximum (?:input )?tokens"),
        Failure.CONTEXT_LENGTH,
    ),
    (re.compile(r"model identifier is invalid|on-demand throughput|end of its life"), Failure.NOT_FOUND),
    (re.compile(r"operation not allowed|account .*not (?:allowed|authorized)"), Failure.AUTH),
    (re.compile(r"blocked by (?:our )?content filter"), Failure.CONTENT_FILTER),
    (re.compile(r"(?:doesn't|does not) support|not supported"), Failure.UNSUPPORTED),
)
_PER_DAY = re.compile(r"per day|daily|too many tokens per day")


def finish_reason(raw: str | None, called: bool) -> FinishReason:
    """The canonical reason. `called`: the client has calls to answer, which then is why the reply ended."""
    reason = _REASONS.get(raw or "", FinishReason.STOP)
    return FinishReason.TOOL_CALLS if called and reason is FinishReason.STOP else reason


def canonical_usage(raw: Mapping[str, Any]) -> Usage:
    """Bedrock counts cached input apart; canonical input contains it. Reasoning is inside the output, and not counted apart."""
    fresh = _count(raw.get("inputTokens"))
    read, written = _count(raw.get("cacheReadInputTokens")), _count(raw.get("cacheWriteInputTokens"))
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=_count(raw.get("outputTokens")),
        cached_input_tokens=read,
        cache_write_tokens=written,
    )


def converse_fault(status: int, headers: Mapping[str, str], body: bytes, now_wall_s: float) -> Fault:
    """A non-200 reply. Its class is in a header (`Name:http://...`) or in the body's `__type` (`namespace#Name`)."""
    fault = reply_fault(status, headers, body, now_wall_s)
    said = _object(body)
    name = headers.get("x-amzn-errortype", "").partition(":")[0] or str(said.get("__type") or "").rpartition("#")[2]
    message = said.get("message") or said.get("Message")
    text = scrubbed(message) if isinstance(message, str) and message else fault.message
    known = _NAMES.get(_short(name))
    failure = fault.failure
    if known is not None and status < 500:
        failure = known[0]
    return _reread(msgspec.structs.replace(fault, failure=failure, message=text, type=name or fault.type))


def stream_fault(name: str, payload: bytes, text: str = "") -> Fault:
    """An exception (or error) inside a stream. `name` as its header has it, like `throttlingException`."""
    said = _object(payload)
    message = said.get("message") or said.get("originalMessage") or text or "the provider reported an error inside its reply"
    failure, status = _NAMES.get(_short(name), (Failure.SERVER_ERROR, None))
    original = said.get("originalStatusCode")
    if failure is Failure.SERVER_ERROR and original in (429, 503, 529):
        failure = classify(original)
    return _reread(Fault(failure, scrubbed(str(message)), status=status, type=name or None))


def _reread(fault: Fault) -> Fault:
    text = fault.message.lower()
    failure = fault.failure
    if failure is Failure.BAD_REQUEST:
        failure = next((found for words, found in _VALIDATIONS if words.search(text)), failure)
    elif failure is Failure.RATE_LIMITED and _PER_DAY.search(text):
        failure = Failure.QUOTA_EXHAUSTED
    return fault if failure is fault.failure else msgspec.structs.replace(fault, failure=failure)


def _short(name: str) -> str:
    return name.lower().removesuffix("exception").removesuffix("error")


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
