"""What Anthropic refuses in a messages request, in its words, so that a wrong translation is noticed.

Rules. Stricter than the API of today in one point, as it once was: roles must alternate. A router that merges turns passes.
Source: anthropic-sdk-python `types/message_create_params.py` (member names); error texts as recorded from the API, shortened.
"""

import re
from typing import Any

from fastroute.mock.ask import Rejected

_MEMBER_NAMES = """
    anthropic_version cache_control container context_management inference_geo max_tokens mcp_servers messages metadata model
    output_config output_format service_tier speed stop_sequences stream system temperature thinking tool_choice tools top_k
    top_p
"""
_MEMBERS = frozenset(_MEMBER_NAMES.split())
_TOOL_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,128}$")
_CALL_ID = re.compile(r"^[a-zA-Z0-9_-]+$")
_ANY_ROLE = frozenset({"text", "image", "document", "search_result"})
_ASSISTANT_ONLY = frozenset({"tool_use", "thinking", "redacted_thinking"})
_SERVER_BLOCK = re.compile(r"^(server_tool_use|mcp_tool_use|\w+_tool_result|container_upload)$")
_CHOICES = frozenset({"auto", "any", "tool", "none"})


def invalid(message: str) -> Rejected:
    """A 400 in Anthropic's words."""
    return Rejected(400, message, "invalid_request_error")


def check(body: dict[str, Any], strict: bool) -> None:
    """Raises `Rejected` (400) for the first fault found."""
    for required in ("model", "max_tokens", "messages"):
        if body.get(required) is None:
            raise invalid(f"{required}: Field required")
    if strict and (unknown := sorted(set(body) - _MEMBERS)):
        raise invalid(f"{unknown[0]}: Extra inputs are not permitted")
    _check_settings(body)
    _check_tools(body)
    _check_messages(body["messages"])


