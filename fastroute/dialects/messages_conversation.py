"""An Anthropic client's request in canonical form: what a dialect other than Anthropic's needs in order to say the same thing.

Rules. Every block is kept in order; one without a canonical name becomes `Opaque`, for the dialect to say or to refuse. Marks
that `messages_writer` left for the way back (signatures of other providers) become what they were. What only Anthropic can do,
its own tools and servers, is refused as unsupported, so that an endpoint that speaks Anthropic's dialect may be tried.

Source: Anthropic's Messages reference (2023-06-01); wire notes 3.2.
"""

from typing import Any

import msgspec

from fastroute.core.types import ChatRequest
from fastroute.dialects._faults import bad_request, unsupported
from fastroute.dialects.canonical import (
    Conversation,
    Document,
    Image,
    Opaque,
    Part,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from fastroute.dialects.messages_api import NAME
from fastroute.dialects.messages_marks import UNSIGNED, mark_of
from fastroute.dialects.openai_content import member

Json = dict[str, Any]

_CHOICES = {"auto": "auto", "any": "required", "none": "none", "tool": "named"}
_TIERS = {"standard_only": "default"}
_REFUSED = ("mcp_servers", "container")
_READ = frozenset(
    (
        *("model", "messages", "system", "max_tokens", "stream", "stop_sequences", "temperature", "top_p", "top_k", "tools"),
        *("tool_choice", "metadata", "thinking", "service_tier", "output_config", "output_format"),
    )
)


def messages_conversation(request: ChatRequest) -> Conversation:
    """The request in canonical form. Raises `FaultError` (BAD_REQUEST, UNSUPPORTED) that names the member."""
    fields = {name: msgspec.json.decode(raw) for name, raw in request.fields.items() if not name.startswith("fastroute")}
    for name in _REFUSED:
        if fields.get(name):
            raise unsupported(name, f"only endpoints that speak Anthropic's dialect know {name}")
    turns = [Turn("system", tuple(_parts(fields["system"], "system")))] if fields.get("system") else []
    turns += [_turn(message, f"messages[{i}]") for i, message in enumerate(fields["messages"])]
    choice = fields.get("tool_choice") or {}
    config, metadata = fields.get("output_config") or {}, fields.get("metadata") or {}
    return Conversation(
        model=request.model,
        turns=tuple(turns),
        stream=request.stream,
        tools=tuple(_tool(tool, f"tools[{i}]") for i, tool in enumerate(fields.get("tools") or ())),
        tool_choice=_tool_choice(choice),
        parallel_tool_calls=False if choice.get("disable_parallel_tool_use") else None,
        max_output_tokens=request.max_output_tokens,
        stop=tuple(fields.get("stop_sequences") or ()),
        temperature=fields.get("temperature"),
        top_p=fields.get("top_p"),
        top_k=fields.get("top_k"),
        response_format=_format(config.get("format") or fields.get("output_format")),
        reasoning_effort=config.get("effort"),
        thinking=fields.get("thinking"),
        user=metadata.get("user_id"),
        metadata=metadata or None,
        service_tier=_TIERS.get(fields.get("service_tier") or "", fields.get("service_tier")),
        extras={n: raw for n, raw in request.fields.items() if n in fields and n not in _READ and fields[n] is not None},
    )


def _turn(message: Json, where: str) -> Turn:
    role = message["role"]
    if role not in ("user", "assistant", "system"):
        raise bad_request(f"{where}.role", f"'{where}.role' is none of user, assistant")
    return Turn(role, tuple(_unmarked(_parts(message["content"], f"{where}.content"))))


def _unmarked(parts: list[Part]) -> list[Part]:
    """The parts, each signature that came in a mark of ours back where it belongs."""
    out: list[Part] = []
    waiting: str | None = None
    for part in parts:
        mark = mark_of(part.redacted) if isinstance(part, Thinking) and part.redacted is not None else None
        if mark is None:
            if waiting is not None and isinstance(part, ToolCall):
                out.append(msgspec.structs.replace(part, signature=waiting))
                waiting = None
            else:
                out.append(part)
        elif mark.before:
            waiting = mark.signature
        elif out and isinstance(last := out[-1], Text):
            out[-1] = msgspec.structs.replace(last, signature=mark.signature)
        else:
            out.append(Text("", signature=mark.signature))
    return out


def _parts(content: Any, where: str) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)] if content else []
    if not isinstance(content, list):
        raise bad_request(where, f"'{where}' must be a string or a list of content blocks")
    return [_part(block, f"{where}[{i}]") for i, block in enumerate(content)]


