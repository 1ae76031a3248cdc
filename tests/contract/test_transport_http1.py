"""What `Http1Transport` does besides the contract: its pools, its limits, its TLS, and what it never does."""

import asyncio
import contextlib
import gzip
import ssl
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from transport_support import (
    SECRET,
    SOON_S,
    Peer,
    answering,
    collect,
    failing,
    fetch,
    fetch_or_failure,
    make_certificate,
    provider,
    tls_provider,
    turns,
)

from fastroute.core.failures import Failure, FaultError
from fastroute.core.types import UpstreamRequest
from fastroute.transport import connection, http1
from fastroute.transport.http1 import Http1Transport, Pool
from fastroute.transport.tls import ResumingContext

pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture:pytest.PytestDeprecationWarning")


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> Any:
    return request.param()


@pytest.fixture
async def transport() -> AsyncIterator[Http1Transport]:
    made = Http1Transport()
    yield made
    await made.aclose()


class Now:
    """What `http1` takes for the time."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    made = Now()
    monkeypatch.setattr(http1, "monotonic", made)
    return made


def pool_of(transport: Http1Transport) -> Pool:
    (pool,) = transport._pools.values()
    return pool


def idle_of(transport: Http1Transport) -> list[connection.Connection]:
    return list(pool_of(transport)._idle)


async def gone(peer: Peer) -> None:
    await asyncio.wait_for(peer.gone.wait(), SOON_S)


async def keeping(peer: Peer) -> None:
    """Answers until the client is gone, and notices that."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            await peer.request()
            peer.whole(b"{}")
    peer.gone.set()


# --- how long connections are kept ---


async def test_a_connection_idle_for_too_long_is_not_used(transport: Http1Transport, now: Now) -> None:
    async with provider(keeping) as upstream:
        await fetch(transport, upstream.request())
        now.now_s += http1.MAX_IDLE_S + 1
        await fetch(transport, upstream.request())
        assert len(upstream.peers) == 2
        await gone(upstream.peers[0])


async def test_a_connection_idle_for_a_while_is_used(transport: Http1Transport, now: Now) -> None:
    async with provider(keeping) as upstream:
        await fetch(transport, upstream.request())
        now.now_s += http1.MAX_IDLE_S - 1
        await fetch(transport, upstream.request())
        assert len(upstream.peers) == 1


async def test_an_old_connection_is_not_kept_however_busy(transport: Http1Transport, now: Now) -> None:
    async with provider(keeping) as upstream:
        for _ in range(20):
            await fetch(transport, upstream.request())
            now.now_s += http1.MAX_AGE_S / 20
        reply = await transport.open(upstream.request())
        assert len(upstream.peers) == 1
        await collect(reply)
        now.now_s += 0.1
        reply.close()
        assert idle_of(transport) == []
        await gone(upstream.peers[0])


async def test_a_connection_that_grew_old_while_idle_is_not_used(transport: Http1Transport, now: Now) -> None:
    async with provider(keeping) as upstream:
        for _ in range(20):
            await fetch(transport, upstream.request())
            now.now_s += http1.MAX_AGE_S / 20
        assert len(idle_of(transport)) == 1
        now.now_s += 0.1
        await fetch(transport, upstream.request())
        assert len(upstream.peers) == 2


async def test_a_connection_about_to_close_is_not_used(transport: Http1Transport) -> None:
    async with provider(keeping) as upstream:
        await fetch(transport, upstream.request())
        idle_of(transport)[0].transport.abort()  # connection_lost comes with the loop's next turn
        reply = await transport.open(upstream.request())
        assert await collect(reply) == b"{}"
        reply.close()
        assert len(upstream.peers) == 2


async def test_aclose_leaves_no_timer(transport: Http1Transport) -> None:
    async with provider(keeping) as upstream:
        await fetch(transport, upstream.request())
        timer = pool_of(transport)._sweeper
        assert timer is not None
        assert not timer.cancelled()
        await transport.aclose()
        assert timer.cancelled()


