"""Anthropic Messages replies, streamed or whole, as canonical events.

Rules. Client tools (`tool_use`) are calls, numbered from 0 in the order they begin; server tools and their results are not: they,
and every block and event we have no word for, go out whole as `Extra`. A block that says nothing gives no event. A tool that
ends without arguments gets `{}`. Usage is cumulative: of each member the last value counts. Only `message_stop` ends a reply.

Theory of operation. A stream is blocks one after another, each `content_block_start`, deltas, `content_block_stop`, under an
index of its own. The open blocks are kept by that index; a block that must go out whole collects its deltas until it stops. A
whole reply is run through the same three steps, block by block.

What can go wrong. The error comes inside the 200 (`event: error`). The text of a citation follows the citation. The argument
deltas begin with an empty one. Pings come at any time. A proxy adds `[DONE]`, leaves the last blank line out, or answers with
plain JSON.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from fastroute.core.failures import Failure, Fault
from fastroute.dialects._sse import MAX_EVENT_BYTES, SseEvent, SseParser
from fastroute.dialects.anthropic_names import tool_id
from fastroute.dialects.anthropic_terms import canonical_usage, finish_reason, reported_fault
from fastroute.dialects.canonical import (
    Ended,
    Event,
    Extra,
    Failed,
    Finished,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolStarted,
    UsageSeen,
)

Json = dict[str, Any]

BLOCKS_KEY = "anthropic_content"  # blocks with no canonical name, as Anthropic wrote them
EVENTS_KEY = "anthropic_events"  # events with none
_MESSAGE_MEMBERS = ("id", "type", "role", "model", "content", "usage")
_NO_ARGUMENTS = "{}"
_CITATION_LINK = "web_search_result_location"


class _Block(msgspec.Struct):
    """One open content block."""

    index: int
    kind: str
    value: Json
    call: int | None = None  # number of the client's call
    pieces: list[str] = []  # argument text of a block that goes out whole
    arguments: str = _NO_ARGUMENTS  # of a call, where no delta brings them
    citations: list[Json] = []
    text_from: int = 0  # where its text begins in the whole answer, in characters


class _Inputs(msgspec.Struct):
    """A block of a whole reply, its input as the model wrote it."""

    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Whole(msgspec.Struct):
    content: list[msgspec.Raw]


class AnthropicReader:
    """A `bridge.Reader`; one per reply. `names`: tool names as sent -> the client's own, where they differ."""

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self._names = names or {}
        self._parser = SseParser()
        self._open: dict[int, _Block] = {}
        self._id: str | None = None
        self._calls: list[str] = []  # ids of the client's calls
        self._text_chars = 0
        self._usage: Json = {}
        self._finished = False
        self._over = False
        self._streams = False  # the first byte was that of an event stream
        self._plain: bytearray | None = None  # a whole reply that came where a stream was asked for
        self._steps: dict[str, Callable[[Json], list[Event]]] = {
            "message_start": self._start,
            "content_block_start": self._block_start,
            "content_block_delta": self._block_delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._stop,
            "error": lambda event: [Failed(reported_fault(event.get("error")))],
            "ping": lambda event: [],
        }

    def feed(self, data: bytes) -> list[Event]:
        if self._plain is None and not self._streams:
            start = data.lstrip()[:1]
            self._plain, self._streams = (bytearray(), False) if start == b"{" else (None, bool(start))
        if self._plain is None:
            return self._read(self._parser.feed(data))
        self._plain += data[: MAX_EVENT_BYTES + 1 - len(self._plain)]
        return []

    def end(self) -> list[Event]:
        if self._plain is None:
            return self._read(self._parser.end())
        # Cut short, this is no answer, but no bad one either: a stream that never ended.
        return self.whole(bytes(self._plain)) if _object(bytes(self._plain)) is not None else []

    def whole(self, body: bytes) -> list[Event]:
        message = _object(body)
        if message is None or (message.get("type") != "error" and not isinstance(message.get("content"), list)):
            return [_malformed("is not an Anthropic message")]
        if message.get("type") == "error":
            return [Failed(reported_fault(message.get("error")))]
        try:
            blocks = msgspec.json.decode(body, type=_Whole).content
            return self._whole(message, blocks)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            return [_malformed(f"has an unknown shape: {error}")]

    def _whole(self, message: Json, blocks: list[msgspec.Raw]) -> list[Event]:
        events = self._start({"message": message})
        for index, raw in enumerate(blocks):
            value = message["content"][index]
            events += self._block_start({"index": index, "content_block": value})
            if value.get("type") == "tool_use":
                self._open[index].arguments = bytes(msgspec.json.decode(raw, type=_Inputs).input).decode()
            events += self._block_stop({"index": index})
        delta = {key: value for key, value in message.items() if key not in _MESSAGE_MEMBERS}
        return events + self._message_delta({"delta": delta}) + self._stop({})

    def _read(self, frames: list[SseEvent]) -> list[Event]:
        events: list[Event] = []
        for frame in frames:
            if self._over:
                break
            events += self._frame(frame)
        if self._parser.overflowed and not self._over:
            self._over = True
            events.append(Failed(Fault(Failure.TOO_LARGE, "an event of the provider's stream is too large")))
        return events

    def _frame(self, frame: SseEvent) -> list[Event]:
        if frame.data.strip() == b"[DONE]":
            return []
        event = _object(frame.data)
        if event is None:
            self._over = True
            if frame.name == b"error":
                return [Failed(reported_fault(frame.data.decode("utf-8", "replace")))]
            return [_malformed("has an event that is not a JSON object")]
        kind = event.get("type") or frame.name.decode("utf-8", "replace")
        if "error" in event and kind not in self._steps:
            kind = "error"
        step = self._steps.get(kind)
        if step is None:
            return [Extra(EVENTS_KEY, [event])]
        try:
            events = step(event)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            events = [_malformed(f"has a {kind} event of unknown shape: {error!r}")]
        self._over = self._over or bool(events and isinstance(events[-1], Failed))
        return events

    # --- the message ----------------------------------------------------------------------------------------------

    def _start(self, event: Json) -> list[Event]:
        message = event["message"]
        events: list[Event] = [] if self._id is not None else [Started(message.get("id"), message.get("model"))]
        self._id = str(message.get("id"))
        return [*events, *self._count(message.get("usage"))]

    def _count(self, usage: Json | None) -> list[Event]:
        if not usage:
            return []
        self._usage.update({key: value for key, value in usage.items() if value is not None})
        return [UsageSeen(canonical_usage(self._usage), dict(self._usage))]

    def _message_delta(self, event: Json) -> list[Event]:
        delta = dict(event.get("delta") or {})
        raw, sequence = delta.pop("stop_reason", None), delta.pop("stop_sequence", None)
        events = [*(self._close_all() if raw is not None else ()), *self._count(event.get("usage"))]
        others = {key: value for key, value in event.items() if key not in ("type", "delta", "usage")}
        events += [Extra(key, value) for key, value in (delta | others).items() if value is not None]
        why = delta.get("stop_details")
        if raw == "refusal" and isinstance(why, dict) and isinstance(why.get("explanation"), str):
            events.append(RefusalDelta(why["explanation"]))
        return events + self._finish(raw, sequence) if raw is not None else events

    def _finish(self, raw: str | None, sequence: str | None) -> list[Event]:
        if self._finished:
            return []
        self._finished = True
        return [Finished(finish_reason(raw, bool(self._calls)), raw, sequence)]

    def _stop(self, event: Json) -> list[Event]:
        self._over = True
        return [*self._close_all(), *self._finish(None, None), Ended()]

    # --- its blocks -----------------------------------------------------------------------------------------------

    def _block_start(self, event: Json) -> list[Event]:
        value = event["content_block"]
        block = _Block(event.get("index", 0), value["type"], value, pieces=[], citations=[], text_from=self._text_chars)
        self._open[block.index] = block
        if block.kind == "text":
            block.citations += value.get("citations") or []
            return self._text(value.get("text") or "")
        if block.kind == "thinking":
            return _thinking(value.get("thinking"), value.get("signature"), block.index)
        if block.kind == "redacted_thinking":
            return [ThinkingDelta(redacted=value["data"], block=block.index)]
        if block.kind == "tool_use":
            return self._call(block)
        return []

    def _call(self, block: _Block) -> list[Event]:
        block.call, name = len(self._calls), block.value["name"]
        self._calls.append(self._call_id(block.value.get("id")))
        if block.value.get("input"):
            block.arguments = msgspec.json.encode(block.value["input"]).decode()
        return [ToolStarted(block.call, self._calls[-1], self._names.get(name, name))]

    def _call_id(self, given: object) -> str:
        """The call's id, or one made here for it: some Anthropic-style servers leave it empty or repeat it."""
        if isinstance(given, str) and given and given not in self._calls:
            return given
        return tool_id(f"{self._id} {len(self._calls)}")

    def _block_delta(self, event: Json) -> list[Event]:
        delta, index = event["delta"], event.get("index", 0)
        kind = delta["type"]
        if kind == "text_delta":
            return self._text(delta["text"])
        if kind == "thinking_delta":
            return _thinking(delta["thinking"], None, index)
        if kind == "signature_delta":
            return _thinking("", delta["signature"], index)
        block = self._open.get(index)
        if kind == "input_json_delta" and block is not None:
            return _arguments(block, delta["partial_json"])
        if kind == "citations_delta" and block is not None:
            block.citations.append(delta["citation"])
            return []
        return [Extra(EVENTS_KEY, [event])]

    def _text(self, text: str) -> list[Event]:
        self._text_chars += len(text)
        return [TextDelta(text)] if text else []

    def _block_stop(self, event: Json) -> list[Event]:
        block = self._open.pop(event.get("index", 0), None)
        if block is None or block.kind in ("thinking", "redacted_thinking"):
            return []
        if block.kind == "tool_use":
            return [ToolArguments(block.call or 0, block.arguments)] if block.arguments else []
        if block.kind == "text":
            return _cited(block, self._text_chars)
        return [Extra(BLOCKS_KEY, [block.value | _input(block.pieces)])]

    def _close_all(self) -> list[Event]:
        return [event for index in sorted(self._open) for event in self._block_stop({"index": index})]


