"""One HTTP/1.1 connection to a provider, and the reply that is being read from it.

Rules. Bytes are read by httptools and by nothing else. A connection is kept only when the body was read to its end, the peer
allows it and nothing of our request is still unsent; in every other case the socket is closed at once, which is how a
provider learns that we left. Whoever waits is woken on every path: reply, loss, close.

Theory of operation. One parser serves a connection for its whole life. It calls as little Python as can be: body pieces go
straight into the list `pieces`, and `awaited` holds one token for each event that the parser still owes us, the begin and
the end of a message, of which it pops one at each. So an empty `awaited` is a complete message, and a message that nobody
asked for pops from an empty list and breaks the parser off. Headers are not taken apart on the way: the bytes of the head
are kept, and a second parser reads them when somebody asks for `Reply.headers`, which is only where something went wrong.
A coding nobody asked for shows in the first byte of the body, which for JSON and events is none of gzip's or zlib's.

`data_received` either pours: hands what came to `take` there and then; or buffers: then, above `HIGH_WATER_BYTES` unread, the
socket is paused, so that a slow client slows the provider and fills no memory.

What can go wrong: closed before a complete reply (RESET); heads beyond reason or bodies that swell (TOO_LARGE); bytes that
are not HTTP, or not in the coding they name (MALFORMED).
"""

import asyncio
import zlib
from collections.abc import Callable
from typing import Protocol

import httptools

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.transport.heads import parsed_head

HIGH_WATER_BYTES = 256 << 10
MAX_HEAD_BYTES = 64 << 10  # interim replies included
MAX_INFLATED_BYTES = 16 << 20  # of what one read from the socket may swell to
JOIN_UP_TO_BYTES = 64 << 10  # larger bodies are not copied to be sent with their head
BEGIN_AND_END = ("end", "begin")
PLAIN = frozenset(b"{[<de: \r\n")  # how JSON, HTML and events begin; gzip and zlib never do
NOT_HTTP = (httptools.HttpParserError, httptools.HttpParserUpgrade)
ZIPPED = frozenset(("gzip", "x-gzip", "deflate"))

Take = Callable[[bytes], bool]
Waiter = asyncio.Future[bool | BaseException]  # True: go on; False: `take` said stop; else what to raise


