"""Heads of HTTP/1.1 messages: those of requests are rendered, those of replies taken apart."""

import contextlib
import re
from urllib.parse import SplitResult, urlsplit

import httptools

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.types import UpstreamRequest

USER_AGENT = "fastroute"
FRAMING = frozenset(("content-length", "transfer-encoding", "expect"))  # ours to say: a body goes out at once, with its length
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_IN_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_BAD_IN_TARGET = re.compile(r"[^\x21-\x7e]")


def split_url(url: str) -> tuple[SplitResult, int]:
    """A URL and its port. Raises `FaultError` (CONNECT), in words without the URL, where nothing can be reached by it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise FaultError(Fault(Failure.CONNECT, "the provider's URL is invalid")) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or _BAD_IN_TARGET.search(url):
        raise FaultError(Fault(Failure.CONNECT, "the provider's URL is not an http or https URL"))
    return parts, port or (443 if parts.scheme == "https" else 80)


def request_head(request: UpstreamRequest, url: SplitResult) -> bytes:
    """The head up to the value of content-length, which comes last.

    Raises `FaultError` (UNSUPPORTED) where a header would break it: a client's tag may have gone into one.
    """
    given = {name.lower() for name, _ in request.headers}
    own = (("host", url.netloc.rpartition("@")[2]), ("accept-encoding", "identity"), ("user-agent", USER_AGENT))
    headers = [*(h for h in own if h[0] not in given), *(h for h in request.headers if h[0].lower() not in FRAMING)]
    if not _TOKEN.fullmatch(request.method) or any(
        not _TOKEN.fullmatch(name) or _BAD_IN_VALUE.search(value) for name, value in headers
    ):
        raise FaultError(Fault(Failure.UNSUPPORTED, "a header for the provider contains a line break or what no header may hold"))
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "content-length: "]
    return "\r\n".join(lines).encode("latin-1")


def parsed_head(data: bytes) -> tuple[dict[str, str], int]:
    """The headers of the final reply in `data`, by lower-case name, and the bytes in all its names and values.

    `data` may hold interim replies before it and anything after it; it has been through a parser before.
    """
    collector = _Collector()
    with contextlib.suppress(httptools.HttpParserError):  # in the body; the head was complete
        collector.parser.feed_data(data)
    del collector.parser  # it refers back to the collector
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in collector.raw}, collector.size_bytes


class _Collector:
    """Gathers the headers of the first message that is not an interim one; its trailers are left out."""

    def __init__(self) -> None:
        self.raw: list[tuple[bytes, bytes]] = []
        self.size_bytes = 0
        self._done = False
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._done:
            self.raw.append((name, value))
            self.size_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        if self.parser.get_status_code() < 200:
            self.raw = []
        else:
            self._done = True
