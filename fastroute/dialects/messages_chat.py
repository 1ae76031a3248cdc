"""An Anthropic client's request put to providers that do not speak Anthropic's dialect: as the OpenAI chat request it amounts to.

Rules. Nothing a client would miss is left out: blocks only Anthropic has, and documents that are no PDF and no text, are refused.
What only tunes (cache marks, `top_k` at OpenAI) is left out, and so at OpenAI is reasoning that Anthropic signed, of no use
there. Images among a call's results follow in the user's next message, since OpenAI's results are text. An error is called one in
its text.

Theory of operation. As in `gemini_elsewhere`: the reply is told as to an OpenAI client first, and then retold.
"""

from typing import Any

import msgspec

from fastroute.core.ports import Translator
from fastroute.core.types import ChatRequest
from fastroute.dialects._faults import unsupported
from fastroute.dialects.canonical import (
    Conversation,
    Document,
    Event,
    Image,
    Part,
    Refusal,
    Started,
    Text,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from fastroute.dialects.messages_conversation import messages_conversation
from fastroute.dialects.messages_writer import MessagesWriter
from fastroute.dialects.openai_chunks import ChunkReader
from fastroute.dialects.retelling import Retold

Json = dict[str, Any]

OPENAI = "openai_chat"
_BY_EFFORT = (OPENAI, "openai_responses")  # dialects that know no thinking budget
_EFFORTS = ((2_048, "low"), (12_288, "medium"))
_PLAIN = ("temperature", "top_p", "user", "parallel_tool_calls", "service_tier")


def messages_as_chat(request: ChatRequest, dialect: str) -> ChatRequest:
    """The request as an OpenAI client's. `dialect`: whom it is for. Raises `FaultError` (UNSUPPORTED, BAD_REQUEST)."""
    asked = messages_conversation(request)
    messages = [message for i, turn in enumerate(asked.turns) for message in _messages(turn, dialect, i)]
    members: Json = {"model": request.model, "messages": messages, "max_completion_tokens": asked.max_output_tokens}
    members |= {name: getattr(asked, name) for name in _PLAIN} | _settings(asked, dialect)
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in members.items() if value not in (None, [])}
    return msgspec.structs.replace(request, api=OPENAI, fields=fields, include_usage=True, has_developer=False)


def _settings(asked: Conversation, dialect: str) -> Json:
    """Members to leave out where they say nothing."""
    said: Json = {"stream": asked.stream or None, "stop": list(asked.stop), "tools": [_tool(tool) for tool in asked.tools]}
    choice, form = asked.tool_choice, asked.response_format
    if not asked.tools:
        said["parallel_tool_calls"] = None
    elif choice is not None:
        said["tool_choice"] = {"type": "function", "function": {"name": choice.name}} if choice.name else choice.mode
    if form is not None:
        said["response_format"] = {"type": form.kind, "json_schema": {"name": form.name, "schema": form.schema, "strict": True}}
    if dialect not in _BY_EFFORT:
        return said | {"thinking": asked.thinking, "top_k": asked.top_k, "reasoning_effort": asked.reasoning_effort}
    budget = (asked.thinking or {}).get("budget_tokens")
    by_budget = next((effort for most, effort in _EFFORTS if budget <= most), "high") if budget else None
    return said | {"reasoning_effort": asked.reasoning_effort or by_budget}


def _tool(tool: Tool) -> Json:
    said = {"name": tool.name, "description": tool.description, "parameters": tool.schema, "strict": tool.strict}
    return {"type": "function", "function": {name: value for name, value in said.items() if value is not None}}


# --- messages ---------------------------------------------------------------------------------------------------------