async def test_idle_connections_are_closed_in_time_without_any_request(
    transport: Http1Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "MAX_IDLE_S", 0.04)
    async with provider(keeping) as upstream:
        await asyncio.gather(*(fetch(transport, upstream.request()) for _ in range(3)))
        for peer in upstream.peers:
            await gone(peer)
        assert idle_of(transport) == []
        assert pool_of(transport)._sweeper is None  # nothing to look after


async def test_only_so_many_are_kept_per_origin(transport: Http1Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "MAX_IDLE_PER_ORIGIN", 2)
    all_here = asyncio.Barrier(5)

    async def script(peer: Peer) -> None:
        await peer.request()
        await all_here.wait()
        peer.whole(b"{}")
        await peer.until_gone()

    async with provider(script) as upstream:
        await asyncio.gather(*(fetch(transport, upstream.request()) for _ in range(5)))
        assert len(idle_of(transport)) == 2
        await asyncio.wait_for(_until(lambda: sum(p.gone.is_set() for p in upstream.peers) == 3), SOON_S)


async def _until(holds: Any) -> None:
    while not holds():
        await turns(1)


async def test_the_connection_used_last_is_used_next(transport: Http1Transport) -> None:
    async with provider(keeping) as upstream:
        first, second = await asyncio.gather(*(transport.open(upstream.request()) for _ in range(2)))
        for reply in (first, second):
            await collect(reply)
            reply.close()
        last = idle_of(transport)[-1]
        reply = await transport.open(upstream.request())
        assert last not in idle_of(transport)
        await collect(reply)
        reply.close()
        assert idle_of(transport)[-1] is last


async def test_origins_do_not_share_connections(transport: Http1Transport) -> None:
    async with provider(answering(b"a")) as one, provider(answering(b"b")) as other:
        for _ in range(2):
            assert (await fetch(transport, one.request()))[1] == b"a"
            assert (await fetch(transport, other.request()))[1] == b"b"
        assert len(one.peers) == len(other.peers) == 1


async def test_after_aclose_nothing_is_kept_but_requests_go_on(transport: Http1Transport) -> None:
    more = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await more.wait()
        peer.say(b"cd")
        await peer.until_gone()

    async with provider(script) as upstream:
        reply = await transport.open(upstream.request())
        await transport.aclose()
        more.set()
        assert await collect(reply) == b"abcd"
        reply.close()
        await gone(upstream.peers[0])


async def test_cancelled_aclose_has_closed_all_the_same(transport: Http1Transport) -> None:
    async with provider(keeping) as upstream:
        await fetch(transport, upstream.request())
        task = asyncio.ensure_future(transport.aclose())
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await gone(upstream.peers[0])


# --- stale connections: nothing is sent twice ---


async def test_a_close_the_loop_has_not_seen_is_looked_for_after_a_pause(transport: Http1Transport, now: Now) -> None:
    leave = asyncio.Event()

    async def once(peer: Peer) -> None:
        await peer.request()
        peer.whole(b"{}")
        await leave.wait()

    async with provider(once, answering()) as upstream:
        await fetch(transport, upstream.request())
        (kept,) = idle_of(transport)
        kept.transport.pause_reading()  # so that the loop does not see what the kernel has
        leave.set()
        await turns(3)
        now.now_s += http1.LOOK_AFTER_S + 0.1
        assert await fetch(transport, upstream.request()) == (200, b'{"ok":true}')
        assert len(upstream.peers) == 2


