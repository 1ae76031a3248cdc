"""What a mock endpoint needs of a provider dialect, and the rendered form of one streamed answer."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from fastroute.mock.answer import Answer
from fastroute.mock.ask import Ask, Rejected


class Rendered(msgspec.Struct, frozen=True):
    """One streamed answer in a dialect's events: what comes before the first token, one piece a token, what comes after."""

    prelude: bytes
    chunks: Sequence[bytes]
    tail: bytes
    filler: bytes = b""  # one more token of text, for a body without end
    error: bytes = b""  # an error event
    broken: bytes = b""  # an event that is not JSON


class Bill(msgspec.Struct, frozen=True):
    """The usage that an answer reports."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int


class MockDialect(Protocol):
    """How a provider is spoken to, from the provider's side. Stateless. Paths come without a leading `/v1`."""

    name: str
    chat_path: str
    url_suffix: str  # what a client's configured URL ends with

    def authorise(self, headers: Mapping[str, str], api_key: str | None) -> None:
        """Raises `Rejected` (401) where the key is wrong, or in a header this dialect does not know. `api_key` None: any key."""

    def read(self, headers: Mapping[str, str], body: bytes, strict: bool) -> Ask:
        """The request. Raises `Rejected` as the provider would; `strict`: also for members it does not know."""

    def whole(self, ask: Ask, answer: Answer, bill: Bill) -> bytes: ...

    def stream(self, ask: Ask, answer: Answer, bill: Bill) -> Rendered: ...

    def refusal(self, status: int, message: str | None = None, code: str | None = None) -> Rejected:
        """The rejection that this provider would give with a status; None: its usual words."""

    def error(self, rejected: Rejected) -> bytes:
        """The body of an error reply."""

    def models(self, names: Sequence[str]) -> bytes: ...

    def other(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes | None:
        """The reply on a path beside chat, e.g. token counting; None: no such path."""


def json_object(body: bytes) -> dict[str, Any] | None:
    """The body as a JSON object; None where it is none."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
