"""Gemini to Gemini: the provider's chunks go to the client as they came, and are read on the way.

Rules. A chunk's bytes are the provider's; only the frame is ours, which is what the client asked for. A chunk that reports a
failure is not sent: the engine decides what the client is told.
"""

from fastroute.core.failures import Fault
from fastroute.core.types import ChatRequest
from fastroute.dialects._sse import SseParser
from fastroute.dialects.bridge import TRUNCATED, Bridge
from fastroute.dialects.canonical import Event
from fastroute.dialects.gemini_reply import GeminiReader
from fastroute.dialects.gemini_writer import Framing, GeminiWriter, error_chunk


class GeminiRelay(Bridge):
    """A `core.ports.Translator`; one per attempt."""

    def __init__(self, request: ChatRequest, model: str) -> None:
        self._gemini = GeminiReader(request.id)
        super().__init__(self._gemini, GeminiWriter(request, model))
        self._parser, self._framing = SseParser(), Framing(request)

    def feed(self, data: bytes) -> bytes:
        return b"".join([self._frame(event.data) for event in self._parser.feed(data)])

    def end(self) -> bytes:
        out = b"".join([self._frame(event.data) for event in self._parser.end()])
        if self.fault is None:
            self._watch(self._gemini.end())
        if self.fault is None and not self.finished:
            self.fault = TRUNCATED
        return out + (self._framing.end() if self.fault is None else b"")

    def whole(self, body: bytes) -> bytes:
        self._watch(self._gemini.whole(body))
        if self.fault is None and not self.finished:
            self.fault = TRUNCATED
        return b"" if self.fault else body

    def interrupted(self, fault: Fault) -> bytes:
        return self._framing.chunk(error_chunk(fault, self.usage)) + self._framing.end()

    def _frame(self, data: bytes) -> bytes:
        if self.fault is not None:
            return b""
        events: list[Event] = self._gemini.feed(b"data: " + data.replace(b"\n", b" ") + b"\n\n")
        self._watch(events)
        return b"" if self.fault is not None else self._framing.chunk(data)
