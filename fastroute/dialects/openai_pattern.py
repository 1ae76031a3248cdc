"""Chunks that repeat the one before them but for their text: known by comparing bytes, without reading their JSON.

Rules. A chunk matches only if it would also pass as a `PlainChunk` and come out the same. Whenever in doubt it does not match,
and is read the long way.

Theory of operation. Most of a stream's chunks differ in one string, the new text; some providers add another of random length, so
that an eavesdropper cannot tell tokens by their size. Around these strings every chunk has the same bytes. So the first plain
chunk, and what became of it, make a pattern: (start, text, rest[, padding, tail]). A later event that has the same bytes around a
sound, non-empty JSON string is the same chunk with another text. What a plain chunk is mended in (a role repeated, a finish
reason left out, a null usage nobody asked for) lies around the text too, so the pattern knows how the mended chunk looks.

What can go wrong. The text's place is found by its member's name, and that name may stand somewhere else in the chunk. No harm:
wherever it stands, it is a string that was accepted, and another text there would be accepted as well.
"""

import re

import msgspec

from fastroute.dialects.openai_frames import Delta


def _openings(*names: str) -> tuple[bytes, ...]:
    return tuple(f'"{name}":{space}"'.encode() for name in names for space in ("", " "))


_SPOKEN = {name: _openings(name) for name in ("content", "reasoning_content", "reasoning", "refusal")}
_PADDING = _openings("obfuscation", "p")
TRIES = 4
_BACKSLASH = 0x5C
_HEX = rb"[0-9A-Fa-f]"
_ESCAPE = (
    rb'["\\/bfnrt]'
    rb"|u(?:[0-9ABCEFabcef]" + _HEX + rb"{3}|[Dd](?:[0-7]" + _HEX + rb"{2}"
    rb"|[89ABab]" + _HEX + rb"{2}\\u[Dd][C-Fc-f]" + _HEX + rb"{2}))"
)
_PLAIN = rb'[^"\\\x00-\x1f]*+'
_string = re.compile(_PLAIN + rb"(?:\\(?:" + _ESCAPE + rb")" + _PLAIN + rb")*+").match  # as much of a string as is sound


class Sides(msgspec.Struct, frozen=True, gc=False):
    """The bytes around the strings that differ. `tail` is empty where there is one such string only."""

    start: bytes
    rest: bytes
    tail: bytes = b""


class Pattern:
    """How the chunks of a stream come in, and how they leave: the same object where they need no mend."""

    __slots__ = ("_coming", "_leaving", "_mended")

    def __init__(self, coming: Sides, leaving: Sides) -> None:
        self._coming, self._leaving = coming, leaving
        self._mended = coming is not leaving

    def take(self, data: bytes) -> tuple[int, int, bytes]:
        """How many events at the front of `data` match, where they end, and what the client gets for them."""
        start, rest, tail = self._coming.start, self._coming.rest, self._coming.tail
        count = end = 0
        out: list[bytes] = []
        while data.startswith(start, end):
            text_at = end + len(start)
            text_end = _string(data, text_at).end()  # type: ignore[union-attr]  # it matches, if only the empty string
            if text_end == text_at or not data.startswith(rest, text_end):
                break
            padding_at = padding_end = text_end + len(rest)
            if tail:
                padding_end = _string(data, padding_at).end()  # type: ignore[union-attr]
                if not data.startswith(tail, padding_end):
                    break
            if self._mended:
                leaving = self._leaving
                out += (leaving.start, data[text_at:text_end], leaving.rest, data[padding_at:padding_end], leaving.tail)
            end = padding_end + len(tail)
            count += 1
        if self._mended:
            return count, end, b"".join(out)
        return count, end, data if end == len(data) else data[:end]


class Patterns:
    """The patterns of one stream. When `TRIES` of them have matched nothing, no more are made."""

    __slots__ = ("_since", "_tries_left", "latest")

    def __init__(self) -> None:
        self.latest: Pattern | None = None
        self._since = 0
        self._tries_left = TRIES

    def shown_by(self, came: bytes, left: bytes, delta: Delta, chunks: int) -> Pattern | None:
        """The pattern that a plain chunk shows, which the next may have. `chunks`: how many have been seen, with this one."""
        if self.latest is not None and self.latest.take(came)[0]:
            return self.latest
        if chunks - self._since < 2:
            self._tries_left -= 1
        self.latest = pattern_of(came, left, delta) if self._tries_left > 0 else None
        self._since = chunks
        return self.latest


def pattern_of(came: bytes, left: bytes, delta: Delta) -> Pattern | None:
    """The pattern of an event that `came` and `left` like this, with `delta` in it; None where no pattern is to be seen."""
    name = "content" if delta.content else next((name for name in _SPOKEN if getattr(delta, name)), None)
    if name is None or came.find(b"\n") != len(came) - 2:
        return None
    coming = _sides(came, _SPOKEN[name])
    leaving = coming if came == left else _sides(left, _SPOKEN[name])
    if coming is None or leaving is None or bool(coming.tail) != bool(leaving.tail):
        return None
    return Pattern(coming, leaving)


def _sides(event: bytes, openings: tuple[bytes, ...]) -> Sides | None:
    text_at, text_end = _value(event, openings, 0)
    if text_at == 0:
        return None
    padding_at, padding_end = _value(event, _PADDING, text_end)
    if padding_at == 0:
        return Sides(event[:text_at], event[text_end:])
    return Sides(event[:text_at], event[text_end:padding_at], event[padding_end:])


def _value(event: bytes, openings: tuple[bytes, ...], since: int) -> tuple[int, int]:
    """Where a member's text begins, and its closing quote; (0, 0) where it has none that is sound.

    Inside a JSON string the quotes would be escaped, so with no backslash before it, what is found is a member.
    """
    for opening in openings:
        found = event.find(opening, since)
        if found > 0 and event[found - 1] != _BACKSLASH:
            at = found + len(opening)
            end = _string(event, at).end()  # type: ignore[union-attr]
            return (at, end) if event[end : end + 1] == b'"' else (0, 0)
    return 0, 0
