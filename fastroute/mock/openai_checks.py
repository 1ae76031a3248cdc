"""What OpenAI refuses in a chat request, in its words, so that a wrong translation is noticed.

Source: openai-openapi (CreateChatCompletionRequest); error texts as recorded from the API, shortened.
"""

import re
from typing import Any

from fastroute.mock.ask import Rejected

_INVALID = "invalid_request_error"
_MEMBER_NAMES = """
    audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages metadata
    modalities model moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_options
    prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop store stream stream_options
    temperature tool_choice tools top_logprobs top_p user verbosity web_search_options
"""
_MEMBERS = frozenset(_MEMBER_NAMES.split())
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_PARTS = frozenset({"text", "image_url", "input_audio", "file", "refusal"})
_TOOL_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "n": (1, 128),
    "max_tokens": (1, 10**9),
    "max_completion_tokens": (1, 10**9),
    "top_logprobs": (0, 20),
}
_WHOLE = frozenset({"n", "max_tokens", "max_completion_tokens", "top_logprobs", "seed"})
_TYPES: dict[str, type] = {
    "stream": bool,
    "logprobs": bool,
    "parallel_tool_calls": bool,
    "tools": list,
    "stream_options": dict,
    "response_format": dict,
    "metadata": dict,
    "user": str,
}


def invalid(message: str, param: str | None = None, code: str | None = None) -> Rejected:
    """A 400 in OpenAI's words."""
    return Rejected(400, message, _INVALID, code, param)


def check(body: dict[str, Any], strict: bool) -> None:
    """Raises `Rejected` (400) for the first fault found."""
    if strict and (unknown := sorted(set(body) - _MEMBERS)):
        raise invalid(f"Unrecognized request argument supplied: {unknown[0]}", code=None)
    for required in ("model", "messages"):
        if body.get(required) is None:
            raise invalid(f"Missing required parameter: '{required}'.", required, "missing_required_parameter")
    if not isinstance(body["model"], str):
        raise invalid("Invalid type for 'model': expected a string.", "model", "invalid_type")
    _check_settings(body)
    _check_tools(body)
    _check_format(body)
    _check_messages(body["messages"])


def _check_settings(body: dict[str, Any]) -> None:
    for name, kind in _TYPES.items():
        if body.get(name) is not None and not isinstance(body[name], kind):
            raise invalid(f"Invalid type for '{name}': expected {kind.__name__}.", name, "invalid_type")
    for name, (low, high) in _RANGES.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int if name in _WHOLE else (int, float)):
            raise invalid(f"Invalid type for '{name}': expected a number.", name, "invalid_type")
        if not low <= value <= high:
            raise invalid(f"Invalid '{name}': expected a value between {low} and {high}, but got {value}.", name)
    if body.get("stream_options") is not None and not body.get("stream"):
        raise invalid("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise invalid("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", "top_logprobs")
    if (
        "max_tokens" in body
        and "max_completion_tokens" in body
        and None not in (body["max_tokens"], body["max_completion_tokens"])
    ):
        raise invalid("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")


def _check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools")
    if tools is not None and not tools:
        raise invalid("Invalid 'tools': empty array. Expected an array with minimum length 1.", "tools", "empty_array")
    for name in ("tool_choice", "parallel_tool_calls"):
        if body.get(name) is not None and not tools:
            raise invalid(f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.", name)
    names = [_tool_name(tool, i) for i, tool in enumerate(tools or [])]
    choice = body.get("tool_choice")
    if isinstance(choice, str) and choice not in ("none", "auto", "required"):
        raise invalid(f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'.", "tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function":
        named = (choice.get("function") or {}).get("name")
        if named not in names:
            raise invalid(f"Tool choice '{named}' not found in 'tools' parameter.", "tool_choice")


def _tool_name(tool: Any, i: int) -> str | None:
    if not isinstance(tool, dict) or tool.get("type") not in ("function", "custom"):
        raise invalid(f"Invalid value for 'tools[{i}].type'. Supported values are: 'function' and 'custom'.", f"tools[{i}].type")
    definition = tool.get(tool["type"])
    name = definition.get("name") if isinstance(definition, dict) else None
    if not isinstance(name, str) or not _TOOL_NAME.match(name):
        raise invalid(
            f"Invalid 'tools[{i}].function.name': string does not match pattern '^[a-zA-Z0-9_-]+$'.", f"tools[{i}].function.name"
        )
    return name


def _check_format(body: dict[str, Any]) -> None:
    wanted = body.get("response_format") or {}
    kind = wanted.get("type", "text")
    if kind not in ("text", "json_object", "json_schema"):
        raise invalid(f"Invalid value: '{kind}' for 'response_format.type'.", "response_format.type")
    described = wanted.get("json_schema")
    if kind == "json_schema" and not (isinstance(described, dict) and described.get("name")):
        raise invalid("Missing required parameter: 'response_format.json_schema.name'.", "response_format.json_schema")


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise invalid("Invalid 'messages': expected a non-empty array of objects.", "messages")
    open_calls: set[str] = set()
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            raise invalid(f"Invalid value for '{where}.role': {role!r}.", where)
        if role == "tool":
            _close_call(message, open_calls, where)
        elif open_calls:
            raise _unanswered(open_calls, where)
        else:
            _check_content(message, where)
            open_calls = _calls_of(message, where) if role == "assistant" else set()
    if open_calls:
        raise _unanswered(open_calls, f"messages[{len(messages) - 1}]")


def _close_call(message: dict[str, Any], open_calls: set[str], where: str) -> None:
    if message.get("tool_call_id") not in open_calls:
        raise invalid(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.", where
        )
    if not isinstance(message.get("content"), str | list):
        raise invalid(f"Invalid type for '{where}.content': expected a string or an array.", f"{where}.content")
    open_calls.discard(message["tool_call_id"])


def _unanswered(open_calls: set[str], where: str) -> Rejected:
    return invalid(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(sorted(open_calls))}",
        where,
    )


def _check_content(message: dict[str, Any], where: str) -> None:
    content = message.get("content")
    speaks_otherwise = message["role"] == "assistant" and any(
        message.get(k) for k in ("tool_calls", "refusal", "function_call", "audio")
    )
    if content is None and speaks_otherwise:
        return
    if not isinstance(content, str | list):
        raise invalid(
            f"Invalid value for '{where}.content': expected a string or an array, got {type(content).__name__}.",
            f"{where}.content",
        )
    for part in content if isinstance(content, list) else []:
        if not isinstance(part, dict) or part.get("type") not in _PARTS:
            raise invalid(
                f"Invalid value for '{where}.content[].type'. Supported values are: {', '.join(sorted(_PARTS))}.", where
            )


def _calls_of(message: dict[str, Any], where: str) -> set[str]:
    """The ids of the calls that this assistant message leaves open."""
    ids: set[str] = set()
    for call in message.get("tool_calls") or []:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("arguments"), str) or not function.get("name"):
            raise invalid(f"Invalid '{where}.tool_calls': each needs 'function.name' and 'function.arguments', a string.", where)
        if not call.get("id") or call["id"] in ids:
            raise invalid(f"Invalid '{where}.tool_calls[].id': missing or repeated.", where)
        ids.add(call["id"])
    return ids
