"""The data port: the client APIs, the models list, one request's Trail, and health.

Rules. Every answer has an `x-request-id` and, where it is an error, the shape its client expects. Nothing unexpected gets out:
`_handle` is the one outer wall, and what hits it becomes a 500 that says nothing. A client that leaves cancels the
router (aiohttp cancels our task).

Theory of operation. `web.Server` below aiohttp's application: our own table of paths, no middleware, no request objects of
ours. A chat request that arrives whole on an idle connection takes the fast lane (`protocol.py`): the same steps, without
aiohttp's request and response. `drain` makes the port unready and closes what is idle; busy connections end with their request.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, cast
from urllib.parse import unquote

import msgspec
import orjson
from aiohttp import HttpVersion11, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from multidict import istr

from fastroute.core.failures import FaultError
from fastroute.core.ports import ClientApi, ClientGone, Clock, ReplyPort
from fastroute.core.trail import Trail
from fastroute.core.types import ChatRequest
from fastroute.server.accepting import Acceptor
from fastroute.server.asked import Asked
from fastroute.server.at_once import at_once, body_of
from fastroute.server.body import BodyLimits, BodyReader
from fastroute.server.headers import failure_headers, request_id, safe_value
from fastroute.server.protocol import Connection, ConnectionLimits, Listener, Taken, speak_http11
from fastroute.server.refusal import Refused, respond
from fastroute.server.reply import Reply

LATER_APIS = frozenset(("/v1/responses", "/v1/embeddings", "/v1/completions", "/v1/rerank"))
LIVE_PATHS = ("/health/live", "/health/liveliness", "/healthz")
READY_PATHS = ("/health/ready", "/health/readiness", "/readyz")
FLUSH_S = 2.0  # at the end of a drain: how long last bytes may take to leave, and cancelled requests to clean up

ID_HEADER = istr("x-request-id")
BROKEN = Refused(500, "internal error", "internal_error")

log = logging.getLogger("fastroute.server")


class Serving(Protocol):
    """The router, as this port needs it: answers through `reply` exactly once, raises only CancelledError and ClientGone."""

    async def serve(self, request: ChatRequest, reply: ReplyPort) -> None: ...


class Views(msgspec.Struct, frozen=True):
    """What the port shows besides answers. `models` gives OpenAI model objects (`id` is enough), `ready` a flag and why.

    `elsewhere` asks other workers for a request that `lookup` does not know; it gives its JSON.
    """

    models: Callable[[], Sequence[Mapping[str, Any]]] = lambda: ()
    lookup: Callable[[str], Trail | None] = lambda request_id: None
    ready: Callable[[], tuple[bool, dict[str, Any]]] = lambda: (True, {})
    elsewhere: Callable[[str], Awaitable[bytes | None]] | None = None


class DataSettings(msgspec.Struct, frozen=True):
    """Limits of the data port; `reuse_port` lets several processes share one port, without `fast_lane` aiohttp serves all."""

    connection: ConnectionLimits = ConnectionLimits()
    body: BodyLimits = BodyLimits()
    backlog: int = 4096  # the kernel may allow less
    reuse_port: bool = False
    fast_lane: bool = True


def log_error(request_id: str, error: BaseException) -> None:
    """Logs what hit the outer wall, with its traceback."""
    log.error("request %s failed unexpectedly", request_id, exc_info=error)


Responder = Callable[[web.BaseRequest, str], Awaitable[web.StreamResponse]]


class DataPort:
    """Serves clients on one socket. `apis` maps paths, such as /v1/chat/completions, to what is spoken there."""

    on_error: Callable[[str, BaseException], None] = staticmethod(log_error)
    api_at: Callable[[str], ClientApi | None] = staticmethod(lambda target: None)  # of paths that name a model

    def __init__(
        self, router: Serving, apis: Mapping[str, ClientApi], views: Views, clock: Clock, settings: DataSettings | None = None
    ) -> None:
        self._router, self._views, self._clock = router, views, clock
        self._settings = settings or DataSettings()
        self._bodies = BodyReader(self._settings.body)
        self._listener: Listener | None = None
        self._socket: asyncio.Server | None = None
        self._acceptor: Acceptor | None = None
        self._none_left = asyncio.Event()
        self._none_left.set()
        self.in_flight = 0
        self.draining = False
        self._apis = {**apis, **{path.removeprefix("/v1"): api for path, api in apis.items()}}
        self._exact = self._table()
        self._below: dict[str, Responder] = {"/v1/models/": self._model, "/models/": self._model, "/v1/requests/": self._request}

    # --- life ---

    async def start(self, host: str, port: int) -> int:
        """Listens; gives the port, which matters where 0 was asked for. Raises OSError."""
        lane = self if self._settings.fast_lane else None
        self._listener = Listener(self._handle, self._settings.connection, lane)
        self._socket = await asyncio.get_running_loop().create_server(
            self._listener,
            host,
            port,
            backlog=self._settings.backlog,
            reuse_port=self._settings.reuse_port or None,
        )
        self._acceptor = Acceptor(self._socket, self._listener)
        self._listener.on_accept = self._acceptor.more
        return int(self._socket.sockets[0].getsockname()[1])

    async def drain(self, timeout_s: float) -> bool:
        """Stops accepting and lets requests under way end, then closes. False: some did not end in time and were cancelled."""
        self.draining = True
        if self._socket is None or self._listener is None:
            return True
        self._socket.close()
        if self._acceptor is not None:
            self._acceptor.close()
        self._listener.close_idle()
        clean = await _within(self._none_left, timeout_s)
        if clean:
            self._listener.close()
            await _within(self._listener.empty, FLUSH_S)
        self._listener.abort()
        await _within(self._none_left, FLUSH_S)
        return clean

    # --- dispatch ---

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The outer wall of what aiohttp serves."""
        rid = request_id(request.headers.get(ID_HEADER))
        self._enter()
        try:
            return await self._route(request)(request, rid)
        except Refused as refused:
            return self._refuse(refused, rid)
        except ClientGone:
            return _dropped(cast(Connection, request.protocol))
        except Exception as error:  # noqa: BLE001 # the outer wall
            self.on_error(rid, error)
            return self._refuse(BROKEN, rid)
        finally:
            self._leave()
            if self.draining:
                request.protocol.close()  # after this answer

    def _enter(self) -> None:
        self.in_flight += 1
        if self.in_flight == 1:
            self._none_left.clear()

    def _leave(self) -> None:
        self.in_flight -= 1
        if self.in_flight == 0:
            self._none_left.set()

    def _route(self, request: web.BaseRequest) -> Responder:
        if request.version != (1, 1) or request.method == "CONNECT":
            _check_protocol(request)
        path = request.rel_url.raw_path
        methods = self._exact.get(path)
        if methods is None and (api := self.api_at(request.rel_url.raw_path_qs)) is not None:
            methods = {"POST": self._chat(api)}
        if methods is None:
            methods = next(({"GET": found} for prefix, found in self._below.items() if path.startswith(prefix)), None)
        if methods is None:
            raise _not_found(path)
        responder = methods.get("GET" if request.method == "HEAD" else request.method)
        if responder is None:
            raise _not_allowed(request.method, methods)
        return responder

    def _table(self) -> dict[str, dict[str, Responder]]:
        gets: dict[str, Responder] = {
            "/": self._hello,
            "/v1/models": self._models,
            "/models": self._models,
            "/health": self._health,
        }
        gets |= dict.fromkeys(LIVE_PATHS, self._live) | dict.fromkeys(READY_PATHS, self._ready)
        table = {path: {"GET": responder} for path, responder in gets.items()}
        table |= {path: {"POST": self._chat(api)} for path, api in self._apis.items()}
        return table

    # --- the client APIs ---

    def _chat(self, api: ClientApi) -> Responder:
        async def serve(request: web.BaseRequest, rid: str) -> web.StreamResponse:
            body = await body_of(self._bodies, request, api)
            connection, http11 = cast(Connection, request.protocol), request.version >= (1, 1)
            reply = Reply(connection, self._clock, self._is_draining, not (http11 and request.keep_alive), http11)
            try:
                return Answered(await self._answer(Asked(api, request.headers), body, reply, rid))
            finally:
                self._bodies.release(len(body))

        return serve

    def answer_at(self, path: str, api: ClientApi, answer: Callable[[bytes], bytes]) -> None:
        """Has POSTs to `path` answered at once, without the router. See `at_once`."""
        serve = at_once(self._bodies, api, answer)
        self._exact |= {path: {"POST": serve}, path.removeprefix("/v1"): {"POST": serve}}

    def take(self, connection: Connection, message: RawRequestMessage, content: StreamReader) -> Taken | None:
        """The fast lane's chat requests: come whole, and nothing special. See `protocol.Lane`."""
        if message.method != "POST" or message.should_close or message.compression is not None or self.draining:
            return None
        api = self._apis.get(message.path)
        if api is None or message.version != HttpVersion11 or message.upgrade or type(content) is not StreamReader:
            return None
        body = self._bodies.take(content) if content.is_eof() else None
        if body is None:
            return None
        return self._taken(connection, Asked(api, message.headers, message.headers.get(ID_HEADER)), body)

    def retake(self, connection: Connection, facts: Asked, body: bytes) -> Taken | None:
        """See `protocol.Lane`."""
        return self._taken(connection, facts, body) if not self.draining and self._bodies.hold(len(body)) else None

    def _taken(self, connection: Connection, asked: Asked, body: bytes) -> Taken:
        self._enter()
        reply = Reply(connection, self._clock, self._is_draining)
        return Taken(self._answer(asked, body, reply, request_id(asked.sent_id)), len(body), asked)

    def left(self, held_bytes: int) -> None:
        """See `protocol.Lane`."""
        self._bodies.release(held_bytes)
        self._leave()

    async def _answer(self, asked: Asked, body: bytes, reply: Reply, rid: str) -> bool:
        """Answers one chat request, whatever happens: an outer wall. Whether its connection may serve another one."""
        api = asked.api
        try:
            chat = api.decode(body, rid, self._clock.now_s())
            chat.overrides = asked.overrides()
            await self._router.serve(chat, reply)
            if not reply.begun:
                raise RuntimeError("the router gave no answer")
        except FaultError as error:  # the request's own; the router raises none
            status = error.fault.rule.status
            reply.refuse(status, rid, api.error(error.fault, status), failure_headers(status, error.fault))
        except ClientGone:
            reply.drop()
        except Exception as error:  # noqa: BLE001 # the outer wall
            self.on_error(rid, error)
            self._break(reply, rid)
        return reply.keeps_connection

    def _is_draining(self) -> bool:
        return self.draining

    def _break(self, reply: Reply, rid: str) -> None:
        """Something unexpected: a 500 where nothing has been said yet, else an abrupt end."""
        if reply.has_sent:
            reply.drop()
        else:
            reply.refuse(500, rid, BROKEN.body(), failure_headers(500, None))

    # --- what is shown ---

    async def _hello(self, request: web.BaseRequest, rid: str) -> web.StreamResponse:
        paths = [path for path, methods in self._exact.items() if path.startswith("/v1/") and methods]
        return self._json(
            200, {"service": "fastroute", "openai_base_url": "/v1", "paths": sorted(paths), "health": "/health"}, rid
        )

    async def _models(self, request: web.BaseRequest, rid: str) -> web.StreamResponse:
        return self._json(200, {"object": "list", "data": [_model(m) for m in self._views.models()]}, rid)

    async def _model(self, request: web.BaseRequest, rid: str) -> web.StreamResponse:
        name = _below(request, "/models/")
        for model in self._views.models():
            if model["id"] == name:
                return self._json(200, _model(model), rid)
        raise Refused(404, f"the model {name[:128]!r} does not exist", "model_not_found", "model")

    async def _request(self, request: web.BaseRequest, rid: str) -> web.StreamResponse:
        name, elsewhere = _below(request, "/requests/"), self._views.elsewhere
        trail = self._views.lookup(name)
        if trail is not None:
            return self._json(200, trail.to_dict(), rid)
        told = await elsewhere(name) if elsewhere else None
        if told is None:
            raise Refused(404, "no such request is remembered", "request_not_found")
        return self._respond(200, told, rid, {"cache-control": "no-store"})

    async def _live(self, request: web.BaseRequest, rid: str) -> web.StreamResponse:
        return self._json(200, {"status": "alive"}, rid)

    async def _ready(self, request: web.BaseRequest, rid: str) -> web.StreamResponse:
        state = self._state()
        return self._json(200 if state["ready"] else 503, state, rid)

    async def _health(self, request: web.BaseRequest, rid: str) -> web.StreamResponse:
        return self._json(200, {**self._state(), "in_flight": self.in_flight - 1}, rid)  # but this one

    def _state(self) -> dict[str, Any]:
        ready, detail = self._views.ready()
        status = "draining" if self.draining else "ready" if ready else "not ready"
        return {"status": status, "ready": ready and not self.draining, **detail}

    # --- answers ---

    def _json(self, status: int, value: Any, rid: str) -> web.Response:
        return self._respond(status, orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS), rid, {"cache-control": "no-store"})

    def _respond(self, status: int, body: bytes, rid: str, headers: Mapping[str, str], close: bool = False) -> web.Response:
        return respond(status, body, {"x-request-id": rid, **headers}, close=close or self.draining)

    def _refuse(self, refused: Refused, rid: str) -> web.Response:
        headers = refused.headers | failure_headers(refused.status, None)
        return self._respond(refused.status, refused.body(), rid, headers, close=refused.close)