async def test_a_connection_in_steady_use_is_not_looked_at(
    transport: Http1Transport, now: Now, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[object] = []
    monkeypatch.setattr(http1, "_has_input", lambda sock: bool(looks.append(sock)))
    async with provider(keeping) as upstream:
        for pause_s in (0.0, 0.5, 0.9):
            now.now_s += pause_s
            await fetch(transport, upstream.request())
        assert looks == []
        now.now_s += 2.0
        await fetch(transport, upstream.request())
        assert len(looks) == len(upstream.peers) == 1


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_request_that_a_close_crosses_is_not_sent_again(transport: Http1Transport, how: str) -> None:
    """The provider may have begun to work on it: the engine decides."""
    bodies: list[bytes] = []

    async def once(peer: Peer) -> None:
        bodies.append((await peer.request())[1])
        peer.whole(b"{}")
        bodies.append((await peer.request())[1])
        if how == "reset":
            peer.reset()

    async with provider(once, answering()) as upstream:
        await fetch(transport, upstream.request(b"1"))
        assert await fetch_or_failure(transport, upstream.request(b"2")) is Failure.RESET
        assert (bodies, len(upstream.peers)) == ([b"1", b"2"], 1)


async def test_words_on_an_idle_connection_end_it(transport: Http1Transport) -> None:
    speak = asyncio.Event()

    async def chatty(peer: Peer) -> None:
        await peer.request()
        peer.whole(b"{}")
        await speak.wait()
        peer.say(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await peer.until_gone()

    async with provider(chatty, answering()) as upstream:
        await fetch(transport, upstream.request())
        speak.set()
        await gone(upstream.peers[0])
        assert idle_of(transport) == []
        assert await fetch(transport, upstream.request()) == (200, b'{"ok":true}')


@pytest.mark.parametrize("rest", [b"H", b"HTTP/1.1 200 OK\r\nX: ", b"junk", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_any_byte_after_the_reply_spoils_the_connection(transport: Http1Transport, rest: bytes, at_once: bool) -> None:
    read = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" + (rest if at_once else b""))
        await read.wait()
        peer.say(rest)
        await peer.until_gone()

    async with provider(script, answering()) as upstream:
        reply = await transport.open(upstream.request())
        assert await collect(reply) == b"{}"
        read.set()
        if not at_once:
            await gone(upstream.peers[0])
        reply.close()
        assert await fetch(transport, upstream.request()) == (200, b'{"ok":true}')
        await gone(upstream.peers[0])


# --- limits ---


def _head(size_bytes: int) -> bytes:
    lines = [b"X-%05d: " % i + b"v" * 990 for i in range(size_bytes // 1000)]
    return b"HTTP/1.1 200 OK\r\n" + b"\r\n".join(lines) + b"\r\nContent-Length: 100000\r\n\r\n"


async def test_a_large_head_is_read_with_its_body(transport: Http1Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(_head(60_000) + b"x" * 100_000)
        await peer.until_gone()

    async with provider(script) as upstream:
        reply = await transport.open(upstream.request())
        assert reply.headers["x-00059"] == "v" * 990
        assert await collect(reply) == b"x" * 100_000
        reply.close()
        assert len(idle_of(transport)) == 1


@pytest.mark.parametrize("body", [b"x" * 100_000, b""])
async def test_a_head_beyond_the_limit_is_too_large(transport: Http1Transport, body: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(_head(70_000) + body)
        await peer.until_gone()

    async with provider(script) as upstream:
        assert (await failing(transport, upstream.request())).failure is Failure.TOO_LARGE
        await gone(upstream.peers[0])


async def test_interim_replies_without_end_are_too_large(transport: Http1Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        with contextlib.suppress(ConnectionError):
            while True:
                peer.say(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100)
                await peer.writer.drain()

    async with provider(script) as upstream:
        assert (await failing(transport, upstream.request())).failure is Failure.TOO_LARGE


async def _coded(transport: Http1Transport, body: bytes, coding: str) -> tuple[int, bytes] | Failure:
    async with provider(answering(body, f"Content-Encoding: {coding}\r\n")) as upstream:
        return await fetch_or_failure(transport, upstream.request())


async def test_compressed_bodies_that_are_none(transport: Http1Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b"hello" * 1000)
    assert await _coded(transport, packed, "GZIP") == (200, b"hello" * 1000)
    assert await _coded(transport, zlib.compress(b"hello"), "deflate") == (200, b"hello")
    assert await _coded(transport, b'{"plain":1}', "identity") == (200, b'{"plain":1}')
    assert await _coded(transport, packed[:-9], "gzip") is Failure.MALFORMED
    assert await _coded(transport, b"\x28\xb5\x2f\xfd....", "zstd") is Failure.MALFORMED
    monkeypatch.setattr(connection, "MAX_INFLATED_BYTES", 4000)
    assert await _coded(transport, packed, "gzip") is Failure.TOO_LARGE


async def test_compression_is_kept_up_over_a_stream_and_a_connection(transport: Http1Transport) -> None:
    step = asyncio.Event()

    async def script(peer: Peer) -> None:
        heads.append((await peer.request())[0])
        packer = zlib.compressobj(wbits=31)
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
        first = packer.compress(b"data: 1\n\n") + packer.flush(zlib.Z_SYNC_FLUSH)
        peer.say(head + b"%x\r\n%b\r\n" % (len(first), first))
        await step.wait()
        rest = packer.compress(b"data: 2\n\n") + packer.flush()
        peer.say(b"%x\r\n%b\r\n0\r\n\r\n" % (len(rest), rest))
        await peer.request()
        peer.whole(b"{}")
        await peer.until_gone()

    heads: list[dict[str, str]] = []
    async with provider(script) as upstream:
        reply = await transport.open(upstream.request(headers=(("Accept-Encoding", "gzip"),)))
        taken: list[bytes] = []
        task = asyncio.ensure_future(reply.pour(lambda piece: taken.append(piece) is None))
        await asyncio.wait_for(_until(lambda: taken), SOON_S)
        assert taken == [b"data: 1\n\n"]
        step.set()
        assert await asyncio.wait_for(task, SOON_S) is True
        assert b"".join(taken) == b"data: 1\n\ndata: 2\n\n"
        assert "content-encoding" not in reply.headers
        reply.close()
        assert await fetch(transport, upstream.request()) == (200, b"{}")
        assert heads[0]["accept-encoding"] == "gzip"  # asked for, and only there
        assert len(upstream.peers) == 1


# --- what is sent ---


async def test_own_headers_give_way_and_framing_does_not(transport: Http1Transport) -> None:
    seen: list[dict[str, str]] = []

    async def script(peer: Peer) -> None:
        while True:
            seen.append((await peer.request())[0])
            peer.whole(b"{}")

    given = (
        ("Host", "api.example"),
        ("User-Agent", "mine"),
        ("Content-Length", "999"),
        ("Transfer-Encoding", "chunked"),
        ("Expect", "100-continue"),
    )
    async with provider(script) as upstream:
        await fetch(transport, upstream.request(headers=given))
        await fetch(transport, upstream.request())
    assert (seen[0]["host"], seen[0]["user-agent"], seen[0]["content-length"]) == ("api.example", "mine", "7")
    assert not {"transfer-encoding", "expect"} & set(seen[0])
    assert (seen[1]["host"], seen[1]["user-agent"]) == (f"127.0.0.1:{upstream.port}", "fastroute")


async def test_a_prepared_head_serves_only_its_own_request(transport: Http1Transport) -> None:
    """Heads are found by the identity of the headers, which two URLs, or two methods, may share."""
    lines: list[str] = []

    async def script(peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            lines.append(f"{head['']} {head['x-key']} {body.decode()}")
            peer.whole(b"{}")

    async with provider(script) as upstream:
        url = f"http://127.0.0.1:{upstream.port}"
        shared, equal = (("x-key", "1"),), (("x-key", str(1)),)
        assert shared is not equal
        for _ in range(2):
            await fetch(transport, UpstreamRequest(url + "/a", shared, b"A"))
            await fetch(transport, UpstreamRequest(url + "/b", shared, b"B"))
            await fetch(transport, UpstreamRequest(url + "/a", shared, b"", method="GET"))
            await fetch(transport, UpstreamRequest(url + "/a", equal, b"E"))
            await fetch(transport, UpstreamRequest(url + "/a", (("x-key", "2"),), b"F"))
    one_round = [
        "POST /a HTTP/1.1 1 A",
        "POST /b HTTP/1.1 1 B",
        "GET /a HTTP/1.1 1 ",
        "POST /a HTTP/1.1 1 E",
        "POST /a HTTP/1.1 2 F",
    ]
    assert lines == one_round * 2


async def test_headers_made_anew_become_the_ones_to_expect(transport: Http1Transport) -> None:
    """After a reload the dialects have new tuples: they, too, are found by identity."""
    async with provider(answering()) as upstream:
        before, after = upstream.request(), upstream.request()
        for request in (before, after):
            await fetch(transport, request)
        assert list(transport._by_id) == [id(after.headers)]
        assert len(transport._by_value) == 1


async def test_prepared_heads_are_bounded(transport: Http1Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "MAX_KEPT_HEADS", 10)
    async with provider(answering()) as upstream:
        for i in range(35):
            assert (await fetch(transport, upstream.request(path=f"/v1/{i}")))[0] == 200
        assert len(transport._by_value) <= 10
        assert len(transport._by_id) <= 10
        assert len(upstream.peers) == 1


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "no url", "http://", "http://[::bad/x", "http://host:99999/x", "http://h/caf\u00e9"]
)
async def test_impossible_urls_are_connect_faults(transport: Http1Transport, url: str) -> None:
    with pytest.raises(FaultError) as caught:
        await transport.open(UpstreamRequest(url, (("authorization", SECRET),), b"{}"))
    assert caught.value.fault.failure is Failure.CONNECT
    assert url not in caught.value.fault.message


# --- a reader that goes its own ways ---

OPEN_ENDED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_close_wakes_whoever_reads(transport: Http1Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(OPEN_ENDED)
        await peer.until_gone()

    async with provider(script) as upstream:
        reply = await transport.open(upstream.request())
        task = asyncio.ensure_future(reply.read())
        await asyncio.sleep(0)
        reply.close()
        with pytest.raises(FaultError):
            await asyncio.wait_for(task, SOON_S)
        with pytest.raises(FaultError):
            await reply.read()
        with pytest.raises(FaultError):
            await reply.pour(lambda piece: True)
        await gone(upstream.peers[0])


@pytest.mark.parametrize("go_on", [True, False])
async def test_the_taker_may_close_the_reply(transport: Http1Transport, go_on: bool) -> None:
    say = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(OPEN_ENDED)
        await say.wait()
        peer.say(b"2\r\nab\r\n")
        await peer.until_gone()

    async with provider(script) as upstream:
        reply = await transport.open(upstream.request())

        def take(piece: bytes) -> bool:
            reply.close()
            return go_on

        task = asyncio.ensure_future(reply.pour(take))
        await asyncio.sleep(0)
        say.set()
        with pytest.raises(FaultError):
            await asyncio.wait_for(task, SOON_S)
        await gone(upstream.peers[0])


async def test_a_reply_closed_twice_leaves_the_next_one_alone(transport: Http1Transport) -> None:
    async with provider(keeping) as upstream:
        first = await transport.open(upstream.request())
        await collect(first)
        first.close()
        second = await transport.open(upstream.request())
        first.close()
        assert await collect(second) == b"{}"
        second.close()
        assert len(upstream.peers) == 1


async def test_a_late_cancellation_does_not_disturb_the_next_user_of_the_connection(transport: Http1Transport) -> None:
    """A pour is cancelled just as its body ends; the reply is closed; the connection serves on."""
    end = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(OPEN_ENDED)
        await end.wait()
        peer.say(b"0\r\n\r\n")
        await keeping(peer)

    async with provider(script) as upstream:
        reply = await transport.open(upstream.request())
        ended = asyncio.Event()
        held = reply._connection
        assert held is not None
        task = asyncio.ensure_future(reply.pour(lambda piece: True))
        await asyncio.sleep(0)
        assert held.waiter is not None
        held.waiter.add_done_callback(lambda _: ended.set())
        end.set()
        await asyncio.wait_for(ended.wait(), SOON_S)
        task.cancel()
        reply.close()
        assert await fetch(transport, upstream.request()) == (200, b"{}")
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert len(upstream.peers) == 1


# --- TLS ---


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return make_certificate(tmp_path)


def _to(port: int, host: str = "localhost") -> UpstreamRequest:
    return UpstreamRequest(f"https://{host}:{port}/v1/x", (("authorization", SECRET),), b"{}")


@pytest.fixture
async def trusting(certificate: tuple[Path, Path]) -> AsyncIterator[Http1Transport]:
    made = Http1Transport(ResumingContext.verifying(str(certificate[0])))
    yield made
    await made.aclose()


async def test_an_untrusted_certificate_is_refused(transport: Http1Transport, certificate: tuple[Path, Path]) -> None:
    async with tls_provider(certificate) as upstream:
        fault = await failing(transport, _to(upstream.port))
        assert fault.failure is Failure.CONNECT
        assert fault.message.startswith("the certificate of localhost is not trusted")


async def test_a_certificate_for_another_name_is_refused(trusting: Http1Transport, certificate: tuple[Path, Path]) -> None:
    async with tls_provider(certificate) as upstream:
        fault = await failing(trusting, _to(upstream.port, "127.0.0.1"))
        assert fault.failure is Failure.CONNECT


async def test_tls_connections_are_kept_and_name_their_host(trusting: Http1Transport, certificate: tuple[Path, Path]) -> None:
    async with tls_provider(certificate) as upstream:
        for _ in range(3):
            assert await fetch(trusting, _to(upstream.port)) == (200, b"tls")
        assert upstream.names == ["localhost"]
        assert upstream.resumed == [False]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_new_connection_resumes_the_session(
    trusting: Http1Transport, certificate: tuple[Path, Path], version: ssl.TLSVersion, now: Now
) -> None:
    async with tls_provider(certificate) as upstream:
        upstream.context.minimum_version = upstream.context.maximum_version = version
        for _ in range(3):
            assert await fetch(trusting, _to(upstream.port)) == (200, b"tls")
            now.now_s += http1.MAX_IDLE_S + 1  # and the next one takes a connection of its own
        assert upstream.resumed == [False, True, True]


async def test_a_session_that_the_provider_forgot_costs_a_full_handshake(
    trusting: Http1Transport, certificate: tuple[Path, Path]
) -> None:
    async with tls_provider(certificate) as before:
        await fetch(trusting, _to(before.port))
    async with tls_provider(certificate) as after:  # other ticket keys
        assert await fetch(trusting, _to(after.port)) == (200, b"tls")
        assert after.resumed == [False]


async def test_cancelled_over_tls_closes_the_socket(trusting: Http1Transport, certificate: tuple[Path, Path]) -> None:
    async with tls_provider(certificate) as upstream:
        upstream.silent = True
        task = asyncio.ensure_future(trusting.open(_to(upstream.port)))
        await asyncio.wait_for(upstream.arrived.wait(), SOON_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(upstream.gone.acquire(), SOON_S)


async def test_cancelled_in_the_handshake_leaves_nothing(trusting: Http1Transport, certificate: tuple[Path, Path]) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        hello.set()
        await peer.until_gone()

    hello = asyncio.Event()
    async with provider(script) as upstream:
        task = asyncio.ensure_future(trusting.open(_to(upstream.port)))
        await asyncio.wait_for(hello.wait(), SOON_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone(upstream.peers[0])