def _messages(turn: Turn, dialect: str, i: int) -> list[Json]:
    """A turn as messages: each result is one of its own."""
    where, results = f"messages[{i}].content", [part for part in turn.parts if isinstance(part, ToolResult)]
    out: list[Json] = [_result(result, dialect) for result in results]
    others = [_content(part, where) for result in results for part in result.parts if not isinstance(part, Text)]
    others += [_content(part, where) for part in turn.parts if not isinstance(part, ToolResult | ToolCall | Thinking)]
    message: Json = {"role": turn.role, "content": _shortest(others)}
    calls = [_call(part, dialect) for part in turn.parts if isinstance(part, ToolCall)]
    if calls:
        message["tool_calls"] = calls
    # Reasoning nobody signed came from a provider that may want it back; presets say who refuses it.
    thoughts = "\n".join(p.text for p in turn.parts if isinstance(p, Thinking) and p.text and p.signature is None)
    if thoughts:
        message["reasoning_content"] = thoughts
    signed = [_thought(p) for p in turn.parts if isinstance(p, Thinking) and (p.signature or p.redacted)]
    if signed and dialect != OPENAI:
        message["thinking_blocks"] = signed
    signature = next((p.signature for p in reversed(turn.parts) if isinstance(p, Text) and p.signature), None)
    if signature is not None and dialect != OPENAI:
        message["extra_content"] = {"google": {"thought_signature": signature}}
    return [*out, message] if others or calls else out


def _result(result: ToolResult, dialect: str) -> Json:
    text = "\n".join(part.text for part in result.parts if isinstance(part, Text))
    message: Json = {"role": "tool", "tool_call_id": result.call_id, "content": text}
    if result.is_error and dialect == OPENAI:
        message["content"] = text if text[:5].lower() == "error" else f"Error: {text}"
    elif result.is_error:
        message["is_error"] = True
    return message


def _thought(part: Thinking) -> Json:
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _shortest(parts: list[Json]) -> str | list[Json] | None:
    if all(part["type"] == "text" for part in parts):
        return "\n\n".join(part["text"] for part in parts) if parts else None
    return parts


def _call(call: ToolCall, dialect: str) -> Json:
    said: Json = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
    if call.signature is not None and dialect != OPENAI:
        said["extra_content"] = {"google": {"thought_signature": call.signature}}
    return said


def _content(part: Part, where: str) -> Json:
    match part:
        case Text() | Refusal():
            return {"type": "text", "text": part.text}
        case Image():
            url = part.url if part.url is not None else f"data:{part.media_type};base64,{part.data}"
            return {"type": "image_url", "image_url": {"url": url}}
        case Document(media_type="text/plain", data=str(text)):
            return {"type": "text", "text": f"{part.name}\n\n{text}" if part.name else text}
        case Document(media_type="application/pdf", data=str(data)):
            file = {"filename": part.name or "document.pdf", "file_data": f"data:application/pdf;base64,{data}"}
            return {"type": "file", "file": file}
        case _:
            kind = part.value.get("type") if hasattr(part, "value") else f"a {type(part).__name__.lower()} by URL or file id"
            raise unsupported(where, f"only endpoints that speak Anthropic's dialect take this content: {kind}")


# --- replies ----------------------------------------------------------------------------------------------------------


class _Reader(ChunkReader):
    """Signed reasoning too, each block by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._block = 0

    def _chunk(self, chunk: Json, where: str) -> list[Event]:
        events: list[Event] = []
        blocks = [b for c in chunk.get("choices") or () for b in (c.get(where) or {}).get("thinking_blocks") or ()]
        for event in super()._chunk(chunk, where):
            if not isinstance(event, ThinkingDelta):
                events.append(event)
            elif where == "delta" or not blocks:
                events.append(msgspec.structs.replace(event, block=self._block))
        at = max((i for i, event in enumerate(events) if isinstance(event, Started | ThinkingDelta)), default=-1) + 1
        for block in blocks:
            text = block.get("thinking") or "" if where == "message" else ""  # a stream has told it already
            events.insert(at, ThinkingDelta(text, block.get("signature"), block.get("data"), self._block))
            at, self._block = at + 1, self._block + 1
        return events


def messages_retold(inner: Translator, request: ChatRequest, model: str) -> Translator:
    """What `inner` tells an OpenAI client, for an Anthropic client."""
    return Retold(inner, _Reader(), MessagesWriter(request, model))
