"""Gemini replies, streamed or whole, as canonical events.

Rules. Each `functionCall` part is a call, numbered from 0 across the whole stream of its candidate, with an id made here where it
has none. A call makes a plain STOP into a request to run it. Thoughts are reasoning; a thought signature stays with what it
signs: a call, or the message. Images go out as OpenRouter writes them (`images`); parts and members without a word, as `Extra`.
Usage is cumulative: the last value counts. Only the end of the body ends a stream, and only where every candidate has its reason.

Theory of operation. Gemini streams whole replies that each hold the next piece, so a whole reply is a stream of one. A finish
reason is kept until the end: older models send one with every chunk.

What can go wrong. An error may come inside the 200, as a chunk or in an array. A prompt that was blocked has no candidates. A
proxy that does not know `alt=sse` answers with an array of the chunks. Arguments may come in pieces (`partialArgs`), each with
the path it belongs to. Empty strings and zeros are left out of everything.

Source: wire notes 3.3 to 3.6; Google's reference of GenerateContentResponse (November 2026).
"""

from typing import Any

import msgspec

from fastroute.core.failures import Failure, Fault
from fastroute.dialects._sse import MAX_EVENT_BYTES, SseEvent, SseParser
from fastroute.dialects.canonical import Ended, Event, Extra, Failed, Started, UsageSeen
from fastroute.dialects.gemini_candidate import CandidateReader, Names
from fastroute.dialects.gemini_terms import blocked_fault, canonical_usage, reread
from fastroute.dialects.openai_faults import embedded_fault

Raw = msgspec.Raw

_READ = frozenset(("candidates", "usageMetadata", "modelVersion", "responseId", "promptFeedback", "createTime", "error"))


class _Chunk(msgspec.Struct):
    candidates: list[dict[str, Raw]] | None = None
    usageMetadata: dict[str, Any] | None = None  # noqa: N815 # Google's names
    modelVersion: str | None = None  # noqa: N815
    responseId: str | None = None  # noqa: N815
    promptFeedback: dict[str, Any] | None = None  # noqa: N815
    error: Any = None


_chunk = msgspec.json.Decoder(_Chunk)
_chunks = msgspec.json.Decoder(list[Raw])


class GeminiReader:
    """A `bridge.Reader`; one per reply. `request_id` makes ids; `names`: tool names as sent -> the client's own."""

    def __init__(self, request_id: str, names: Names | None = None) -> None:
        self._request_id, self._names = request_id, names or {}
        self._parser = SseParser()
        self._candidates: dict[int, CandidateReader] = {}
        self._started = self._over = self._streams = False
        self._plain: bytearray | None = None  # a body that is no event stream

    def feed(self, data: bytes) -> list[Event]:
        if self._plain is None and not self._streams:
            start = data.lstrip()[:1]
            self._plain, self._streams = (bytearray(), False) if start in (b"{", b"[") and start else (None, bool(start))
        if self._plain is None:
            return self._read(self._parser.feed(data))
        self._plain += data[: MAX_EVENT_BYTES + 1 - len(self._plain)]
        return []

    def end(self) -> list[Event]:
        if self._over:
            return []
        if self._plain is None:
            return self._ended(self._read(self._parser.end()))
        try:
            msgspec.json.decode(self._plain)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []  # cut short: no answer, but no bad one either
        return self.whole(bytes(self._plain))

    def whole(self, body: bytes) -> list[Event]:
        try:
            chunks = [bytes(raw) for raw in _chunks.decode(body)] if body.lstrip()[:1] == b"[" else [body]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [_malformed("is not JSON")]
        events: list[Event] = []
        for chunk in chunks:
            if self._over:
                break
            events += self.chunk(chunk)
        if not self._over and not self._candidates:
            return [_malformed("has no candidates")]
        return self._ended(events)

    def chunk(self, data: bytes) -> list[Event]:
        """The events of one chunk. After a `Failed` nothing more is fed."""
        try:
            events = self._events(_chunk.decode(data), data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError, ValueError, AttributeError) as error:
            events = [_malformed(f"has a chunk of unknown shape: {error}")]
        for i, event in enumerate(events):
            if isinstance(event, Failed):
                self._over = True
                return events[: i + 1]
        return events

    def _read(self, frames: list[SseEvent]) -> list[Event]:
        events: list[Event] = []
        for frame in frames:
            if self._over:
                return events
            if frame.data.strip() != b"[DONE]":
                events += self._frame(frame)
        if self._parser.overflowed and not self._over:
            self._over = True
            events.append(Failed(Fault(Failure.TOO_LARGE, "an event of the provider's stream is too large")))
        return events

    def _frame(self, frame: SseEvent) -> list[Event]:
        if frame.data.lstrip()[:1] == b"[" or frame.name == b"error":
            self._over = True
            return [Failed(reread(embedded_fault(frame.data), frame.data))]
        return self.chunk(frame.data)

    def _events(self, chunk: _Chunk, data: bytes) -> list[Event]:
        if chunk.error is not None:
            return [Failed(reread(embedded_fault(data), data))]
        events: list[Event] = []
        if not self._started and (chunk.responseId or chunk.modelVersion):
            self._started = True
            events.append(Started(chunk.responseId, chunk.modelVersion))
        for candidate in chunk.candidates or ():
            events += self._candidate(candidate)
        usage = canonical_usage(chunk.usageMetadata or {})
        if usage is not None:
            events.append(UsageSeen(usage, chunk.usageMetadata))
        blocked = blocked_fault(chunk.promptFeedback or {})
        if blocked is not None and not self._candidates:
            events.append(Failed(blocked))
        return events + self._others(data)

    def _candidate(self, candidate: dict[str, Raw]) -> list[Event]:
        index = msgspec.json.decode(candidate["index"], type=int) if "index" in candidate else 0
        if index not in self._candidates:
            self._candidates[index] = CandidateReader(index, self._request_id, self._names)
        return self._candidates[index].read(candidate)

    def _others(self, data: bytes) -> list[Event]:
        members = msgspec.json.decode(data, type=dict[str, Raw])
        return [Extra(name, msgspec.json.decode(raw)) for name, raw in members.items() if name not in _READ]

    def _ended(self, events: list[Event]) -> list[Event]:
        """The finishes and the end, where every candidate has come to its own."""
        if self._over or not self._candidates or not all(c.finished for c in self._candidates.values()):
            return events
        self._over = True
        return [*events, *(event for c in self._candidates.values() for event in c.finish()), Ended()]


def _malformed(what: str) -> Failed:
    return Failed(Fault(Failure.MALFORMED, f"the provider's reply {what}"))
