"""AWS event-stream messages: their frames, read at any cut of the bytes, and written.

Rules. A frame is a prelude (total length, length of the headers, CRC32 of these two), headers, payload, and a CRC32 of all
before it. Both sums are checked before anything of a frame is believed, and the lengths before anything is waited for.

What can go wrong. The framing has no marks to find the next frame by: after one bad byte nothing can be read any more, so a
`FrameError` ends the stream. A frame cut short at the end of the body is not an error here; `pending` tells.

Source: AWS's "Event stream encoding" (smithy.io, `amazon-eventstream`); ../shared/wire/README.md.
"""

import struct
import uuid
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

MAX_MESSAGE_BYTES = 16 * 1024 * 1024  # as AWS limits a payload; ours limits the frame
MAX_HEADERS_BYTES = 128 * 1024
_PRELUDE = struct.Struct(">III")
_LENGTH = struct.Struct(">H")
_CRC = struct.Struct(">I")
_OVERHEAD_BYTES = _PRELUDE.size + _CRC.size
_STRING = 7


class FrameError(Exception):
    """The bytes are no event stream, or a damaged one. `too_large`: a frame passed the limits."""

    def __init__(self, message: str, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


class Message(msgspec.Struct, frozen=True):
    """One message. Values of headers by their type: str, bool, int (times in ms since the epoch), bytes, or a UUID as str."""

    headers: dict[str, Any]
    payload: bytes

    def text(self, name: str) -> str:
        """The header's text; "" where there is none."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


class FrameReader:
    """Bytes -> messages. Sans-I/O; one per body."""

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_message_bytes = max_message_bytes
        self._data = bytearray()
        self._wanted = _PRELUDE.size  # bytes that must be there before it is worth looking again

    @property
    def pending(self) -> bool:
        """Whether a frame has begun that has not ended."""
        return bool(self._data)

    def feed(self, data: bytes) -> tuple[list[Message], FrameError | None]:
        """The messages that are complete, and what is wrong after them. After an error nothing more may be fed."""
        self._data += data
        messages: list[Message] = []
        start = 0
        try:
            while len(self._data) - start >= self._wanted:
                total = self._total(start)
                self._wanted = total
                if len(self._data) - start < total:
                    break
                messages.append(_message(bytes(self._data[start : start + total])))
                start += total
                self._wanted = _PRELUDE.size
        except FrameError as error:
            return messages, error
        finally:
            del self._data[:start]
        return messages, None

    def _total(self, start: int) -> int:
        """The frame's length, by a prelude that holds."""
        total, headers, crc = _PRELUDE.unpack_from(self._data, start)
        if zlib.crc32(self._data[start : start + 8]) != crc:
            raise FrameError("the prelude of a frame does not match its checksum")
        if total > self._max_message_bytes or headers > MAX_HEADERS_BYTES:
            raise FrameError("a frame is too large", too_large=True)
        if total < _OVERHEAD_BYTES + headers:
            raise FrameError("the lengths of a frame contradict each other")
        return int(total)


def encoded(headers: Mapping[str, str], payload: bytes) -> bytes:
    """A message with text headers as a frame."""
    raw = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = struct.pack(">II", _OVERHEAD_BYTES + len(raw) + len(payload), len(raw))
    frame = prelude + _CRC.pack(zlib.crc32(prelude)) + raw + payload
    return frame + _CRC.pack(zlib.crc32(frame))


def _header(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + bytes((_STRING,)) + _LENGTH.pack(len(value)) + value


def _message(frame: bytes) -> Message:
    _, headers, _ = _PRELUDE.unpack_from(frame)
    if zlib.crc32(frame[: -_CRC.size]) != _CRC.unpack_from(frame, len(frame) - _CRC.size)[0]:
        raise FrameError("a frame does not match its checksum")
    end = _PRELUDE.size + headers
    return Message(_headers(frame[_PRELUDE.size : end]), frame[end : -_CRC.size])


def _headers(raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    at = 0
    try:
        while at < len(raw):
            name, at = _taken(raw, at + 1, raw[at])
            kind = raw[at]
            length, at = _length(raw, at + 1, kind)
            value, at = _taken(raw, at, length)
            found[name.decode()] = _VALUES[kind][1](value)
    except (IndexError, KeyError, UnicodeDecodeError, struct.error) as error:
        raise FrameError("the headers of a frame cannot be read") from error
    return found


def _length(raw: bytes, at: int, kind: int) -> tuple[int, int]:
    fixed = _VALUES[kind][0]
    return (fixed, at) if fixed is not None else (_LENGTH.unpack_from(raw, at)[0], at + _LENGTH.size)


def _taken(raw: bytes, at: int, length: int) -> tuple[bytes, int]:
    if at + length > len(raw):
        raise IndexError
    return raw[at : at + length], at + length


def _int(value: bytes) -> int:
    return int.from_bytes(value, "big", signed=True)


# By type: bytes of the value (None: a length comes before it), and how it is read.
_VALUES: dict[int, tuple[int | None, Callable[[bytes], Any]]] = {
    0: (0, lambda value: True),
    1: (0, lambda value: False),
    2: (1, _int),
    3: (2, _int),
    4: (4, _int),
    5: (8, _int),
    6: (None, bytes),
    _STRING: (None, bytes.decode),
    8: (8, _int),
    9: (16, lambda value: str(uuid.UUID(bytes=value))),
}
