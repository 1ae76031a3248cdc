"""The admin port: metrics, what the endpoints are doing, the latest requests, the config, drain and switches.

Rules. It stays on loopback, or it wants a token: without one, any other address is refused at start. Bound to loopback it
answers only to loopback names in `Host`, so that a web page cannot reach it through a name that it points here; and a
page's own requests are refused by their `Origin`. Everything shown has its secrets masked by whoever provides it.

What can go wrong. A token in `?token=` ends up in shell histories and referrers: it is there for people and browsers; scrapers
send `Authorization: Bearer`.
"""

import asyncio
import contextlib
import hmac
import ipaddress
import logging
from collections.abc import Callable, Mapping
from html import escape
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec
import orjson
from aiohttp import web

from fastroute.server.headers import request_id
from fastroute.server.protocol import ConnectionLimits, Listener
from fastroute.server.refusal import Refused, respond

DEFAULT_LAST = 100
MAX_LAST = 1000
FLUSH_S = 1.0  # at the stop: how long last bytes may take to leave
PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
HEALTH_PATHS = frozenset(("/health", "/healthz", "/health/live"))

log = logging.getLogger("fastroute.server")


class AdminCalls(msgspec.Struct, frozen=True):
    """What stands behind the admin port. Values are JSON-ready; `switch` gives False for an endpoint that does not exist."""

    metrics: Callable[[str | None], tuple[bytes, str]] = lambda accept: (b"", "text/plain")  # Accept -> body, content type
    endpoints: Callable[[], Any] = list
    requests: Callable[[int], Any] = lambda last: []
    request: Callable[[str], Any] = lambda request_id: None  # None: it is not remembered
    config: Callable[[], Any] = dict
    runtime: Callable[[int], Any] = lambda types: {}  # `types`: how many types of objects to count
    drain: Callable[[], None] = lambda: None  # begins a drain; does not wait for it
    switch: Callable[[str, bool], bool] = lambda name, enabled: False


