"""A conversation as the body of a Responses request: turns as items, settings under their names there.

Rules. Nothing a client would miss is left out: stop sequences, several answers, log probabilities, sound and parts only others
have are refused with the member named. What only tunes (`seed`, `top_k`, penalties) is left out, and so is reasoning of others,
which this API takes in its own sealed form only. Nothing is stored.
"""

from typing import Any

import msgspec

from fastroute.dialects._faults import unsupported
from fastroute.dialects.canonical import (
    Conversation,
    Document,
    Image,
    Part,
    Refusal,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)

Json = dict[str, Any]

_PLAIN = ("temperature", "top_p", "max_output_tokens", "parallel_tool_calls", "user", "metadata", "service_tier")
_CARRIED = ("prompt_cache_key", "prompt_cache_retention", "safety_identifier")
_REFUSED = ("modalities", "audio", "web_search_options", "functions", "logit_bias")


def responses_body(asked: Conversation, model: str) -> Json:
    """The body. Raises `FaultError` (UNSUPPORTED) that names the member."""
    _refuse(asked)
    said: Json = {"model": model, "input": [item for i, turn in enumerate(asked.turns) for item in _items(turn, i)]}
    said |= {"store": False, "stream": asked.stream or None, "tools": [_tool(tool) for tool in asked.tools] or None}
    said |= {name: getattr(asked, name) for name in _PLAIN} | {name: asked.extras.get(name) for name in _CARRIED}
    choice, text = asked.tool_choice, _text(asked.response_format)
    if not asked.tools:
        said["parallel_tool_calls"] = None
    elif choice is not None:
        said["tool_choice"] = {"type": "function", "name": choice.name} if choice.name else choice.mode
    if "verbosity" in asked.extras:
        text["verbosity"] = asked.extras["verbosity"]
    said["text"] = text or None
    said["reasoning"] = {"effort": asked.reasoning_effort} if asked.reasoning_effort else None
    return {name: value for name, value in said.items() if value is not None}


def _refuse(asked: Conversation) -> None:
    refused = {"stop": asked.stop, "n": asked.choices > 1, "logprobs": asked.logprobs}
    refused |= {name: bytes(asked.extras[name]) not in (b"[]", b"{}") for name in _REFUSED if name in asked.extras}
    if bytes(asked.extras.get("modalities", msgspec.Raw(b""))) == b'["text"]':
        refused["modalities"] = False
    for name, there in refused.items():
        if there:
            raise unsupported(name, f"endpoints that speak Responses have no '{name}'")


def _text(form: ResponseFormat | None) -> Json:
    if form is None or form.kind == "text":
        return {}
    said = (
        {"name": form.name or "answer", "schema": form.schema or {}, "strict": form.strict} if form.kind == "json_schema" else {}
    )
    return {"format": {"type": form.kind, **{name: value for name, value in said.items() if value is not None}}}


def _tool(tool: Tool) -> Json:
    said = {"name": tool.name, "description": tool.description, "parameters": tool.schema or {"type": "object", "properties": {}}}
    return {"type": "function", "strict": tool.strict or False} | {
        name: value for name, value in said.items() if value is not None
    }


def _items(turn: Turn, i: int) -> list[Json]:
    """A turn as items, in order: what lies between calls and results is a message."""
    items: list[Json] = []
    content: list[Json] = []
    for part in turn.parts:
        if isinstance(part, Thinking):
            continue
        if not isinstance(part, ToolCall | ToolResult):
            content.append(_content(part, turn.role, f"messages[{i}].content"))
            continue
        items += _message(turn.role, content)
        items.append(_call(part) if isinstance(part, ToolCall) else _result(part, i))
        content = []
    return items + _message(turn.role, content)


def _message(role: str, content: list[Json]) -> list[Json]:
    return [{"type": "message", "role": role, "content": content}] if content else []


def _call(call: ToolCall) -> Json:
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments or "{}"}


def _result(result: ToolResult, i: int) -> Json:
    where, text = f"messages[{i}].content", [part.text for part in result.parts if isinstance(part, Text)]
    if result.is_error and not (text and text[0][:5].lower() == "error"):
        text[:1] = [f"Error: {text[0] if text else ''}"]
    plain = all(isinstance(part, Text) for part in result.parts)
    output = "\n".join(text) if plain else [_content(part, "user", where) for part in result.parts]
    return {"type": "function_call_output", "call_id": result.call_id, "output": output}


def _content(part: Part, role: str, where: str) -> Json:
    match part:
        case Text():
            return {"type": "output_text" if role == "assistant" else "input_text", "text": part.text}
        case Refusal():
            return {"type": "refusal", "refusal": part.text}
        case Image():
            url = part.url if part.url is not None else f"data:{part.media_type or 'image/png'};base64,{part.data}"
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
        case Document() if part.media_type == "text/plain" and part.data is not None:
            return {"type": "input_text", "text": part.data}
        case Document():
            return _file(part)
        case _:
            raise unsupported(where, f"endpoints that speak Responses take no {type(part).__name__.lower()} content")


def _file(part: Document) -> Json:
    if part.file_id is not None:
        return {"type": "input_file", "file_id": part.file_id}
    if part.url is not None:
        return {"type": "input_file", "file_url": part.url}
    data = f"data:{part.media_type or 'application/pdf'};base64,{part.data}"
    return {"type": "input_file", "filename": part.name or "file.pdf", "file_data": data}
