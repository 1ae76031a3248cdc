"""OpenAI chat messages as canonical turns.

Rules. `system` and `developer` are one role. Results of tools are parts of a user turn, and those that follow one another are
of one turn. An assistant's parts come in the order reasoning, content, refusal, calls. The legacy `function_call` and role
`function` are calls and results like any other, with ids made of their position.
"""

from typing import Any

import msgspec

from fastroute.dialects._faults import bad_request, unsupported
from fastroute.dialects.canonical import Part, Refusal, ToolCall, ToolResult, Turn
from fastroute.dialects.openai_parts import cache_mark, content_parts, member, thinking_parts

_SYSTEM = ("system", "developer")


def turns(messages: list[dict[str, Any]]) -> tuple[Turn, ...]:
    """The messages in canonical form. Raises `FaultError` (BAD_REQUEST, UNSUPPORTED) naming the member."""
    out: list[Turn] = []
    results: list[Part] = []
    legacy_id = ""
    for i, message in enumerate(messages):
        where, role = f"messages[{i}]", message.get("role")
        if role in ("tool", "function"):
            results.append(_result(message, where, legacy_id))
            continue
        if results:
            out.append(Turn("user", tuple(results)))
            results = []
        if role == "assistant" and message.get("function_call"):
            legacy_id = f"call_legacy_{i}"
        out.append(_turn(message, where, legacy_id))
    if results:
        out.append(Turn("user", tuple(results)))
    return tuple(out)


def _turn(message: dict[str, Any], where: str, legacy_id: str) -> Turn:
    role, name = message.get("role"), message.get("name")
    name = name if isinstance(name, str) and name else None
    if role in _SYSTEM or role == "user":
        parts = _marked(content_parts(message.get("content"), f"{where}.content"), message)
        return Turn("system" if role in _SYSTEM else "user", tuple(parts), name)
    if role != "assistant":
        raise unsupported(f"{where}.role", f"'{where}.role' is {role!r}, which this provider's API does not know")
    parts = thinking_parts(message, where) + content_parts(message.get("content"), f"{where}.content")
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        parts.append(Refusal(refusal))
    return Turn("assistant", tuple(_marked(parts, message) + _calls(message, where, legacy_id)), name)


def _marked(parts: list[Part], message: dict[str, Any]) -> list[Part]:
    """A cache mark on the message itself goes to its last part."""
    mark = cache_mark(message)
    if mark is None or not parts or not hasattr(parts[-1], "cache_control"):
        return parts
    return [*parts[:-1], msgspec.structs.replace(parts[-1], cache_control=mark)]


def _calls(message: dict[str, Any], where: str, legacy_id: str) -> list[Part]:
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise bad_request(f"{where}.tool_calls", f"'{where}.tool_calls' must be a list")
    out: list[Part] = [_call(call, f"{where}.tool_calls[{i}]") for i, call in enumerate(calls)]
    if message.get("function_call"):
        out.append(_function_call(message["function_call"], f"{where}.function_call", legacy_id))
    return out


def _call(call: Any, where: str) -> ToolCall:
    if not isinstance(call, dict):
        raise bad_request(where, f"'{where}' must be an object")
    if call.get("type") not in (None, "function"):
        raise unsupported(f"{where}.type", f"calls of type {call['type']!r} cannot be put to this provider")
    return _function_call(call.get("function"), f"{where}.function", member(call, "id", where))


def _function_call(function: Any, where: str, call_id: str) -> ToolCall:
    if not isinstance(function, dict):
        raise bad_request(where, f"'{where}' must be an object")
    arguments = function.get("arguments")
    if isinstance(arguments, dict):
        arguments = msgspec.json.encode(arguments).decode()
    if arguments is not None and not isinstance(arguments, str):
        raise bad_request(f"{where}.arguments", f"'{where}.arguments' must be a string of JSON")
    return ToolCall(call_id, member(function, "name", where), arguments or "")


def _result(message: dict[str, Any], where: str, legacy_id: str) -> ToolResult:
    if message["role"] == "function":
        if not legacy_id:
            raise bad_request(f"{where}.role", f"'{where}' answers a function that was not called")
        call_id = legacy_id
    else:
        call_id = member(message, "tool_call_id", where)
    parts = tuple(content_parts(message.get("content"), f"{where}.content"))
    return ToolResult(call_id, parts, message.get("is_error") is True, cache_mark(message))
