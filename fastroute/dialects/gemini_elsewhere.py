"""A Gemini client's request put to providers that do not speak Gemini: as the OpenAI chat request it amounts to.

Rules. Nothing a client would miss is left out: log probabilities, images in the answer and parts only Gemini has are refused, so
that an endpoint that speaks Gemini may be tried. What only tunes (`safetySettings`, `topK` at OpenAI) is left out.

Theory of operation. The reply, whoever gives it, is first told as to an OpenAI client by the dialect that knows how, and then
retold chunk by chunk. Mends, renamed tools and failures of every dialect are thus the same for both kinds of clients.
"""

import base64
from typing import Any

import msgspec

from fastroute.core.ports import Translator
from fastroute.core.types import ChatRequest
from fastroute.dialects._faults import unsupported
from fastroute.dialects.canonical import (
    Audio,
    Conversation,
    Document,
    Image,
    Part,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from fastroute.dialects.gemini_api import NAME
from fastroute.dialects.gemini_conversation import gemini_conversation
from fastroute.dialects.gemini_writer import GeminiWriter
from fastroute.dialects.openai_chunks import ChunkReader
from fastroute.dialects.retelling import Retold

Json = dict[str, Any]

OPENAI = "openai_chat"
_EFFORTS = ((2_048, "low"), (12_288, "medium"))
_PLAIN = ("temperature", "top_p", "seed", "reasoning_effort")


def as_chat(request: ChatRequest, dialect: str) -> ChatRequest:
    """The request as an OpenAI client's. `dialect`: whom it is for. Raises `FaultError` (UNSUPPORTED, BAD_REQUEST)."""
    if request.api != NAME:
        raise unsupported("api", f"requests of {request.api} clients cannot be put to {dialect}")
    asked = gemini_conversation(request)
    _refuse(asked)
    members: Json = {"model": request.model, "messages": [message for turn in asked.turns for message in _messages(turn)]}
    members |= {name: value for name in _PLAIN if (value := getattr(asked, name)) is not None}
    members |= {name: value for name, value in _settings(asked, dialect).items() if value}
    members |= asked.extras
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in members.items()}
    return msgspec.structs.replace(request, api=OPENAI, fields=fields, include_usage=True, has_developer=False)


def _refuse(asked: Conversation) -> None:
    if asked.logprobs:
        raise unsupported("generationConfig.responseLogprobs", "Gemini's log probabilities come from endpoints that speak Gemini")
    if "modalities" in asked.extras:
        raise unsupported(
            "generationConfig.responseModalities", "answers that are not text come from endpoints that speak Gemini"
        )


def _settings(asked: Conversation, dialect: str) -> Json:
    """Members to leave out where they say nothing."""
    said: Json = {"stream": asked.stream, "stop": list(asked.stop), "tools": [_tool(tool) for tool in asked.tools]}
    said["max_completion_tokens"] = asked.max_output_tokens
    said["n"] = asked.choices if asked.choices != 1 else None
    choice, form = asked.tool_choice, asked.response_format
    if choice is not None and asked.tools:
        said["tool_choice"] = {"type": "function", "function": {"name": choice.name}} if choice.name else choice.mode
    if form is not None:
        said["response_format"] = {"type": form.kind}
        if form.kind == "json_schema":
            said["response_format"]["json_schema"] = {"name": form.name, "schema": form.schema}
    if dialect != OPENAI:
        return said | {"thinking": asked.thinking, "top_k": asked.top_k}
    budget = (asked.thinking or {}).get("budget_tokens")
    if budget and not asked.reasoning_effort:
        said["reasoning_effort"] = next((effort for most, effort in _EFFORTS if budget <= most), "high")
    return said


def _tool(tool: Tool) -> Json:
    said = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "function": {name: value for name, value in said.items() if value is not None}}


# --- messages ---------------------------------------------------------------------------------------------------------


def _messages(turn: Turn) -> list[Json]:
    """A turn as messages: each result is one of its own."""
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    calls = [part for part in turn.parts if isinstance(part, ToolCall)]
    others = [_content(part) for part in turn.parts if not isinstance(part, ToolResult | ToolCall | Thinking)]
    out: list[Json] = [{"role": "tool", "tool_call_id": result.call_id, "content": _answer(result)} for result in results]
    for result in results:
        others += [_content(part) for part in result.parts if not isinstance(part, Text)]
    message: Json = {"role": turn.role, "content": _shortest(others)}
    if calls:
        message["tool_calls"] = [_call(call) for call in calls]
    return [*out, message] if others or calls else out


def _answer(result: ToolResult) -> str:
    return "\n".join(part.text for part in result.parts if isinstance(part, Text))


def _shortest(parts: list[Json]) -> str | list[Json] | None:
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts) if parts else None
    return parts


def _call(call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _content(part: Part) -> Json:
    match part:
        case Text() | Refusal():
            return {"type": "text", "text": part.text}
        case Image():
            url = part.url if part.url is not None else f"data:{part.media_type};base64,{part.data}"
            return {"type": "image_url", "image_url": {"url": url}}
        case Document() if part.data is not None:
            plain = part.media_type == "text/plain"
            data = base64.b64encode(part.data.encode()).decode() if plain else part.data
            file = {"filename": part.name or "file", "file_data": f"data:{part.media_type or 'application/pdf'};base64,{data}"}
            return {"type": "file", "file": file}
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        case _:
            raise unsupported("contents", "the conversation has a part that only endpoints that speak Gemini take")


# --- replies ----------------------------------------------------------------------------------------------------------


def retold(inner: Translator, request: ChatRequest, model: str) -> Translator:
    """What `inner` tells an OpenAI client, for a Gemini client."""
    return Retold(inner, ChunkReader(), GeminiWriter(request, model))
