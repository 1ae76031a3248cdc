"""HTTP/1.1 for the mock provider: requests in, response heads and chunks out. Sans-I/O.

Why by hand: the mock must be able to break every rule of HTTP on the byte, and must be fast enough not to limit a bench.
Requests come from clients under test, so the reader is plain but not lax: a bad request is a `BadRequest`, never a guess.
"""

import msgspec

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024

_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    529: "Overloaded",
}


class BadRequest(Exception):
    """The bytes are no acceptable HTTP request. The connection must close after the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Request(msgspec.Struct, frozen=True):
    """One complete request. Header names are lower case; of a repeated header the last value counts."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool


class _Head(msgspec.Struct):
    """A parsed request head, and how its body is framed."""

    method: str
    target: str
    headers: dict[str, str]
    keep_alive: bool
    length: int  # -1: chunked


class RequestReader:
    """Turns bytes at any cut into requests. `next` is called until it gives None; pipelined requests queue up."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: _Head | None = None
        self._pieces: list[bytes] = []  # of a chunked body
        self._body_bytes = 0
        self.wants_continue = False  # the client waits for `100 Continue`; whoever answers it resets this

    @property
    def pending_bytes(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Request | None:
        """The next complete request, or None while bytes are missing. Raises `BadRequest`."""
        if self._head is None:
            self._head = self._read_head()
            if self._head is None:
                return None
            self.wants_continue = self._head.headers.get("expect", "").lower() == "100-continue"
        body = self._read_chunked() if self._head.length < 0 else self._read_sized(self._head.length)
        if body is None:
            return None
        head, self._head, self.wants_continue = self._head, None, False
        path, _, query = head.target.partition("?")
        return Request(head.method, path, query, head.headers, body, head.keep_alive)

    def _read_head(self) -> _Head | None:
        while self._buffer[:2] == b"\r\n":  # RFC 9112, 2.2: empty lines before a request are skipped
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n")
        if end > MAX_HEAD_BYTES or (end < 0 and len(self._buffer) > MAX_HEAD_BYTES):
            raise BadRequest(431, "request head too large")
        if end < 0:
            return None
        text = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 4]
        return _parsed_head(text)

    def _read_sized(self, length: int) -> bytes | None:
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _read_chunked(self) -> bytes | None:
        while (line_end := self._buffer.find(b"\r\n")) >= 0:
            size = _chunk_size(self._buffer[:line_end])
            self._body_bytes += size
            if self._body_bytes > MAX_BODY_BYTES:
                raise BadRequest(413, "request body too large")
            if size == 0:
                return self._end_chunked(line_end)
            if len(self._buffer) < line_end + 2 + size + 2:
                self._body_bytes -= size  # counted again when the rest is here
                return None
            self._pieces.append(bytes(self._buffer[line_end + 2 : line_end + 2 + size]))
            del self._buffer[: line_end + 2 + size + 2]
        return None

    def _end_chunked(self, line_end: int) -> bytes | None:
        if self._buffer[line_end + 2 : line_end + 4] == b"\r\n":
            end = line_end + 4
        else:  # trailer fields
            end = self._buffer.find(b"\r\n\r\n", line_end) + 4
            if end < 4:
                return None
        del self._buffer[:end]
        body = b"".join(self._pieces)
        self._pieces, self._body_bytes = [], 0
        return body


def head(status: int, headers: tuple[tuple[str, str], ...], keep_alive: bool) -> bytes:
    """A response head, ready to send. The caller gives the framing header."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}", "server: fastroute-mock"]
    lines += [f"{name}: {value}" for name, value in headers]
    if not keep_alive:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(payload: bytes) -> bytes:
    """A payload in chunked framing; an empty one gives no bytes, for an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


def _parsed_head(text: str) -> _Head:
    first, *lines = text.split("\r\n")
    try:
        method, target, version = first.split(" ")
    except ValueError:
        raise BadRequest(400, "bad request line") from None
    if version not in ("HTTP/1.1", "HTTP/1.0") or not target.startswith("/"):
        raise BadRequest(400, "bad request line")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name[-1] in " \t" or name[0] in " \t":
            raise BadRequest(400, "bad header line")
        headers[name.lower()] = value.strip()
    return _Head(method, target, headers, _keeps_alive(version, headers), _body_length(headers))


def _keeps_alive(version: str, headers: dict[str, str]) -> bool:
    connection = headers.get("connection", "").lower()
    return "keep-alive" in connection if version == "HTTP/1.0" else "close" not in connection


def _body_length(headers: dict[str, str]) -> int:
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if coding is not None:
        if length is not None or coding.lower() != "chunked":
            raise BadRequest(400, "bad message framing")
        return -1
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(400, "bad content-length")
    if int(length) > MAX_BODY_BYTES:
        raise BadRequest(413, "request body too large")
    return int(length)


def _chunk_size(line: bytes | bytearray) -> int:
    digits = line.split(b";")[0].strip()
    if not digits or any(c not in b"0123456789abcdefABCDEF" for c in digits) or len(digits) > 8:
        raise BadRequest(400, "bad chunk size")
    return int(digits, 16)
