"""What every transport must do, against raw sockets that misbehave on purpose.

A new client joins by a line in `TRANSPORTS`. Only what `core.ports` promises is tested here; what one client does
besides has its own file.
"""

import asyncio
import contextlib
import gzip
import importlib
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from transport_support import SECRET, SOON_S, Peer, Script, answering, collect, failing, fetch, fetch_or_failure, provider

from fastroute.core.failures import RULES, Failure, FaultError
from fastroute.core.ports import Transport
from fastroute.core.types import UpstreamRequest
from fastroute.transport.aiohttp_client import AiohttpTransport

TRANSPORTS: dict[str, Callable[[], Transport]] = {"aiohttp": AiohttpTransport}
with contextlib.suppress(ImportError):
    TRANSPORTS["http1"] = importlib.import_module("fastroute.transport.http1").Http1Transport


@pytest.fixture(params=TRANSPORTS)
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    made = TRANSPORTS[request.param]()
    yield made
    await made.aclose()


# --- what is sent ---


async def test_request_arrives_as_given(transport: Transport) -> None:
    seen: list[Any] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        peer.whole(b"{}")
        await peer.until_gone()

    async with provider(script) as upstream:
        request = upstream.request(b'{"model":"m"}', "/v1/x?api-version=2024%2F10&b=", (("x-extra", "1"),))
        assert await fetch(transport, request) == (200, b"{}")
        headers, body = seen[0]
        assert headers[""] == "POST /v1/x?api-version=2024%2F10&b= HTTP/1.1"
        assert body == b'{"model":"m"}'
        assert headers["authorization"] == f"Bearer {SECRET}"
        assert headers["x-extra"] == "1"
        assert headers["content-type"] == "application/json"
        assert headers["content-length"] == "13"
        assert headers["host"] == f"127.0.0.1:{upstream.port}"
        assert headers["accept-encoding"] == "identity"
        assert "transfer-encoding" not in headers
        assert "expect" not in headers
        assert "cookie" not in headers


async def test_big_body_is_sent_whole(transport: Transport) -> None:
    sent = bytes(range(256)) * 20_000
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        got.append((await peer.request())[1])
        peer.whole(b"{}")

    async with provider(script) as upstream:
        assert (await fetch(transport, upstream.request(sent)))[0] == 200
        assert got == [sent]


async def test_cookies_are_not_kept(transport: Transport) -> None:
    heads: list[dict[str, str]] = []

    async def script(peer: Peer) -> None:
        while True:
            heads.append((await peer.request())[0])
            peer.whole(b"{}", headers="Set-Cookie: session=1; Path=/\r\n")

    async with provider(script) as upstream:
        await fetch(transport, upstream.request())
        await fetch(transport, upstream.request())
        assert len(heads) == 2
        assert "cookie" not in heads[1]


# --- proper replies ---


async def test_content_length_reply(transport: Transport) -> None:
    async with provider(answering(b'{"a":1}', "X-Rate: 7\r\nContent-Type: application/json\r\n")) as upstream:
        reply = await transport.open(upstream.request())
        assert reply.status == 200
        assert reply.headers["x-rate"] == "7"
        assert reply.headers["content-type"] == "application/json"
        assert all(name == name.lower() for name in reply.headers)
        assert await collect(reply) == b'{"a":1}'
        assert await reply.read() == b""
        reply.close()
        reply.close()


async def test_chunks_are_given_as_they_come(transport: Transport) -> None:
    more = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await more.wait()
        peer.say(b"6\r\nsecond\r\n0\r\n\r\n")
        await peer.until_gone()

    async with provider(script) as upstream:
        reply = await transport.open(upstream.request())
        assert await asyncio.wait_for(reply.read(), SOON_S) == b"first"
        more.set()
        assert await collect(reply) == b"second"
        reply.close()


async def test_empty_bodies_end(transport: Transport) -> None:
    async with provider(answering(b"")) as upstream:
        assert await fetch(transport, upstream.request()) == (200, b"")


