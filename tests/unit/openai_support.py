"""What the tests of the OpenAI dialect share: an endpoint, a request, and streams written by hand."""

import json
from typing import Any

import msgspec

from fastroute.core.types import ChatRequest, Endpoint, Profile
from fastroute.dialects.openai_chat import OpenAIChatApi
from fastroute.dialects.openai_relay import OpenAIRelay

Json = dict[str, Any]

HEAD: Json = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m-1"}
DONE = b"data: [DONE]\n\n"
USAGE: Json = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def endpoint(profile: Json | None = None, **members: Any) -> Endpoint:
    """An endpoint of an OpenAI-style provider; `profile` and keywords replace members."""
    known = {"name": "acme", "dialect": "openai_chat", "chat_path": "/chat/completions"} | (profile or {})
    given: Json = {"name": "e", "provider": "acme", "base_url": "https://api.example/v1", "model": "m-1", "key": "sk-secret"}
    return Endpoint(profile=Profile(**known), **(given | members))


def ask(body: Json | None = None, **members: Any) -> ChatRequest:
    """A request as the client API reads it; keywords are members of the body."""
    sent = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]} | (body or {}) | members
    return OpenAIChatApi().decode(json.dumps(sent).encode(), "req-1", 100.0)


def streaming(*, usage: bool = False, **members: Any) -> ChatRequest:
    options = {"stream_options": {"include_usage": True}} if usage else {}
    return ask(stream=True, **options, **members)


def sse(data: Json | str) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return b"data: " + text.encode() + b"\n\n"


def chunk(delta: Json | None = None, finish: str | None = None, index: int = 0, **members: Any) -> bytes:
    """One chunk of one choice, as OpenAI writes it. Keywords are members of the chunk."""
    return sse({**HEAD, "choices": [{"index": index, "delta": delta or {}, "finish_reason": finish}], **members})


def call(index: int | None = 0, call_id: str | None = "call_a", name: str | None = "add", arguments: str | None = "{}") -> Json:
    """A tool-call entry of a delta; None leaves a member out."""
    function = {key: value for key, value in {"name": name, "arguments": arguments}.items() if value is not None}
    entry = {"index": index, "id": call_id, "type": "function", "function": function}
    return {key: value for key, value in entry.items() if value is not None}


def relay(request: ChatRequest | None = None, **profile: Any) -> OpenAIRelay:
    return OpenAIRelay(request or streaming(), endpoint(profile), 1_700_000_001)


def run(translator: OpenAIRelay, *pieces: bytes) -> bytes:
    """What the client gets of a stream that ends."""
    return b"".join([translator.feed(piece) for piece in pieces]) + translator.end()


def chunks(out: bytes) -> list[Json]:
    """The JSON of every event but [DONE]."""
    return [msgspec.json.decode(frame[6:]) for frame in out.split(b"\n\n") if frame.startswith(b"data: {")]


def entries(out: bytes, index: int = 0) -> list[Json]:
    return [choice for found in chunks(out) for choice in found["choices"] if choice["index"] == index]


def joined_calls(out: bytes, index: int = 0) -> list[Json]:
    """The tool calls as a client joins them."""
    calls: dict[int, Json] = {}
    for piece in (piece for entry in entries(out, index) for piece in entry["delta"].get("tool_calls") or ()):
        known = calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
        function = piece.get("function") or {}
        known["id"] += piece.get("id") or ""
        known["name"] += function.get("name") or ""
        known["arguments"] += function.get("arguments") or ""
    return [calls[number] for number in sorted(calls)]


def finishes(out: bytes, index: int = 0) -> list[str]:
    return [entry["finish_reason"] for entry in entries(out, index) if entry["finish_reason"]]
