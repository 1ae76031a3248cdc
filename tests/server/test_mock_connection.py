"""Connections and listeners over real sockets, with a service of the test's own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from mock_support import Wire

from fastroute.mock.connection import Connection
from fastroute.mock.http1 import Request
from fastroute.mock.listener import Listener

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
GET = b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n"


class Echo:
    """Answers at once, or keeps the connection for the test to answer."""

    def __init__(self) -> None:
        self.admitting = True
        self.holding = False
        self.requests: list[Request] = []
        self.held: asyncio.Queue[Connection] = asyncio.Queue()
        self.lost = asyncio.Event()

    def admits(self) -> bool:
        return self.admitting

    def serve(self, request: Request, connection: Connection) -> None:
        self.requests.append(request)
        if self.holding:
            connection.on_lost = self.lost.set
            self.held.put_nowait(connection)
        else:
            connection.send(OK)
            connection.done(request.keep_alive)


@contextlib.asynccontextmanager
async def listening(service: Echo, port: int = 0) -> AsyncIterator[Listener]:
    listener = Listener(service, "127.0.0.1", port)
    listener.open()
    try:
        yield listener
    finally:
        await listener.aclose()


def wire(listener: Listener) -> Wire:
    return Wire(f"http://127.0.0.1:{listener.port}")


async def refused(listener: Listener) -> bool:
    try:
        async with wire(listener):
            return False
    except ConnectionRefusedError:
        return True


async def test_requests_on_one_connection_are_served_in_turn() -> None:
    service = Echo()
    async with listening(service) as listener, wire(listener) as client:
        for _ in range(3):
            client.send(b"", "/x", "GET")
            assert (await client.reply()).body == b"ok"
    assert len(service.requests) == 3


async def test_pipelined_requests_are_answered_in_order_without_deep_recursion() -> None:
    service = Echo()
    async with listening(service) as listener, wire(listener) as client:
        client.writer.write(b"".join(GET % i for i in range(3000)))
        for _ in range(3000):
            assert (await client.reply()).body == b"ok"
    assert [r.path for r in service.requests] == [f"/{i}" for i in range(3000)]


async def test_the_next_request_waits_while_one_is_served() -> None:
    service = Echo()
    service.holding = True
    async with listening(service) as listener, wire(listener) as client:
        client.writer.write(GET % 1 + GET % 2)
        first = await service.held.get()
        assert (len(service.requests), first.idle) == (1, False)
        first.send(OK)
        first.done(keep_alive=True)
        assert await service.held.get() is first
        assert first.served == 2


async def test_a_close_is_seen_while_a_request_waits() -> None:
    service = Echo()
    service.holding = True
    async with listening(service) as listener:
        async with wire(listener) as client:
            client.send(b"", "/x", "GET")
            held = await service.held.get()
        await asyncio.wait_for(service.lost.wait(), 5)
        assert held.closed
        held.send(b"into the void")


async def test_done_with_close_closes_after_what_was_written() -> None:
    async with listening(Echo()) as listener, wire(listener) as client:
        client.send(b"", "/x", "GET", connection="close")
        assert (await client.reply()).body == b"ok"
        assert await client.reader.read() == b""


async def test_a_reset_is_an_error_at_the_client() -> None:
    service = Echo()
    service.holding = True
    async with listening(service) as listener, wire(listener) as client:
        client.send(b"", "/x", "GET")
        (await service.held.get()).reset()
        with pytest.raises(ConnectionResetError):
            await client.reader.read()


async def test_a_connection_that_is_not_admitted_is_closed_without_a_word() -> None:
    service = Echo()
    service.admitting = False
    async with listening(service) as listener, wire(listener) as client:
        assert await client.reader.read() == b""
    assert service.requests == []


async def test_a_bad_request_is_answered_and_the_connection_closed() -> None:
    async with listening(Echo()) as listener, wire(listener) as client:
        client.writer.write(b"NONSENSE\r\n\r\n")
        reply = await client.reply()
        assert reply.status == 400
        assert reply.headers["connection"] == "close"
        assert await client.reader.read() == b""


async def test_a_good_request_before_a_bad_one_is_served() -> None:
    service = Echo()
    async with listening(service) as listener, wire(listener) as client:
        client.writer.write(GET % 1 + b"NONSENSE\r\n\r\n")
        assert (await client.reply()).status == 200
        assert (await client.reply()).status == 400
    assert len(service.requests) == 1


async def test_expect_continue_is_answered_once() -> None:
    service = Echo()
    async with listening(service) as listener, wire(listener) as client:
        client.writer.write(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.writer.write(b"bo")
        client.writer.write(b"dy")
        assert (await client.reply()).body == b"ok"
    assert service.requests[0].body == b"body"


async def test_refusing_closes_the_socket_and_opening_takes_the_same_port() -> None:
    async with listening(Echo()) as listener:
        port = listener.port
        for _ in range(3):
            listener.refuse()
            assert not listener.is_open
            assert await refused(listener)
            listener.open()
            assert not await refused(listener)
            assert listener.port == port


async def test_refusing_closes_idle_connections_and_leaves_those_at_work() -> None:
    service = Echo()
    async with listening(service) as listener, wire(listener) as idle, wire(listener) as busy:
        idle.send(b"", "/x", "GET")
        assert (await idle.reply()).status == 200
        service.holding = True
        busy.send(b"", "/x", "GET")
        held = await service.held.get()
        listener.refuse()
        assert await idle.reader.read() == b""
        held.send(OK)
        held.done(keep_alive=True)
        assert (await busy.reply()).body == b"ok"


async def test_a_listener_that_starts_refusing_keeps_a_port() -> None:
    listener = Listener(Echo(), "127.0.0.1", 0)
    listener.refuse()
    assert listener.port > 0
    assert await refused(listener)
    listener.open()
    assert not await refused(listener)
    await listener.aclose()


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with listening(Echo()) as listener:
        second = Listener(Echo(), "127.0.0.1", listener.port)
        with pytest.raises(OSError, match="in use"):
            second.open()
        assert not second.is_open


async def test_closing_resets_what_is_open_and_can_be_repeated() -> None:
    service = Echo()
    service.holding = True
    async with listening(service) as listener:
        async with wire(listener) as client:
            client.send(b"", "/x", "GET")
            await service.held.get()
            await listener.aclose()
            await listener.aclose()
            assert listener.connections == set()
            with pytest.raises(ConnectionResetError):
                await client.reader.read()


async def test_closing_does_not_leave_connections_that_were_just_accepted() -> None:
    async with listening(Echo()) as listener:
        clients = [wire(listener) for _ in range(5)]
        opened = await asyncio.gather(*(c.__aenter__() for c in clients))
        await listener.aclose()
        for client in opened:
            with contextlib.suppress(ConnectionResetError):
                assert await client.reader.read() == b""
            await client.leave()
    assert listener.connections == set()


@pytest.mark.parametrize("make", [lambda: b"x" * 3_000_000])
async def test_a_client_that_does_not_read_pauses_the_writer(make: Callable[[], bytes]) -> None:
    service = Echo()
    service.holding = True
    async with listening(service) as listener, wire(listener) as client:
        client.send(b"", "/x", "GET")
        held = await service.held.get()
        resumed = asyncio.Event()
        held.on_resumed = resumed.set
        data = make()
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        while not held.paused:
            held.send(data)
        client.reader._transport.resume_reading()  # type: ignore[attr-defined]
        drain = asyncio.ensure_future(client.reader.read(-1))
        await asyncio.wait_for(resumed.wait(), 5)
        assert not held.paused
        held.done(keep_alive=False)
        assert len(await asyncio.wait_for(drain, 5)) >= len(data)
