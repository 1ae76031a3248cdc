"""Request bodies: sizes, invitations, compression, and what they hold in memory."""

import asyncio
import gzip
import json

import pytest
from data_support import BODY, CHAT, FakeRouter, chat_bytes, serving, trail_for

from fastroute.core.ports import ReplyPort
from fastroute.core.types import ChatRequest
from fastroute.server.body import BodyLimits
from fastroute.server.data import DataSettings
from fastroute.server.protocol import ConnectionLimits


def limits(**body: float) -> DataSettings:
    return DataSettings(ConnectionLimits(linger_s=0.1), BodyLimits(**body))  # type: ignore[arg-type]


def padded(size: int) -> bytes:
    body = json.dumps({"model": "auto", "pad": ""}).encode()
    return body[:-2] + b"x" * (size - len(body)) + body[-2:]


def chunked(body: bytes, piece: int = 100_000) -> bytes:
    pieces = [body[i : i + piece] for i in range(0, len(body), piece)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces)
    return f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + framed + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1000, 70_000, 300_000, 1 << 20])
@pytest.mark.parametrize("frame", [chat_bytes, chunked])
async def test_bodies_up_to_the_limit_arrive_whole(size: int, frame: object) -> None:
    router = FakeRouter()
    async with serving(router, settings=limits(max_bytes=1 << 20)) as client:
        wire = await client.wire()
        await wire.send(frame(padded(size)))  # type: ignore[operator]
        assert (await wire.response()).status == 200
        assert router.requests[0].input_bytes == size


async def test_length_beyond_the_limit_is_refused_before_it_is_read() -> None:
    async with serving(FakeRouter(), settings=limits(max_bytes=1000)) as client:
        wire = await client.wire()
        await wire.send(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n".encode())
        response = await wire.response()
        assert response.status == 413
        assert response.error["code"] == "request_too_large"
        assert "1000 bytes" in response.error["message"]


async def test_chunks_beyond_the_limit_are_refused() -> None:
    async with serving(FakeRouter(), settings=limits(max_bytes=200_000)) as client:
        wire = await client.wire()
        wire.writer.write(chunked(padded(1 << 20)))
        assert (await wire.response()).status == 413
        assert client.port._bodies.held_bytes == 0


async def test_small_packet_beyond_the_limit_is_refused() -> None:
    async with serving(FakeRouter(), settings=limits(max_bytes=50)) as client:
        wire = await client.wire()
        await wire.send(chunked(padded(60)))
        assert (await wire.response()).status == 413


async def test_default_limit_is_64_mib() -> None:
    assert BodyLimits().max_bytes == 64 * 1024 * 1024


async def test_compressed_body_is_unpacked() -> None:
    router = FakeRouter()
    async with serving(router) as client:
        response = await client.post(gzip.compress(BODY), "Content-Encoding: gzip\r\n")
        assert response.status == 200
        assert router.requests[0].input_bytes == len(BODY)


async def test_compressed_bomb_is_refused() -> None:
    async with serving(FakeRouter(), settings=limits(max_bytes=1 << 20)) as client:
        bomb = gzip.compress(b"\0" * (64 << 20))
        response = await client.post(bomb, "Content-Encoding: gzip\r\n")
        assert len(bomb) < 1 << 20
        assert response.status == 413
        assert client.port._bodies.held_bytes == 0


# --- Expect: 100-continue ---


async def test_client_that_asks_first_is_invited() -> None:
    async with serving(FakeRouter()) as client:
        wire = await client.wire()
        head, _, body = chat_bytes(headers="Expect: 100-continue\r\n").partition(b"\r\n\r\n")
        await wire.send(head + b"\r\n\r\n")
        assert await asyncio.wait_for(wire.reader.readexactly(25), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.send(body)
        assert (await wire.response()).status == 200


async def test_client_that_did_not_wait_is_not_invited() -> None:
    async with serving(FakeRouter()) as client:
        assert (await client.post(headers="Expect: 100-continue\r\n")).status == 200


async def test_client_that_asks_with_too_much_is_not_invited() -> None:
    async with serving(FakeRouter(), settings=limits(max_bytes=1000)) as client:
        wire = await client.wire()
        await wire.send(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n".encode())
        assert (await wire.response()).status == 413


# --- memory ---


async def test_bodies_are_held_for_as_long_as_their_request_runs() -> None:
    arrived, go = asyncio.Event(), asyncio.Event()

    async def wait(request: ChatRequest, reply: ReplyPort) -> None:
        arrived.set()
        await go.wait()
        await reply.whole(trail_for(request), 200, b"{}")

    async with serving(FakeRouter(wait), settings=limits(max_held_bytes=100_000)) as client:
        first = await client.wire()
        await first.send(chat_bytes(padded(90_000)))
        await asyncio.wait_for(arrived.wait(), 5)
        assert client.port._bodies.held_bytes == 90_000
        refused = await client.post(padded(20_000))
        assert refused.status == 503
        assert refused.error["code"] == "overloaded"
        assert refused.headers["retry-after-ms"] == "1000"
        second = await client.wire()
        await second.send(chat_bytes(padded(10_000)))
        go.set()
        assert (await first.response()).status == 200
        assert (await second.response()).status == 200
        assert client.port._bodies.held_bytes == 0


async def test_bodies_of_clients_that_left_are_not_held() -> None:
    async def hang(request: ChatRequest, reply: ReplyPort) -> None:
        await asyncio.Event().wait()

    router = FakeRouter(hang)
    async with serving(router) as client:
        wire = await client.wire()
        await wire.send(chat_bytes(padded(500_000)))
        await asyncio.wait_for(router.asked.wait(), 5)
        await wire.aclose()
        await asyncio.wait_for(client.port._none_left.wait(), 5)
        assert client.port._bodies.held_bytes == 0


async def test_client_that_leaves_within_its_body_leaves_nothing_behind() -> None:
    async with serving(FakeRouter()) as client:
        wire = await client.wire()
        await wire.send(chat_bytes(padded(500_000))[:300_000])
        while client.port._bodies.held_bytes == 0:  # noqa: ASYNC110 # nothing signals it
            await asyncio.sleep(0)
        await wire.aclose()
        await asyncio.wait_for(client.port._none_left.wait(), 5)
        assert client.port._bodies.held_bytes == 0
        assert client.errors == []
