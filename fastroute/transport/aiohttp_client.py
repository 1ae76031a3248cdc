"""The upstream client over aiohttp: proxies, odd TLS, and whatever the lean client does not do.

Rules. One try per `open`, but for a stale connection. No time limits, no redirects, no cookies, no credentials from files:
the engine owns time, the endpoint owns its headers. A fault's text names host and port, never a URL (keys travel in queries)
and never a header. Whoever cancels `open` or `read` may rely on the socket being closed by then, with unsent bytes dropped.

Theory of operation. One `ClientSession`; its connections are `_Wire`s, which know whether they have served before and
whether anything was heard since the last request went out. A provider may close a kept connection at the very moment we
send on it: then the request was never looked at. So when a connection that has served before fails within `STALE_S` of
the send and not one byte came back, the request is sent once more, on a new connection. The risk that is left: a provider
that took the request, began to work and died within that second without a word may be asked twice. The engine's own
failover takes the same risk, as the failure looks the same from here.

What can go wrong. aiohttp warns of bodies over 1 MiB given as bytes, and writes them in one piece: hence `_Body`.
A request that goes out while the reply comes back early and the provider hangs up is a RESET or the early reply,
whichever the kernel shows first. This file leans on private names of aiohttp 3.14: `connector._factory`.
"""

import errno
import functools
import os
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import msgspec
from aiohttp import hdrs
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import ContentEncodingError, LineTooLong
from aiohttp.payload import Payload
from yarl import URL

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.ports import UpstreamReply
from fastroute.core.types import UpstreamRequest

STALE_S = 1.0
SLICE_BYTES = 256 << 10
DECODED = frozenset(("gzip", "deflate"))


class TransportSettings(msgspec.Struct, frozen=True):
    """How providers are reached. Sizes bound the head of a reply; its body is bounded by the engine."""

    keep_alive_s: float = 30.0
    max_connections: int = 0  # 0: no limit; admission is the engine's business
    max_line_bytes: int = 8190
    max_field_bytes: int = 64 << 10
    max_headers: int = 200
    read_buffer_bytes: int = 64 << 10  # per connection; twice this stops reading from the provider
    proxy: str | None = None  # for every request; may hold a password
    server_name: str | None = None  # for SNI and verification; None: the URL's host
    trust_env: bool = False  # HTTP_PROXY, HTTPS_PROXY, NO_PROXY; without effect beside `proxy`
    user_agent: str = "fastroute"


