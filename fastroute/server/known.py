"""A request head that comes again, byte for byte, on one connection.

Rules. Nothing is parsed here. aiohttp's parser has read the very same bytes before, on the same connection, between two messages
as now; only the digits of content-length may differ, and the body must be there to its last byte, and nothing behind it. Every
other request goes through the parser, and forgets the head that was known.

Theory of operation. Many clients send one head with all their requests, save the length. So the head is kept in two pieces,
before and after that number, and compared: a memory of what the parser said, not a second opinion.

What can go wrong. A client whose heads differ each time, by a trace id, would have each of them remembered in vain: after
`GIVE_UP_AFTER` of them nothing more is learned from its connection.
"""

from typing import Generic, TypeVar

MAX_DIGITS = 9
MAX_HEAD_BYTES = 4 << 10  # it stays in memory for as long as its connection does
GIVE_UP_AFTER = 8  # heads learned, and not one met again
_LENGTH = b"\r\ncontent-length:"
_END = b"\r\n\r\n"

Facts = TypeVar("Facts")


class KnownHead(Generic[Facts]):
    """The last head of a connection. `facts`: what was made of it when it was parsed."""

    __slots__ = ("_after", "_before", "_learned", "_size", "facts")

    def __init__(self) -> None:
        self._before = self._after = b""
        self._size = self._learned = 0
        self.facts: Facts | None = None  # None: no head is known

    def forget(self) -> None:
        self.facts = None

    def learn(self, data: bytes, body_bytes: int, facts: Facts) -> None:
        """`data` was one whole message, with the facts, and with nothing before or behind it."""
        if self._learned >= GIVE_UP_AFTER:
            return
        size = data.find(_END) + 4
        if size < 4 or size > MAX_HEAD_BYTES or len(data) != size + body_bytes:
            return
        lowered = data[:size].lower()
        at = lowered.find(_LENGTH) + len(_LENGTH)
        if at < len(_LENGTH) or lowered.find(_LENGTH, at) >= 0:
            return
        end = lowered.index(b"\r", at)
        start = end - len(lowered[at:end].lstrip(b" \t"))
        if _number(data[start:end]) == body_bytes:
            self._before, self._after, self.facts = data[:start], data[end:size], facts
            self._learned += 1

    def body(self, data: bytes) -> bytes | None:
        """The body, where `data` is one whole message with the known head; else None."""
        before, after = self._before, self._after
        if not data.startswith(before):
            return None
        start = len(before)
        end = data.find(b"\r", start, start + MAX_DIGITS + 1)
        if end < 0 or not data.startswith(after, end):
            return None
        end_of_head = end + len(after)
        if _number(data[start:end]) != len(data) - end_of_head:
            return None
        self._learned = 0
        return data[end_of_head:]


def _number(digits: bytes) -> int:
    """-1: not a plain number."""
    return int(digits) if digits.isdigit() and len(digits) <= MAX_DIGITS else -1