class Shelf(Protocol):
    """Where idle connections lie."""

    def give_back(self, connection: "Connection") -> None: ...

    def forget(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    """One socket; between replies it lies on its shelf, with everything below `--- one exchange` as `send` expects it."""

    __slots__ = (
        *("shelf", "loop", "transport", "parser", "feed", "born_s", "idle_since_s", "lost"),
        *("awaited", "pieces", "waiter", "take", "head", "fields", "status", "keep", "error"),
        *("unread_bytes", "paused", "until_close", "inflate"),
    )

    def __init__(self, shelf: Shelf, loop: asyncio.AbstractEventLoop, now_s: float) -> None:
        self.shelf, self.loop, self.born_s, self.idle_since_s = shelf, loop, now_s, 0.0
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # until connection_made
        self.lost = False
        # --- one exchange
        self.awaited: list[str] = []
        self.pieces: list[bytes] = []
        self.waiter: Waiter | None = None
        self.take: Take | None = None
        self.head = b""
        self.fields: dict[str, str] | None = None
        self.status, self.unread_bytes = 0, 0
        self.keep = self.paused = self.until_close = False
        self.error: FaultError | None = None
        self.inflate: zlib._Decompress | None = None
        self.parser = httptools.HttpResponseParser(_Events(self))
        self.feed: Callable[[bytes], None] = self.parser.feed_data

    # --- the socket's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's own class

    def data_received(self, data: bytes) -> None:
        if self.take is not None:
            self._pour(data, self.take)
        elif self.status or not self.awaited:
            self._buffer(data)
        else:
            self._read_head(data)

    def _pour(self, data: bytes, take: Take) -> None:
        try:
            self.feed(data)
        except NOT_HTTP as error:
            self._broken(error)
        pieces, waiter = self.pieces, self.waiter
        if not pieces:
            if not self.awaited or self.error is not None:
                self.wake()
            return
        if waiter is None or waiter.done():  # cancelled a moment ago: what came is for the next reader
            return
        try:
            go_on: bool | BaseException = take(pieces.pop() if len(pieces) == 1 else self.unread())
        except BaseException as error:  # noqa: BLE001  # raised where it is heard: in `pour`
            go_on = error
        if self.waiter is not waiter:  # `take` itself closed the reply
            return
        if go_on is not True:
            self.take = self.waiter = None
            waiter.set_result(go_on)
        elif not self.awaited or self.error is not None:
            self.wake()

    def _buffer(self, data: bytes) -> None:
        """Takes bytes that nobody pours."""
        if not self.awaited:
            self._unasked()
            return
        try:
            self.feed(data)
        except NOT_HTTP as error:
            self._broken(error)
        if self.pieces:
            self.unread_bytes += len(data)
            if self.unread_bytes > HIGH_WATER_BYTES and not self.paused:
                self.paused = True
                self.transport.pause_reading()
        self.wake()

    def eof_received(self) -> bool:
        """Nothing more will come; so nothing more need be sent, either."""
        self._peer_left(None)
        self.transport.abort()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._peer_left(error)
        del self.parser, self.feed  # they refer back to this object

    def _peer_left(self, error: Exception | None) -> None:
        if self.lost:
            return
        self.lost = True
        self.shelf.forget(self)
        if not self.awaited:
            return
        if self.until_close and error is None:
            self.awaited.clear()
            if self.inflate is not None and not self.inflate.eof:
                self._cut_short()
        else:
            where = "in the middle of its reply" if self.status else "before replying"
            self.fail(Failure.RESET, f"the provider closed the connection {where}")
        self.wake()

    # --- the reply's head ---

    def _read_head(self, data: bytes) -> None:
        self.head = head = self.head + data if self.head else data
        try:
            self.feed(data)
        except NOT_HTTP as error:
            self._broken(error)
        pieces = self.pieces
        if pieces and self.keep and pieces[0][0] in PLAIN and len(head) <= MAX_HEAD_BYTES:
            self.wake()  # nearly every reply
        elif self.status:
            self._look_at_head()
            self.wake()
        elif len(head) > MAX_HEAD_BYTES:
            self._head_too_large()
            self.wake()
        elif self.error is not None:
            self.wake()

    def _look_at_head(self) -> None:
        """Takes the head apart where the connection will end with the reply, where it may be too large, or for a coding."""
        head, pieces = self.head, self.pieces
        if not self.keep or len(head) > MAX_HEAD_BYTES:
            self._take_apart(head)
        if pieces[0][0] not in PLAIN if pieces else self.awaited and b"content-encoding" in head.lower():
            self._look_for_coding(head)
        if self.fields is not None:
            self.head = b""  # with it may go a good deal of the body

    def _take_apart(self, head: bytes) -> None:
        fields, size = parsed_head(head)
        if size > MAX_HEAD_BYTES:
            self._head_too_large()
        self.fields = fields
        self.until_close = "content-length" not in fields and "chunked" not in fields.get("transfer-encoding", "").lower()

    def _look_for_coding(self, head: bytes) -> None:
        fields = self.fields = self.fields or parsed_head(head)[0]
        coding = fields.get("content-encoding", "identity").strip().lower()
        if coding in ZIPPED:
            del fields["content-encoding"]
            fields.pop("content-length", None)
            self.inflate = zlib.decompressobj(47)  # gzip or zlib, whichever it is
            self.feed = self._feed_inflated
            self._inflate()
        elif coding not in ("identity", ""):
            self.fail(Failure.MALFORMED, "the provider's reply is in an encoding that nobody asked for")

    def _head_too_large(self) -> None:
        self.fail(Failure.TOO_LARGE, f"the provider's headers are larger than {MAX_HEAD_BYTES} bytes")

    # --- the reply's body ---

    def _feed_inflated(self, data: bytes) -> None:
        before = self.pieces[:]  # inflated, and not yet read
        self.pieces.clear()
        try:
            self.parser.feed_data(data)
        finally:
            self._inflate()
            self.pieces[:0] = before

    def _inflate(self) -> None:
        """Replaces the pieces by what they stand for."""
        inflate = self.inflate
        assert inflate is not None
        packed = b"".join(self.pieces)
        self.pieces.clear()
        try:
            data = inflate.decompress(packed, MAX_INFLATED_BYTES)
        except zlib.error:
            self.fail(Failure.MALFORMED, "the provider's reply is not in the encoding it names")
            return
        if inflate.unconsumed_tail:
            self.fail(Failure.TOO_LARGE, f"a piece of the provider's reply swells to more than {MAX_INFLATED_BYTES} bytes")
        elif data:
            self.pieces.append(data)
        if not self.awaited:
            self.inflate, self.feed = None, self.parser.feed_data
            if not inflate.eof:
                self._cut_short()

    def _cut_short(self) -> None:
        self.fail(Failure.MALFORMED, "the provider's compressed reply is cut short")

    def unread(self) -> bytes:
        """All that is buffered; there must be something. Reading goes on where it was paused."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.unread_bytes = 0
        if self.paused:
            self.paused = False
            if not self.lost:
                self.transport.resume_reading()
        return data

    # --- what goes wrong ---

    def _broken(self, error: Exception) -> None:
        self.keep = False
        if not self.awaited:  # the reply is complete: only what follows it is wrong
            return
        if isinstance(error, httptools.HttpParserUpgrade):
            self.fail(Failure.MALFORMED, "the provider switched protocols unasked")
        else:
            self.fail(Failure.MALFORMED, f"the provider's reply is not HTTP: {error}")

    def _unasked(self) -> None:
        """Bytes outside any reply: the connection is out of step."""
        self.keep = False
        self.shelf.forget(self)
        self.abort()

    def fail(self, failure: Failure, message: str) -> None:
        self.error = self.error or FaultError(Fault(failure, message))
        self.keep = False

    def wake(self) -> None:
        waiter = self.waiter
        if waiter is not None:
            self.waiter = self.take = None
            if not waiter.done():
                waiter.set_result(self.error or True)

    # --- the reader's side ---

    def send(self, head: bytes, body: bytes) -> Waiter:
        """Sends one request; gives what to wait on for the head of its reply."""
        self.awaited += BEGIN_AND_END
        self.fields, self.status, self.unread_bytes = None, 0, 0
        if len(body) <= JOIN_UP_TO_BYTES:
            self.transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
        else:
            self.transport.writelines((b"%b%d\r\n\r\n" % (head, len(body)), body))
        waiter: Waiter = self.loop.create_future()
        self.waiter = waiter
        return waiter

    def wait(self, take: Take | None) -> Waiter:
        """What to wait on for more of the body."""
        waiter: Waiter = self.loop.create_future()
        self.waiter, self.take = waiter, take
        return waiter

    def unwait(self, waiter: Waiter) -> None:
        """The wait was cancelled. By now another may be waiting: it keeps its place."""
        if self.waiter is waiter:
            self.waiter = self.take = None

    def release(self) -> None:
        """The reader is done: back to the shelf, or closed."""
        if self.awaited or self.pieces or self.lost or not self.keep or self.transport.get_write_buffer_size():
            self.abort()
        else:
            self.head = b""
            self.shelf.give_back(self)

    def abort(self) -> None:
        self.lost = True
        self.transport.abort()
        if self.waiter is not None:
            self.fail(Failure.RESET, "the reply was closed")
            self.wake()


class _Events:
    """What the parser calls, looked up by it once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.on_message_begin = self.on_message_complete = connection.awaited.pop
        self.on_body = connection.pieces.append

    def on_headers_complete(self) -> None:
        connection = self._connection
        parser = connection.parser
        status = parser.get_status_code()
        if status < 200:  # an interim reply: another message follows
            connection.awaited += BEGIN_AND_END
            return
        connection.status = status
        connection.keep = parser.should_keep_alive()
