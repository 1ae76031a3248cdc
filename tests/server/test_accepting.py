"""Connections that wait are all taken in, whatever the event loop does by itself."""

import asyncio
import socket

from fastroute.server.accepting import AT_ONCE, Acceptor


class Seen(asyncio.Protocol):
    made: list["Seen"] = []  # noqa: RUF012

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        Seen.made.append(self)


class Server:
    """Listens, and accepts nothing by itself."""

    def __init__(self) -> None:
        Seen.made = []
        self.sockets = [socket.create_server(("127.0.0.1", 0), backlog=512)]


def clients(server: Server, count: int) -> list[socket.socket]:
    return [socket.create_connection(server.sockets[0].getsockname()) for _ in range(count)]


async def close(server: Server, acceptor: Acceptor, sockets: list[socket.socket]) -> None:
    acceptor.close()
    for each in [*sockets, *server.sockets]:
        each.close()
    for seen in Seen.made:
        seen.transport.abort()  # type: ignore[attr-defined]
    await asyncio.sleep(0.01)


async def test_all_that_wait_are_taken_in_at_once() -> None:
    server = Server()
    acceptor, sockets = Acceptor(server, Seen), clients(server, 50)
    acceptor.more()
    acceptor.more()
    await asyncio.sleep(0.05)
    assert len(Seen.made) == 50
    await close(server, acceptor, sockets)


async def test_a_turn_stays_short() -> None:
    server = Server()
    acceptor, sockets = Acceptor(server, Seen), clients(server, AT_ONCE + 10)
    acceptor.more()
    await asyncio.sleep(0.05)
    assert len(Seen.made) == AT_ONCE
    acceptor.more()
    await asyncio.sleep(0.05)
    assert len(Seen.made) == AT_ONCE + 10
    await close(server, acceptor, sockets)


async def test_with_nobody_waiting_nothing_happens_and_closed_it_takes_nobody() -> None:
    server = Server()
    acceptor = Acceptor(server, Seen)
    acceptor.more()
    await asyncio.sleep(0.01)
    sockets = clients(server, 3)
    acceptor.close()
    acceptor.more()
    await asyncio.sleep(0.01)
    assert Seen.made == []
    await close(server, acceptor, sockets)
