"""An OpenAI chat request in canonical form: what a dialect other than OpenAI's needs in order to say the same thing.

Rules. Every part is kept in order. A part, a tool or a member without a canonical name becomes `Opaque` or an extra, for the
dialect to say or to refuse; nothing is dropped here. What is malformed is refused with its place named, as a bad request; what
may be sense to OpenAI's own servers but has no canonical form (other roles, kinds of tools and formats) as unsupported, so that
another endpoint is tried. `system` and `developer` are one role. Tool results that follow each other become parts of one user
turn, in order.

Source: wire notes 3.2; the OpenAI API reference (August 2026).
"""

from typing import Any

import msgspec

from fastroute.core.types import ChatRequest
from fastroute.dialects._faults import bad_request, unsupported
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
    ToolChoice,
    ToolResult,
    Turn,
)
from fastroute.dialects.openai_content import content_parts, member, thought

JsonDict = dict[str, Any]

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_PLAIN: dict[str, type] = {
    "parallel_tool_calls": bool,
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "reasoning_effort": str,
    "thinking": dict,
    "logprobs": bool,
    "top_logprobs": int,
    "seed": int,
    "user": str,
    "metadata": dict,
    "service_tier": str,
}
"""Members whose canonical name and form are the same."""

_READ = frozenset(
    (
        *_PLAIN,
        *("model", "messages", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "stop"),
        *("tools", "tool_choice", "functions", "function_call", "response_format"),
    )
)


def conversation(request: ChatRequest) -> Conversation:
    """The request in canonical form. Raises `FaultError` (BAD_REQUEST) that names the member."""
    fields = request.fields
    plain = {name: _plain(fields, name, kind) for name, kind in _PLAIN.items() if name in fields}
    return Conversation(
        model=request.model,
        turns=_turns(_decoded(fields, "messages", list) or []),
        stream=request.stream,
        tools=_tools(fields),
        tool_choice=_tool_choice(fields),
        max_output_tokens=request.max_output_tokens,
        stop=_stop(fields),
        response_format=_response_format(_decoded(fields, "response_format", dict)),
        choices=_plain(fields, "n", int) or request.choices if "n" in fields else request.choices,
        extras={name: raw for name, raw in fields.items() if _is_extra(name, raw)},
        **plain,
    )


def _is_extra(name: str, raw: msgspec.Raw) -> bool:
    return name not in _READ and not name.startswith("fastroute") and bytes(raw) != b"null"


def _decoded(fields: dict[str, msgspec.Raw], name: str, kind: type) -> Any:
    """A member as Python values; None where it is absent or null."""
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_request(name, f"'{name}' is not valid JSON") from None
    if value is not None and not isinstance(value, kind):
        raise bad_request(name, f"'{name}' must be {_a(kind)}")
    return value


def _plain(fields: dict[str, msgspec.Raw], name: str, kind: type) -> Any:
    value = _decoded(fields, name, object)
    fits = isinstance(value, int | float) and not isinstance(value, bool) if kind is float else isinstance(value, kind)
    if value is None or (fits and not (kind is int and isinstance(value, bool))):
        return value
    raise bad_request(name, f"'{name}' must be {_a(kind)}")


def _a(kind: type) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", int: "an integer", float: "a number"}
    return names.get(kind, kind.__name__)


# --- messages -------------------------------------------------------------------------------------------------------


def _turns(messages: list[Any]) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    results: list[Part] = []
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        if not isinstance(message, dict):
            raise bad_request(where, f"'{where}' must be an object")
        if message.get("role") in ("tool", "function"):
            results.append(_result(message, where))
            continue
        if results:
            turns.append(Turn("user", tuple(results)))
            results = []
        turns.append(_turn(message, where))
    if results:
        turns.append(Turn("user", tuple(results)))
    return tuple(turns)


def _turn(message: JsonDict, where: str) -> Turn:
    role = _ROLES.get(message.get("role", ""))
    if role is None:
        raise unsupported(f"{where}.role", f"'{where}.role' is none of {', '.join([*_ROLES, 'tool'])}")
    parts = _spoken(message, where) if role == "assistant" else _said(message, where)
    name = message.get("name")
    return Turn(role, tuple(_marked(parts, message.get("cache_control"))), name if isinstance(name, str) else None)


def _marked(parts: list[Part], mark: Any) -> list[Part]:
    """A cache mark on the message itself is one on its last part."""
    if not isinstance(mark, dict) or not parts or not isinstance(parts[-1], Text | Image | Document):
        return parts
    return [*parts[:-1], msgspec.structs.replace(parts[-1], cache_control=mark)]


def _said(message: JsonDict, where: str) -> list[Part]:
    """The content; a cache mark on the message itself goes to its last part."""
    parts = content_parts(message.get("content"), f"{where}.content")
    mark = message.get("cache_control")
    if isinstance(mark, dict) and parts and isinstance(parts[-1], Text | Image | Document):
        parts[-1] = msgspec.structs.replace(parts[-1], cache_control=mark)
    return parts


def _spoken(message: JsonDict, where: str) -> list[Part]:
    """An assistant's message: its reasoning first, then text, then calls."""
    parts = _thoughts(message)
    parts += _sealed(_said(message, where), _signature(message)) if "extra_content" in message else _said(message, where)
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        parts.append(Refusal(refusal))
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise bad_request(f"{where}.tool_calls", f"'{where}.tool_calls' must be a list")
    parts += [_call(call, f"{where}.tool_calls[{j}]") for j, call in enumerate(calls)]
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        parts.append(_function(legacy, str(legacy.get("name", "")), f"{where}.function_call"))
    return parts