class AdminPort:
    """Serves operators on one socket. Raises ValueError at `start` where it would be open to others without a token."""

    def __init__(self, calls: AdminCalls, token: str | None = None) -> None:
        self._calls, self._token = calls, token or None
        self._loopback = True
        self._listener: Listener | None = None
        self._socket: asyncio.Server | None = None
        self._gets: dict[str, Callable[[web.BaseRequest], web.Response]] = {
            "/": self._index,
            "/metrics": self._metrics,
            "/api/endpoints": lambda request: _json(calls.endpoints()),
            "/api/requests": self._requests,
            "/api/config": lambda request: _json(calls.config()),
            "/api/runtime": self._runtime,
            **dict.fromkeys(HEALTH_PATHS, lambda request: _json({"status": "alive"})),
        }

    async def start(self, host: str, port: int) -> int:
        """Listens; gives the port. Raises ValueError (not loopback, no token), OSError."""
        self._loopback = is_loopback(host)
        if not self._loopback and self._token is None:
            raise ValueError(f"the admin port refuses to listen on {host!r} without a token: anyone there could read and drain")
        self._listener = Listener(self._answer, ConnectionLimits())
        self._socket = await asyncio.get_running_loop().create_server(self._listener, host, port)
        return int(self._socket.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Closes the socket and every connection. Idempotent."""
        if self._socket is not None and self._listener is not None:
            self._socket.close()
            self._listener.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._listener.empty.wait(), FLUSH_S)
            self._listener.abort()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            path = request.rel_url.raw_path
            self._guard(request, path)
            if request.method in ("GET", "HEAD"):
                return self._get(request, path)
            if request.method == "POST":
                return self._post(path)
            raise Refused(405, f"{request.method} is not allowed here", "method_not_allowed", close=True)
        except Refused as refused:
            headers = {"x-request-id": request_id(None), **refused.headers}
            return respond(refused.status, refused.body(), headers, close=refused.close)

    # --- who may ask ---

    def _guard(self, request: web.BaseRequest, path: str) -> None:
        host = request.headers.get("host", "")
        if self._loopback and not is_loopback(_host_name(host)):
            raise Refused(403, "the Host header must name this machine", "host_not_allowed")
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise Refused(403, "requests from other web pages are not allowed", "origin_not_allowed")
        if self._token is not None and path not in HEALTH_PATHS and not self._knows_token(request):
            refused = Refused(401, "a token is needed: Authorization: Bearer ..., or ?token=...", "token_needed")
            refused.headers["www-authenticate"] = "Bearer"
            raise refused

    def _knows_token(self, request: web.BaseRequest) -> bool:
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            sent = request.rel_url.query.get("token", "")
        expected = (self._token or "").encode()
        return hmac.compare_digest(sent.strip().encode("utf-8", "surrogateescape"), expected)

    # --- what they get ---

    def _get(self, request: web.BaseRequest, path: str) -> web.Response:
        answer = self._gets.get(path)
        if path.startswith("/api/requests/"):
            answer = self._request
        if answer is None:
            raise Refused(404, "there is nothing here", "unknown_url")
        return answer(request)

    def _post(self, path: str) -> web.Response:
        if path == "/api/drain":
            self._calls.drain()
            return _json({"status": "draining"}, 202)
        name, _, verb = path.removeprefix("/api/endpoints/").rpartition("/")
        if path.startswith("/api/endpoints/") and name and verb in ("enable", "disable"):
            return self._switch(unquote(name), verb == "enable")
        if path in self._gets:
            raise Refused(405, "only GET is allowed here", "method_not_allowed")
        raise Refused(404, "there is nothing here", "unknown_url")

    def _switch(self, name: str, enabled: bool) -> web.Response:
        if not self._calls.switch(name, enabled):
            raise Refused(404, f"there is no endpoint {name[:128]!r}", "endpoint_not_found")
        log.info("endpoint %s %s by the admin port", name, "enabled" if enabled else "disabled")
        return _json({"endpoint": name, "enabled": enabled})

    def _metrics(self, request: web.BaseRequest) -> web.Response:
        body, content_type = self._calls.metrics(", ".join(request.headers.getall("accept", ())) or None)
        return respond(200, body, {"cache-control": "no-store", "vary": "accept"}, content_type)

    def _requests(self, request: web.BaseRequest) -> web.Response:
        return _json(self._calls.requests(_number(request, "last", 1, DEFAULT_LAST)))

    def _runtime(self, request: web.BaseRequest) -> web.Response:
        return _json(self._calls.runtime(_number(request, "types", 0, 0)))

    def _request(self, request: web.BaseRequest) -> web.Response:
        told = self._calls.request(unquote(request.rel_url.raw_path.removeprefix("/api/requests/")))
        if told is None:
            raise Refused(404, "no such request is remembered", "request_not_found")
        return _json(told)

    def _index(self, request: web.BaseRequest) -> web.Response:
        token = request.rel_url.query.get("token")
        page = index_page(f"?token={quote(token, safe='')}" if token else "")
        return respond(200, page.encode(), PAGE_HEADERS, "text/html; charset=utf-8")


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def index_page(query: str = "") -> str:
    """A page that says what is here, for people who open the port in a browser. `query` goes into its links."""
    rows = "".join(
        f"<tr><td><a href='{path}{escape(query)}'>{path}</a></td><td>{escape(what)}</td></tr>" for path, what in _PAGES.items()
    )
    posts = "".join(f"<tr><td><code>POST {escape(path)}</code></td><td>{escape(what)}</td></tr>" for path, what in _POSTS.items())
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>fastroute</title>"
        "<style>body{font:16px/1.5 system-ui;margin:2rem auto;max-width:44rem;padding:0 1rem;color-scheme:light dark}"
        "td{padding:.2rem 1.5rem .2rem 0;vertical-align:top}</style>"
        f"<h1>fastroute</h1><table>{rows}{posts}</table></html>"
    )


_PAGES: Mapping[str, str] = {
    "/metrics": "Prometheus metrics",
    "/api/endpoints": "every endpoint: predictions, failures, breaker, requests in flight",
    "/api/requests": "the latest requests, with every attempt (?last=100)",
    "/api/config": "the configuration in force, secrets masked",
    "/api/runtime": "tasks and requests of this process (?types=50 counts its objects, and stops it meanwhile)",
    "/health": "whether this process is alive",
}
_POSTS: Mapping[str, str] = {
    "/api/drain": "stop accepting, let requests under way end",
    "/api/endpoints/{name}/disable": "send nothing more to an endpoint",
    "/api/endpoints/{name}/enable": "use it again",
}


def _number(request: web.BaseRequest, name: str, least: int, usual: int) -> int:
    """A member of the query, up to `MAX_LAST`. Raises Refused."""
    text = request.rel_url.query.get(name, str(usual))
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and least <= int(text) <= MAX_LAST):
        raise Refused(400, f"{name} must be a number from {least} to {MAX_LAST}", "invalid_value", name)
    return int(text)


def _host_name(header: str) -> str:
    """The host of a Host header, without its port."""
    return header.partition("]")[0] + "]" if header.startswith("[") else header.partition(":")[0]


def _json(value: Any, status: int = 200) -> web.Response:
    return respond(status, orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS), {"cache-control": "no-store"})
