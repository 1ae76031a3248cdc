"""What a soak run sees of the sidecar: memory, descriptors, sockets from /proc, tasks and objects from its admin port.

The sockets are counted from outside, by their ports, in the kernel's table, so that a router that miscounts its own is found
out. With several workers all figures are sums over the processes.
"""

import json
import os
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from bench.processes import tree
from bench.soak_client import Wire

TRACKED = (
    "_asyncio.Task",
    "_asyncio.Future",
    "uvloop.loop.TimerHandle",
    "uvloop.loop.UVTimer",
    "uvloop.loop.TCPTransport",
    "fastroute.server.protocol.Connection",
    "fastroute.transport.connection.Connection",
    "fastroute.engine.watchdog.Watchdog",
    "fastroute.engine.exchange.Exchange",
    "aiohttp.web_protocol.RequestHandler",
    "aiohttp.streams.StreamReader",
    "coroutine",
)
"""Types of which none may be left of a request that has ended."""
ALL_TYPES = 1000
ESTABLISHED = "01"


class Sample(msgspec.Struct, frozen=True):
    """The sidecar at one instant; `at_s` since the run's start."""

    at_s: float
    rss_bytes: int
    anon_bytes: int  # without the pages of files, which the system may drop and read again
    fds: int
    threads: int
    client_sockets: int
    provider_sockets: int
    tasks: int
    in_flight: int
    remembered: int
    visits: int  # ended so far
    under_way: int


class Process(msgspec.Struct):
    """Sums over a tree of processes."""

    rss_bytes: int = 0
    anon_bytes: int = 0
    fds: int = 0
    threads: int = 0


def processes(pid: int) -> Process:
    """What the kernel says of a process and its children. One that has ended counts nothing."""
    total = Process()
    for p in tree(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            told = dict(line.split(":", 1) for line in Path(f"/proc/{p}/status").read_text().splitlines() if ":" in line)
            total.rss_bytes += 1024 * int(told["VmRSS"].split()[0])
            total.anon_bytes += 1024 * int(told["RssAnon"].split()[0])
            total.threads += int(told["Threads"])
            total.fds += len(os.listdir(f"/proc/{p}/fd"))
    return total


def sockets(table: str, port: int, providers: Collection[int]) -> tuple[int, int]:
    """(established connections that `port` serves, established ones to the providers) in the text of /proc/net/tcp."""
    clients = upstream = 0
    for line in table.splitlines()[1:]:
        _, local, remote, state = line.split(None, 4)[:4]
        if state == ESTABLISHED:
            clients += int(local[-4:], 16) == port
            upstream += int(remote[-4:], 16) in providers
    return clients, upstream


def _table() -> str:
    return Path("/proc/net/tcp").read_text()


class Watch:
    """Reads one sidecar. `close` ends its connection to the admin port."""

    def __init__(self, pid: int, port: int, admin_port: int, providers: Collection[int]) -> None:
        self._pid, self._port, self._admin_port, self._providers = pid, port, admin_port, frozenset(providers)
        self._wire: Wire | None = None
        self._started_s = time.monotonic()

    @property
    def at_s(self) -> float:
        return time.monotonic() - self._started_s

    async def sample(self, visits: int, under_way: int) -> Sample:
        """Raises OSError, bench.soak_client.Broken where the admin port does not answer."""
        told = await self.runtime()
        of = processes(self._pid)
        clients, upstream = sockets(_table(), self._port, self._providers)
        return Sample(
            at_s=self.at_s,
            rss_bytes=of.rss_bytes,
            anon_bytes=of.anon_bytes,
            fds=of.fds,
            threads=of.threads,
            client_sockets=clients,
            provider_sockets=upstream,
            tasks=told["tasks"],
            in_flight=told["in_flight"],
            remembered=told["remembered"],
            visits=visits,
            under_way=under_way,
        )

    async def runtime(self) -> dict[str, Any]:
        """What the sidecar says of itself."""
        found: dict[str, Any] = json.loads(await self._get("/api/runtime"))
        return found

    async def types(self) -> dict[str, int]:
        """All objects by type. Stops the sidecar for some tenths of a second."""
        found: dict[str, int] = json.loads(await self._get(f"/api/runtime?types={ALL_TYPES}"))["types"]
        return found

    async def lost_records(self) -> list[str]:
        """Samples of metrics that count records lost, or sinks that failed, and are not zero."""
        names = ("fastroute_sink_dropped_total", "fastroute_sink_errors_total")
        lines = (await self._get("/metrics")).decode().splitlines()
        return [line for line in lines if line.startswith(names) and float(line.rsplit(" ", 1)[1]) > 0]

    async def _get(self, path: str) -> bytes:
        if self._wire is None or self._wire.lost:
            self._wire = await Wire.open(self._admin_port)
        self._wire.send(b"GET %b HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" % path.encode())
        answer = await self._wire.answer()
        if answer.status != 200:
            raise OSError(f"the admin port answers {answer.status} to {path}")
        return answer.body

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
