"""What OpenAI-style providers say when they fail, as classified faults; and faults in OpenAI's own error shape.

Rules. Nothing is assumed of a body: it may be JSON of any shape, HTML, text or empty. Texts are scrubbed of anything like a key
and cut to 2 KB. A retry hint is read only where the status can pass (408, 409, 429, 5xx): some providers send it on a 200.

What can go wrong. A wrong key is a 400 at xAI and Gemini, and a spent quota a 429 at OpenAI: both would be retried for nothing
if the status alone decided. Errors inside a 200 have no status of their own, only the codes in them.

Source: wire notes 3.6; openai-python `_base_client.py` (retry hints, 120 s).
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from fastroute.core.failures import Failure, Fault, classify
from fastroute.core.types import Usage
from fastroute.dialects.openai_usage import partial_usage

MAX_TEXT = 2048
MAX_RETRY_S = 120.0

_SECRET = re.compile(
    r"\b(?:sk|pk|rk|xai|gsk|pplx|hf|csk|fw|r8|nvapi|tgp)[-_][A-Za-z0-9_\-*.]{6,}[A-Za-z0-9_*]|\bAIza[A-Za-z0-9_\-]{10,}"
    r"|\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-.]+"
)
_BEARER = re.compile(r"(\b(?:bearer|basic)\s+)[^\s,;'\"]{4,}", re.IGNORECASE)
_NAMED_KEY = re.compile(
    r"(\b(?:api[ _-]?key|token|secret|key)(?: provided)?\s*[:=]\s*['\"]?)[^\s,;'\"&]+?(?=[.,;'\"&]*(?:\s|$|[&'\"]))",
    re.IGNORECASE,
)
_WRONG_KEY = re.compile(
    r"(?:incorrect|invalid|missing|expired|no) api[ _-]?key|api[ _-]?key (?:not valid|not found|expired|is invalid|provided is)"
    r"|api_key_invalid",
    re.IGNORECASE,
)
_FILTERED = re.compile(r"ResponsibleAIPolicyViolation|content management policy|content_policy_violation", re.IGNORECASE)
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_STATUS_WORDS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_CODES = {
    Failure.CONTEXT_LENGTH: "context_length_exceeded",
    Failure.CONTENT_FILTER: "content_filter",
    Failure.QUOTA_EXHAUSTED: "insufficient_quota",
    Failure.RATE_LIMITED: "rate_limit_exceeded",
    Failure.UNSUPPORTED: "unsupported_parameter",
}


class Complaint(msgspec.Struct, frozen=True):
    """What an error body says, whatever its shape."""

    message: str = ""
    type: str | None = None
    code: str | None = None
    param: str | None = None
    status: int | None = None  # the body's own idea of the status
    labels: tuple[str, ...] = ()  # further words that may tell the class
    retry_after_s: float | None = None


def scrubbed(text: str) -> str:
    """`text` without anything that looks like a credential, cut to 2 KB."""
    text = _SECRET.sub("[redacted]", text[: 4 * MAX_TEXT])
    text = _BEARER.sub(r"\1[redacted]", text)
    return _NAMED_KEY.sub(r"\1[redacted]", text)[:MAX_TEXT]


def reply_fault(status: int, headers: Mapping[str, str], body: bytes, now_wall_s: float | None = None) -> Fault:
    """A non-200 reply as a fault. `headers` have lower-case names; `now_wall_s` (epoch) serves hints given as dates."""
    said = read_complaint(body)
    retry_s = None
    if status in (408, 409, 429) or status >= 500:
        retry_s = retry_hint_s(headers, now_wall_s)
        retry_s = said.retry_after_s if retry_s is None else retry_s
    return _fault(said, status, said.message or f"the provider answered {status} with no message", retry_s)


def unreadable_fault(data: bytes) -> Fault:
    """What an event is that cannot be read as a chunk: an error in a list, as Gemini sends them, or nothing we know."""
    if data.lstrip()[:1] == b"[":
        return embedded_fault(data)
    return Fault(Failure.MALFORMED, "an event of the provider's stream is not a chat completion chunk")


def embedded_fault(body: bytes) -> Fault:
    """An error that came inside a 200: as a stream event, or in place of an answer."""
    said = read_complaint(body)
    status = said.status
    if status is None:
        named = classify(400, *_labels(said), message=said.message)
        status = 500 if named is Failure.BAD_REQUEST and said.type != "invalid_request_error" else 400
    return _fault(said, status, said.message or "the provider reported an error inside its reply", said.retry_after_s)


def read_complaint(body: bytes) -> Complaint:
    """The error in `body`: JSON of any known shape, else its text."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Complaint(message=_plain(body))
    return _complaint(value)


def retry_hint_s(headers: Mapping[str, str], now_wall_s: float | None = None) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `retry-after`; at most 120. None: no usable hint."""
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds:
        return min(milliseconds / 1000, MAX_RETRY_S)
    text = headers.get("retry-after")
    hint_s = _seconds(text)
    if hint_s is None and text:
        hint_s = _until_date_s(text, headers.get("date"), now_wall_s)
    if hint_s is None:
        hint_s = milliseconds
    return None if hint_s is None else min(hint_s, MAX_RETRY_S)


def error_object(fault: Fault) -> dict[str, Any]:
    """`fault` as the members of OpenAI's `error` object."""
    about_request = fault.rule.about_request
    code = fault.code or _CODES.get(fault.failure) or (None if about_request else fault.failure.value)
    kind = (fault.type if about_request else None) or fault.rule.type
    return {"message": fault.message, "type": kind, "param": fault.param, "code": code}


