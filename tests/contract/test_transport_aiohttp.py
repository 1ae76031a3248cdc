"""What `AiohttpTransport` does besides the contract: stale connections, proxies, TLS, words."""

import asyncio
import socket
import ssl
import warnings
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from transport_support import SECRET, SOON_S, Peer, answering, collect, failing, fetch, make_certificate, provider, tls_provider

from fastroute.core.failures import Failure, FaultError
from fastroute.core.types import UpstreamRequest
from fastroute.transport import aiohttp_client
from fastroute.transport.aiohttp_client import AiohttpTransport, TransportSettings


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    made = AiohttpTransport()
    yield made
    await made.aclose()


# --- stale connections ---


async def _stale(peer: Peer) -> None:
    """Serves once; takes the next request and hangs up without a word."""
    await peer.request()
    peer.whole(b"{}")
    await peer.request()


async def _stale_reset(peer: Peer) -> None:
    await peer.request()
    peer.whole(b"{}")
    await peer.request()
    peer.reset()


async def _stale_after_a_word(peer: Peer) -> None:
    await peer.request()
    peer.whole(b"{}")
    await peer.request()
    peer.say(b"HTTP/1.1 2")
    await peer.writer.drain()


@pytest.mark.parametrize("script", [_stale, _stale_reset])
async def test_stale_connection_is_replaced_once(transport: AiohttpTransport, script: object) -> None:
    async with provider(script, answering(b"fresh")) as upstream:  # type: ignore[arg-type]
        await fetch(transport, upstream.request())
        assert await fetch(transport, upstream.request()) == (200, b"fresh")
        assert len(upstream.peers) == 2


async def test_second_try_takes_no_connection_from_the_pool(transport: AiohttpTransport) -> None:
    """After a restart of the provider every kept connection is stale."""
    both = asyncio.Barrier(2)

    async def old(peer: Peer) -> None:
        await peer.request()
        await both.wait()
        peer.whole(b"{}")
        await peer.request()

    async with provider(old, old, answering(b"fresh")) as upstream:
        await asyncio.gather(fetch(transport, upstream.request()), fetch(transport, upstream.request()))
        assert await fetch(transport, upstream.request()) == (200, b"fresh")
        assert len(upstream.peers) == 3


async def test_second_try_that_fails_is_a_reset(transport: AiohttpTransport) -> None:
    async def dead(peer: Peer) -> None:
        await peer.request()

    async with provider(_stale, dead) as upstream:
        await fetch(transport, upstream.request())
        assert (await failing(transport, upstream.request())).failure is Failure.RESET
        assert len(upstream.peers) == 2


async def test_no_second_try_once_a_byte_was_heard(transport: AiohttpTransport) -> None:
    async with provider(_stale_after_a_word, answering(b"fresh")) as upstream:
        await fetch(transport, upstream.request())
        assert (await failing(transport, upstream.request())).failure is Failure.RESET
        assert len(upstream.peers) == 1