def _part(block: Any, where: str) -> Part:
    if not isinstance(block, dict):
        raise bad_request(where, f"'{where}' must be an object")
    match block.get("type"):
        case "text":
            return Text(member(block, "text", str, where), block.get("cache_control"), block.get("citations"))
        case "image" | "document":
            return _media(block, where)
        case "thinking":
            signature = block.get("signature")
            signed = isinstance(signature, str) and signature not in ("", UNSIGNED)
            return Thinking(member(block, "thinking", str, where), signature if signed else None)
        case "redacted_thinking":
            return Thinking(redacted=member(block, "data", str, where))
        case "tool_use":
            arguments = msgspec.json.encode(block.get("input") or {}).decode()
            return ToolCall(member(block, "id", str, where), member(block, "name", str, where), arguments)
        case "tool_result":
            parts = tuple(_parts(block.get("content"), f"{where}.content"))
            called = member(block, "tool_use_id", str, where)
            return ToolResult(called, parts, block.get("is_error") is True, block.get("cache_control"))
        case _:
            return Opaque(NAME, block)


def _media(block: Json, where: str) -> Part:
    source, mark, inside = member(block, "source", dict, where), block.get("cache_control"), f"{where}.source"
    image = block["type"] == "image"
    match source.get("type"):
        case "base64":
            data, kind = member(source, "data", str, inside), member(source, "media_type", str, inside)
            if image:
                return Image(data=data, media_type=kind, cache_control=mark)
            return Document(data=data, media_type=kind, name=block.get("title"), cache_control=mark)
        case "url":
            url = member(source, "url", str, inside)
            if image:
                return Image(url=url, cache_control=mark)
            return Document(url=url, name=block.get("title"), cache_control=mark)
        case "text" if not image:
            text = member(source, "data", str, inside)
            return Document(data=text, media_type="text/plain", name=block.get("title"), cache_control=mark)
        case "file" if not image:
            return Document(file_id=member(source, "file_id", str, inside), name=block.get("title"), cache_control=mark)
        case _:
            return Opaque(NAME, block)


# --- tools and settings -----------------------------------------------------------------------------------------------


def _tool(tool: Json, where: str) -> Tool:
    if tool.get("type") not in (None, "custom"):
        raise unsupported(f"{where}.type", f"only endpoints that speak Anthropic's dialect have the tool {tool['type']!r}")
    schema = tool.get("input_schema")
    if schema is not None and not isinstance(schema, dict):
        raise bad_request(f"{where}.input_schema", f"'{where}.input_schema' must be a JSON Schema object")
    name = member(tool, "name", str, where)
    return Tool(name, tool.get("description"), schema, tool.get("strict"), tool.get("cache_control"))


def _tool_choice(choice: Json) -> ToolChoice | None:
    if not choice:
        return None
    mode = _CHOICES.get(choice.get("type") or "")
    if mode is None:
        raise bad_request("tool_choice.type", f"'tool_choice.type' is none of {', '.join(_CHOICES)}")
    return ToolChoice(mode, member(choice, "name", str, "tool_choice") if mode == "named" else None)


def _format(wanted: Any) -> ResponseFormat | None:
    if not isinstance(wanted, dict):
        return None
    if wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), dict):
        raise bad_request("output_config.format", "'output_config.format' must be of type json_schema, with a schema")
    return ResponseFormat("json_schema", wanted["schema"], "output", strict=True)
