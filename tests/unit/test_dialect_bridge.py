"""A reader and a writer as one translator, and what the engine learns from it."""

from collections.abc import Sequence

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import Usage
from fastroute.dialects.bridge import TRUNCATED, Bridge
from fastroute.dialects.canonical import (
    Ended,
    Event,
    Extra,
    Failed,
    Finished,
    FinishReason,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolStarted,
    UsageSeen,
)

BROKEN = Fault(Failure.OVERLOADED, "busy")


class Script:
    """A reader that gives prepared events."""

    def __init__(self, *feeds: list[Event], end: Sequence[Event] = ()) -> None:
        self.feeds, self.last = list(feeds), list(end)

    def feed(self, data: bytes) -> list[Event]:
        return self.feeds.pop(0)

    def end(self) -> list[Event]:
        return self.last

    def whole(self, body: bytes) -> list[Event]:
        return self.feeds.pop(0)


class Names:
    """A writer that gives the events' names."""

    def write(self, events: Sequence[Event]) -> bytes:
        return "".join(f"{type(event).__name__} " for event in events).encode()

    def whole(self, events: Sequence[Event]) -> bytes:
        return b"whole: " + self.write(events)

    def interrupted(self, fault: Fault, usage: Usage | None) -> bytes:
        return f"{fault.message} {usage and usage.output_tokens}".encode()


def bridge(*feeds: list[Event], end: Sequence[Event] = ()) -> Bridge:
    return Bridge(Script(*feeds, end=end), Names())


def test_a_proper_stream() -> None:
    joined = bridge(
        [Started()], [TextDelta("a"), UsageSeen(Usage(7))], [Finished(FinishReason.STOP), UsageSeen(Usage(7, 3)), Ended()]
    )
    assert joined.feed(b"") == b"Started "
    assert not joined.content_started
    assert joined.feed(b"") == b"TextDelta UsageSeen "
    assert (joined.content_started, joined.finished, joined.usage) == (True, False, Usage(7))
    assert joined.feed(b"") == b"Finished UsageSeen Ended "
    assert joined.end() == b""
    assert (joined.finished, joined.fault, joined.usage) == (True, None, Usage(7, 3))


def test_content_is_counted() -> None:
    joined = bridge([ThinkingDelta("a"), ToolStarted(0, "a", "f"), TextDelta("b"), Extra("x", 1)])
    joined.feed(b"")
    assert joined.output_tokens_seen == 3


def test_an_empty_answer_is_an_answer() -> None:
    joined = bridge([Finished(FinishReason.LENGTH)])
    joined.feed(b"")
    assert joined.content_started


def test_nothing_but_extras_is_no_content_yet() -> None:
    joined = bridge([Extra("x", 1)])
    joined.feed(b"")
    assert not joined.content_started


def test_a_failure_stops_the_writing_before_it() -> None:
    joined = bridge([TextDelta("a"), Failed(BROKEN), TextDelta("b"), Ended()])
    assert joined.feed(b"") == b"TextDelta "
    assert (joined.fault, joined.finished) == (BROKEN, False)
    assert joined.end() == b""
    assert joined.fault is BROKEN, "the first one counts"
    assert joined.interrupted(BROKEN) == b"busy None"


def test_an_early_end_is_a_fault() -> None:
    joined = bridge([TextDelta("a"), Finished(FinishReason.STOP)])
    joined.feed(b"")
    assert joined.end() == b""
    assert joined.fault is TRUNCATED


def test_the_end_may_bring_the_rest() -> None:
    joined = bridge(end=[TextDelta("a"), Ended()])
    assert joined.end() == b"TextDelta Ended "
    assert joined.finished


def test_whole_replies() -> None:
    joined = bridge([TextDelta("a"), UsageSeen(Usage(1, 2)), Finished(FinishReason.STOP), Ended()])
    assert joined.whole(b"") == b"whole: TextDelta UsageSeen Finished Ended "
    assert (joined.finished, joined.content_started, joined.usage) == (True, True, Usage(1, 2))
    failed = bridge([TextDelta("a"), Failed(BROKEN)])
    assert failed.whole(b"") == b""
    assert failed.fault is BROKEN
    cut = bridge([TextDelta("a")])
    assert cut.whole(b"") == b""
    assert cut.fault is TRUNCATED