async def test_no_second_try_when_the_provider_took_its_time(
    transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have begun to work, and to bill."""
    monkeypatch.setattr(aiohttp_client, "STALE_S", 0.0)
    async with provider(_stale, answering(b"fresh")) as upstream:
        await fetch(transport, upstream.request())
        assert (await failing(transport, upstream.request())).failure is Failure.RESET
        assert len(upstream.peers) == 1


async def test_second_try_sends_the_same_request(transport: AiohttpTransport) -> None:
    bodies: list[bytes] = []

    async def fresh(peer: Peer) -> None:
        bodies.append((await peer.request())[1])
        peer.whole(b"fresh")

    body = b"y" * (3 << 20)
    async with provider(_stale, fresh) as upstream:
        await fetch(transport, upstream.request())
        assert await fetch(transport, upstream.request(body)) == (200, b"fresh")
        assert bodies == [body]


# --- bodies, sessions ---


async def test_large_body_causes_no_warning(transport: AiohttpTransport) -> None:
    async with provider(answering()) as upstream:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert (await fetch(transport, upstream.request(b"z" * (2 << 20))))[0] == 200


async def test_get_without_a_body(transport: AiohttpTransport) -> None:
    heads: list[dict[str, str]] = []

    async def script(peer: Peer) -> None:
        heads.append((await peer.request())[0])
        peer.whole(b"[]")

    async with provider(script) as upstream:
        request = UpstreamRequest(upstream.request().url, (), b"", method="GET")
        assert await fetch(transport, request) == (200, b"[]")
        assert heads[0][""].startswith("GET ")
        assert "content-type" not in heads[0]


async def test_opens_again_after_aclose(transport: AiohttpTransport) -> None:
    async with provider(answering()) as upstream:
        await fetch(transport, upstream.request())
        await transport.aclose()
        assert (await fetch(transport, upstream.request()))[0] == 200
        assert len(upstream.peers) == 2


async def test_cancelled_read_closes_the_socket_by_itself(transport: AiohttpTransport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        await peer.until_gone()

    async with provider(script) as upstream:
        reply = await transport.open(upstream.request())
        await reply.read()
        task = asyncio.ensure_future(reply.read())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(upstream.peers[0].gone.wait(), SOON_S)
        with pytest.raises(FaultError):
            await reply.read()


async def test_decoded_reply_does_not_claim_its_old_length(transport: AiohttpTransport) -> None:
    async with provider(answering(zlib.compress(b"hi" * 50), "Content-Encoding: deflate\r\n")) as upstream:
        reply = await transport.open(upstream.request())
        assert "content-encoding" not in reply.headers
        assert "content-length" not in reply.headers
        assert await collect(reply) == b"hi" * 50
        reply.close()


async def test_header_values_are_clean_text(transport: AiohttpTransport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\nX-A: caf\xe9\r\nX-B: caf\xc3\xa9\r\nContent-Length: 2\r\n\r\n{}")
        await peer.until_gone()

    async with provider(script) as upstream:
        reply = await transport.open(upstream.request())
        assert reply.headers["x-a"] == "caf\ufffd"
        assert reply.headers["x-b"] == "caf\u00e9"
        assert reply.headers["x-a"].encode()
        reply.close()


# --- proxies ---


async def test_proxies_of_the_environment_are_off_by_default(
    transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    async with provider(answering()) as upstream:
        assert (await fetch(transport, upstream.request()))[0] == 200


async def test_proxy_of_the_environment_is_used_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[dict[str, str]] = []

    async def proxy(peer: Peer) -> None:
        heads.append((await peer.request())[0])
        peer.whole(b"by proxy")

    transport = AiohttpTransport(TransportSettings(trust_env=True))
    async with provider(proxy) as upstream:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{upstream.port}")
        monkeypatch.setenv("no_proxy", "internal.example")
        request = UpstreamRequest("http://provider.example/v1/x", (("authorization", f"Bearer {SECRET}"),), b"{}")
        assert await fetch(transport, request) == (200, b"by proxy")
        assert heads[0][""] == "POST http://provider.example/v1/x HTTP/1.1"
        assert heads[0]["authorization"] == f"Bearer {SECRET}"
        await transport.aclose()


async def test_proxy_that_is_down_is_a_connect_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:hunter2@127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    transport = AiohttpTransport(TransportSettings(trust_env=True))
    fault = await failing(transport, UpstreamRequest("http://provider.example/v1/x", (), b"{}"))
    assert fault.failure is Failure.CONNECT
    assert "hunter2" not in fault.message
    await transport.aclose()


async def test_proxy_of_the_configuration_is_used(transport: AiohttpTransport) -> None:
    heads: list[dict[str, str]] = []

    async def proxy(peer: Peer) -> None:
        heads.append((await peer.request())[0])
        peer.whole(b"by proxy")

    async with provider(proxy) as upstream:
        own = AiohttpTransport(TransportSettings(proxy=f"http://me:{SECRET}@127.0.0.1:{upstream.port}"))
        assert await fetch(own, UpstreamRequest("http://provider.example/v1/x", (), b"{}")) == (200, b"by proxy")
        assert heads[0][""] == "POST http://provider.example/v1/x HTTP/1.1"
        assert heads[0]["proxy-authorization"].startswith("Basic ")
        await own.aclose()


async def test_tls_through_a_proxy_asks_it_for_a_tunnel() -> None:
    heads: list[str] = []

    async def proxy(peer: Peer) -> None:
        heads.append((await peer.request())[0][""])
        peer.whole(b"no", "403 Forbidden")

    async with provider(proxy) as upstream:
        transport = AiohttpTransport(TransportSettings(proxy=f"http://127.0.0.1:{upstream.port}"))
        fault = await failing(transport, UpstreamRequest("https://provider.example/v1/x", (), b"{}"))
        assert (fault.failure, fault.message) == (Failure.CONNECT, "the proxy for provider.example:443 refused")
        assert heads == ["CONNECT provider.example:443 HTTP/1.1"]
        await transport.aclose()


# --- words ---


async def test_refused_is_said_so(transport: AiohttpTransport, unused_port: int) -> None:
    fault = await failing(transport, UpstreamRequest(f"http://127.0.0.1:{unused_port}/v1/x", (), b"{}"))
    assert fault.message == f"connection refused by 127.0.0.1:{unused_port}"


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("url", ["ftp://host/x", "no url", "http://", "http://[::bad/x", "http://host:99999/x"])
async def test_impossible_urls_are_connect_faults(transport: AiohttpTransport, url: str) -> None:
    with pytest.raises(FaultError) as caught:
        await transport.open(UpstreamRequest(url, (("authorization", SECRET),), b"{}"))
    assert caught.value.fault.failure is Failure.CONNECT
    assert SECRET not in caught.value.fault.message


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return make_certificate(tmp_path)


async def test_untrusted_certificate(transport: AiohttpTransport, certificate: tuple[Path, Path]) -> None:
    async with tls_provider(certificate) as upstream:
        request = UpstreamRequest(f"https://localhost:{upstream.port}/v1/x", (("authorization", SECRET),), b"{}")
        fault = await failing(transport, request)
        assert fault.failure is Failure.CONNECT
        assert fault.message == f"the certificate of localhost:{upstream.port} is not trusted"


async def test_certificate_for_another_name(certificate: tuple[Path, Path]) -> None:
    transport = AiohttpTransport(tls=ssl.create_default_context(cafile=str(certificate[0])))
    async with tls_provider(certificate) as upstream:
        fault = await failing(transport, UpstreamRequest(f"https://127.0.0.1:{upstream.port}/v1/x", (), b"{}"))
        assert fault.message == f"the certificate of 127.0.0.1:{upstream.port} is not trusted"
        await transport.aclose()


async def test_own_roots_are_trusted(certificate: tuple[Path, Path]) -> None:
    transport = AiohttpTransport(tls=ssl.create_default_context(cafile=str(certificate[0])))
    async with tls_provider(certificate) as upstream:
        assert await fetch(transport, UpstreamRequest(f"https://localhost:{upstream.port}/v1/x", (), b"{}")) == (200, b"tls")
        await transport.aclose()


async def test_another_name_is_asked_for_and_verified(certificate: tuple[Path, Path]) -> None:
    roots = ssl.create_default_context(cafile=str(certificate[0]))
    transport = AiohttpTransport(TransportSettings(server_name="localhost"), roots)
    async with tls_provider(certificate) as upstream:
        assert await fetch(transport, UpstreamRequest(f"https://127.0.0.1:{upstream.port}/v1/x", (), b"{}")) == (200, b"tls")
        assert upstream.names == ["localhost"]
        await transport.aclose()


def test_settings_do_not_bound_connections_by_default() -> None:
    assert TransportSettings().max_connections == 0
    assert TransportSettings().trust_env is False