def _thinking(text: str | None, signature: str | None, index: int) -> list[Event]:
    return [ThinkingDelta(text or "", signature or None, block=index)] if text or signature else []


def _arguments(block: _Block, text: str) -> list[Event]:
    if not text:
        return []
    if block.call is None:
        block.pieces.append(text)
        return []
    block.arguments = ""  # they come in pieces, so nothing is owed at the end
    return [ToolArguments(block.call, text)]


def _input(pieces: list[str]) -> Json:
    """The input of a server tool from its deltas; as text where the reply was cut within it (`max_tokens`)."""
    text = "".join(pieces)
    if not text:
        return {}
    try:
        return {"input": msgspec.json.decode(text)}
    except msgspec.DecodeError:
        return {"input": text}


def _cited(block: _Block, text_to: int) -> list[Event]:
    """The citations of a text block: all of them raw, and the links among them as OpenAI writes annotations."""
    if not block.citations:
        return []
    span = {"start_index": block.text_from, "end_index": text_to}
    links = [
        {"type": "url_citation", "url_citation": {"url": c.get("url"), "title": c.get("title") or "", **span}}
        for c in block.citations
        if c.get("type") == _CITATION_LINK
    ]
    raw = Extra("citations", block.citations)
    return [raw, Extra("annotations", links)] if links else [raw]


def _object(data: bytes) -> Json | None:
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _malformed(what: str) -> Failed:
    return Failed(Fault(Failure.MALFORMED, f"the provider's reply {what}"))
