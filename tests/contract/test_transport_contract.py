"""What every transport must do, against raw sockets that misbehave on purpose.

A new client joins by a line in `TRANSPORTS`. Only what `core.ports` promises is tested here; what one client does
besides has its own file.
"""

import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvloop
from transport_support import (
    SECRET,
    SOON_S,
    Peer,
    Script,
    answering,
    collect,
    failing,
    fetch,
    fetch_or_failure,
    provider,
    turns,
)

from fastroute.core.failures import RULES, Failure, FaultError
from fastroute.core.ports import Transport
from fastroute.core.types import UpstreamRequest
from fastroute.transport.aiohttp_client import AiohttpTransport
from fastroute.transport.http1 import Http1Transport

# pytest-asyncio's newer hook for this is one for all tests together.
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture:pytest.PytestDeprecationWarning")

TRANSPORTS: dict[str, Callable[[], Transport]] = {"aiohttp": AiohttpTransport, "http1": Http1Transport}


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> Any:
    return request.param()


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


async def test_cancelled_pour_leaves_a_reply_to_close(transport: Transport) -> None:
    more = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(CHUNKED + b"2\r\nab\r\n")
        await more.wait()
        peer.say(b"2\r\ncd\r\n")
        await peer.until_gone()

    async with provider(script) as upstream:
        reply = await transport.open(upstream.request())
        seen = Taker(want=1)
        task = asyncio.ensure_future(reply.pour(seen))
        await asyncio.wait_for(seen.enough.wait(), SOON_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        more.set()
        await turns(5)
        assert seen.pieces == [b"ab"]  # after the cancellation nothing is handed on
        reply.close()
        await asyncio.wait_for(upstream.peers[0].gone.wait(), SOON_S)


# --- pouring ---

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Taker:
    """Takes pieces; says stop at those that begin with `stop_at`, raises at `fail_at`. `enough` after `want` pieces."""

    def __init__(self, stop_at: bytes = b"never", fail_at: bytes = b"never", want: int = 1) -> None:
        self.pieces: list[bytes] = []
        self.enough = asyncio.Event()
        self._stop_at, self._fail_at, self._want = stop_at, fail_at, want

    def __call__(self, piece: bytes) -> bool:
        self.pieces.append(piece)
        if len(self.pieces) >= self._want:
            self.enough.set()
        if piece.startswith(self._fail_at):
            raise LookupError("the taker's own")
        return not piece.startswith(self._stop_at)

    @property
    def text(self) -> bytes:
        return b"".join(self.pieces)


def in_steps(*steps: bytes) -> tuple[Script, asyncio.Semaphore]:
    """A provider that says one step whenever the semaphore is released."""
    next_step = asyncio.Semaphore(0)

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            for step in steps:
                await next_step.acquire()
                peer.say(step)

    return script, next_step


async def test_pieces_are_poured_as_they_come(transport: Transport) -> None:
    script, step = in_steps(CHUNKED, b"2\r\nab\r\n", b"2\r\ncd\r\n", b"0\r\n\r\n")
    async with provider(script) as upstream:
        for _ in range(2):
            step.release()
            reply = await asyncio.wait_for(transport.open(upstream.request()), SOON_S)
            taker = Taker()
            task = asyncio.ensure_future(reply.pour(taker))
            for text in (b"ab", b"abcd"):
                taker.enough.clear()
                step.release()
                await asyncio.wait_for(taker.enough.wait(), SOON_S)
                assert taker.text == text
            assert not task.done()
            step.release()
            assert await asyncio.wait_for(task, SOON_S) is True
            assert await reply.read() == b""
            reply.close()
        assert len(upstream.peers) == 1


async def test_what_came_with_the_head_is_poured_first(transport: Transport) -> None:
    script, step = in_steps(CHUNKED + b"2\r\nab\r\n", b"2\r\ncd\r\n0\r\n\r\n")
    async with provider(script) as upstream:
        step.release()
        reply = await transport.open(upstream.request())
        taker = Taker()
        task = asyncio.ensure_future(reply.pour(taker))
        await asyncio.wait_for(taker.enough.wait(), SOON_S)
        step.release()
        assert await asyncio.wait_for(task, SOON_S) is True
        assert taker.text == b"abcd"
        reply.close()


async def test_whole_reply_is_poured(transport: Transport) -> None:
    async with provider(answering()) as upstream:
        for _ in range(3):
            reply = await transport.open(upstream.request())
            taker = Taker()
            assert await asyncio.wait_for(reply.pour(taker), SOON_S) is True
            assert taker.text == b'{"ok":true}'
            assert await reply.pour(taker) is True  # the end stays the end
            reply.close()
        assert len(upstream.peers) == 1


async def test_empty_body_pours_nothing(transport: Transport) -> None:
    async with provider(answering(b"")) as upstream:
        reply = await transport.open(upstream.request())
        taker = Taker()
        assert await reply.pour(taker) is True
        assert taker.pieces == []
        reply.close()


async def test_stopped_pour_goes_on_where_it_stopped(transport: Transport) -> None:
    script, step = in_steps(CHUNKED, b"2\r\nSt\r\n", b"2\r\nop\r\n", b"2\r\n!!\r\n0\r\n\r\n")
    async with provider(script) as upstream:
        step.release()
        reply = await transport.open(upstream.request())
        taker = Taker(stop_at=b"S")
        task = asyncio.ensure_future(reply.pour(taker))
        await turns(3)
        step.release()
        assert await asyncio.wait_for(task, SOON_S) is False
        assert taker.pieces == [b"St"]
        step.release()
        assert await asyncio.wait_for(reply.read(), SOON_S) == b"op"  # a read may come in between
        step.release()
        assert await asyncio.wait_for(reply.pour(taker), SOON_S) is True
        assert taker.pieces == [b"St", b"!!"]
        reply.close()


async def test_nothing_is_handed_on_between_two_pours(transport: Transport) -> None:
    script, step = in_steps(CHUNKED + b"2\r\nSt\r\n", b"2\r\nop\r\n0\r\n\r\n")
    async with provider(script) as upstream:
        step.release()
        reply = await transport.open(upstream.request())
        taker = Taker(stop_at=b"S")
        assert await asyncio.wait_for(reply.pour(taker), SOON_S) is False
        step.release()
        await turns(10)
        assert taker.pieces == [b"St"]
        assert await asyncio.wait_for(reply.pour(taker), SOON_S) is True
        assert taker.text == b"Stop"
        reply.close()


@pytest.mark.parametrize("first", [CHUNKED + b"2\r\nXx\r\n", CHUNKED])
async def test_what_the_taker_raises_comes_out_of_pour(transport: Transport, first: bytes) -> None:
    script, step = in_steps(first, b"2\r\nXy\r\n")
    async with provider(script, answering()) as upstream:
        step.release()
        reply = await transport.open(upstream.request())
        task = asyncio.ensure_future(reply.pour(Taker(fail_at=b"X")))
        await turns(3)
        step.release()
        with pytest.raises(LookupError, match="the taker's own"):
            await asyncio.wait_for(task, SOON_S)
        reply.close()
        assert await fetch(transport, upstream.request()) == (200, b'{"ok":true}')
        assert len(upstream.peers) == 2  # the reply was not read to its end


@pytest.mark.parametrize("reset", [False, True])
async def test_cut_while_pouring_is_a_reset(transport: Transport, reset: bool) -> None:
    cut = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(CHUNKED + b"2\r\nab\r\n")
        await cut.wait()
        if reset:
            peer.reset()

    async with provider(script) as upstream:
        reply = await transport.open(upstream.request())
        taker = Taker()
        task = asyncio.ensure_future(reply.pour(taker))
        await asyncio.wait_for(taker.enough.wait(), SOON_S)
        cut.set()
        with pytest.raises(FaultError) as caught:
            await asyncio.wait_for(task, SOON_S)
        assert caught.value.fault.failure is Failure.RESET
        assert taker.text == b"ab"
        reply.close()


async def test_body_until_close_pours_to_its_end(transport: Transport) -> None:
    more = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n")
        await more.wait()
        peer.say(b"data: 2\n\n")

    async with provider(script) as upstream:
        reply = await transport.open(upstream.request())
        taker = Taker()
        task = asyncio.ensure_future(reply.pour(taker))
        await asyncio.wait_for(taker.enough.wait(), SOON_S)
        more.set()
        assert await asyncio.wait_for(task, SOON_S) is True
        assert taker.text == b"data: 1\n\ndata: 2\n\n"
        reply.close()


async def test_stopped_pour_slows_the_provider(transport: Transport) -> None:
    """What waits between two pours is bounded; all of it arrives, in order, once it goes on."""
    piece, total, written = bytes(range(256)) * 256, 400, 0
    stuck = asyncio.Event()

    async def script(peer: Peer) -> None:
        nonlocal written
        peer.writer.transport.set_write_buffer_limits(high=65536)
        await peer.request()
        peer.say(CHUNKED + b"1\r\n!\r\n")
        for _ in range(total):
            peer.say(b"10000\r\n" + piece + b"\r\n")
            try:
                await asyncio.wait_for(peer.writer.drain(), 0.3)
            except TimeoutError:
                stuck.set()
                await peer.writer.drain()
            written += 1
        peer.say(b"0\r\n\r\n")
        await peer.until_gone()

    async with provider(script) as upstream:
        reply = await transport.open(upstream.request())
        taker = Taker(stop_at=b"!")
        assert await reply.pour(taker) is False
        await asyncio.wait_for(stuck.wait(), 10)
        assert written < total * 0.75
        assert await asyncio.wait_for(reply.pour(taker), 20) is True
        assert taker.text == b"!" + piece * total
        reply.close()


# --- early and half-closed ---


async def test_early_reply_to_a_body_that_is_not_read(transport: Transport) -> None:
    """The reply counts; the connection, with half a request in it, does not."""

    async def early(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.whole(b"too big", "413 Content Too Large")
        await gone.wait()

    gone = asyncio.Event()
    async with provider(early, answering()) as upstream:
        assert await fetch(transport, upstream.request(b"x" * (32 << 20))) == (413, b"too big")
        assert await fetch(transport, upstream.request()) == (200, b'{"ok":true}')
        assert len(upstream.peers) == 2
        gone.set()


async def test_provider_that_closes_its_half_after_the_reply(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.whole(b"{}")
        peer.writer.write_eof()
        await peer.until_gone()

    async with provider(script, answering()) as upstream:
        assert await fetch(transport, upstream.request()) == (200, b"{}")
        await asyncio.wait_for(upstream.peers[0].gone.wait(), SOON_S)
        assert await fetch(transport, upstream.request()) == (200, b'{"ok":true}')


async def test_provider_that_closes_its_half_before_the_reply(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.writer.write_eof()
        await peer.until_gone()

    async with provider(script) as upstream:
        assert (await failing(transport, upstream.request())).failure is Failure.RESET
        await asyncio.wait_for(upstream.peers[0].gone.wait(), SOON_S)


async def test_silent_provider_is_waited_for(transport: Transport) -> None:
    """Time limits are the engine's: a transport has none."""
    arrived = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        arrived.set()
        await peer.until_gone()

    async with provider(script) as upstream:
        task = asyncio.ensure_future(transport.open(upstream.request()))
        await asyncio.wait_for(arrived.wait(), SOON_S)
        done, _ = await asyncio.wait([task], timeout=0.05)
        assert not done
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_trickling_head_is_put_together(transport: Transport) -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Rate: 7\r\nContent-Length: 2\r\n\r\n{}"

    async def script(peer: Peer) -> None:
        await peer.request()
        for i in range(len(head)):
            peer.say(head[i : i + 1])
            await peer.writer.drain()
            await asyncio.sleep(0)
        await peer.until_gone()

    async with provider(script) as upstream:
        reply = await asyncio.wait_for(transport.open(upstream.request()), SOON_S)
        assert (reply.status, reply.headers["x-rate"], reply.headers["content-length"]) == (200, "7", "2")
        assert await collect(reply) == b"{}"
        reply.close()


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
