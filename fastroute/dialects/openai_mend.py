"""The mends of one choice of an OpenAI-style reply, chunk by chunk; whole messages are one chunk to it.

Rules. Role once. Content is text: Mistral's lists of parts become text and `reasoning_content`, other parts stay in
`content_parts`. Tool calls as `openai_calls` says. A finish reason is one of OpenAI's words, with the provider's own word in
`native_finish_reason`; a failure dressed as a finish is a fault.
"""

from typing import Any

import msgspec

from fastroute.core.failures import Failure, Fault
from fastroute.dialects.openai_calls import CallTable
from fastroute.dialects.openai_faults import embedded_fault
from fastroute.dialects.openai_finish import LEGACY_CALL, finish_reason
from fastroute.dialects.openai_frames import NULL, ChoiceFrame, Members, is_empty, is_null

_CONTENT = (
    "content",
    "reasoning_content",
    "reasoning",
    "refusal",
    "tool_calls",
    "function_call",
    "audio",
    "reasoning_details",
    "thinking_blocks",
    "images",
)
_SAFE_WITHOUT_ARGUMENTS = ("tool_calls", "stop", LEGACY_CALL)


class ChoiceState:
    """What one choice has sent so far."""

    def __init__(self, request_id: str, index: int, whole: bool = False) -> None:
        self.calls = CallTable(request_id, index, numbered=not whole)
        self.role_sent = False
        self.finished = False
        self.legacy_call = False  # it speaks of `function_call`, as its client asked

    def mend(self, choice: ChoiceFrame) -> Fault | None:
        """Mends the entry in place. A fault: the provider gave up on this choice."""
        error = choice.members.get("error")
        if error is not None and not is_null(error):
            return embedded_fault(b'{"error":' + bytes(error) + b"}")
        self._mend_role(choice)
        mend_content(choice)
        self.legacy_call = self.legacy_call or not is_empty(choice.delta.get("function_call", NULL))
        items = self._mend_calls(choice)
        raw = choice.finish()
        if raw is None:
            if bytes(choice.members.get("finish_reason", b"")) != b"null":
                choice.set("finish_reason", None)
            return None
        return self._mend_finish(choice, raw, items)

    def _mend_role(self, choice: ChoiceFrame) -> None:
        role = choice.delta.get("role")
        if role is None:
            return
        if self.role_sent or is_empty(role):
            choice.drop_delta("role")
        self.role_sent = True

    def _mend_calls(self, choice: ChoiceFrame) -> list[dict[str, Any]]:
        raw = choice.delta.get("tool_calls")
        if raw is None or is_empty(raw):
            return []
        items = msgspec.json.decode(raw, type=list[dict[str, Any]])
        if self.calls.mend(items):
            choice.set_delta("tool_calls", items)
        return items

    def _mend_finish(self, choice: ChoiceFrame, raw: str, items: list[dict[str, Any]]) -> Fault | None:
        reason = finish_reason(raw, self.calls.called)
        if isinstance(reason, Failure):
            return Fault(reason, f"the provider ended the answer with finish_reason {raw!r}"[:200], code=raw[:64])
        word = LEGACY_CALL if raw == LEGACY_CALL and self.legacy_call else reason.value
        if word in _SAFE_WITHOUT_ARGUMENTS and self.calls.fill(items):
            choice.set_delta("tool_calls", items)
        if word != raw:
            choice.set("finish_reason", word)
            if is_null(choice.members.get("native_finish_reason")):
                choice.set("native_finish_reason", raw)
        return None


def has_content(delta: Members) -> bool:
    """The delta holds part of an answer: text, reasoning, refusal, a call, sound. A role is none."""
    return any(not is_empty(delta[name]) for name in _CONTENT if name in delta)


def mend_content(choice: ChoiceFrame) -> None:
    """Content given as a list of parts becomes text; its thinking becomes `reasoning_content`."""
    raw = choice.delta.get("content")
    if raw is None or bytes(raw)[:1] != b"[":
        return
    texts, thoughts, others = _split(msgspec.json.decode(raw, type=list[Any]))
    choice.set_delta("content", "".join(texts))
    if thoughts:
        before = choice.delta.get("reasoning_content")
        first = "" if is_null(before) else msgspec.json.decode(before or b'""', type=str)
        choice.set_delta("reasoning_content", first + "".join(thoughts))
    if others:
        choice.set_delta("content_parts", others)


def _split(parts: list[Any]) -> tuple[list[str], list[str], list[Any]]:
    texts: list[str] = []
    thoughts: list[str] = []
    others: list[Any] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("text", "output_text") and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in ("thinking", "reasoning"):
            thoughts.extend(_thoughts(part.get("thinking", part.get("text"))))
        else:
            others.append(part)
    return texts, thoughts, others


def _thoughts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [str(part["text"]) for part in value if isinstance(part, dict) and isinstance(part.get("text"), str)]
    return []
