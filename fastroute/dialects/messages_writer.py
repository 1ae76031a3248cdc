"""Canonical events as Anthropic's replies: an event stream, or one whole message.

Rules. Blocks come one after the other, each begun, told in deltas and ended under its index. A call's arguments stream while its
block is open; what comes for another block meanwhile waits until they are complete, so that calls told at once by a provider
arrive one by one. The stop reason and the usage come at the end, then `message_stop`, only where the provider ended the answer
itself. Reasoning without a signature, and signatures of other providers, are marked as `messages_marks` says.

Decisions. `message_start` must count the input before anybody has: it holds our estimate, which `message_delta` corrects.

Source: Anthropic's streaming and Messages references (2023-06-01); wire notes 3.3 to 3.5.
"""

from collections.abc import Hashable, Sequence
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
from fastroute.dialects.messages_api import error_body, messages_usage
from fastroute.dialects.messages_marks import UNSIGNED, marked

Json = dict[str, Any]

_REASONS = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
}
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


def error_event(fault: Fault, usage: Usage | None) -> bytes:
    """The event that ends a stream which cannot go on: the error, and the usage known so far."""
    status = fault.status if fault.status == 529 else fault.rule.status
    return sse(error_body(fault, status, usage))


def sse(event: Json) -> bytes:
    """One event, named by its type."""
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), msgspec.json.encode(event))


class _Block(msgspec.Struct):
    """One content block, as its deltas add up."""

    key: Hashable
    start: Json
    pieces: list[str] = []
    signature: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def open_call(self) -> bool:
        """Whether it is a call whose arguments are not complete."""
        return self.start["type"] == "tool_use" and not _is_object(self.text)

    def whole(self) -> Json:
        match self.start["type"]:
            case "text":
                return {**self.start, "text": self.text}
            case "thinking":
                return {**self.start, "thinking": self.text, "signature": self.signature or UNSIGNED}
            case "tool_use":
                text = self.text.strip() or "{}"
                # Cut by the output limit, mostly: better seen than lost.
                given: Any = msgspec.Raw(text.encode()) if _is_object(text) else {"_unreadable": text}
                return {**self.start, "input": given}
            case _:
                return self.start