class Answered(web.StreamResponse):
    """What aiohttp is given for a request that `Reply` has answered on the socket."""

    def __init__(self, keep_alive: bool) -> None:
        super().__init__()
        self._keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing is left to send."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to send."""


def _dropped(connection: Connection) -> web.StreamResponse:
    """Ends the connection at once. aiohttp wants a response; it cannot be sent any more."""
    if connection.transport is not None:
        connection.transport.abort()
    return Answered(False)


async def _within(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return False
    return True


def _check_protocol(request: web.BaseRequest) -> None:
    """Refuses what aiohttp's parser lets through and nothing here understands."""
    if request.method == "CONNECT":
        raise Refused(405, "this is no proxy", "method_not_allowed", close=True)
    if request.version > (1, 1):
        speak_http11(request)
        raise Refused(400, "only HTTP/1.1 and HTTP/1.0 are spoken here", "http_version", close=True)
    if "transfer-encoding" in request.headers:  # RFC 9112, 6.1: the framing of such a message is not to be trusted
        raise Refused(400, "HTTP/1.0 knows no chunks", "malformed_request", close=True)


def _below(request: web.BaseRequest, mark: str) -> str:
    """What follows `mark` in the path, percent-decoded."""
    return unquote(request.rel_url.raw_path.partition(mark)[2], errors="replace")


def _model(model: Mapping[str, Any]) -> dict[str, Any]:
    return {"object": "model", "created": 0, "owned_by": "fastroute", **model}


def _not_found(path: str) -> Refused:
    shown = safe_value(path, 128)
    if path in LATER_APIS or "/v1" + path in LATER_APIS:
        return Refused(404, f"{shown} is not served by this version", "not_served")
    return Refused(404, f"there is nothing at {shown}", "unknown_url")


def _not_allowed(method: str, methods: Mapping[str, Responder]) -> Refused:
    allowed = sorted(methods) + (["HEAD"] if "GET" in methods else [])
    refused = Refused(405, f"{method} is not allowed here, only {', '.join(allowed)}", "method_not_allowed")
    refused.headers["allow"] = ", ".join(allowed)
    return refused
