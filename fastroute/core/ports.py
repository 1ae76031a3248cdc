"""The seams of the house, as Protocols. `app` fills them; the engine and the simulator know nothing else.

Naming: a *client API* is what the client speaks, a *dialect* what the provider speaks; a *translator* joins the two
for one reply.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from fastroute.core.failures import Fault
from fastroute.core.types import ChatRequest, Decision, Endpoint, Situation, UpstreamRequest, Usage

if TYPE_CHECKING:
    from fastroute.core.trail import Trail


class Rng(Protocol):
    """The one thing policy needs of `random.Random`."""

    def random(self) -> float: ...


class Clock(Protocol):
    """Time, injected."""

    def now_s(self) -> float:
        """Monotonic seconds; only differences mean anything."""

    def wall_s(self) -> float:
        """Seconds since the epoch, UTC. For records, never for intervals."""


class Strategy(Protocol):
    """Ranks the endpoints of a tier. Pure: same situation, same rng, same decision; mutates nothing."""

    name: str

    def decide(self, situation: Situation, rng: Rng) -> Decision: ...


class Translator(Protocol):
    """One upstream reply, read as it comes and rewritten for one client. Sans-I/O; one per attempt.

    For a stream: `feed` every piece, then `end` once the upstream body has ended. Bytes returned before `content_started`
    must be held back: an attempt may still be abandoned. For a whole reply: `whole` once with the complete body.
    """

    content_started: bool  # first content, tool or reasoning token seen (not headers, pings, roles)
    finished: bool  # the dialect's own terminal event seen: the answer is complete
    fault: Fault | None  # the upstream reported or showed a failure; nothing more may be fed
    usage: Usage | None  # latest as reported; None: not reported (so far)
    output_tokens_seen: int  # content pieces so far, as a count of tokens; an estimate

    def feed(self, data: bytes) -> bytes:
        """Takes upstream bytes at any cut; gives the client bytes that are ready."""

    def end(self) -> bytes:
        """The upstream body has ended: gives the last client bytes, or sets `fault` where the reply was cut short."""

    def whole(self, body: bytes) -> bytes:
        """Takes a complete non-streamed 200 body; gives the client's body, or sets `fault`."""

    def interrupted(self, fault: Fault) -> bytes:
        """The error event, in the client's format and with partial usage, that ends a stream after commit."""


class Dialect(Protocol):
    """How a provider is spoken to. Sans-I/O, stateless."""

    name: str

    def encode(self, request: ChatRequest, endpoint: Endpoint) -> UpstreamRequest:
        """The request in the provider's format. Raises `FaultError` (UNSUPPORTED, BAD_REQUEST) where it cannot be said."""

    def fault(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        """A non-200 reply as a classified fault. `headers` have lower-case names. Never raises."""

    def translator(self, request: ChatRequest, endpoint: Endpoint) -> Translator: ...


class ClientApi(Protocol):
    """What a client speaks. Sans-I/O, stateless."""

    name: str

    def decode(self, body: bytes, request_id: str, accepted_s: float) -> ChatRequest:
        """The request's head. Raises `FaultError` (BAD_REQUEST) naming the field."""

    def error(self, fault: Fault, status: int) -> bytes:
        """An error body in the client's own shape."""


class UpstreamReply(Protocol):
    """A reply whose headers have arrived. Whoever opened it closes it, on every path."""

    status: int

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name. May be taken apart only when first asked for."""

    async def read(self) -> bytes:
        """The next piece of the body; b"" at its proper end. Raises `FaultError` (RESET, ...) when it is cut."""

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """Hands every piece to `take` as it arrives, inside the socket's callback: no task wakes for it.

        `take` gives False to stop: then `pour` returns False, the socket is paused, and what follows waits for the next `pour`
        or `read`. True: the body ended properly. Raises what `take` raises, and `FaultError` when the body is cut.
        """

    def close(self) -> None:
        """Idempotent. Frees the connection when the body was read to its end, else closes the socket at once."""


class Transport(Protocol):
    """Sends requests to providers. Cancelling any of its awaits closes the socket: the provider sees the client go."""

    async def open(self, request: UpstreamRequest) -> UpstreamReply:
        """Sends and waits for headers. Raises `FaultError` (CONNECT, RESET, ...). Sets no time limit of its own."""

    async def aclose(self) -> None: ...


class ReplyPort(Protocol):
    """The client's side of one exchange. Exactly one of: `whole`; or `open_stream`, `write`s, then `close_stream`.

    Response headers are rendered from the Trail as it stands at that moment. Every await raises `ClientGone` when the
    client has left.
    """

    async def whole(self, trail: "Trail", status: int, body: bytes) -> None: ...

    def open_stream(self, trail: "Trail") -> None:
        """Readies the headers. They leave with the first bytes. Raises `ClientGone`."""

    async def write(self, data: bytes) -> None:
        """Waits while the client reads slowly."""

    def push(self, data: bytes) -> bool:
        """Writes without waiting. False: the client reads slowly, so `drain` before more. Raises `ClientGone`."""

    async def drain(self) -> None:
        """Waits until the client has taken what was pushed, or most of it."""

    async def close_stream(self, complete: bool) -> None:
        """`complete=False`: the connection must not end as if the answer were whole."""


class ClientGone(Exception):
    """The client closed its connection."""


class Sink(Protocol):
    """Takes the finished Trail of every request, once. Must not block; may raise (it is logged, never felt by a request)."""

    def emit(self, trail: "Trail") -> None: ...
