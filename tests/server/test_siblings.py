import asyncio

import pytest

from fastroute.server.admin import AdminCalls, AdminPort
from fastroute.server.siblings import ask


@pytest.fixture
async def port():
    made = AdminPort(AdminCalls(config=lambda: {"pad": "x" * 300_000}), token="token")
    yield await made.start("127.0.0.1", 0)
    await made.stop()


async def test_an_answer_is_read_whole(port):
    body = await ask(port, "token", "/api/config")
    assert body is not None
    assert len(body) > 300_000


@pytest.mark.parametrize(("token", "path"), [("wrong", "/api/config"), ("token", "/nothing/here")])
async def test_a_refusal_is_no_answer(port, token, path):
    assert await ask(port, token, path) is None


async def test_nobody_there_is_no_answer(port):
    assert await ask(1, "token", "/api/config") is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n",
        b"x" * 200_000,
    ],
)
async def test_what_is_no_answer_is_none(answer):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        assert await ask(server.sockets[0].getsockname()[1], "token", "/") is None


async def test_one_that_hangs_is_given_up():
    held = asyncio.Event()

    async def serve(reader, writer):
        await held.wait()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        assert await ask(server.sockets[0].getsockname()[1], "token", "/", patience_s=0.05) is None
        held.set()
