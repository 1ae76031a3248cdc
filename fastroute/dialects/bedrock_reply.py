"""Bedrock Converse replies, streamed or whole, as canonical events.

Rules. Client tools are calls, numbered from 0 in the order they begin; server tools and their results, and every block and
event we have no word for, go out whole as `Extra`. A tool that ends without arguments gets `{}`. `metadata`, which comes last
and brings the usage, ends a reply; where it never comes, the end of the body after `messageStop` does.

Theory of operation. Blocks have an index of their own, which is neither the choice's nor the call's. Only tools and images are
announced by a `contentBlockStart`: text and reasoning begin with their first delta. A whole reply runs through the same steps.

What can go wrong. Failures come inside the 200, as messages of type `exception` or `error`. Damaged frames end a reply. Every
event is padded with a member `p` to hide its length.

Source: wire notes 3.5 and traps 2 and 42; botocore's `bedrock-runtime` service model (2023-09-30).
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from fastroute.core.failures import Failure, Fault
from fastroute.dialects.aws_event_stream import FrameError, FrameReader, Message
from fastroute.dialects.bedrock_terms import FAILED_REASONS, canonical_usage, finish_reason, stream_fault
from fastroute.dialects.canonical import (
    Ended,
    Event,
    Extra,
    Failed,
    Finished,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolStarted,
    UsageSeen,
)

Json = dict[str, Any]

BLOCKS_KEY = "bedrock_content"  # blocks with no canonical name, as Bedrock wrote them
EVENTS_KEY = "bedrock_events"  # events with none
_NO_ARGUMENTS = "{}"
_READ = frozenset(("output", "stopReason", "usage", "metrics", "p"))


class _Tool(msgspec.Struct):
    """One open tool block."""

    call: int | None  # number of the client's call; None: the server's own
    value: Json
    arguments: str = _NO_ARGUMENTS  # where no delta brings them
    pieces: list[str] = []


class ConverseReader:
    """A `bridge.Reader`; one per reply. `request_id` makes ids; `names`: tool names as sent -> the client's own."""

    def __init__(self, request_id: str, names: Mapping[str, str] | None = None) -> None:
        self._request_id, self._names = request_id, names or {}
        self._frames = FrameReader()
        self._open: dict[int, _Tool] = {}
        self._calls: list[str] = []
        self._citations: dict[int, list[Json]] = {}
        self._finished = self._over = False
        self._steps: dict[str, Callable[[Json], list[Event]]] = {
            "messageStart": lambda event: [Started()],
            "contentBlockStart": self._block_start,
            "contentBlockDelta": self._block_delta,
            "contentBlockStop": self._block_stop,
            "messageStop": self._message_stop,
            "metadata": self._metadata,
        }

    def feed(self, data: bytes) -> list[Event]:
        if self._over:
            return []
        messages, wrong = self._frames.feed(data)
        events: list[Event] = []
        for message in messages:
            events += self._message(message)
            if events and isinstance(events[-1], Failed | Ended):
                return events
        if wrong is not None and not self._over:
            self._over = True
            events.append(_damaged(wrong))
        return events

    def end(self) -> list[Event]:
        if self._over or not self._finished or self._frames.pending:
            return []
        self._over = True
        return [Ended()]

    def whole(self, body: bytes) -> list[Event]:
        try:
            reply = msgspec.json.decode(body)
            blocks = msgspec.json.decode(body, type=_Reply).output.message.content
            return self._whole(reply, blocks)
        except (msgspec.MsgspecError, TypeError, ValueError, AttributeError, KeyError, RecursionError) as error:
            return [_malformed(f"is not a Converse reply: {type(error).__name__}")]

    def _whole(self, reply: Json, blocks: list[dict[str, msgspec.Raw]]) -> list[Event]:
        events: list[Event] = [Started()]
        for index, block in enumerate(blocks):
            events += self._whole_block(index, block)
        events += self._message_stop(reply)
        if isinstance(events[-1], Failed):
            return events
        return events + self._metadata({key: value for key, value in reply.items() if key not in ("output", "stopReason")})

    def _whole_block(self, index: int, raw: dict[str, msgspec.Raw]) -> list[Event]:
        block = {key: msgspec.json.decode(value) for key, value in raw.items()}
        if "toolUse" in block:
            events = self._block_start({"contentBlockIndex": index, "start": block})
            self._open[index].arguments = bytes(msgspec.json.decode(raw["toolUse"], type=_Inputs).input).decode()
            return events + self._block_stop({"contentBlockIndex": index})
        if "reasoningContent" in block:
            said = block["reasoningContent"]
            return _thinking(said.get("reasoningText") or said, index)
        if "citationsContent" in block:
            said = block["citationsContent"]
            text = "".join(piece.get("text") or "" for piece in said.get("content") or ())
            return [*_text(text), Extra("citations", said.get("citations") or [])]
        if "text" in block:
            return _text(block["text"])
        return [Extra(BLOCKS_KEY, [block])]

    # --- streams --------------------------------------------------------------------------------------------------

    def _message(self, message: Message) -> list[Event]:
        kind = message.text(":message-type")
        if kind in ("exception", "error"):
            self._over = True
            name = message.text(":exception-type") or message.text(":error-code")
            return [Failed(stream_fault(name, message.payload, message.text(":error-message")))]
        name = message.text(":event-type")
        try:
            event = msgspec.json.decode(message.payload, type=Json)
            event.pop("p", None)
            step = self._steps.get(name)
            events: list[Event] = [Extra(EVENTS_KEY, [{name: event}])] if step is None else step(event)
        except (msgspec.MsgspecError, TypeError, ValueError, AttributeError, KeyError, RecursionError):
            events = [_malformed(f"has a {name} event of unknown shape")]
        self._over = self._over or bool(events and isinstance(events[-1], Failed))
        return events

    def _block_start(self, event: Json) -> list[Event]:
        index, start = event.get("contentBlockIndex", 0), event["start"]
        tool = start.get("toolUse")
        if tool is None:
            self._open[index] = _Tool(None, dict(start), pieces=[])
            return []
        if tool.get("type") == "server_tool_use":
            self._open[index] = _Tool(None, {"toolUse": tool}, pieces=[])
            return []
        call, name = len(self._calls), tool["name"]
        self._calls.append(self._call_id(tool.get("toolUseId")))
        self._open[index] = _Tool(call, tool, pieces=[])
        return [ToolStarted(call, self._calls[-1], self._names.get(name, name))]

    def _call_id(self, given: object) -> str:
        """The call's id, or one made here where it is empty or was used before."""
        if isinstance(given, str) and given and given not in self._calls:
            return given
        return f"call_{self._request_id}_{len(self._calls)}"

    def _block_delta(self, event: Json) -> list[Event]:
        index, delta = event.get("contentBlockIndex", 0), event["delta"]
        if "text" in delta:
            return _text(delta["text"])
        if "reasoningContent" in delta:
            return _thinking(delta["reasoningContent"], index)
        if "citation" in delta:
            self._citations.setdefault(index, []).append(delta["citation"])
            return []
        block = self._open.get(index)
        if "toolUse" in delta and block is not None:
            return _arguments(block, delta["toolUse"].get("input") or "")
        if block is not None and block.call is None:
            block.value.setdefault("deltas", []).append(delta)
            return []
        return [Extra(EVENTS_KEY, [{"contentBlockDelta": event}])]

    def _block_stop(self, event: Json) -> list[Event]:
        index = event.get("contentBlockIndex", 0)
        cited = self._citations.pop(index, None)
        block = self._open.pop(index, None)
        if block is None:
            return [Extra("citations", cited)] if cited else []
        if block.call is not None:
            return [ToolArguments(block.call, block.arguments)] if block.arguments else []
        if "toolUse" in block.value and block.pieces:
            block.value["toolUse"] = {**block.value["toolUse"], "input": _input("".join(block.pieces))}
        return [Extra(BLOCKS_KEY, [block.value])]

    def _message_stop(self, event: Json) -> list[Event]:
        raw = event["stopReason"]
        events = [e for index in sorted({*self._open, *self._citations}) for e in self._block_stop({"contentBlockIndex": index})]
        if raw in FAILED_REASONS:
            return [*events, Failed(Fault(Failure.GENERATION_FAILED, "the model gave no valid answer", type=raw))]
        fields = event.get("additionalModelResponseFields")
        if fields:
            events.append(Extra("additionalModelResponseFields", fields))
        self._finished = True
        return [*events, Finished(finish_reason(raw, bool(self._calls)), raw, _sequence(fields))]

    def _metadata(self, event: Json) -> list[Event]:
        others = (item for item in event.items() if item[0] not in _READ and item[0] != "additionalModelResponseFields")
        events: list[Event] = [Extra(key, value) for key, value in others if value]
        usage = event.get("usage")
        if usage:
            events.append(UsageSeen(canonical_usage(usage), usage))
        if self._finished:
            self._over = True
            events.append(Ended())
        return events


