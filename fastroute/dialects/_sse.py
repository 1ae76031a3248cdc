"""Server-sent events, read incrementally from bytes.

Rules. The same events come out wherever the input is cut. Line ends may be LF, CR or CRLF; comments and unknown fields are
skipped; several `data:` lines are joined with LF; events with no data, or whose data is itself a comment (`data: : keepalive`),
are skipped; the last event counts even without its blank line. A field named `error` (llama.cpp before September 2025) is an
event named `error`.

Theory of operation. CR and CRLF become LF at the door, which is what they mean, so that an event ends at LF LF and nowhere
else. What has no LF LF yet waits in one buffer and is never scanned twice: a large event in one-byte pieces costs linear time.
Everything before the last LF LF is split at once; an event that is one `data: ` line costs one slice.

Source: HTML Standard, 9.2.6 "Interpreting an event stream".
"""

import msgspec

MAX_EVENT_BYTES = 16 * 1024 * 1024


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One event. `name` is empty where the stream named none; `data` is not decoded."""

    name: bytes
    data: bytes


class SseParser:
    """Feed it bytes, take events. Once `overflowed` (an event passed `max_event_bytes`) it gives no more of them."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.overflowed = False
        self._limit = max_event_bytes
        self._buffer = bytearray()
        self._scanned = 0  # no LF LF begins before this offset
        self._after_cr = False  # an LF that comes next belongs to a CR already taken
        self._at_start = True

    @property
    def idle(self) -> bool:
        """Between two events: nothing that was fed waits for more."""
        return not self._buffer and not self._after_cr

    def feed(self, data: bytes) -> list[SseEvent]:
        """Takes the next bytes, at any cut; gives the events they complete."""
        if self.overflowed or not data:
            return []
        if self._after_cr or b"\r" in data:
            data = self._unified(data)
        if not self._buffer and data.endswith(b"\n\n"):
            return self._events(data[:-2])
        self._buffer += data
        cut = self._buffer.rfind(b"\n\n", max(0, self._scanned - 1))
        if cut < 0:
            self._scanned = len(self._buffer)
            self.overflowed = self._scanned > self._limit
            return []
        block = bytes(self._buffer[:cut])
        del self._buffer[: cut + 2]
        events = self._events(block)
        self._scanned = len(self._buffer)
        self.overflowed = self.overflowed or self._scanned > self._limit
        return events

    def end(self) -> list[SseEvent]:
        """The input has ended: gives the last event, where it came without its blank line."""
        block = bytes(self._buffer)
        self._buffer.clear()
        return [] if self.overflowed else self._events(block)

    def _unified(self, data: bytes) -> bytes:
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
            if not data:
                self._after_cr = False
                return data
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _events(self, block: bytes) -> list[SseEvent]:
        if self._at_start:
            self._at_start = False
            block = block.removeprefix(b"\xef\xbb\xbf")
        events: list[SseEvent] = []
        for frame in block.split(b"\n\n"):
            if len(frame) > self._limit:
                self.overflowed = True
                return events
            if frame.startswith(b"data: ") and b"\n" not in frame:
                event: SseEvent | None = _kept(b"", frame[6:])
            else:
                event = _parsed(frame)
            if event is not None:
                events.append(event)
        return events


def _kept(name: bytes, data: bytes) -> SseEvent | None:
    """The event, unless it says nothing. An error says something even without data."""
    if not data[:1].strip() or data[:1] == b":":
        text = data.strip()
        if name != b"error" and (not text or text.startswith(b":")):
            return None
    return SseEvent(name, data)


def _parsed(frame: bytes) -> SseEvent | None:
    """One event from its lines. Blank lines can only lead or trail here, and mean nothing."""
    name = b""
    data: list[bytes] = []
    for line in frame.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
        elif field == b"error":
            name = b"error"
            data.append(value)
    return _kept(name, b"\n".join(data)) if data or name == b"error" else None
