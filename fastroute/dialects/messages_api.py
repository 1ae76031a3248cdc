"""Anthropic's Messages as a client API: the head of a request, checked; the rest carried through as it came.

Rules. Refused here is only what no provider could make sense of, with the member named; `max_tokens` is required, as Anthropic
has it. A member without a meaning here passes: the provider may know it. A 529 stays one.

Source: Anthropic's Messages reference (2023-06-01) and errors page; wire notes 3.1 and 3.6.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.types import ChatRequest, Needs, Usage
from fastroute.dialects._faults import bad_request
from fastroute.dialects.openai_chat import MAX_MODEL_CHARACTERS, MAX_OUTPUT_TOKENS, invalid_body

Raw = msgspec.Raw

NAME = "anthropic_messages"
OVERLOADED = 529
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}
_TYPES_OF_503 = {
    Failure.RATE_LIMITED: "rate_limit_error",
    Failure.OVERLOADED: "overloaded_error",
    Failure.NO_CAPACITY: "overloaded_error",
}


class _Source(msgspec.Struct, gc=False):
    data: str = ""


class _Block(msgspec.Struct, gc=False):
    type: str
    source: _Source | None = None


class _ResultBlock(msgspec.Struct, gc=False):
    type: str
    source: _Source | None = None
    content: str | list[_Block] | Any = None


class _Message(msgspec.Struct, gc=False):
    role: str
    content: str | list[_ResultBlock]


class _Format(msgspec.Struct, gc=False):
    format: Raw = Raw(b"null")


class _Head(msgspec.Struct, gc=False):
    model: Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_CHARACTERS)]
    messages: Annotated[list[_Message], Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=1, le=MAX_OUTPUT_TOKENS)] | None = None
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    stop_sequences: list[str] | None = None
    system: str | list[_Block] | None = None
    tools: list[dict[str, Raw]] | None = None
    tool_choice: dict[str, Raw] | None = None
    metadata: dict[str, Raw] | None = None
    thinking: dict[str, Raw] | None = None
    output_config: _Format | None = None
    output_format: Raw = Raw(b"null")


_fields = msgspec.json.Decoder(dict[str, Raw])
_head = msgspec.json.Decoder(_Head)


class MessagesApi:
    """A `core.ports.ClientApi`. `counts`: for requests to count tokens, which need no `max_tokens`."""

    name = NAME

    def __init__(self, counts: bool = False) -> None:
        self._counts = counts

    def decode(self, body: bytes, request_id: str, accepted_s: float) -> ChatRequest:
        head, fields = _decoded(body)
        if not head.model.isprintable():
            raise bad_request("model", "'model' holds a control character")
        if head.max_tokens is None and not self._counts:
            raise bad_request("max_tokens", "max_tokens: Field required")
        return ChatRequest(
            id=request_id,
            api=NAME,
            model=head.model,
            fields=fields,
            accepted_s=accepted_s,
            input_bytes=_input_bytes(head, fields),
            stream=head.stream is True,
            include_usage=True,
            max_output_tokens=head.max_tokens,
            needs=_needs(head),
            has_developer=False,
        )

    def error(self, fault: Fault, status: int) -> bytes:
        return msgspec.json.encode(error_body(fault, status))

    def counted(self, body: bytes) -> bytes:
        """The answer to a request to count tokens: our estimate, marked as one. Raises `FaultError` (BAD_REQUEST).

        About four bytes a token; media are not counted.
        """
        request = self.decode(body, "count", 0.0)
        return msgspec.json.encode({"input_tokens": request.input_tokens, "estimated": True})


def error_body(fault: Fault, status: int, usage: Usage | None = None) -> dict[str, Any]:
    """`fault` in Anthropic's error shape; `usage`: what is known to have been used up to it."""
    kind = _TYPES_OF_503.get(fault.failure, "api_error") if status == 503 else _TYPES.get(status, "api_error")
    message = fault.message
    if fault.param and fault.param not in message:
        message = f"{fault.param}: {message}"
    said: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": message}}
    return said if usage is None else said | {"usage": messages_usage(usage)}


def messages_usage(usage: Usage) -> dict[str, int | None]:
    """Usage as Anthropic counts: cached input apart from the rest. What is not known is left out, but for the two it requires."""
    read, written = usage.cached_input_tokens, usage.cache_write_tokens
    fresh = max(0, (usage.input_tokens or 0) - (read or 0) - (written or 0))
    cached = {"cache_creation_input_tokens": written, "cache_read_input_tokens": read}
    counts: dict[str, int | None] = {name: count for name, count in cached.items() if count is not None}
    return {"input_tokens": fresh, **counts, "output_tokens": usage.output_tokens or 0}


def _decoded(body: bytes) -> tuple[_Head, dict[str, Raw]]:
    try:
        if not body.isascii():
            body.decode()
        return _head.decode(body), _fields.decode(body)
    except msgspec.ValidationError as e:
        raise invalid_body(str(e)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise FaultError(Fault(Failure.BAD_REQUEST, f"the body is not valid JSON: {e}", code="invalid_json")) from None


def _blocks(head: _Head) -> list[_Block | _ResultBlock]:
    """All blocks of all messages, those within tool results too."""
    found: list[_Block | _ResultBlock] = []
    for message in head.messages:
        for block in message.content if isinstance(message.content, list) else ():
            found.append(block)
            found += _inner(block.content)
    return found


def _inner(content: Any) -> list[_Block]:
    return [msgspec.convert(b, _Block) if isinstance(b, dict) else b for b in content] if isinstance(content, list) else []


def _needs(head: _Head) -> Needs:
    formats = (head.output_format, head.output_config.format if head.output_config is not None else head.output_format)
    vision = any(block.type == "image" for block in _blocks(head))
    return Needs(vision, bool(head.tools), any(bytes(raw) != b"null" for raw in formats))


def _input_bytes(head: _Head, fields: dict[str, Raw]) -> int:
    """The size of system prompt, messages and tools, without media: their bytes say nothing about their tokens."""
    size_bytes = sum(len(memoryview(fields[name])) for name in ("system", "messages", "tools") if name in fields)
    media = (b.source.data for b in _blocks(head) if b.source is not None and b.type in ("image", "document"))
    return max(1, size_bytes - sum(len(data) for data in media))
