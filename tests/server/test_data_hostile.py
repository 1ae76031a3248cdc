"""Raw bytes that no honest client sends: refused or closed, in OpenAI's error shape, never a second request out of one."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from data_support import BODY, Client, FakeRouter, Response, Wire, serving, trail_for

from fastroute.core.ports import ClientGone, ReplyPort
from fastroute.core.types import ChatRequest
from fastroute.server.body import BodyLimits
from fastroute.server.data import DataSettings
from fastroute.server.protocol import ConnectionLimits

QUICK = DataSettings(
    ConnectionLimits(head_timeout_s=0.25, idle_timeout_s=0.35, send_timeout_s=0.25, linger_s=0.1),
    BodyLimits(max_bytes=1 << 20, total_timeout_s=0.5, stall_timeout_s=0.25),
)

P = b"POST /v1/chat/completions HTTP/1.1\r\n"
H = b"Host: x\r\n"
CL = b"Content-Length: %d\r\n" % len(BODY)
TE = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"0\r\n\r\n" + P + H + CL + b"\r\n" + BODY
CHUNKS = b"%x\r\n%s\r\n0\r\n" % (len(BODY), BODY)

# Each is answered with one 4xx in OpenAI's shape, on a connection that then closes; the router never hears of it.
REFUSED = {
    "length and chunks": P + H + CL + TE + b"\r\n" + SMUGGLED,
    "chunks and length": P + H + TE + CL + b"\r\n" + SMUGGLED,
    "unknown transfer encoding": P + H + b"Transfer-Encoding: xchunked\r\n\r\n" + SMUGGLED,
    "chunked is not last": P + H + b"Transfer-Encoding: chunked, identity\r\n\r\n" + SMUGGLED,
    "two transfer encodings": P + H + TE + TE + b"\r\n" + SMUGGLED,
    "space before the colon": P + H + b"Transfer-Encoding : chunked\r\n\r\n" + SMUGGLED,
    "two equal lengths": P + H + CL + CL + b"\r\n" + BODY,
    "two lengths": P + H + CL + b"Content-Length: 3\r\n\r\n" + BODY,
    "list of lengths": P + H + b"Content-Length: 30, 30\r\n\r\n" + BODY,
    "signed length": P + H + b"Content-Length: +30\r\n\r\n" + BODY,
    "negative length": P + H + b"Content-Length: -1\r\n\r\n" + BODY,
    "hex length": P + H + b"Content-Length: 0x1e\r\n\r\n" + BODY,
    "overflowing length": P + H + b"Content-Length: 99999999999999999999999999\r\n\r\n" + BODY,
    "bare LF": P.replace(b"\r", b"") + b"Host: x\nContent-Length: 30\n\n" + BODY,
    "bare LF in a header": P + b"Host: x\nX: y\r\n" + CL + b"\r\n" + BODY,
    "bare CR in a header": P + b"Host: x\rX: y\r\n" + CL + b"\r\n" + BODY,
    "folded header": P + H + b"X-A: b\r\n c\r\n" + CL + b"\r\n" + BODY,
    "two hosts": P + H + b"Host: y\r\n" + CL + b"\r\n" + BODY,
    "no host": P + CL + b"\r\n" + BODY,
    "NUL in a value": P + H + b"X-A: a\x00b\r\n" + CL + b"\r\n" + BODY,
    "NUL in a name": P + H + b"X\x00A: ab\r\n" + CL + b"\r\n" + BODY,
    "control character": P + H + b"X-A: a\x01b\r\n" + CL + b"\r\n" + BODY,
    "header without a colon": P + H + b"XA\r\n" + CL + b"\r\n" + BODY,
    "header without a name": P + H + b": a\r\n" + CL + b"\r\n" + BODY,
    "overflowing chunk": P + H + TE + b"\r\nfffffffffffffffffff\r\n" + BODY,
    "negative chunk": P + H + TE + b"\r\n-1\r\nabc\r\n0\r\n\r\n",
    "chunk size is no number": P + H + TE + b"\r\nzz\r\nabc\r\n0\r\n\r\n",
    "chunk longer than it says": P + H + TE + b"\r\n3\r\nabcdef\r\n0\r\n\r\n",
    "chunks with bare LF": P + H + TE + b"\r\n3\nabc\n0\n\n",
    "endless trailers": P + H + TE + b"\r\n" + CHUNKS + b"X: y\r\n" * 5000 + b"\r\n",
    "unknown version": b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/2 version": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "HTTP/1.0 with chunks": P.replace(b"1.1", b"1.0")
    + b"Connection: keep-alive\r\n"
    + TE
    + b"\r\n"
    + CHUNKS
    + b"\r\n"
    + P
    + H
    + b"\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 50,
    "garbage": b"\x00\x01\x02\x03\r\n\r\n",
    "unknown method": b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n" + P + H + CL + b"\r\n" + BODY,
    "10,000 headers": P + H + b"X: y\r\n" * 10_000 + CL + b"\r\n" + BODY,
    "huge header": P + H + b"X: " + b"y" * 100_000 + b"\r\n" + CL + b"\r\n" + BODY,
    "huge path": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "path with raw bytes": b"GET /v1/models/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "impossible target": b"GET http://[::bad/v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
    "gzip that is none": P + H + CL + b"Content-Encoding: gzip\r\n\r\n" + BODY,
    "length beyond the limit": P + H + b"Content-Length: 99999999999\r\n\r\n" + BODY,
    "expects the impossible": P + H + CL + b"Expect: wombat\r\n\r\n",
}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    router = FakeRouter()
    async with serving(router, settings=QUICK) as made:
        made.router = router  # type: ignore[attr-defined]
        yield made
        assert made.errors == []


async def conversation(client: Client, data: bytes) -> tuple[Response, bytes]:
    wire = await client.wire()
    await wire.send(data)
    response = await wire.response()
    return response, await wire.eof(3)


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
async def test_refused_once_and_closed(client: Client, data: bytes) -> None:
    response, rest = await conversation(client, data)
    assert 400 <= response.status < 500
    assert response.error["type"] == "invalid_request_error"
    assert response.error["message"]
    assert response.headers["content-type"] == "application/json"
    assert response.headers.get("connection", "close") == "close"
    assert len(response.headers["x-request-id"]) == 32
    assert rest == b""
    assert client.router.requests == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
async def test_nothing_of_the_request_is_told_back(client: Client, data: bytes) -> None:
    secret = b"sk-secret-in-the-head"
    response, _ = await conversation(client, data.replace(H, H + b"Authorization: Bearer " + secret + b"\r\n", 1))
    assert secret not in response.body
    assert b"Traceback" not in response.body
    assert b"aiohttp" not in response.body


@pytest.mark.parametrize(("case", "status"), [("10,000 headers", 431), ("huge header", 431), ("length beyond the limit", 413)])
async def test_too_much_has_its_own_status(client: Client, case: str, status: int) -> None:
    assert (await conversation(client, REFUSED[case]))[0].status == status


async def test_port_goes_on_after_all_of_them(client: Client) -> None:
    for data in REFUSED.values():
        wire = await client.wire()
        wire.writer.write(data)
    assert (await client.post()).status == 200


# --- odd, but right ---


@pytest.mark.parametrize(
    "data",
    [
        P + H + TE + b"\r\n" + CHUNKS + b"\r\n",
        P + H + TE + b"\r\n" + CHUNKS + b"X-Sum: 1\r\n\r\n",
        P + H + TE + b"\r\n" + CHUNKS.replace(b"\r\n{", b";name=value\r\n{") + b"\r\n",
        b"POST http://elsewhere/v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + CL + b"\r\n" + BODY,
        b"\r\n\r\n" + P + H + CL + b"\r\n" + BODY,
        P + H + CL + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n\r\n" + BODY,
        P + H + CL + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + BODY,
    ],
    ids=["chunks", "trailers", "chunk extension", "absolute target", "leading line breaks", "h2c upgrade", "websocket upgrade"],
)
async def test_odd_but_right_requests_are_served_once(client: Client, data: bytes) -> None:
    response, rest = await conversation(client, data)
    assert response.status == 200
    assert rest == b""
    assert len(client.router.requests) == 1  # type: ignore[attr-defined]


async def test_http10_is_served_and_closed(client: Client) -> None:
    response, rest = await conversation(client, b"POST /v1/chat/completions HTTP/1.0\r\n" + CL + b"\r\n" + BODY)
    assert response.status == 200
    assert rest == b""


async def test_client_id_cannot_inject_a_header(client: Client) -> None:
    for value in (b"a\tx", b"a\xc4\x8d\xc4\x8aX-Evil: 1", b"a b"):
        response, _ = await conversation(client, P + H + CL + b"X-Request-Id: " + value + b"\r\n\r\n" + BODY)
        assert "x-evil" not in response.headers
        assert response.headers["x-request-id"].isalnum()


# --- slow ---


async def test_half_a_head_is_cut_off(client: Client) -> None:
    wire = await client.wire()
    await wire.send(P + b"Hos")
    assert await wire.eof(3) == b""


async def test_dripping_head_is_cut_off(client: Client) -> None:
    """A byte now and then does not buy more time."""
    wire = await client.wire()

    async def drip() -> None:
        for byte in P * 100:
            wire.writer.write(bytes((byte,)))
            await asyncio.sleep(0.02)

    task = asyncio.ensure_future(drip())
    assert await wire.eof(3) == b""
    task.cancel()


async def test_silent_connection_is_cut_off(client: Client) -> None:
    assert await (await client.wire()).eof(3) == b""


async def test_half_a_second_head_is_cut_off(client: Client) -> None:
    wire = await client.wire()
    await wire.send(P + H + CL + b"\r\n" + BODY)
    assert (await wire.response()).status == 200
    await wire.send(P)
    assert await wire.eof(3) == b""


async def test_idle_connection_is_closed(client: Client) -> None:
    wire = await client.wire()
    await wire.send(P + H + CL + b"\r\n" + BODY)
    assert (await wire.response()).status == 200
    assert await wire.eof(3) == b""


async def stuck(client: Client, data: bytes) -> tuple[Response, Wire]:
    wire = await client.wire()
    await wire.send(data)
    return await wire.response(), wire


@pytest.mark.parametrize("head", [CL, TE])
async def test_body_that_does_not_come_is_a_408(client: Client, head: bytes) -> None:
    response, wire = await stuck(client, P + H + head + b"\r\n")
    assert response.status == 408
    assert response.error["code"] == "request_timeout"
    assert await wire.eof(3) == b""


async def test_dripping_body_is_a_408(client: Client) -> None:
    wire = await client.wire()
    await wire.send(P + H + b"Content-Length: 1000\r\n\r\n")

    async def drip() -> None:
        for _ in range(1000):
            wire.writer.write(b"x")
            await asyncio.sleep(0.02)

    task = asyncio.ensure_future(drip())
    assert (await wire.response()).status == 408
    task.cancel()


async def test_chunk_that_breaks_later_does_not_hang(client: Client) -> None:
    wire = await client.wire()
    await wire.send(P + H + TE + b"\r\n3\r\nabc\r\n")
    for _ in range(5):
        await asyncio.sleep(0)
    await wire.send(b"zzz\r\n")
    response = await wire.response()
    assert response.status == 400
    assert await wire.eof(3) == b""


async def test_client_that_leaves_within_the_body(client: Client) -> None:
    wire = await client.wire()
    await wire.send(P + H + CL + b"\r\n{")
    await wire.aclose()
    assert (await client.post()).status == 200
    assert client.router.requests != []  # type: ignore[attr-defined]


# --- clients that do not read ---


@pytest.mark.parametrize("streamed", [True, False])
async def test_client_that_does_not_read_is_cut_off(streamed: bool) -> None:
    piece = b"x" * (1 << 20)

    async def flood(request: ChatRequest, reply: ReplyPort) -> None:
        if not streamed:
            return await reply.whole(trail_for(request), 200, piece * 32)
        reply.open_stream(trail_for(request))
        while True:
            await reply.write(piece)

    router = FakeRouter(flood)
    async with serving(router, settings=QUICK) as client:
        wire = await client.wire()
        await wire.send(P + H + CL + b"\r\n" + BODY)
        await asyncio.wait_for(router.asked.wait(), 5)
        await asyncio.wait_for(client.port._none_left.wait(), 5)
        assert isinstance(router.ended[0], asyncio.CancelledError | ClientGone)
        assert client.errors == []


async def test_client_that_reads_slowly_is_not(client: Client) -> None:
    """Taking a little at a time is enough."""

    async def big(request: ChatRequest, reply: ReplyPort) -> None:
        await reply.whole(trail_for(request), 200, b"x" * (24 << 20))

    client.router.script = big  # type: ignore[attr-defined]
    wire = await client.wire()
    await wire.send(P + H + CL + b"\r\n" + BODY)
    await wire.reader.readuntil(b"\r\n\r\n")
    left = 24 << 20
    while left:
        got = len(await asyncio.wait_for(wire.reader.read(1 << 20), 5))
        assert got
        left -= got
        await asyncio.sleep(0.002)