class _Content(msgspec.Struct):
    content: list[dict[str, msgspec.Raw]]


class _Output(msgspec.Struct):
    message: _Content


class _Reply(msgspec.Struct):
    output: _Output


class _Inputs(msgspec.Struct):
    """A tool's block, its input as the model wrote it."""

    input: msgspec.Raw = msgspec.Raw(b"{}")


def _text(text: Any) -> list[Event]:
    if not isinstance(text, str):
        raise TypeError("text is not text")
    return [TextDelta(text)] if text else []


def _thinking(said: Json, index: int) -> list[Event]:
    text, signature, redacted = said.get("text") or "", said.get("signature") or None, said.get("redactedContent")
    return [ThinkingDelta(text, signature, redacted, block=index)] if text or signature or redacted else []


def _arguments(block: _Tool, text: str) -> list[Event]:
    if not text:
        return []
    if block.call is None:
        block.pieces.append(text)
        return []
    block.arguments = ""  # they come in pieces, so nothing is owed at the end
    return [ToolArguments(block.call, text)]


def _input(text: str) -> Any:
    """The input of a server tool; as text where the reply was cut within it."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _sequence(fields: Any) -> str | None:
    """The stop sequence that was met, where the client asked for it in `additionalModelResponseFieldPaths`."""
    found = fields.get("stop_sequence") if isinstance(fields, dict) else None
    return found if isinstance(found, str) else None


def _damaged(error: FrameError) -> Failed:
    return Failed(
        Fault(Failure.TOO_LARGE if error.too_large else Failure.MALFORMED, f"the provider's stream is damaged: {error}")
    )


def _malformed(what: str) -> Failed:
    return Failed(Fault(Failure.MALFORMED, f"the provider's reply {what}"))
