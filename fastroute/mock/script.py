"""One answer as a script: what is sent when, how it is framed, how it ends. Pure data; `Playback` performs it.

Theory of operation. An answer is first a `Draft`: its pieces and its pace. A healthy draft becomes a `Script` here; a fault is
another function from the same draft to another script (`mischief`). So every fault is plain data that a test can look at, and
the part that touches sockets and clocks knows no faults at all.
"""

import enum
from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from fastroute.mock.dialect import Rendered
from fastroute.mock.latency import Pace

Headers = tuple[tuple[str, str], ...]
JSON: Headers = (("content-type", "application/json"),)
EVENTS: Headers = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))
HTML: Headers = (("content-type", "text/html; charset=utf-8"),)


class Ending(enum.Enum):
    """How a response ends, once its steps are done."""

    COMPLETE = "complete"  # in good order; the connection serves the next request
    CLOSE = "close"  # the connection closes without the end that the framing asks for
    RESET = "reset"  # TCP reset
    SILENCE = "silence"  # nothing more; the connection stays until the client goes


class Step(msgspec.Struct, frozen=True):
    """A piece of the body. Times are seconds after the request arrived; `tokens` are generated between `since_s` and `at_s`."""

    at_s: float
    payload: bytes  # may be empty: then only the head is sent, where it has not been
    tokens: int = 0
    since_s: float | None = None  # None: all at once, at `at_s`

    def generated(self, elapsed_s: float) -> int:
        """How many of its tokens exist at an earlier instant."""
        if self.since_s is None or elapsed_s <= self.since_s:
            return 0
        return min(self.tokens, int(self.tokens * (elapsed_s - self.since_s) / max(1e-9, self.at_s - self.since_s)))

    def later(self, by_s: float) -> "Step":
        since_s = None if self.since_s is None else self.since_s + by_s
        return Step(self.at_s + by_s, self.payload, self.tokens, since_s)


class Script(msgspec.Struct, frozen=True):
    """A whole response."""

    status: int
    headers: Headers
    steps: Iterable[Step]
    ending: Ending = Ending.COMPLETE
    declared_bytes: int | None = None  # the content-length, true or not; None: chunked
    billed: bool = True  # whether the provider charges for the prompt and the tokens
    finite: bool = True
    interim: bytes = b""  # an informational response, sent before the head
    trailer: bytes = b""  # trailer fields, each with its line end


class Draft(msgspec.Struct, frozen=True):
    """An answer before it is laid out in time. `rendered` for a stream, else `body`; `error` is what it may say instead."""

    pace: Pace
    tokens: int
    rendered: Rendered | None = None
    body: bytes = b""
    error: bytes = b""

    @property
    def end_s(self) -> float:
        """When the last token is ready."""
        return self.pace.due_s(max(0, self.tokens - 1))


def healthy(draft: Draft) -> Script:
    """The answer as it should be."""
    if draft.rendered is not None:
        return Script(200, EVENTS, stream_steps(draft.rendered, draft.pace))
    step = Step(draft.end_s, draft.body, draft.tokens, draft.pace.first_s)
    return Script(200, JSON, (step,), declared_bytes=len(draft.body))


def stream_steps(rendered: Rendered, pace: Pace) -> Iterator[Step]:
    """The opening, one step a token, the ending."""
    yield Step(pace.headers_s, rendered.prelude)
    at_s, tpot_s = pace.first_s, pace.tpot_s
    for i, piece in enumerate(rendered.chunks):
        yield Step(at_s + i * tpot_s, piece, 1)
    yield Step(pace.due_s(max(0, len(rendered.chunks) - 1)), rendered.tail)


def torn_steps(draft: Draft) -> Iterator[Step]:
    """The same answer in steps at which it can be cut: for a whole reply its head and the two halves of its body."""
    if draft.rendered is not None:
        return stream_steps(draft.rendered, draft.pace)
    first_s, end_s, half = draft.pace.first_s, draft.end_s, len(draft.body) // 2
    early = draft.tokens // 2
    middle_s = (first_s + end_s) / 2
    return iter(
        (
            Step(draft.pace.headers_s, b""),
            Step(middle_s, draft.body[:half], early, first_s),
            Step(end_s, draft.body[half:], draft.tokens - early, middle_s),
        )
    )


def fixed(status: int, headers: Headers, body: bytes, at_s: float = 0.0) -> Script:
    """A response that no model made: an error, a page. Not charged."""
    return Script(status, headers, (Step(at_s, body),), declared_bytes=len(body), billed=False)


def paused(steps: Iterator[Step], after: int, for_s: float) -> Iterator[Step]:
    """The same steps, those after the first `after` later by `for_s`."""
    kept = (step for _, step in zip(range(after), steps, strict=False))
    return chain(kept, (step.later(for_s) for step in steps))
