"""Canonical events as OpenAI chat completions, streamed or whole.

Rules. The same id, creation time and model on every chunk; the role in the first delta of each choice only; one finish reason
per choice; usage in a chunk of its own, after the last finish, and only where the client asked; then [DONE], only where the
provider ended the answer itself. A call without arguments gets `{}`. What OpenAI has no name for keeps the provider's:
`reasoning_content`, `thinking_blocks` (signed reasoning, to be sent back as it came), `native_finish_reason`, extras.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from fastroute.core.failures import Fault
from fastroute.core.types import ChatRequest, Usage
from fastroute.dialects.canonical import (
    Ended,
    Event,
    Extra,
    Finished,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolStarted,
    UsageSeen,
)
from fastroute.dialects.openai_faults import error_event
from fastroute.dialects.openai_usage import openai_usage, so_far

JsonDict = dict[str, Any]

DONE = b"data: [DONE]\n\n"
_BESIDE_DELTA = frozenset({"logprobs"})  # members of the choice, not of its delta
_encode = msgspec.json.encode


class OpenAIWriter:
    """A `bridge.Writer` for OpenAI chat clients; one per attempt. `created_s` is epoch seconds."""

    def __init__(self, request: ChatRequest, created_s: int, fallback_model: str) -> None:
        self._include_usage = request.include_usage
        self._head: JsonDict = {"id": f"chatcmpl-{request.id}", "created": created_s, "model": fallback_model}
        self._begun: set[int] = set()
        self._silent: dict[tuple[int, int], bool] = {}  # (choice, call) -> no arguments so far
        self._usage: Usage | None = None
        self._pieces = 0  # of content, written so far

    def write(self, events: Sequence[Event]) -> bytes:
        return b"".join([self._event(event) for event in events])

    def whole(self, events: Sequence[Event]) -> bytes:
        """A complete reply's events as one `chat.completion`."""
        choices: dict[int, _Message] = {}
        for event in events:
            if isinstance(event, Started):
                self._start(event)
            elif isinstance(event, UsageSeen):
                self._usage = event.usage
            elif not isinstance(event, Ended) and hasattr(event, "choice"):
                choices.setdefault(event.choice, _Message()).take(event)
        rendered = [message.choice(index) for index, message in sorted(choices.items())]
        body: JsonDict = {**self._head, "object": "chat.completion", "choices": rendered}
        if self._usage is not None:
            body["usage"] = openai_usage(self._usage)
        return _encode(body)

    def interrupted(self, fault: Fault, usage: Usage | None) -> bytes:
        return error_event(fault, so_far(usage, self._pieces))

    def _start(self, event: Started) -> None:
        said = {"id": event.id, "model": event.model, "created": event.created}
        self._head |= {name: value for name, value in said.items() if value}

    def _event(self, event: Event) -> bytes:
        match event:
            case Started():
                self._start(event)
                return b""
            case UsageSeen():
                self._usage = event.usage
                return b""
            case Ended():
                return self._usage_chunk() + DONE
            case Finished():
                return self._finish(event)
            case Extra() if event.key in _BESIDE_DELTA:
                return self._chunk(event.choice, {}, **{event.key: event.value})
            case TextDelta() | ThinkingDelta() | RefusalDelta() | ToolStarted() | ToolArguments() | Extra():
                delta = self._delta(event)
                self._pieces += bool(delta)
                return self._chunk(event.choice, delta) if delta else b""
            case _:
                return b""

    def _delta(self, event: Event) -> JsonDict:
        if isinstance(event, ToolStarted):
            self._silent[event.choice, event.index] = True
        elif isinstance(event, ToolArguments):
            if not event.text:
                return {}
            self._silent[event.choice, event.index] = False
        return delta_of(event)

    def _finish(self, event: Finished) -> bytes:
        empty = [call for (choice, call), silent in self._silent.items() if choice == event.choice and silent]
        filled = [self._chunk(event.choice, delta_of(ToolArguments(call, "{}", event.choice))) for call in empty]
        native = {} if event.raw in (None, event.reason.value) else {"native_finish_reason": event.raw}
        return b"".join([*filled, self._chunk(event.choice, {}, finish_reason=event.reason.value, **native)])

    def _usage_chunk(self) -> bytes:
        if not self._include_usage or self._usage is None:
            return b""
        return _sse({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": openai_usage(self._usage)})

    def _chunk(self, choice: int, delta: JsonDict, **members: Any) -> bytes:
        if choice not in self._begun:
            self._begun.add(choice)
            delta = {"role": "assistant", "content": "", **delta}
        entry = {"index": choice, "delta": delta, "finish_reason": None, **members}
        return _sse({**self._head, "object": "chat.completion.chunk", "choices": [entry]})


def delta_of(event: Event) -> JsonDict:
    """One event as the members of a chunk's delta."""
    match event:
        case TextDelta():
            return {"content": event.text}
        case RefusalDelta():
            return {"refusal": event.text}
        case ThinkingDelta():
            text = {"reasoning_content": event.text} if event.text else {}
            block = thinking_block(event)
            return {**text, "thinking_blocks": [block]} if block else text
        case ToolStarted():
            function = {"name": event.name, "arguments": ""}
            return {"tool_calls": [{"index": event.index, "id": event.id, "type": "function", "function": function}]}
        case ToolArguments():
            return {"tool_calls": [{"index": event.index, "function": {"arguments": event.text}}]}
        case Extra():
            return {event.key: event.value}
        case _:
            return {}


def thinking_block(event: ThinkingDelta) -> JsonDict | None:
    """Signed or redacted reasoning as a block that clients send back unchanged; None for plain text."""
    if event.redacted is not None:
        return {"index": event.block, "type": "redacted_thinking", "data": event.redacted}
    if event.signature is not None:
        return {"index": event.block, "type": "thinking", "thinking": event.text, "signature": event.signature}
    return None


def _sse(chunk: JsonDict) -> bytes:
    return b"data: " + _encode(chunk) + b"\n\n"


class _Message:
    """One choice of a whole reply, as its events add up."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._thoughts: dict[int, JsonDict] = {}
        self._calls: dict[int, JsonDict] = {}
        self._extras: JsonDict = {}
        self._finished: Finished | None = None

    def take(self, event: Event) -> None:
        """Adds one event of this choice."""
        match event:
            case TextDelta():
                self._text.append(event.text)
            case RefusalDelta():
                self._refusal.append(event.text)
            case ThinkingDelta():
                self._think(event)
            case ToolStarted():
                self._calls[event.index] = {"id": event.id, "type": "function", "function": {"name": event.name, "arguments": ""}}
            case ToolArguments():
                self._calls[event.index]["function"]["arguments"] += event.text
            case Extra():
                self._extra(event)
            case Finished():
                self._finished = event
            case _:
                pass

    def choice(self, index: int) -> JsonDict:
        """The entry of `choices`."""
        beside = {name: self._extras.pop(name) for name in tuple(self._extras) if name in _BESIDE_DELTA}
        message: JsonDict = {"role": "assistant", "content": "".join(self._text) if self._text or not self._calls else None}
        message["refusal"] = "".join(self._refusal) or None
        message |= self._reasoning() | self._extras
        if self._calls:
            for call in self._calls.values():
                call["function"]["arguments"] = call["function"]["arguments"] or "{}"
            message["tool_calls"] = [self._calls[i] for i in sorted(self._calls)]
        end = self._finished
        entry: JsonDict = {"index": index, "message": message, "finish_reason": end.reason.value if end else None, **beside}
        if end is not None and end.raw not in (None, end.reason.value):
            entry["native_finish_reason"] = end.raw
        return entry

    def _reasoning(self) -> JsonDict:
        blocks = [self._thoughts[i] for i in sorted(self._thoughts)]
        text = "".join(block.get("thinking", "") for block in blocks)
        out: JsonDict = {"reasoning_content": text} if text else {}
        if any("signature" in block or "data" in block for block in blocks):
            out["thinking_blocks"] = blocks
        return out

    def _think(self, event: ThinkingDelta) -> None:
        if event.redacted is not None:
            self._thoughts[event.block] = {"type": "redacted_thinking", "data": event.redacted}
            return
        block = self._thoughts.setdefault(event.block, {"type": "thinking", "thinking": ""})
        block["thinking"] = block.get("thinking", "") + event.text
        if event.signature is not None:
            block["signature"] = event.signature

    def _extra(self, event: Extra) -> None:
        known = self._extras.get(event.key)
        both_lists = isinstance(known, list) and isinstance(event.value, list)
        self._extras[event.key] = [*known, *event.value] if both_lists and isinstance(known, list) else event.value
