"""Gemini's `generateContent` as a client API: the head of a request, checked; the rest carried through as it came.

Rules. Google's JSON may say a name in camel case or in snake case; the members of the body are brought to the first. Model and
method are in the path: `door_sign` reads them. Refused here is only what no provider could make sense of, with the member named.

Decisions. A stream without `alt=sse` is an array of chunks; the request says so in a member of ours, `fastroute_framing`, which
stays here.

Source: Google's reference of `generateContent` (v1beta, November 2026); wire notes 3.1 and 3.6.
"""

import re
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.types import ChatRequest, Needs
from fastroute.dialects._faults import bad_request
from fastroute.dialects.openai_chat import MAX_CHOICES, MAX_MODEL_CHARACTERS

Raw = msgspec.Raw

NAME = "gemini"
PREFIXES = ("/v1beta/models/", "/v1/models/")
FRAMING, ARRAY = "fastroute_framing", Raw(b'"array"')
_METHODS = {"generateContent": False, "streamGenerateContent": True}
_SNAKE = re.compile(r"_([a-z0-9])")
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_fields = msgspec.json.Decoder(dict[str, Raw])


def camel(name: str) -> str:
    """A member's name as Google's JSON has it."""
    return _SNAKE.sub(lambda found: found[1].upper(), name) if "_" in name and not name.startswith("fastroute") else name


def error_object(fault: Fault, status: int) -> dict[str, Any]:
    """`fault` as the members of Google's `error` object, its retry hint among the details."""
    said: dict[str, Any] = {"code": status, "message": fault.message, "status": _STATUS.get(status, "UNKNOWN")}
    if fault.retry_after_s is not None:
        delay = f"{fault.retry_after_s:.3f}".rstrip("0").rstrip(".") + "s"
        said["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]
    return said


class GeminiApi:
    """A `core.ports.ClientApi` for one model and method. Without them it only knows how errors look."""

    name = NAME

    def __init__(self, model: str = "", stream: bool = False, array: bool = False) -> None:
        self._model, self._stream, self._array = model, stream, array

    def decode(self, body: bytes, request_id: str, accepted_s: float) -> ChatRequest:
        fields = _decoded(body)
        if "contents" not in fields:
            raise bad_request("contents", "Missing required parameter: 'contents'.")
        config = _config(fields)
        if self._array:
            fields[FRAMING] = ARRAY
        tools, schema = fields.get("tools", Raw(b"[]")), {"responseSchema", "responseJsonSchema"} & config.keys()
        return ChatRequest(
            id=request_id,
            api=NAME,
            model=self._model,
            fields=fields,
            accepted_s=accepted_s,
            input_bytes=_input_bytes(fields),
            stream=self._stream,
            include_usage=True,
            max_output_tokens=_count(config, "maxOutputTokens", 2**31),
            choices=_count(config, "candidateCount", MAX_CHOICES) or 1,
            needs=Needs(b'"image/' in bytes(fields["contents"]), bytes(tools) not in (b"[]", b"null"), bool(schema)),
        )

    def error(self, fault: Fault, status: int) -> bytes:
        return msgspec.json.encode({"error": error_object(fault, status)})


def door_sign(target: str) -> GeminiApi | None:
    """What is spoken at a path with its query, such as `/v1beta/models/auto:streamGenerateContent?alt=sse`; None: not Gemini."""
    path, _, query = target.partition("?")
    prefix = next((prefix for prefix in PREFIXES if path.startswith(prefix)), None)
    model, colon, method = path.removeprefix(prefix or "").rpartition(":")
    if prefix is None or not colon or method not in _METHODS:
        return None
    name = unquote(model, errors="replace")
    if not name or len(name) > MAX_MODEL_CHARACTERS or not name.isprintable():
        return None
    stream = _METHODS[method]
    return GeminiApi(name, stream, stream and parse_qs(query).get("alt") != ["sse"])


def _decoded(body: bytes) -> dict[str, Raw]:
    try:
        if not body.isascii():
            body.decode()
        return {camel(name): raw for name, raw in _fields.decode(body).items()}
    except msgspec.ValidationError:
        raise bad_request("body", "The body must be a JSON object.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise FaultError(Fault(Failure.BAD_REQUEST, f"the body is not valid JSON: {e}", code="invalid_json")) from None


def _config(fields: dict[str, Raw]) -> dict[str, Raw]:
    raw = fields.get("generationConfig", Raw(b"null"))
    try:
        return {camel(name): value for name, value in (msgspec.json.decode(raw, type=dict[str, Raw] | None) or {}).items()}
    except msgspec.MsgspecError:
        raise bad_request("generationConfig", "'generationConfig' must be an object") from None


def _count(config: dict[str, Raw], name: str, most: int) -> int | None:
    if name not in config:
        return None
    try:
        value = msgspec.json.decode(config[name], type=int | float | None)
    except msgspec.MsgspecError:
        value = -1
    if value is None or (value == int(value) and 1 <= value <= most):
        return None if value is None else int(value)
    raise bad_request(f"generationConfig.{name}", f"'generationConfig.{name}' must be an integer from 1 to {most}")


def _input_bytes(fields: dict[str, Raw]) -> int:
    """The size of contents and tools, without media: long runs of base64 say nothing about tokens."""
    said = b"".join(bytes(fields[name]) for name in ("contents", "systemInstruction", "tools") if name in fields)
    return max(1, len(re.sub(rb'"data"\s*:\s*"[^"]{512,}"', b"", said)))
