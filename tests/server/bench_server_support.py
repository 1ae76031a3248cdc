"""The canned upstream in this process, and servers that answer what a test says, byte for byte."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bench import canned
from bench.client import Call
from bench.load import Target


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


@asynccontextmanager
async def upstream() -> AsyncIterator[Target]:
    """`bench.canned` on this loop."""
    server = await canned.serve()
    try:
        yield Target("direct", port_of(server))
    finally:
        server.close()


@asynccontextmanager
async def scripted(pieces: Sequence[bytes], close: bool = False) -> AsyncIterator[Target]:
    """Answers every request with these writes, each in a loop turn of its own; then closes, where told to."""

    class Scripted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.write(0)

        def write(self, i: int) -> None:
            if i < len(pieces):
                self.transport.write(pieces[i])
                asyncio.get_running_loop().call_later(0.001, self.write, i + 1)
            elif close:
                self.transport.close()

    server = await asyncio.get_running_loop().create_server(Scripted, "127.0.0.1", 0)
    try:
        yield Target("scripted", port_of(server))
    finally:
        server.close()


def new_call(intended_s: float = 0.0) -> Call:
    return Call(0, 0, intended_s, lambda _: None)
