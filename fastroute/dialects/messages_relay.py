"""Anthropic to Anthropic: the client's members and the provider's events pass as they came, and are read on the way.

Rules. Of the request only the model is changed, and marks of ours are taken out of the messages (`messages_marks`); members of
ours stay here. An event's data are the provider's bytes. An event that reports a failure is not sent: the engine decides what the
client is told.

What can go wrong. A gateway answers with one whole message where a stream was asked for: it is then told as a stream.
"""

import msgspec

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import ChatRequest, Endpoint
from fastroute.dialects._sse import SseEvent, SseParser
from fastroute.dialects.anthropic_reply import AnthropicReader
from fastroute.dialects.bridge import TRUNCATED, Bridge
from fastroute.dialects.messages_marks import without_marks
from fastroute.dialects.messages_writer import MessagesWriter

OVERFLOW = Fault(Failure.TOO_LARGE, "an event of the provider's stream is too large")


def own_body(request: ChatRequest, endpoint: Endpoint) -> bytes:
    """An Anthropic client's body for an endpoint that speaks its dialect."""
    fields = {name: raw for name, raw in request.fields.items() if not name.startswith("fastroute")}
    fields["model"] = msgspec.Raw(msgspec.json.encode(endpoint.model))
    fields["messages"] = without_marks(request)
    return msgspec.json.encode(fields)


def own_betas(request: ChatRequest) -> tuple[str, ...]:
    """The betas that the client asked for."""
    return tuple(filter(None, (beta.strip() for beta in request.overrides.betas.split(","))))


class MessagesRelay(Bridge):
    """A `core.ports.Translator`; one per attempt."""

    def __init__(self, request: ChatRequest, model: str) -> None:
        self._anthropic = AnthropicReader()
        super().__init__(self._anthropic, MessagesWriter(request, model))
        self._parser = SseParser()
        self._retells: bool | None = None  # no stream came; None: nothing came yet

    def feed(self, data: bytes) -> bytes:
        if self._retells is None and (first := data.lstrip()[:1]):
            self._retells = first == b"{"
        if self._retells:
            return super().feed(data)
        out = b"".join([self._passed(frame) for frame in self._parser.feed(data)])
        if self._parser.overflowed and self.fault is None:
            self.fault = OVERFLOW
        return out

    def end(self) -> bytes:
        if self._retells:
            return super().end()
        out = b"".join([self._passed(frame) for frame in self._parser.end()])
        if self.fault is None:
            self._watch(self._anthropic.end())
        if not self.finished and self.fault is None:
            self.fault = TRUNCATED
        return out

    def whole(self, body: bytes) -> bytes:
        self._watch(self._anthropic.whole(body))
        if self.fault is None and not self.finished:
            self.fault = TRUNCATED
        return b"" if self.fault else body

    def interrupted(self, fault: Fault) -> bytes:
        return self._writer.interrupted(fault, self.usage)

    def _passed(self, frame: SseEvent) -> bytes:
        if self.fault is not None or self.finished or frame.data.strip() == b"[DONE]":
            return b""
        name = b"event: %b\n" % frame.name if frame.name else b""
        told = name + b"data: " + frame.data.replace(b"\n", b"\ndata: ") + b"\n\n"
        self._watch(self._anthropic.feed(told))
        return b"" if self.fault is not None else told