class MessagesWriter:
    """A `bridge.Writer` for Anthropic's clients; one per attempt."""

    def __init__(self, request: ChatRequest, fallback_model: str) -> None:
        self._id, self._model = f"msg_{request.id}", fallback_model
        self._estimate = Usage(request.input_tokens, 0)
        self._usage: Usage | None = None
        self._begun = False
        self._blocks: list[_Block] = []  # of which the last may be open
        self._is_open = False
        self._waiting: dict[Hashable, list[Event]] = {}  # by the block they are for, in order
        self._finished: Finished | None = None
        self._refused = False

    def write(self, events: Sequence[Event]) -> bytes:
        return b"".join([sse(event) if event else _PING for event in self._told(events)])

    def whole(self, events: Sequence[Event]) -> bytes:
        """A complete reply's events as one message."""
        self._told(events)
        usage = messages_usage(self._usage or self._estimate)
        content = [block.whole() for block in self._blocks]
        return msgspec.json.encode({**self._message(), "content": content, **self._stop(), "usage": usage})

    def interrupted(self, fault: Fault, usage: Usage | None) -> bytes:
        return error_event(fault, usage)

    def _told(self, events: Sequence[Event]) -> list[Json]:
        """The events in Anthropic's words. An empty one stands for a ping."""
        out: list[Json] = []
        for event in events:
            if getattr(event, "choice", 0) != 0:
                continue
            if isinstance(event, UsageSeen):
                self._usage = event.usage
                continue
            if isinstance(event, Started):
                self._id, self._model = event.id or self._id, event.model or self._model
            out += self._begin()
            out += self._event(event)
        return out

    def _event(self, event: Event) -> list[Json]:
        if isinstance(event, Finished):
            self._finished = event
            return self._drain()
        if isinstance(event, Ended):
            end = {"type": "message_delta", "delta": self._stop(), "usage": messages_usage(self._usage or self._estimate)}
            return [*self._drain(), end, {"type": "message_stop"}]
        key = self._key(event)
        if key is None:
            return []
        if self._is_open and self._blocks[-1].key == key:
            return self._say(key, event)
        out = self._drain() if self._is_open and not self._in_call else []
        if self._in_call and self._blocks[-1].key != key:
            self._waiting.setdefault(key, []).append(event)
            return out
        return [*out, *self._say(key, event)]

    @property
    def _in_call(self) -> bool:
        """Whether the open block is a call whose arguments are not complete."""
        return self._is_open and self._blocks[-1].open_call

    def _key(self, event: Event) -> Hashable | None:
        """Which block the event is for; None: for none."""
        match event:
            case TextDelta() | RefusalDelta():
                self._refused = self._refused or isinstance(event, RefusalDelta)
                return "text" if event.text else None
            case ThinkingDelta():
                return ("redacted" if event.redacted is not None else "thinking", event.block)
            case ToolStarted() | ToolArguments():
                return ("tool", event.index)
            case Extra():
                return "mark" if _signature(event) else None
            case _:
                return None

    def _drain(self) -> list[Json]:
        """Ends the open block and tells what has waited for that, as far as the next call whose arguments are not complete."""
        out = self._end()
        while self._waiting and (self._finished is not None or not self._in_call):
            key = next(iter(self._waiting))
            out += [said for event in self._waiting.pop(key) for said in self._say(key, event)]
        return [*out, *(self._end() if self._finished is not None else [])]

    def _say(self, key: Hashable, event: Event) -> list[Json]:
        opened = self._is_open and self._blocks[-1].key == key
        match event:
            case ToolStarted():
                marks = self._mark(event.signature, before=True)
                return [*marks, *self._open(key, {"type": "tool_use", "id": event.id, "name": event.name, "input": {}})]
            case ToolArguments():
                return self._delta({"type": "input_json_delta", "partial_json": event.text}) if opened and event.text else []
            case TextDelta() | RefusalDelta():
                out = [] if opened else self._open(key, {"type": "text", "text": ""})
                return [*out, *self._delta({"type": "text_delta", "text": event.text})]
            case ThinkingDelta():
                return self._think(key, event, opened)
            case Extra():
                return self._mark(_signature(event), before=False)
            case _:
                return []

    def _think(self, key: Hashable, event: ThinkingDelta, opened: bool) -> list[Json]:
        if event.redacted is not None:
            return [*self._open(key, {"type": "redacted_thinking", "data": event.redacted}), *self._end()]
        out = [] if opened else self._open(key, {"type": "thinking", "thinking": "", "signature": ""})
        if event.text:
            out += self._delta({"type": "thinking_delta", "thinking": event.text})
        if event.signature is not None:
            self._blocks[-1].signature = event.signature
        return out

    def _mark(self, signature: str | None, before: bool) -> list[Json]:
        if signature is None:
            return []
        return [*self._open("mark", {"type": "redacted_thinking", "data": marked(signature, before)}), *self._end()]

    # --- the frame ------------------------------------------------------------------------------------------------

    def _message(self) -> Json:
        return {"id": self._id, "type": "message", "role": "assistant", "model": self._model}

    def _begin(self) -> list[Json]:
        if self._begun:
            return []
        self._begun = True
        usage = messages_usage(self._usage or self._estimate)
        message = {**self._message(), "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        return [{"type": "message_start", "message": message}, {}]

    def _stop(self) -> Json:
        finished = self._finished or Finished(FinishReason.STOP)
        reason = _REASONS[finished.reason]
        if reason == "end_turn" and self._refused:
            reason = "refusal"
        elif reason == "end_turn" and finished.stop_sequence is not None:
            reason = "stop_sequence"
        return {"stop_reason": reason, "stop_sequence": finished.stop_sequence}

    def _open(self, key: Hashable, start: Json) -> list[Json]:
        out = self._end()
        self._blocks.append(_Block(key, start, []))
        self._is_open = True
        return [*out, {"type": "content_block_start", "index": len(self._blocks) - 1, "content_block": start}]

    def _delta(self, delta: Json) -> list[Json]:
        text = next(delta[name] for name in ("text", "thinking", "partial_json") if name in delta)
        self._blocks[-1].pieces.append(text)
        return [{"type": "content_block_delta", "index": len(self._blocks) - 1, "delta": delta}]

    def _end(self) -> list[Json]:
        if not self._is_open:
            return []
        self._is_open = False
        block, index = self._blocks[-1], len(self._blocks) - 1
        out: list[Json] = [{"type": "content_block_stop", "index": index}]
        if block.start["type"] == "thinking":
            delta = {"type": "signature_delta", "signature": block.signature or UNSIGNED}
            out.insert(0, {"type": "content_block_delta", "index": index, "delta": delta})
        return out


def _signature(event: Extra) -> str | None:
    """Gemini's signature of the text before it."""
    google = event.value.get("google") if event.key == "extra_content" and isinstance(event.value, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) and signature else None


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