class AiohttpTransport:
    """A `core.ports.Transport`. Makes its session at the first `open`, on that event loop; `aclose` ends it."""

    def __init__(self, settings: TransportSettings | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._settings = settings or TransportSettings()
        self._tls = tls
        self._pooled: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._urls: dict[str, tuple[URL, str | None]] = {}

    async def open(self, request: UpstreamRequest) -> UpstreamReply:
        """Sends and waits for the head of the reply. Raises `FaultError` (CONNECT, RESET, MALFORMED, TOO_LARGE)."""
        body = _Body(request.body)
        try:
            return await self._send(self._session(), request, body)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if not body.went_stale():
                raise _fault(error, request.url) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _fault(error, request.url) from None
        try:
            return await self._send(self._fresh_session(), request, _Body(request.body))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _fault(error, request.url) from None

    async def aclose(self) -> None:
        """Closes every connection. Idempotent; a later `open` starts anew."""
        sessions, self._pooled, self._fresh = (self._pooled, self._fresh), None, None
        for session in sessions:
            if session is not None:
                await session.close()

    async def _send(self, session: aiohttp.ClientSession, request: UpstreamRequest, body: "_Body") -> UpstreamReply:
        url, proxy = self._place(request.url)
        response = await session.request(
            request.method,
            url,
            headers=request.headers,
            data=body if request.body else None,
            proxy=proxy,
            server_hostname=self._settings.server_name,
            allow_redirects=False,
        )
        if response.status == 101:
            response.close()
            raise FaultError(Fault(Failure.MALFORMED, "the provider switched protocols unasked", status=101))
        return _Reply(response)

    def _place(self, text: str) -> tuple[URL, str | None]:
        """The parsed URL and its proxy; both stay the same for as long as the process lives."""
        place = self._urls.get(text)
        if place is None:
            url = URL(text, encoded=True)
            place = (url, self._settings.proxy or (_env_proxy(url) if self._settings.trust_env else None))
            if len(self._urls) < 4096:
                self._urls[text] = place
        return place

    def _session(self) -> aiohttp.ClientSession:
        if self._pooled is None:
            self._pooled = self._make(force_close=False)
        return self._pooled

    def _fresh_session(self) -> aiohttp.ClientSession:
        """For a second try: nothing is taken from a pool that may be stale throughout."""
        if self._fresh is None:
            self._fresh = self._make(force_close=True)
        return self._fresh

    def _make(self, force_close: bool) -> aiohttp.ClientSession:
        settings = self._settings
        return aiohttp.ClientSession(
            connector=_Connector(
                resolver=aiohttp.ThreadedResolver(),  # never c-ares, even where it is installed
                limit=settings.max_connections,
                ssl=self._tls or True,
                **({"force_close": True} if force_close else {"keepalive_timeout": settings.keep_alive_s}),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            headers={hdrs.ACCEPT_ENCODING: "identity", hdrs.USER_AGENT: settings.user_agent},
            skip_auto_headers=(hdrs.ACCEPT, hdrs.CONTENT_TYPE),
            auto_decompress=True,  # for the provider that compresses unasked
            trust_env=False,  # aiohttp would read .netrc, too, and look up proxies for every request
            read_bufsize=settings.read_buffer_bytes,
            max_line_size=settings.max_line_bytes,
            max_field_size=settings.max_field_bytes,
            max_headers=settings.max_headers,
        )


class _Connector(aiohttp.TCPConnector):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = functools.partial(_Wire, loop=self._loop)  # type: ignore[assignment]  # ResponseHandler there


class _Wire(ResponseHandler):
    """One connection to a provider."""

    served = False  # has carried a request before the present one
    heard = False  # any byte since the present one was sent

    def data_received(self, data: bytes) -> None:
        self.heard = True
        super().data_received(data)

    def close(self) -> None:
        """At once: a provider that does not read must not keep a cancelled request's socket open."""
        self.abort()


class _Body(Payload):
    """A request body that can be sent again, and that remembers which wire it went out on."""

    _value: bytes
    _autoclose = True

    def __init__(self, value: bytes) -> None:
        super().__init__(value, content_type="application/json")
        self._size = len(value)
        self._wire: _Wire | None = None
        self._reused = False
        self._sent_s = 0.0

    def went_stale(self) -> bool:
        """Whether a failed send was to a connection that had been closed meanwhile: see the theory of operation."""
        if self._wire is None:  # nothing was sent at all
            return self._size is not None and self._size > 0
        return self._reused and not self._wire.heard and time.monotonic() - self._sent_s < STALE_S

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        self._note(getattr(writer, "protocol", None))
        if len(self._value) <= SLICE_BYTES:
            await writer.write(self._value)
            return
        view = memoryview(self._value)
        for start in range(0, len(view), SLICE_BYTES):
            await writer.write(view[start : start + SLICE_BYTES])

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        await self.write(writer)

    def _note(self, wire: object) -> None:
        if isinstance(wire, _Wire):
            self._wire, self._reused, self._sent_s = wire, wire.served, time.monotonic()
            wire.served, wire.heard = True, False


class _Reply:
    """A `core.ports.UpstreamReply`."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._content = response.content
        self.status = response.status
        self.headers: Mapping[str, str] = _lowered(response)

    async def read(self) -> bytes:
        try:
            return await self._piece()
        except BaseException:
            self.close()
            raise

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """A loop of reads: here a task does wake for every piece. Cancelling it closes nothing."""
        while data := await self._piece():
            if not take(data):
                return False
        return True

    async def _piece(self) -> bytes:
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, OSError) as error:
            self.close()
            raise _fault(error, str(self._response.url)) from None

    def close(self) -> None:
        """aiohttp gives the connection back by itself when it has parsed the end of the body."""
        if not self._response.closed:
            self._response.close()


def _lowered(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Names in lower case, values as clean text; what no longer holds of a decoded body is left out."""
    headers = {name.lower(): _clean(value) for name, value in response.headers.items()}
    if headers.get("content-encoding", "").lower() in DECODED:
        del headers["content-encoding"]
        headers.pop("content-length", None)
    return headers


def _clean(value: str) -> str:
    return value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _env_proxy(url: URL) -> str | None:
    proxy = urllib.request.getproxies().get(url.scheme)
    return None if proxy is None or urllib.request.proxy_bypass(url.host or "") else proxy


def _fault(error: Exception, url: str) -> FaultError:
    failure, message = _classify(error, _place_name(url))
    return FaultError(Fault(failure, message))


_WORDS: tuple[tuple[type[Exception], Failure, str], ...] = (  # the first that fits
    (aiohttp.ClientConnectorDNSError, Failure.CONNECT, "cannot resolve {}"),
    (aiohttp.ClientProxyConnectionError, Failure.CONNECT, "the proxy for {} cannot be reached"),
    (aiohttp.ClientHttpProxyError, Failure.CONNECT, "the proxy for {} refused"),
    (aiohttp.ClientConnectorCertificateError, Failure.CONNECT, "the certificate of {} is not trusted"),
    (aiohttp.ClientSSLError, Failure.CONNECT, "TLS with {} failed"),
    (ssl.SSLError, Failure.CONNECT, "TLS with {} failed"),
    (aiohttp.ServerDisconnectedError, Failure.RESET, "{} closed the connection without a reply"),
    (aiohttp.InvalidURL, Failure.CONNECT, "the URL of {} is invalid"),
    (aiohttp.NonHttpUrlClientError, Failure.CONNECT, "the URL of {} is not http or https"),
    (ValueError, Failure.CONNECT, "the request for {} cannot be sent: its URL or a header is invalid"),
)


def _classify(error: Exception, place: str) -> tuple[Failure, str]:
    """aiohttp's exceptions in our terms, in words that hold no secret."""
    for kind, failure, text in _WORDS:
        if isinstance(error, kind):
            return failure, text.format(place)
    match error:
        case aiohttp.ClientConnectorError():
            return Failure.CONNECT, _unconnected(error, place)
        case aiohttp.ClientPayloadError(__cause__=ContentEncodingError()):
            return Failure.MALFORMED, f"the reply of {place} cannot be decompressed"
        case aiohttp.ClientPayloadError():
            return Failure.RESET, f"{place} closed the connection before its reply was complete"
        case aiohttp.ClientResponseError():
            return _unreadable(error, place)
    return Failure.RESET, f"the connection to {place} was lost"


def _unconnected(error: aiohttp.ClientConnectorError, place: str) -> str:
    number = error.os_error.errno
    if number == errno.ECONNREFUSED:
        return f"connection refused by {place}"
    return f"cannot connect to {place}: {os.strerror(number).lower() if number and number > 0 else 'the connection failed'}"


def _unreadable(error: aiohttp.ClientResponseError, place: str) -> tuple[Failure, str]:
    cause = error.__cause__
    if isinstance(cause and cause.__cause__, LineTooLong) or "Too many headers" in error.message:
        return Failure.TOO_LARGE, f"the head of the reply of {place} is too large"
    return Failure.MALFORMED, f"the reply of {place} is not HTTP"


def _place_name(url: str) -> str:
    """host:port of a URL, and nothing else of it."""
    try:
        parsed = URL(url)
        return f"{parsed.host or 'nowhere'}:{parsed.port}"
    except ValueError:
        return "an invalid URL"
