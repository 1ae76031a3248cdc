"""Joins a provider's reader and a client's writer into one translator, through canonical events.

Theory of operation. A `Reader` turns upstream bytes into events; a `Writer` turns events into client bytes; the `Bridge`
watches the events go by for what the engine needs to know: first content, usage, failure, proper end.
"""

from collections.abc import Sequence
from typing import Protocol

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import Usage
from fastroute.dialects.canonical import (
    Ended,
    Event,
    Failed,
    Finished,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolStarted,
    UsageSeen,
)

CONTENT_EVENTS = (TextDelta, ThinkingDelta, RefusalDelta, ToolStarted, ToolArguments)
TRUNCATED = Fault(Failure.TRUNCATED, "the provider's reply ended before it was complete")


class Reader(Protocol):
    """Upstream bytes -> events. A failure is a `Failed` event, never an exception; after it nothing more is fed."""

    def feed(self, data: bytes) -> list[Event]: ...

    def end(self) -> list[Event]:
        """The upstream body ended. Whether that was early shows in whether `Ended` was ever given."""

    def whole(self, body: bytes) -> list[Event]:
        """A complete non-streamed 200 body, as the same events."""


class Writer(Protocol):
    """Events -> client bytes, in the client's API."""

    def write(self, events: Sequence[Event]) -> bytes: ...

    def whole(self, events: Sequence[Event]) -> bytes: ...

    def interrupted(self, fault: Fault, usage: Usage | None) -> bytes: ...


class Bridge:
    """A `core.ports.Translator` made of a reader and a writer."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader, self._writer = reader, writer
        self.content_started = False
        self.finished = False
        self.fault: Fault | None = None
        self.usage: Usage | None = None
        self.output_tokens_seen = 0

    def feed(self, data: bytes) -> bytes:
        return self._pass(self._reader.feed(data))

    def end(self) -> bytes:
        out = self._pass(self._reader.end())
        if not self.finished and self.fault is None:
            self.fault = TRUNCATED
        return out

    def whole(self, body: bytes) -> bytes:
        events = self._reader.whole(body)
        self._watch(events)
        if self.fault is None and not self.finished:
            self.fault = TRUNCATED
        return b"" if self.fault else self._writer.whole(events)

    def interrupted(self, fault: Fault) -> bytes:
        return self._writer.interrupted(fault, self.usage)

    def _pass(self, events: list[Event]) -> bytes:
        kept = self._watch(events)
        return self._writer.write(kept) if kept else b""

    def _watch(self, events: list[Event]) -> list[Event]:
        """Notes what the engine needs; gives the events up to a failure, which the writer must not see."""
        for i, event in enumerate(events):
            if isinstance(event, CONTENT_EVENTS):
                self.content_started = True
                self.output_tokens_seen += 1
            elif isinstance(event, Finished):
                self.content_started = True  # an empty answer is an answer
            elif isinstance(event, UsageSeen):
                self.usage = event.usage
            elif isinstance(event, Ended):
                self.finished = True
            elif isinstance(event, Failed):
                self.fault = event.fault
                return events[:i]
        return events