def check_thinking(body: dict[str, Any]) -> None:
    """Raises `Rejected` where thinking settings do not fit the rest."""
    thinking = body.get("thinking") or {}
    if thinking.get("type") not in (None, "enabled", "disabled", "adaptive"):
        raise invalid(f"thinking: Input tag '{thinking['type']}' found using 'type' does not match any of the expected tags")
    if thinking.get("type") != "enabled":
        return
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < 1024:
        raise invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if budget >= body["max_tokens"]:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`")


def _check_settings(body: dict[str, Any]) -> None:
    if not isinstance(body["model"], str):
        raise invalid("model: Input should be a valid string")
    if not _is_whole(body["max_tokens"]) or body["max_tokens"] < 1:
        raise invalid("max_tokens: Input should be greater than or equal to 1")
    for name, (low, high) in {"temperature": (0, 1), "top_p": (0, 1), "top_k": (0, 10**6)}.items():
        value = body.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high):
            raise invalid(f"{name}: Input should be a number from {low} to {high}")
    if not isinstance(body.get("stream", False), bool):
        raise invalid("stream: Input should be a valid boolean")
    if extra := sorted(set(body.get("metadata") or {}) - {"user_id"}):
        raise invalid(f"metadata.{extra[0]}: Extra inputs are not permitted")
    if any(not isinstance(s, str) or not s.strip() for s in body.get("stop_sequences") or []):
        raise invalid("stop_sequences: each stop sequence must contain non-whitespace")
    check_thinking(body)
    _check_system(body.get("system"))


def _check_system(system: Any) -> None:
    if system is None or isinstance(system, str):
        return
    if not isinstance(system, list):
        raise invalid("system: Input should be a valid string or list")
    for i, block in enumerate(system):
        if not isinstance(block, dict) or block.get("type") != "text":
            raise invalid(f"system.{i}.type: Input should be 'text'")
        _check_text(block, f"system.{i}")


def _check_tools(body: dict[str, Any]) -> None:
    names = []
    for i, tool in enumerate(body.get("tools") or []):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str) or not _TOOL_NAME.match(tool["name"]):
            raise invalid(f"tools.{i}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        names.append(tool["name"])
        schema = tool.get("input_schema")
        if tool.get("type", "custom") == "custom" and not (isinstance(schema, dict) and schema.get("type") == "object"):
            raise invalid(f"tools.{i}.custom.input_schema.type: Field required")
    if len(set(names)) < len(names):
        raise invalid("tools: Tool names must be unique.")
    _check_choice(body.get("tool_choice"), names)


def _check_choice(choice: Any, names: list[str]) -> None:
    if choice is None:
        return
    if not isinstance(choice, dict) or choice.get("type") not in _CHOICES:
        raise invalid("tool_choice: Input tag does not match any of the expected tags: 'auto', 'any', 'tool', 'none'")
    if not names:
        raise invalid("tool_choice may only be specified while providing tools.")
    if choice["type"] == "tool" and choice.get("name") not in names:
        raise invalid(f"Tool '{choice.get('name')}' not found in provided tools")


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise invalid("messages: at least one message is required")
    open_calls: set[str] = set()
    for i, message in enumerate(messages):
        _check_role(message, i)
        blocks = _blocks(message, i)
        _check_results(blocks, open_calls, i)
        open_calls = {b["id"] for b in blocks if b["type"] == "tool_use"}
    if open_calls:
        raise _unanswered(open_calls, len(messages) - 1)
    if messages[-1]["role"] == "assistant" and str(_last_text(messages[-1])).rstrip() != _last_text(messages[-1]):
        raise invalid("messages: final assistant content cannot end with trailing whitespace")


def _check_role(message: Any, i: int) -> None:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in ("user", "assistant"):
        raise invalid(f'messages.{i}.role: Unexpected role "{role}". Allowed roles are "user" or "assistant".')
    if i == 0 and role != "user":
        raise invalid('messages: first message must use the "user" role')
    if i > 0 and (role == "user") != (i % 2 == 0):
        raise invalid(
            'messages: roles must alternate between "user" and "assistant", but found multiple of the same role in a row'
        )
    if extra := sorted(set(message) - {"role", "content"}):
        raise invalid(f"messages.{i}.{extra[0]}: Extra inputs are not permitted")


def _blocks(message: dict[str, Any], i: int) -> list[dict[str, Any]]:
    """The message's content as checked blocks."""
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise invalid(f"messages.{i}.content: Input should be a valid string or list")
    if not content:
        raise invalid(f"messages.{i}: all messages must have non-empty content")
    for k, block in enumerate(content):
        _check_block(block, message["role"], f"messages.{i}.content.{k}")
    return content


def _check_block(block: Any, role: str, where: str) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    allowed = _ANY_ROLE | (_ASSISTANT_ONLY if role == "assistant" else {"tool_result"})
    if not isinstance(kind, str) or (kind not in allowed and not (_SERVER_BLOCK.match(kind) and kind != "tool_result")):
        raise invalid(f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags for role {role}")
    if kind == "text":
        _check_text(block, where)
    elif kind == "tool_use":
        _check_call(block, where)
    elif kind in ("image", "document") and not isinstance(block.get("source"), dict):
        raise invalid(f"{where}.{kind}.source: Field required")


def _check_text(block: dict[str, Any], where: str) -> None:
    text = block.get("text")
    if not isinstance(text, str):
        raise invalid(f"{where}.text.text: Field required")
    if not text:
        raise invalid("messages: text content blocks must be non-empty")
    if not text.strip():
        raise invalid("messages: text content blocks must contain non-whitespace text")


def _check_call(block: dict[str, Any], where: str) -> None:
    if not isinstance(block.get("id"), str) or not _CALL_ID.match(block["id"]):
        raise invalid(f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if not isinstance(block.get("name"), str) or not isinstance(block.get("input"), dict):
        raise invalid(f"{where}.tool_use.input: Input should be a valid dictionary")


def _check_results(blocks: list[dict[str, Any]], open_calls: set[str], i: int) -> None:
    """The results in one message must answer the calls of the message before it, all of them, and come first."""
    ids = [b.get("tool_use_id") for b in blocks if b["type"] == "tool_result"]
    if stray := [r for r in ids if r not in open_calls]:
        raise invalid(
            f"messages.{i}.content: unexpected `tool_use_id` found in `tool_result` blocks: {stray[0]}. "
            "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
        )
    if len(set(ids)) < len(ids):
        raise invalid(f"messages.{i}.content: each tool_use must have a single result")
    if missing := open_calls - set(ids):
        raise _unanswered(missing, i - 1)
    if any(b["type"] != "tool_result" for b in blocks[: len(ids)]):
        raise invalid(f"messages.{i}.content: `tool_result` blocks must come before other content")


def _unanswered(ids: set[str], i: int) -> Rejected:
    return invalid(
        f"messages.{i}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(sorted(ids))}. "
        "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    )


def _last_text(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    last = content[-1]
    return last["text"] if last["type"] == "text" else ""


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
