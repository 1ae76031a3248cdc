"""A provider on a raw socket that plays scripts, for the transport tests."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.ports import Transport, UpstreamReply
from fastroute.core.types import UpstreamRequest

SECRET = "sk-secret-123"
SOON_S = 2.0


class Peer:
    """The provider's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.gone = asyncio.Event()  # the client has closed

    async def request(self) -> tuple[dict[str, str], bytes]:
        """One whole request: its headers (lower-case names, the request line under ""), its body."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return {"": lines[0], **headers}, body

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    def whole(self, body: bytes, status: str = "200 OK", headers: str = "") -> None:
        self.say(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.writer.transport.abort()

    async def until_gone(self) -> None:
        """Waits until the client has closed its end, by FIN or RST."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.gone.set()


Script = Callable[[Peer], Awaitable[None]]


class Upstream:
    """A provider that plays one script per connection; the last script serves all that follow."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.peers: list[Peer] = []
        self.errors: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        # A longer queue than the 120 connections that one test opens at once: what does not fit in waits a second or three.
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 22, backlog=512)
        self.port = self.server.sockets[0].getsockname()[1]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.scripts[min(len(self.peers), len(self.scripts) - 1)]
        peer = Peer(reader, writer)
        self.peers.append(peer)
        task = asyncio.get_running_loop().create_task(self._play(script, peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _play(self, script: Script, peer: Peer) -> None:
        try:
            await script(peer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except Exception as error:
            self.errors.append(error)
        finally:
            peer.writer.close()

    def request(
        self, body: bytes = b'{"a":1}', path: str = "/v1/x", headers: tuple[tuple[str, str], ...] = ()
    ) -> UpstreamRequest:
        url = f"http://127.0.0.1:{self.port}{path}"
        return UpstreamRequest(url, (("authorization", f"Bearer {SECRET}"), ("content-type", "application/json"), *headers), body)

    async def aclose(self) -> None:
        self.server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in self.peers:
            peer.writer.transport.abort()
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def provider(*scripts: Script) -> AsyncIterator[Upstream]:
    upstream = Upstream(*scripts)
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.aclose()
    assert upstream.errors == []


async def turns(n: int) -> None:
    """Lets the loop turn, sockets included."""
    for _ in range(n):
        await asyncio.sleep(0.001)


async def collect(reply: UpstreamReply) -> bytes:
    pieces = []
    while piece := await asyncio.wait_for(reply.read(), SOON_S):
        pieces.append(piece)
    return b"".join(pieces)


async def fetch(transport: Transport, request: UpstreamRequest) -> tuple[int, bytes]:
    reply = await asyncio.wait_for(transport.open(request), SOON_S)
    try:
        return reply.status, await collect(reply)
    finally:
        reply.close()


async def fetch_or_failure(transport: Transport, request: UpstreamRequest) -> tuple[int, bytes] | Failure:
    try:
        return await fetch(transport, request)
    except FaultError as error:
        return error.fault.failure


async def failing(transport: Transport, request: UpstreamRequest) -> Fault:
    with pytest.raises(FaultError) as caught:
        await fetch(transport, request)
    fault = caught.value.fault
    assert SECRET not in fault.message
    assert "/v1/x" not in fault.message
    assert "\n" not in fault.message
    assert len(fault.message) < 200
    assert fault.rule.failover
    return fault


def answering(body: bytes = b'{"ok":true}', headers: str = "", status: str = "200 OK") -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            peer.whole(body, status, headers)

    return script


# --- TLS ---


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that nobody but its maker trusts, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command to make a certificate with")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )
    return cert, key


class TlsUpstream:
    """Answers every request over TLS, and notes what it saw of each connection."""

    def __init__(self, certificate: tuple[Path, Path], client_ca: Path | None = None) -> None:
        self.names: list[str | None] = []
        self.resumed: list[bool] = []
        self.gone = asyncio.Semaphore(0)  # released for every connection that ended
        self.silent = False
        self.arrived = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(*certificate)
        self.context.sni_callback = lambda _, name, __: self.names.append(name)  # type: ignore[assignment]
        if client_ca is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        self.port = int(self.server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.resumed.append(writer.get_extra_info("ssl_object").session_reused)
        peer = Peer(reader, writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await peer.request()
                self.arrived.set()
                if not self.silent:
                    peer.whole(b"tls")
        self.gone.release()
        writer.close()

    async def aclose(self) -> None:
        self.server.close()
        for writer in self._writers:
            writer.transport.abort()
        await turns(3)


@contextlib.asynccontextmanager
async def tls_provider(certificate: tuple[Path, Path], client_ca: Path | None = None) -> AsyncIterator[TlsUpstream]:
    upstream = TlsUpstream(certificate, client_ca)
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.aclose()