def error_event(fault: Fault, usage: Usage | None) -> bytes:
    """The event that ends a stream which cannot go on: the error, and the usage known so far. No [DONE] follows."""
    error = error_object(fault) | {"usage": None if usage is None else partial_usage(usage)}
    return b"data: " + msgspec.json.encode({"error": error}) + b"\n\n"


def _fault(said: Complaint, status: int, message: str, retry_s: float | None) -> Fault:
    failure = classify(status, *_labels(said), message=said.message)
    words = " ".join((said.message, *said.labels))
    if failure is Failure.BAD_REQUEST and _blames_key(said):
        failure = Failure.AUTH
    elif failure in (Failure.BAD_REQUEST, Failure.AUTH) and _FILTERED.search(words):
        failure = Failure.CONTENT_FILTER
    return Fault(failure, scrubbed(message), status, said.type, said.code, said.param, retry_s)


def _blames_key(said: Complaint) -> bool:
    """Whether a 400 is about the key. The text must begin so: further on it may quote the client, who must not get to say it."""
    return _WRONG_KEY.match(said.message.lstrip()) is not None or any(_WRONG_KEY.search(label) for label in said.labels)


def _labels(said: Complaint) -> tuple[str | None, ...]:
    return (said.code, said.type, *said.labels)


def _complaint(value: Any) -> Complaint:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = value[0]  # Gemini's streaming endpoint wraps its error in an array
    if not isinstance(value, dict):
        return Complaint(message=_text(value))
    error = value.get("error")
    if isinstance(error, list | dict) and error:
        return _from_object(error[0] if isinstance(error, list) else error)
    if isinstance(error, str):
        return _from_object({**value, "message": error or value.get("message")})
    errors = value.get("errors")
    if isinstance(errors, list) and errors:
        return _from_object(errors[0])
    if "detail" in value:
        return _from_detail(value["detail"], value)
    return _from_object(value)


def _from_object(error: Any) -> Complaint:
    if not isinstance(error, dict):
        return Complaint(message=_text(error))
    code, status = _word(error.get("code")), _number(error.get("status_code")) or _number(error.get("code"))
    word = _word(error.get("status"))
    inner = error.get("innererror")
    labels = [word, _word(inner.get("code")) if isinstance(inner, dict) else None]
    retry_s = None
    for detail in error["details"] if isinstance(error.get("details"), list) else ():
        if isinstance(detail, dict):
            labels.append(_word(detail.get("reason")))
            retry_s = _seconds(str(detail.get("retryDelay", "")).removesuffix("s")) if "retryDelay" in detail else retry_s
    metadata = error.get("metadata")
    message, extra = _text(error.get("message") or error.get("msg") or error.get("detail")), _metadata(metadata)
    if isinstance(metadata, dict) and "reasons" in metadata:  # OpenRouter's moderation, a 403
        labels.insert(0, "content_filter")
    return Complaint(
        message=f"{message}: {extra}" if extra and extra not in message else message,
        type=_word(error.get("type")) or word,
        code=code,
        param=_word(error.get("param")),
        status=status or _STATUS_WORDS.get(word or ""),
        labels=tuple(label for label in labels if label),
        retry_after_s=None if retry_s is None else min(retry_s, MAX_RETRY_S),
    )


def _from_detail(detail: Any, value: dict[str, Any]) -> Complaint:
    """FastAPI's shapes, as Mistral and vLLM use them: a text, or a list of {loc, msg}."""
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        first = detail[0]
        loc = first.get("loc")
        where = ".".join(str(step) for step in loc if step != "body") if isinstance(loc, list) else None
        said = "; ".join(_text(item.get("msg") or item) for item in detail if isinstance(item, dict))
        return Complaint(message=f"{where}: {said}" if where else said, type=_word(first.get("type")), param=where)
    if isinstance(detail, dict):
        return _from_object(detail)
    return Complaint(message=_text(detail), type=_word(value.get("type")), code=_word(value.get("code")))


def _metadata(metadata: Any) -> str:
    """OpenRouter's `metadata.raw`: what the provider behind it said."""
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if not isinstance(raw, str) or not raw:
        return ""
    inner = read_complaint(raw.encode("utf-8", "replace")) if raw[:1] in "{[" else Complaint(message=raw)
    return inner.message


def _plain(body: bytes) -> str:
    """Text for people out of a body that is not JSON."""
    text = body[: 16 * MAX_TEXT].decode("utf-8", "replace")
    if "<" in text and ("<html" in text.lower() or "<!doctype" in text.lower()):
        text = _TAGS.sub(" ", text)
    return " ".join(text.split())[:MAX_TEXT]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()[:MAX_TEXT]


def _word(value: Any) -> str | None:
    """A code that is a word; statuses in their place (429, "401") are none."""
    return value if isinstance(value, str) and value and not value.isdigit() else None


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599 else None


def _seconds(text: str | None) -> float | None:
    if text is None or not re.fullmatch(r"\s*\d{1,12}(\.\d{0,9})?\s*", text, re.ASCII):
        return None
    return float(text)


def _until_date_s(text: str, sent: str | None, now_wall_s: float | None) -> float | None:
    """Seconds until an HTTP date, by the provider's own clock where the reply carries it, else by ours."""
    until_s, sent_s = _date_s(text), _date_s(sent) if sent else None
    now_s = now_wall_s if sent_s is None else sent_s
    if until_s is None or now_s is None or until_s < now_s:
        return None
    return until_s - now_s


def _date_s(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