async def test_body_until_close_ends_properly(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ndata: 1\n\n")

    async with provider(script) as upstream:
        assert await fetch(transport, upstream.request()) == (200, b"data: 1\n\n")


async def test_trailers_are_ignored(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")

    async with provider(script) as upstream:
        assert await fetch(transport, upstream.request()) == (200, b"ok")
        assert await fetch(transport, upstream.request()) == (200, b"ok")
        assert len(upstream.peers) == 1


@pytest.mark.parametrize("interim", [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_interim_replies_are_skipped(transport: Transport, interim: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(interim * 2)
        await asyncio.sleep(0)
        peer.whole(b"{}", headers="X-A: b\r\n")
        await peer.until_gone()

    async with provider(script) as upstream:
        reply = await asyncio.wait_for(transport.open(upstream.request()), SOON_S)
        assert reply.status == 200
        assert reply.headers["x-a"] == "b"
        assert "link" not in reply.headers
        assert await collect(reply) == b"{}"
        reply.close()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
async def test_redirects_are_not_followed(transport: Transport, status: str) -> None:
    async with provider(answering(b"moved", "Location: http://127.0.0.1:1/elsewhere\r\n", status)) as upstream:
        assert await fetch(transport, upstream.request()) == (int(status[:3]), b"moved")


@pytest.mark.parametrize("status", ["400 Bad", "401 No", "404 None", "429 Slow Down", "500 Oops", "502 Bad Gateway", "529 Busy"])
async def test_error_statuses_are_replies(transport: Transport, status: str) -> None:
    html = b"<html><body>Bad Gateway</body></html>"
    async with provider(answering(html, "Content-Type: text/html\r\nRetry-After: 3\r\n", status)) as upstream:
        reply = await transport.open(upstream.request())
        assert reply.status == int(status[:3])
        assert reply.headers["retry-after"] == "3"
        assert await collect(reply) == html
        reply.close()


@pytest.mark.parametrize(
    ("name", "packed"), [("gzip", gzip.compress(b"hello" * 100)), ("deflate", zlib.compress(b"hello" * 100))]
)
async def test_compression_nobody_asked_for_is_undone(transport: Transport, name: str, packed: bytes) -> None:
    async with provider(answering(packed, f"Content-Encoding: {name}\r\n")) as upstream:
        assert await fetch(transport, upstream.request()) == (200, b"hello" * 100)
        assert await fetch(transport, upstream.request()) == (200, b"hello" * 100)


async def test_early_503_is_given_or_is_a_reset(transport: Transport) -> None:
    """The provider refuses before it has read the body, and hangs up: the kernel decides which of the two we see first."""

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.whole(b"busy", "503 Service Unavailable", "Connection: close\r\n")
        await peer.writer.drain()

    async with provider(script) as upstream:
        assert await fetch_or_failure(transport, upstream.request(b"x" * (8 << 20))) in ((503, b"busy"), Failure.RESET)


# --- broken replies ---


async def test_nobody_listens(transport: Transport) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    fault = await failing(transport, UpstreamRequest(f"http://127.0.0.1:{port}/v1/x", (("x-api-key", SECRET),), b"{}"))
    assert fault.failure is Failure.CONNECT
    assert f"127.0.0.1:{port}" in fault.message


async def test_name_that_does_not_resolve(transport: Transport) -> None:
    fault = await failing(transport, UpstreamRequest(f"http://no-such-host.invalid/v1/x?key={SECRET}", (), b"{}"))
    assert fault.failure is Failure.CONNECT
    assert "no-such-host.invalid" in fault.message


async def test_plain_http_where_tls_is_expected(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(100)
        peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with provider(script) as upstream:
        request = upstream.request()
        fault = await failing(transport, UpstreamRequest(request.url.replace("http:", "https:"), request.headers, b"{}"))
        assert fault.failure is Failure.CONNECT


async def _close(peer: Peer) -> None:
    await peer.request()


async def _reset(peer: Peer) -> None:
    await peer.request()
    peer.reset()


async def _half_head(peer: Peer) -> None:
    await peer.request()
    peer.say(b"HTTP/1.1 200 OK\r\nContent-Le")
    await peer.writer.drain()


async def _short(peer: Peer) -> None:
    await peer.request()
    peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await peer.writer.drain()


async def _half_chunk(peer: Peer) -> None:
    await peer.request()
    peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
    await peer.writer.drain()


async def _no_last_chunk(peer: Peer) -> None:
    await peer.request()
    peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
    await peer.writer.drain()


async def _reset_in_body(peer: Peer) -> None:
    await peer.request()
    peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
    await peer.writer.drain()
    peer.reset()


@pytest.mark.parametrize("script", [_close, _reset, _half_head, _short, _half_chunk, _no_last_chunk, _reset_in_body])
async def test_cut_replies_are_resets(transport: Transport, script: Script) -> None:
    async with provider(script) as upstream:
        assert (await failing(transport, upstream.request())).failure is Failure.RESET
        assert len(upstream.peers) == 1  # a new connection that fails is not tried again


async def test_what_came_before_the_cut_is_given(transport: Transport) -> None:
    cut = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
        await cut.wait()

    async with provider(script) as upstream:
        reply = await transport.open(upstream.request())
        assert await asyncio.wait_for(reply.read(), SOON_S) == b"data: 1\n\n"
        cut.set()
        with pytest.raises(FaultError):
            await asyncio.wait_for(reply.read(), SOON_S)
        reply.close()


@pytest.mark.parametrize(
    ("data", "failures"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n" * 3, {Failure.MALFORMED}),
        (b"HTTP/1.1 abc OK\r\n\r\n", {Failure.MALFORMED}),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", {Failure.MALFORMED}),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", {Failure.MALFORMED}),
        (
            b"HTTP/1.1 200 OK\r\nX-Big: " + b"a" * (1 << 20) + b"\r\nContent-Length: 0\r\n\r\n",
            {Failure.TOO_LARGE, Failure.MALFORMED},
        ),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Many: 12345678\r\n" * 50_000 + b"\r\n", {Failure.TOO_LARGE, Failure.MALFORMED}),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!", {Failure.MALFORMED}),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n", {Failure.MALFORMED, Failure.RESET}),
    ],
    ids=["not-http", "bad-status", "bad-length", "upgrade", "1mb-header", "many-headers", "not-gzip", "bad-chunk"],
)
async def test_unreadable_replies_are_faults(transport: Transport, data: bytes, failures: set[Failure]) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(data)
        await peer.until_gone()

    async with provider(script) as upstream:
        assert (await failing(transport, upstream.request())).failure in failures
        await asyncio.wait_for(upstream.peers[0].gone.wait(), SOON_S)  # and the socket is closed


async def test_line_break_in_a_header_is_refused(transport: Transport) -> None:
    async with provider(answering()) as upstream:
        with pytest.raises(FaultError) as caught:
            await fetch(transport, upstream.request(headers=(("x-key", "a\r\nx-evil: 1"),)))
        assert "evil" not in caught.value.fault.message
        assert RULES[caught.value.fault.failure].failover


# --- connections ---


async def test_a_connection_that_was_read_to_the_end_serves_again(transport: Transport) -> None:
    async with provider(answering()) as upstream:
        for _ in range(5):
            assert await fetch(transport, upstream.request()) == (200, b'{"ok":true}')
        assert len(upstream.peers) == 1


async def test_connection_close_is_obeyed(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.whole(b"{}", headers="Connection: close\r\n")
        await peer.until_gone()

    async with provider(script) as upstream:
        await fetch(transport, upstream.request())
        await fetch(transport, upstream.request())
        assert len(upstream.peers) == 2


async def test_requests_at_once_have_connections_of_their_own(transport: Transport) -> None:
    arrived, go = asyncio.Semaphore(0), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        arrived.release()
        await go.wait()
        peer.whole(b"{}")
        await peer.until_gone()

    async with provider(script) as upstream:
        tasks = [asyncio.ensure_future(fetch(transport, upstream.request())) for _ in range(120)]
        for _ in tasks:
            await asyncio.wait_for(arrived.acquire(), SOON_S)
        go.set()
        assert {status for status, _ in await asyncio.gather(*tasks)} == {200}


async def test_reply_closed_halfway_drops_its_connection(transport: Transport) -> None:
    async def endless(peer: Peer) -> None:
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        await peer.until_gone()

    async with provider(endless, answering()) as upstream:
        reply = await transport.open(upstream.request())
        assert await reply.read() == b"ab"
        reply.close()
        reply.close()
        await asyncio.wait_for(upstream.peers[0].gone.wait(), SOON_S)
        assert await fetch(transport, upstream.request()) == (200, b'{"ok":true}')
        assert len(upstream.peers) == 2


async def test_kept_connection_that_was_closed_meanwhile_is_not_used(transport: Transport) -> None:
    closed = asyncio.Event()

    async def once(peer: Peer) -> None:
        await peer.request()
        peer.whole(b"{}")
        await peer.writer.drain()
        closed.set()

    async with provider(once, answering()) as upstream:
        await fetch(transport, upstream.request())
        await closed.wait()
        await upstream.peers[0].writer.wait_closed()
        for _ in range(3):
            await asyncio.sleep(0)
        assert (await fetch(transport, upstream.request()))[0] == 200


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_keep_alive_race(transport: Transport, how: str) -> None:
    """The provider closes a kept connection just as a request arrives: it is answered on a new one, or it is a RESET at once."""

    async def once(peer: Peer) -> None:
        await peer.request()
        peer.whole(b"{}")
        await peer.request()
        if how == "reset":
            peer.reset()

    async with provider(once, answering()) as upstream:
        await fetch(transport, upstream.request())
        assert await fetch_or_failure(transport, upstream.request()) in ((200, b'{"ok":true}'), Failure.RESET)
        assert len(upstream.peers) <= 2


async def test_bytes_after_the_end_spoil_the_connection(transport: Transport) -> None:
    async def chatty(peer: Peer) -> None:
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
        await peer.until_gone()

    async with provider(chatty, answering()) as upstream:
        assert await fetch(transport, upstream.request()) == (200, b"{}")
        assert await fetch(transport, upstream.request()) == (200, b'{"ok":true}')


async def test_closed_transport_keeps_no_sockets(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.whole(b"{}")
        await peer.until_gone()

    async with provider(script) as upstream:
        await fetch(transport, upstream.request())
        await transport.aclose()
        await asyncio.wait_for(upstream.peers[0].gone.wait(), SOON_S)
        await transport.aclose()


# --- cancellation ---


async def test_cancelled_before_headers_closes_the_socket(transport: Transport) -> None:
    arrived = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        arrived.set()
        await peer.until_gone()

    async with provider(script) as upstream:
        task = asyncio.ensure_future(transport.open(upstream.request()))
        await asyncio.wait_for(arrived.wait(), SOON_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(upstream.peers[0].gone.wait(), SOON_S)


async def test_cancelled_while_the_body_is_stuck_closes_the_socket(transport: Transport) -> None:
    """The provider does not read: unsent bytes must not keep the socket open."""
    started, read_on = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        started.set()
        await read_on.wait()
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await peer.until_gone()

    async with provider(script) as upstream:
        task = asyncio.ensure_future(transport.open(upstream.request(b"x" * (32 << 20))))
        await asyncio.wait_for(started.wait(), SOON_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        read_on.set()
        await asyncio.wait_for(upstream.peers[0].gone.wait(), SOON_S)


async def test_cancelled_read_closes_the_socket_when_the_reply_is_closed(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        await peer.until_gone()

    async with provider(script, answering()) as upstream:
        reply = await transport.open(upstream.request())
        assert await reply.read() == b"ab"
        task = asyncio.ensure_future(reply.read())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        reply.close()
        await asyncio.wait_for(upstream.peers[0].gone.wait(), SOON_S)
        assert (await fetch(transport, upstream.request()))[0] == 200


async def test_cancelled_while_connecting_leaves_nothing(transport: Transport) -> None:
    async with provider(answering()) as upstream:
        task = asyncio.ensure_future(transport.open(upstream.request()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await fetch(transport, upstream.request()) == (200, b'{"ok":true}')


# --- back-pressure ---


async def test_slow_reader_slows_the_provider(transport: Transport) -> None:
    """A provider that floods is stopped by its socket, not by our memory."""
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    total = 1600  # 100 MiB
    written = 0
    stuck = asyncio.Event()

    async def script(peer: Peer) -> None:
        nonlocal written
        peer.writer.transport.set_write_buffer_limits(high=65536)
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(total):
            peer.say(chunk)
            try:
                await asyncio.wait_for(peer.writer.drain(), 0.5)
            except TimeoutError:
                stuck.set()
                await peer.writer.drain()
            written += 1
        peer.say(b"0\r\n\r\n")
        await peer.until_gone()

    async with provider(script) as upstream:
        reply = await transport.open(upstream.request())
        await asyncio.wait_for(stuck.wait(), 10)
        assert written < total / 2
        size = 0
        while piece := await asyncio.wait_for(reply.read(), SOON_S):
            assert len(piece) <= 4 << 20
            size += len(piece)
        reply.close()
        assert size == total * 65536
