"""Anthropic's messages, from the provider's side: requests read and checked, answers whole and as an event stream."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from fastroute.mock.answer import Answer, CallPiece, CallStart, Said, Token, Word
from fastroute.mock.anthropic_checks import check, invalid
from fastroute.mock.ask import Ask, Rejected, Tool, content_texts, count_tokens
from fastroute.mock.dialect import Bill, Rendered, json_object

_KINDS: dict[int, tuple[str, str]] = {
    400: ("invalid_request_error", "The request is not valid."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your account has a problem with billing."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "The requested resource could not be found."),
    413: ("request_too_large", "Request exceeds the maximum allowed number of bytes."),
    429: ("rate_limit_error", "This request would exceed your account's rate limit."),
    504: ("timeout_error", "The request timed out."),
    529: ("overloaded_error", "Overloaded"),
}
_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_MODES = {"auto": "auto", "any": "required", "none": "none", "tool": "named"}
_encode = msgspec.json.encode


class AnthropicMessages:
    """The `anthropic_messages` dialect."""

    name = "anthropic_messages"
    chat_path = "/messages"
    url_suffix = ""

    def authorise(self, headers: Mapping[str, str], api_key: str | None) -> None:
        """Takes `x-api-key`, and the Bearer form that the Python SDK (2.13) sends an API key in."""
        bearer = headers.get("authorization")
        if bearer is not None and not bearer.startswith("Bearer "):
            raise Rejected(401, "invalid bearer token", "authentication_error")
        given = headers.get("x-api-key", None if bearer is None else bearer.removeprefix("Bearer "))
        if given is None and (api_key is not None or "api-key" in headers):
            raise Rejected(401, "x-api-key header is required", "authentication_error")
        if api_key is not None and given != api_key:
            raise self.refusal(401)

    def read(self, headers: Mapping[str, str], body: bytes, strict: bool) -> Ask:
        if "anthropic-version" not in headers:
            raise invalid("anthropic-version: header is required")
        parsed = json_object(body)
        if parsed is None:
            raise invalid("The request body is not valid JSON")
        check(parsed, strict)
        return _ask(parsed)

    def whole(self, ask: Ask, answer: Answer, bill: Bill) -> bytes:
        said = answer.said[0]
        message = {**_message(ask, answer), "content": _content(said), "stop_reason": _stop_reason(said)}
        return _encode({**message, "stop_sequence": said.stop_sequence, "usage": _usage(bill, bill.output_tokens)})

    def stream(self, ask: Ask, answer: Answer, bill: Bill) -> Rendered:
        said = answer.said[0]
        start = {**_message(ask, answer), "content": [], "stop_reason": None, "stop_sequence": None, "usage": _usage(bill, 1)}
        delta = {"stop_reason": _stop_reason(said), "stop_sequence": said.stop_sequence}
        blocks = max((_block(t) for t in said.tokens), default=-1)
        closing = _event({"type": "content_block_stop", "index": blocks}) if said.tokens else b""
        usage = _usage(bill, bill.output_tokens)
        return Rendered(
            prelude=_event({"type": "message_start", "message": start}) + _event({"type": "ping"}),
            chunks=_chunks(said.tokens),
            tail=closing + _event({"type": "message_delta", "delta": delta, "usage": usage}) + _event({"type": "message_stop"}),
            filler=_delta(max(blocks, 0), {"type": "text_delta", "text": " and"}),
            error=b"event: error\ndata: " + self.error(self.refusal(529)) + b"\n\n",
            broken=b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":\n\n',
        )

    def refusal(self, status: int, message: str | None = None, code: str | None = None) -> Rejected:
        kind, text = _KINDS.get(status, ("api_error", "Internal server error") if status >= 500 else _KINDS[400])
        return Rejected(status, message or text, code or kind)

    def error(self, rejected: Rejected) -> bytes:
        return _encode({"type": "error", "error": {"type": rejected.kind, "message": rejected.message}, "request_id": "req_mock"})

    def models(self, names: Sequence[str]) -> bytes:
        made = "2026-01-01T00:00:00Z"
        data = [{"type": "model", "id": name, "display_name": name, "created_at": made} for name in names]
        first, last = (names[0], names[-1]) if names else (None, None)
        return _encode({"data": data, "has_more": False, "first_id": first, "last_id": last})

    def other(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes | None:
        if path != "/messages/count_tokens":
            return None
        parsed = json_object(body)
        if parsed is None:
            raise invalid("The request body is not valid JSON")
        parsed.setdefault("max_tokens", 1)
        check(parsed, strict=True)
        return _encode({"input_tokens": _ask(parsed).input_tokens})


def _ask(body: dict[str, Any]) -> Ask:
    messages, tools, choice = body["messages"], body.get("tools") or [], body.get("tool_choice") or {"type": "auto"}
    texts = ["system", *content_texts(body.get("system") or "")]
    for message in messages:
        texts += [message["role"], *content_texts(message["content"])]
    return Ask(
        model=body["model"],
        transcript="\n".join(texts),
        input_tokens=count_tokens(*texts, *(_encode(t).decode() for t in tools)),
        stream=body.get("stream", False),
        include_usage=True,
        max_output_tokens=body["max_tokens"],
        tools=tuple(Tool(t["name"], t["input_schema"]) for t in tools if "input_schema" in t),
        tool_mode=_MODES[choice["type"]],
        named_tool=choice.get("name"),
        parallel=not choice.get("disable_parallel_tool_use", False),
        tool_results=_last_results(messages[-1]["content"]),
        schema=_wanted_schema(body),
        stop=tuple(body.get("stop_sequences") or ()),
    )


def _last_results(content: Any) -> tuple[str, ...]:
    blocks = content if isinstance(content, list) else []
    return tuple("".join(content_texts(b.get("content"))) for b in blocks if b["type"] == "tool_result")


def _wanted_schema(body: dict[str, Any]) -> dict[str, Any] | None:
    wanted = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    return wanted.get("schema") if wanted.get("type") == "json_schema" else None


def _message(ask: Ask, answer: Answer) -> dict[str, Any]:
    return {"id": f"msg_{answer.id}", "type": "message", "role": "assistant", "model": ask.model}


def _content(said: Said) -> list[dict[str, Any]]:
    """The blocks. Arguments cut by `max_tokens` are no JSON: such a call has the empty input, as the API gives it."""
    text = [{"type": "text", "text": said.text}] if said.text else []
    calls = [
        {"type": "tool_use", "id": f"toolu_{start.id}", "name": start.name, "input": json_object(arguments.encode()) or {}}
        for start, arguments in said.calls
    ]
    return [*text, *calls]


def _stop_reason(said: Said) -> str:
    return "stop_sequence" if said.stop_sequence is not None else _STOPS[said.finish]


def _block(token: Token) -> int:
    """The index of the content block that a token belongs to: an answer is one text or some calls, never both."""
    return 0 if isinstance(token, Word) else token.index


def _chunks(tokens: Sequence[Token]) -> list[bytes]:
    """One piece a token; the opening and closing of blocks go with the token that follows."""
    chunks = []
    for i, token in enumerate(tokens):
        piece = _opening(token, first=i == 0)
        if isinstance(token, CallStart):
            piece += _delta(token.index, {"type": "input_json_delta", "partial_json": ""})
        elif isinstance(token, CallPiece):
            piece += _delta(token.index, {"type": "input_json_delta", "partial_json": token.text})
        else:
            piece += _delta(0, {"type": "text_delta", "text": token.text})
        chunks.append(piece)
    return chunks


def _opening(token: Token, first: bool) -> bytes:
    if isinstance(token, CallStart):
        closing = b"" if first else _event({"type": "content_block_stop", "index": token.index - 1})
        block = {"type": "tool_use", "id": f"toolu_{token.id}", "name": token.name, "input": {}}
        return closing + _event({"type": "content_block_start", "index": token.index, "content_block": block})
    if first:
        return _event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    return b""


def _delta(index: int, delta: dict[str, str]) -> bytes:
    return _event({"type": "content_block_delta", "index": index, "delta": delta})


def _event(data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (data["type"].encode(), _encode(data))


def _usage(bill: Bill, output_tokens: int) -> dict[str, Any]:
    """Input without the cached part, as Anthropic counts."""
    return {
        "input_tokens": bill.input_tokens - bill.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": bill.cached_tokens,
        "output_tokens": output_tokens,
    }