def _signature(value: JsonDict) -> str | None:
    """Gemini's thought signature, where Google's OpenAI-style API puts it."""
    for name in ("extra_content", "google"):
        inside = value.get(name)
        value = inside if isinstance(inside, dict) else {}
    found = value.get("thought_signature")
    return found if isinstance(found, str) and found else None


def _sealed(parts: list[Part], signature: str | None) -> list[Part]:
    """The message's own signature goes with its last text."""
    if signature is None:
        return parts
    if parts and isinstance(parts[-1], Text):
        return [*parts[:-1], msgspec.structs.replace(parts[-1], signature=signature)]
    return [*parts, Text("", signature=signature)]


def _thoughts(message: JsonDict) -> list[Part]:
    """Reasoning of an earlier reply, in the fullest form it came back in: signed blocks (ours, OpenRouter's), else text."""
    for name in ("thinking_blocks", "reasoning_details"):
        blocks = message.get(name)
        if isinstance(blocks, list) and blocks:
            thoughts = [thought(block) for block in blocks if isinstance(block, dict)]
            return [part for part in thoughts if part != Thinking()]
    text = message.get("reasoning_content") or message.get("reasoning")
    return [Thinking(text)] if isinstance(text, str) and text else []


def _call(call: Any, where: str) -> ToolCall:
    if not isinstance(call, dict):
        raise bad_request(where, f"'{where}' must be an object")
    function = call.get("function")
    if call.get("type") not in (None, "function"):
        raise unsupported(f"{where}.type", f"'{where}' is not a function call; only these can be put to this provider")
    if not isinstance(function, dict):
        raise bad_request(f"{where}.function", f"'{where}.function' must be an object")
    said = _function(function, member(call, "id", str, where), f"{where}.function")
    return msgspec.structs.replace(said, signature=_signature(call)) if "extra_content" in call else said


def _function(function: JsonDict, call_id: str, where: str) -> ToolCall:
    arguments = function.get("arguments", "")
    if isinstance(arguments, dict):  # some clients send the object itself
        arguments = msgspec.json.encode(arguments).decode()
    if arguments is None:
        arguments = ""
    if not isinstance(arguments, str):
        raise bad_request(f"{where}.arguments", f"'{where}.arguments' must be a string of JSON")
    return ToolCall(call_id, member(function, "name", str, where), arguments)


def _result(message: JsonDict, where: str) -> ToolResult:
    named = "tool_call_id" if message["role"] == "tool" else "name"
    parts = content_parts(message.get("content"), f"{where}.content")
    return ToolResult(
        member(message, named, str, where),
        tuple(parts),
        is_error=message.get("is_error") is True,
        cache_control=message.get("cache_control"),
    )


# --- tools and formats ----------------------------------------------------------------------------------------------


def _tools(fields: dict[str, msgspec.Raw]) -> tuple[Tool, ...]:
    tools = [_tool(tool, f"tools[{i}]") for i, tool in enumerate(_decoded(fields, "tools", list) or [])]
    functions = _decoded(fields, "functions", list) or []
    return (*tools, *(_declared(f, {}, f"functions[{i}]") for i, f in enumerate(functions)))


def _tool(tool: Any, where: str) -> Tool:
    if not isinstance(tool, dict):
        raise bad_request(where, f"'{where}' must be an object")
    if tool.get("type") not in (None, "function"):
        raise unsupported(f"{where}.type", f"'{where}.type' is no function, and this provider's dialect has functions only")
    return _declared(tool.get("function"), tool, f"{where}.function")


def _declared(function: Any, tool: JsonDict, where: str) -> Tool:
    if not isinstance(function, dict):
        raise bad_request(where, f"'{where}' must be an object")
    schema, description, strict = function.get("parameters"), function.get("description"), function.get("strict")
    if schema is not None and not isinstance(schema, dict):
        raise bad_request(f"{where}.parameters", f"'{where}.parameters' must be a JSON Schema object")
    return Tool(
        name=member(function, "name", str, where),
        description=description if isinstance(description, str) else None,
        schema=schema,
        strict=strict if isinstance(strict, bool) else None,
        cache_control=tool.get("cache_control") or function.get("cache_control"),
    )


def _tool_choice(fields: dict[str, msgspec.Raw]) -> ToolChoice | None:
    name = "tool_choice" if "tool_choice" in fields else "function_call"
    choice = _decoded(fields, name, object)
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice not in ("none", "auto", "required", "any"):
            raise bad_request(name, f"'{name}' is none of none, auto, required")
        return ToolChoice("required" if choice == "any" else choice)
    if isinstance(choice, dict) and choice.get("type") not in (None, "function"):
        raise unsupported(name, f"a '{name}' of type {choice['type']!r} cannot be put to this provider")
    function = choice.get("function", choice) if isinstance(choice, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise bad_request(name, f"'{name}' must be a word or name a function")
    return ToolChoice("named", function["name"])


def _stop(fields: dict[str, msgspec.Raw]) -> tuple[str, ...]:
    stop = _decoded(fields, "stop", object)
    if stop is None:
        return ()
    listed = [stop] if isinstance(stop, str) else stop
    if not isinstance(listed, list) or not all(isinstance(s, str) for s in listed):
        raise bad_request("stop", "'stop' must be a string or a list of strings")
    return tuple(listed)


def _response_format(wanted: JsonDict | None) -> ResponseFormat | None:
    if wanted is None:
        return None
    kind = wanted.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise unsupported("response_format.type", "'response_format.type' is none of text, json_object, json_schema")
    if kind != "json_schema":
        return ResponseFormat(kind)
    inner = wanted.get("json_schema")
    if not isinstance(inner, dict) or not isinstance(inner.get("schema") or {}, dict):
        raise bad_request("response_format.json_schema", "'response_format.json_schema' must be an object with a schema")
    return ResponseFormat(kind, inner.get("schema"), inner.get("name"), inner.get("strict"))
