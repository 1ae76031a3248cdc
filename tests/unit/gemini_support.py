"""What the tests of the Gemini dialect share."""

import json
from typing import Any

from fastroute.core.types import ChatRequest, Endpoint, Profile
from fastroute.dialects.gemini_dialect import GeminiDialect
from fastroute.dialects.openai_chat import OpenAIChatApi

DIALECT = GeminiDialect(lambda: 1_700_000_000.0)
USER = {"role": "user", "content": "Hi"}
Json = dict[str, Any]


def endpoint(model: str = "gemini-3.8-flash", base_url: str = "http://g", **changes: Any) -> Endpoint:
    profile = Profile("gemini", "gemini", "/v1beta/models/{model}:generateContent", auth="x-goog-api-key")
    return Endpoint("flash", "gemini", profile, base_url, model, key="k", **changes)


def chat(*messages: Json, **members: Any) -> ChatRequest:
    body = {"model": "auto", "messages": list(messages) or [USER], **members}
    return OpenAIChatApi().decode(json.dumps(body).encode(), "r1", 0.0)


def sent(*messages: Json, model: str = "gemini-3.8-flash", base_url: str = "http://g", **members: Any) -> Json:
    """The body that goes to Gemini."""
    return json.loads(DIALECT.encode(chat(*messages, **members), endpoint(model, base_url)).body)


def dropped(*messages: Json, model: str = "gemini-3.8-flash", **members: Any) -> tuple[str, ...]:
    return DIALECT.translate(chat(*messages, **members), endpoint(model)).dropped


def tool(name: str, **function: Any) -> Json:
    return {"type": "function", "function": {"name": name, **function}}


def called(*calls: tuple[str, str, str], **message: Any) -> Json:
    """An assistant's message with calls as (id, name, arguments)."""
    listed = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]
    return {"role": "assistant", "content": None, "tool_calls": listed, **message}


def result(call_id: str, content: Any) -> Json:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def candidate(*parts: Json, finish: str | None = None, **members: Any) -> Json:
    out: Json = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **members}
    return out if finish is None else out | {"finishReason": finish}


def stream(*chunks: Json) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)
