"""Drain: unready at once, nothing new, what runs may end, then everything is closed."""

import asyncio

import pytest
from data_support import CHAT, Client, FakeApi, FakeClock, FakeRouter, Wire, chat_bytes, serving, trail_for

from fastroute.core.ports import ReplyPort
from fastroute.core.types import ChatRequest
from fastroute.server.data import DataPort, DataSettings, Views

STREAM = b'{"model":"auto","stream":true}'


class Held:
    """A router script that answers when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def whole(self, request: ChatRequest, reply: ReplyPort) -> None:
        await self.go.wait()
        await reply.whole(trail_for(request), 200, b'{"late":true}')

    async def stream(self, request: ChatRequest, reply: ReplyPort) -> None:
        reply.open_stream(trail_for(request))
        await reply.write(b"data: 1\n\n")
        await self.go.wait()
        await reply.write(b"data: [DONE]\n\n")
        await reply.close_stream(complete=True)


async def asking(client: Client, router: FakeRouter, body: bytes = STREAM) -> Wire:
    wire = await client.wire()
    await wire.send(chat_bytes(body))
    await asyncio.wait_for(router.asked.wait(), 5)
    return wire


async def draining(client: Client, timeout_s: float) -> asyncio.Task[bool]:
    task = asyncio.ensure_future(client.port.drain(timeout_s))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_drain_of_an_idle_port_ends_at_once() -> None:
    async with serving(FakeRouter()) as client:
        wire = await client.wire()
        await wire.send(chat_bytes())
        assert (await wire.response()).status == 200
        assert await asyncio.wait_for(client.port.drain(5), 1)
        assert await wire.eof() == b""


async def test_connections_without_a_request_are_closed_at_once_however_new_they_are() -> None:
    """Closing them the way aiohttp does leaves the socket open, and what comes on it unread until the drain is over."""
    held = Held()
    router = FakeRouter(held.whole)
    async with serving(router) as client:
        await asking(client, router)
        used = await client.wire()
        await used.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await used.response()).status == 200
        new = await client.wire()
        drain = await draining(client, 5)
        for wire in (used, new):
            assert await asyncio.wait_for(wire.eof(), 1) == b""
        assert not drain.done()
        held.go.set()
        assert await drain


async def test_nothing_new_is_accepted() -> None:
    held = Held()
    router = FakeRouter(held.whole)
    async with serving(router) as client:
        await asking(client, router)
        task = await draining(client, 5)
        with pytest.raises(OSError):
            await client.wire()
        held.go.set()
        assert await task


async def test_request_under_way_ends_and_closes_its_connection() -> None:
    held = Held()
    router = FakeRouter(held.whole)
    async with serving(router) as client:
        wire = await asking(client, router)
        task = await draining(client, 5)
        held.go.set()
        response = await wire.response()
        assert response.json() == {"late": True}
        assert response.headers["connection"] == "close"
        assert await wire.eof() == b""
        assert await task


async def test_stream_under_way_ends_whole() -> None:
    held = Held()
    router = FakeRouter(held.stream)
    async with serving(router) as client:
        wire = await asking(client, router)
        task = await draining(client, 5)
        assert not task.done()
        held.go.set()
        response = await wire.response()
        assert response.body.endswith(b"data: [DONE]\n\n")
        assert response.whole
        assert await wire.eof() == b""
        assert await task


async def test_unready_while_draining() -> None:
    """A connection that was busy when the drain began still gets its next answers, such as a probe's."""
    held = Held()
    router = FakeRouter(held.whole)
    async with serving(router) as client:
        wire = await asking(client, router)
        client.port.draining = True
        response = await client.get("/health/ready")
        assert response.status == 503
        assert response.json()["status"] == "draining"
        assert (await client.get("/health/live")).status == 200
        held.go.set()
        await wire.response()


async def test_what_does_not_end_in_time_is_cancelled() -> None:
    held = Held()
    router = FakeRouter(held.stream)
    async with serving(router) as client:
        wire = await asking(client, router)
        assert await asyncio.wait_for(client.port.drain(0.05), 3) is False
        assert router.cancelled.is_set()
        assert client.port.in_flight == 0
        received = await wire.eof()
        assert not received.endswith(b"0\r\n\r\n")


async def test_slow_client_gets_the_rest_of_its_answer() -> None:
    """The answer is in the socket's buffer when the last request ends; closing must not drop it."""
    body = b"x" * 3_000_000

    async def big(request: ChatRequest, reply: ReplyPort) -> None:
        await reply.whole(trail_for(request), 200, body)

    router = FakeRouter(big)
    async with serving(router) as client:
        wire = await asking(client, router)
        task = await draining(client, 5)
        assert (await wire.response()).body == body
        assert await task


async def test_drain_before_start_and_twice() -> None:
    async with serving(FakeRouter()) as client:
        assert await client.port.drain(1)
        assert await client.port.drain(1)


async def test_two_ports_may_share_a_number() -> None:
    shared = DataSettings(reuse_port=True)
    async with serving(FakeRouter(), settings=shared) as first:
        second = DataPort(FakeRouter(), {CHAT: FakeApi()}, Views(), FakeClock(), shared)
        assert await second.start("127.0.0.1", first.number) == first.number
        await second.drain(1)
