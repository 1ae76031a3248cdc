"""The driver's client against real sockets: whole replies, streams, every kind of end."""

import asyncio
from time import perf_counter

import pytest
from bench_server_support import new_call, scripted, upstream

from bench.client import Call, Client
from bench.contenders import free_port
from bench.load import Target
from bench.request import Kind

OK = b"HTTP/1.1 200 OK\r\n"
SSE = OK + b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WORD = b'data: {"choices":[{"delta":{"content":" word"}}]}\n\n'
DONE = b"data: [DONE]\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def one(target: Target, kind: Kind | None = None, stamped: bool = False) -> tuple[Call, Client]:
    client = Client(target.port, target.host)
    call = new_call(perf_counter())
    if stamped:
        call.chunks_ns = []
    await asyncio.wait_for(client.fetch(target.request(kind or Kind()), call), 5)
    return call, client


async def test_a_whole_reply() -> None:
    async with upstream() as target:
        call, client = await one(target)
        assert call.ok
        assert call.intended_s <= call.sent_s <= call.first_s <= call.end_s
        assert call.total_s >= call.ttft_s >= call.lag_s >= 0
        await client.close()


async def test_a_connection_is_used_again() -> None:
    async with upstream() as target:
        call, client = await one(target)
        for _ in range(3):
            await client.fetch(target.request(Kind()), call)
        assert client.connections == 1
        await client.close()
        assert client.connections == 0


async def test_calls_at_one_time_have_connections_of_their_own() -> None:
    async with upstream() as target:
        client = Client(target.port)
        calls = await asyncio.gather(*(client.fetch(target.request(Kind()), new_call()) for _ in range(5)))
        assert [c.ok for c in calls] == [True] * 5
        assert client.connections == 5
        await client.close()


async def test_a_stream_with_stamps() -> None:
    async with upstream() as target:
        kind = Kind(stream=True, chunks=10, pause_ms=2, stamp=True)
        call, client = await one(target, kind, stamped=True)
        assert call.ok
        assert call.chunks_ns is not None
        assert len(call.chunks_ns) == 8  # without role and finish
        assert all(0 < ns < 1e9 for ns in call.chunks_ns)
        assert call.end_s - call.first_s >= 0.012  # seven pauses, less what timers are early by
        await client.close()


async def test_first_content_is_not_the_role() -> None:
    role = chunk(b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n')
    async with scripted([SSE, role, chunk(WORD), chunk(DONE) + b"0\r\n\r\n"]) as target:
        call, client = await one(target)
        assert call.ok
        assert call.first_s - call.sent_s >= 0.0015  # two pieces came before it
        assert call.first_s < call.end_s
        await client.close()


@pytest.mark.parametrize("cut", range(1, 40))
async def test_the_end_is_found_wherever_reads_are_cut(cut: int) -> None:
    whole = SSE + chunk(WORD) + chunk(DONE) + b"0\r\n\r\n"
    async with scripted([whole[:-cut], whole[-cut:]]) as target:
        call, client = await one(target)
        assert call.ok
        await client.close()


async def test_the_end_is_found_where_a_proxy_cut_the_last_event_in_two() -> None:
    async with scripted([SSE + chunk(WORD), chunk(DONE[:9]), chunk(DONE[9:]) + b"0\r\n\r\n"]) as target:
        call, client = await one(target)
        assert call.ok
        await client.close()


async def test_a_head_in_pieces_and_a_body_in_pieces() -> None:
    async with scripted([b"HTTP/1.1 20", b"0 OK\r\nContent-Length: 4\r\n", b"\r\nab", b"cd"]) as target:
        call, client = await one(target)
        assert call.ok
        await client.close()


@pytest.mark.parametrize(
    ("pieces", "close", "failure"),
    [
        ([b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno"], False, "status 503"),
        ([SSE + chunk(WORD) + b"0\r\n\r\n"], False, "incomplete stream"),  # a stream that ended without saying so
        ([OK + b"content-length: 10\r\n\r\nshort"], True, "closed early"),
        ([SSE + chunk(WORD)], True, "closed early"),
        ([b"HTTP/1.1 200"], True, "closed early"),
        ([], True, "closed early"),
    ],
)
async def test_what_is_not_a_complete_200_has_failed(pieces: list[bytes], close: bool, failure: str) -> None:
    async with scripted(pieces, close) as target:
        call, client = await one(target)
        assert not call.ok
        assert call.failure == failure
        assert call.end_s >= call.sent_s > 0
        await client.close()


async def test_a_stream_that_ends_with_its_connection() -> None:
    async with scripted([OK + b"content-type: text/event-stream\r\n\r\n" + WORD, DONE], close=True) as target:
        call, client = await one(target)
        assert call.ok
        await client.close()


async def test_connection_close_is_obeyed() -> None:
    async with scripted([OK + b"connection: close\r\ncontent-length: 2\r\n\r\nok"]) as target:
        call, client = await one(target)
        assert call.ok
        assert client.idle == []
        await client.close()


async def test_nobody_listens() -> None:
    call, client = await one(Target("nobody", free_port()))
    assert (call.ok, call.failure, call.first_s) == (False, "no connection", 0.0)
    await client.close()


async def test_bytes_that_nobody_asked_for_close_the_connection() -> None:
    async with scripted([OK + b"content-length: 2\r\n\r\nok", b"more"]) as target:
        call, client = await one(target)
        assert call.ok
        [connection] = client.idle
        await asyncio.wait_for(connection.gone.wait(), 5)
        assert client.connections == 0
        assert client.idle == []


async def test_prewarmed_connections_are_used_before_new_ones() -> None:
    async with upstream() as target:
        client = Client(target.port)
        await client.open(4)
        await asyncio.gather(*(client.fetch(target.request(Kind()), new_call()) for _ in range(4)))
        assert client.connections == 4
        await client.close()


async def test_closing_ends_open_calls_as_failed() -> None:
    async with scripted([]) as target:
        client = Client(target.port)
        await client.open(1)
        call = new_call()
        pending = asyncio.ensure_future(client.fetch(target.request(Kind()), call))
        await asyncio.sleep(0)
        await client.close()
        await asyncio.wait_for(pending, 5)
        assert not call.ok
