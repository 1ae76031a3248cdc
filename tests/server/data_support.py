"""Fakes for the server tests: a router that does what a test says, a client API, a clock, and a raw HTTP client."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.money import Pusd
from fastroute.core.ports import ReplyPort
from fastroute.core.trail import Attempt, Trail
from fastroute.core.types import ChatRequest, Outcome, Role
from fastroute.server.data import DataPort, DataSettings, Views

CHAT = "/v1/chat/completions"
FAST_LANE = True  # set by the `lane` fixture
BODY = b'{"model":"auto","messages":[]}'

Script = Callable[[ChatRequest, ReplyPort], Awaitable[None]]


class FakeClock:
    def __init__(self, now_s: float = 100.0) -> None:
        self.now = now_s

    def now_s(self) -> float:
        return self.now

    def wall_s(self) -> float:
        return 1_700_000_000.0


class FakeApi:
    """Reads `model` and `stream`; errors in OpenAI's shape."""

    name = "openai_chat"

    def decode(self, body: bytes, request_id: str, accepted_s: float) -> ChatRequest:
        try:
            value = json.loads(body)
        except ValueError:
            raise FaultError(Fault(Failure.BAD_REQUEST, "the body is not JSON", code="invalid_json")) from None
        return ChatRequest(
            request_id, self.name, value["model"], {}, accepted_s, input_bytes=len(body), stream=value.get("stream", False)
        )

    def error(self, fault: Fault, status: int) -> bytes:
        error = {"message": fault.message, "type": fault.rule.type, "param": fault.param, "code": fault.code}
        return json.dumps({"error": error}).encode()


async def answer(request: ChatRequest, reply: ReplyPort) -> None:
    await reply.whole(trail_for(request), 200, b'{"ok":true}')


class FakeRouter:
    """Runs a script per request and remembers what it was asked."""

    def __init__(self, script: Script = answer) -> None:
        self.script = script
        self.requests: list[ChatRequest] = []
        self.asked, self.cancelled = asyncio.Event(), asyncio.Event()
        self.ended: list[BaseException | None] = []

    async def serve(self, request: ChatRequest, reply: ReplyPort) -> None:
        self.requests.append(request)
        self.asked.set()
        try:
            await self.script(request, reply)
        except BaseException as error:
            self.ended.append(error)
            if isinstance(error, asyncio.CancelledError):
                self.cancelled.set()
            raise
        self.ended.append(None)


def trail_for(request: ChatRequest, **changes: Any) -> Trail:
    """A Trail of one good attempt."""
    started_s = request.accepted_s + 0.002
    attempt = Attempt("flash", "gemini", "gemini-1.5-flash", 0, Role.PRIMARY, started_s, ended_s=started_s + 0.25)
    attempt.outcome, attempt.cost_pusd = Outcome(status=200), Pusd(1_500_000)
    fields: dict[str, Any] = {
        "route": "auto",
        "attempts": [attempt],
        "winner": attempt,
        "decide_s": 0.0005,
        "upstream_s": 0.25,
        "status": 200,
    }
    return Trail(request, started_wall_s=1_700_000_000.0, **{**fields, **changes})


@contextlib.asynccontextmanager
async def serving(
    router: FakeRouter, views: Views | None = None, settings: DataSettings | None = None, clock: Any = None
) -> AsyncIterator["Client"]:
    """A data port on a free loopback port, and a raw client for it."""
    chosen = msgspec.structs.replace(settings or DataSettings(), fast_lane=FAST_LANE)
    port = DataPort(router, {CHAT: FakeApi()}, views or Views(), clock or FakeClock(), chosen)
    errors: list[BaseException] = []
    port.on_error = lambda rid, error: errors.append(error)  # type: ignore[method-assign]
    number = await port.start("127.0.0.1", 0)
    client = Client(number, port, errors)
    try:
        yield client
    finally:
        await client.aclose()
        await port.drain(0.5)


class Response:
    def __init__(self, status: int, headers: dict[str, str], body: bytes, whole: bool) -> None:
        self.status, self.headers, self.body, self.whole = status, headers, body, whole

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        value = self.json()
        assert set(value) == {"error"}
        assert set(value["error"]) == {"message", "type", "param", "code"}
        return dict(value["error"])


class Wire:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def response(self, head: bool = False) -> Response:
        """Reads one response. `whole` is False where the body was cut."""
        lines = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:-2])}
        status = int(lines[0].split()[1])
        body, whole = b"", True
        if not head and status >= 200:
            body, whole = await asyncio.wait_for(self._body(headers), 5)
        return Response(status, headers, body, whole)

    async def _body(self, headers: dict[str, str]) -> tuple[bytes, bool]:
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"])), True
        if headers.get("transfer-encoding") != "chunked":
            return await self.reader.read(), True
        pieces: list[bytes] = []
        while True:
            try:
                size = int(await self.reader.readuntil(b"\r\n"), 16)
                pieces.append(await self.reader.readexactly(size))
                await self.reader.readexactly(2)
            except asyncio.IncompleteReadError:
                return b"".join(pieces), False
            if size == 0:
                return b"".join(pieces), True

    async def eof(self, within_s: float = 5) -> bytes:
        """Waits for the server to close; gives what came before."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), within_s)
        return b""

    async def aclose(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class Client:
    def __init__(self, number: int, port: Any, errors: list[BaseException]) -> None:
        self.number, self.port, self.errors = number, port, errors
        self.wires: list[Wire] = []

    async def wire(self) -> Wire:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.number))
        self.wires.append(wire)
        return wire

    async def get(self, path: str, headers: str = "", method: str = "GET") -> Response:
        wire = await self.wire()
        await wire.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        return await wire.response(head=method == "HEAD")

    async def post(self, body: bytes = BODY, headers: str = "", path: str = CHAT) -> Response:
        wire = await self.wire()
        await wire.send(chat_bytes(body, headers, path))
        return await wire.response()

    async def aclose(self) -> None:
        for wire in self.wires:
            await wire.aclose()


def chat_bytes(body: bytes = BODY, headers: str = "", path: str = CHAT) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body
