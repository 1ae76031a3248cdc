"""Canonical events as Gemini's replies: an event stream, an array of chunks, or one whole reply.

Rules. Each chunk holds the next piece, with id and model; a call goes out whole, once its arguments are complete. The finish
reason is in the last chunk, with the usage. What a client must send back comes where Gemini has it: signatures beside what they
sign. An error is a chunk with `error`.

Source: Google's reference of GenerateContentResponse (v1beta, November 2026); wire notes 3.5.
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
from fastroute.dialects.gemini_api import FRAMING, error_object
from fastroute.dialects.gemini_terms import gemini_usage

Json = dict[str, Any]

_REASONS = {
    FinishReason.STOP: "STOP",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.CONTENT_FILTER: "SAFETY",
}


class Framing:
    """How chunks are sent: as events, or as the items of one array. One per reply."""

    def __init__(self, request: ChatRequest) -> None:
        self._array = FRAMING in request.fields
        self._begun = False

    def chunk(self, data: bytes) -> bytes:
        """One chunk, framed."""
        if not self._array:
            return b"data: " + data + b"\r\n\r\n"
        mark, self._begun = (b",\r\n" if self._begun else b"["), True
        return mark + data

    def end(self) -> bytes:
        """What follows the last chunk."""
        return b"]" if self._array and self._begun else b""


def error_chunk(fault: Fault, usage: Usage | None) -> bytes:
    """The chunk that ends a stream which cannot go on: the error, and the usage known so far."""
    said: Json = {"error": error_object(fault, fault.rule.status)}
    return msgspec.json.encode(said if usage is None else said | {"usageMetadata": gemini_usage(usage)})


class _Open(msgspec.Struct):
    """A call whose arguments are not complete yet."""

    started: ToolStarted
    pieces: list[str]


class GeminiWriter:
    """A `bridge.Writer` for Gemini clients; one per attempt."""

    def __init__(self, request: ChatRequest, fallback_model: str) -> None:
        self._head: Json = {"modelVersion": fallback_model, "responseId": request.id}
        self._framing = Framing(request)
        self._open: dict[int, _Open] = {}  # choice -> its call
        self._finished: list[Json] = []
        self._usage: Usage | None = None

    def write(self, events: Sequence[Event]) -> bytes:
        return b"".join([self._event(event) for event in events])

    def whole(self, events: Sequence[Event]) -> bytes:
        """A complete reply's events as one response."""
        parts: dict[int, list[Json]] = {}
        for event in events:
            self._note(event)
            for part in self._parts(event):
                _join(parts.setdefault(getattr(event, "choice", 0), []), part)
        entries = [
            {"content": {"parts": parts.get(entry["index"], []), "role": "model"}, **entry}
            for entry in sorted(self._finished, key=lambda entry: entry["index"])
        ]
        return msgspec.json.encode({"candidates": entries, **self._tail()})

    def interrupted(self, fault: Fault, usage: Usage | None) -> bytes:
        return self._framing.chunk(error_chunk(fault, usage)) + self._framing.end()

    def _event(self, event: Event) -> bytes:
        self._note(event)
        if isinstance(event, Ended):
            return self._last() + self._framing.end()
        parts = self._parts(event)
        if not parts:
            return b""
        entry = {"content": {"parts": parts, "role": "model"}, "index": getattr(event, "choice", 0)}
        return self._framing.chunk(msgspec.json.encode({"candidates": [entry], **self._head}))

    def _last(self) -> bytes:
        entries = [{"content": {"parts": [{"text": ""}], "role": "model"}, **entry} for entry in self._finished]
        return self._framing.chunk(msgspec.json.encode({"candidates": entries, **self._tail()}))

    def _tail(self) -> Json:
        return ({} if self._usage is None else {"usageMetadata": gemini_usage(self._usage)}) | self._head

    def _note(self, event: Event) -> None:
        if isinstance(event, Started):
            said = {"responseId": event.id, "modelVersion": event.model}
            self._head |= {name: value for name, value in said.items() if value}
        elif isinstance(event, UsageSeen):
            self._usage = event.usage
        elif isinstance(event, Finished):
            self._finished.append({"finishReason": _REASONS[event.reason], "index": event.choice})

    def _parts(self, event: Event) -> list[Json]:
        """The parts that the event completes."""
        match event:
            case TextDelta() | RefusalDelta():
                return [*self._close(event.choice), *([{"text": event.text}] if event.text else [])]
            case ThinkingDelta():
                return [{"text": event.text, "thought": True}] if event.text else []
            case ToolStarted():
                closed = self._close(event.choice)
                self._open[event.choice] = _Open(event, [])
                return closed
            case ToolArguments():
                if event.choice in self._open:
                    self._open[event.choice].pieces.append(event.text)
                return []
            case Extra():
                return _signed(event)
            case Finished():
                return self._close(event.choice)
            case _:
                return []

    def _close(self, choice: int) -> list[Json]:
        """The call that was being written, now that something else follows."""
        call = self._open.pop(choice, None)
        if call is None:
            return []
        text = "".join(call.pieces).strip() or "{}"
        said: Json = {"name": call.started.name, "args": msgspec.Raw(text.encode()), "id": call.started.id}
        if not _is_object(text):
            said["args"] = {"_unreadable": text}  # cut by the output limit, mostly: better seen than lost
        part: Json = {"functionCall": said}
        return [part if call.started.signature is None else part | {"thoughtSignature": call.started.signature}]


def _signed(event: Extra) -> list[Json]:
    """The signature of the text before it, on an empty text, as Gemini's own streams have it."""
    google = event.value.get("google") if event.key == "extra_content" and isinstance(event.value, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return [{"text": "", "thoughtSignature": signature}] if signature else []


def _join(parts: list[Json], part: Json) -> None:
    """Adds a part, joined to the last one where both are mere text of one kind."""
    last = parts[-1] if parts else {}
    if part.get("text") and "text" in last and last.keys() == part.keys() and "thoughtSignature" not in part:
        last["text"] += part["text"]
    else:
        parts.append(part)


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
