"""Canonical events as OpenAI chat completions, streamed or whole.

Rules. The same id, creation time and model on every chunk; the role in the first delta of each choice only; one finish reason
per choice; usage in a chunk of its own, after the last finish, and only where the client asked; then [DONE], only where the
provider ended the answer itself. A call without arguments gets `{}`. What OpenAI has no name for keeps the provider's:
`reasoning_content`, `thinking_blocks` (signed reasoning, each block whole, to be sent back as it came), `native_finish_reason`,
extras.

Decisions. Extras that are lists (citations, annotations) are gathered and sent with the finish: OpenAI's client cannot join
lists of objects from several deltas.
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
    FinishReason,
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
        self._thoughts: dict[tuple[int, int], list[str]] = {}  # (choice, block) -> reasoning so far
        self._blocks: dict[int, int] = {}  # choice -> thinking blocks sent
        self._gathered: dict[int, JsonDict] = {}  # choice -> extras that wait for its finish
        self._finished: set[int] = set()
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
            case Extra() if isinstance(event.value, list) and event.choice not in self._finished:
                self._gathered.setdefault(event.choice, {}).setdefault(event.key, []).extend(event.value)
                return b""
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
            if event.text.strip():
                self._silent[event.choice, event.index] = False
        elif isinstance(event, ThinkingDelta):
            return self._thought(event)
        return delta_of(event)

    def _thought(self, event: ThinkingDelta) -> JsonDict:
        """The text as it comes; with the signature the whole block, so that a client can send it back as it was signed."""
        pieces = self._thoughts.setdefault((event.choice, event.block), [])
        pieces.append(event.text)
        said: JsonDict = {"reasoning_content": event.text} if event.text else {}
        block = thinking_block(event, pieces)
        if block is not None:
            number = self._blocks.get(event.choice, 0)  # clients join list items by it
            self._blocks[event.choice] = number + 1
            said["thinking_blocks"] = [{"index": number, **block}]
        return said

    def _finish(self, event: Finished) -> bytes:
        if event.choice in self._finished:
            return b""
        self._finished.add(event.choice)
        out = []
        if event.reason in (FinishReason.TOOL_CALLS, FinishReason.STOP):
            empty = [call for (choice, call), silent in self._silent.items() if choice == event.choice and silent]
            out = [self._chunk(event.choice, delta_of(ToolArguments(call, "{}", event.choice))) for call in empty]
        extras = self._gathered.get(event.choice, {})
        return b"".join([*out, self._chunk(event.choice, extras, **finish_members(event))])

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
        case ToolStarted():
            function = {"name": event.name, "arguments": ""}
            call = {"index": event.index, "id": event.id, "type": "function", "function": function}
            return {"tool_calls": [call | _signed(event)]}
        case ToolArguments():
            return {"tool_calls": [{"index": event.index, "function": {"arguments": event.text}}]}
        case Extra():
            return {event.key: event.value}
        case _:
            return {}


def _signed(event: ToolStarted) -> JsonDict:
    """A call's signature where Google's OpenAI-style API puts it, for the client to send back."""
    return {} if event.signature is None else {"extra_content": {"google": {"thought_signature": event.signature}}}


def thinking_block(event: ThinkingDelta, pieces: Sequence[str]) -> JsonDict | None:
    """Signed or redacted reasoning as a block that clients send back unchanged; None for plain text. `pieces`: its text."""
    if event.redacted is not None:
        return {"type": "redacted_thinking", "data": event.redacted}
    if event.signature is not None:
        return {"type": "thinking", "thinking": "".join(pieces), "signature": event.signature}
    return None


def finish_members(event: Finished) -> JsonDict:
    """The finish as members of a choice: OpenAI's word, and what the provider said beyond it."""
    members: JsonDict = {"finish_reason": event.reason.value}
    if event.raw not in (None, event.reason.value):
        members["native_finish_reason"] = event.raw
    if event.stop_sequence is not None:
        members["stop_sequence"] = event.stop_sequence
    return members


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
                function = {"name": event.name, "arguments": ""}
                self._calls[event.index] = {"id": event.id, "type": "function", "function": function, **_signed(event)}
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
        speechless = not self._text and (self._calls or self._refusal)
        message: JsonDict = {"role": "assistant", "content": None if speechless else "".join(self._text)}
        message["refusal"] = "".join(self._refusal) or None
        message |= self._reasoning() | self._extras
        if self._calls:
            for call in self._calls.values():
                arguments: str = call["function"]["arguments"]
                call["function"]["arguments"] = arguments if arguments.strip() else "{}"
            message["tool_calls"] = [self._calls[i] for i in sorted(self._calls)]
        finish = {"finish_reason": None} if self._finished is None else finish_members(self._finished)
        return {"index": index, "message": message, **finish, **beside}

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
