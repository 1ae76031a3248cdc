"""`fastroute serve --workers N`: the shared memory, the shared port, and the crew on them."""

import functools
import gc
import mmap
import os
import secrets
import socket
from collections.abc import Callable
from typing import BinaryIO, cast

import msgspec

from fastroute.app import catalog_of
from fastroute.config.schema import Config
from fastroute.engine.sharing import Seat
from fastroute.stats.shared import Slabs
from fastroute.telemetry.log import configure
from fastroute.workers.lines import WholeLines
from fastroute.workers.office import keep_office
from fastroute.workers.supervisor import Crew, Supervisor
from fastroute.workers.worker import work


def run(config: Config, workers: int, log_level: str, announce: Callable[[int, int], None]) -> int:
    """Supervises `workers` workers until SIGTERM or SIGINT; gives the exit code.

    `announce` is told (data port, admin port) once all serve. Raises OSError where the data port is taken.
    """
    lines = configure(log_level, stream=cast(BinaryIO, WholeLines(2)))
    held, port = reserve(config.listen.host, config.listen.port)
    config = msgspec.structs.replace(config, listen=msgspec.structs.replace(config.listen, port=port))
    endpoints = len(catalog_of(config).endpoints)
    slabs = Slabs(memoryview(mmap.mmap(-1, Slabs.size_bytes(workers, endpoints))), workers, endpoints)
    office_port = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("q")
    token = secrets.token_hex(32)
    seats = [Seat(slabs, slot, token) for slot in range(workers)]
    crew = Crew(
        bodies=[
            *(functools.partial(work, config, lines, seat) for seat in seats),
            functools.partial(keep_office, slabs, token, config, office_port),
        ],
        on_ready=lambda: announce(port, int(office_port[0])),
        on_death=lambda place: slabs[place].reclaim() if place < workers else None,
        drain_s=config.listen.drain_s,
    )
    gc.collect()
    gc.freeze()  # what all processes share is not to be copied by a collection
    try:
        return Supervisor(crew).run()
    finally:
        for held_socket in held:
            held_socket.close()


def reserve(host: str, port: int) -> tuple[list[socket.socket], int]:
    """Binds the data port for this crew without listening on it; gives the sockets, to be kept, and the port.

    Sharing a port must be intended: another program's, or another crew's, is refused. Raises OSError.
    """
    held: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            wanted = (address[0], port, *address[2:])
            if port:
                _bound(socket.socket(family, kind, protocol), wanted, shared=False).close()
            held.append(_bound(socket.socket(family, kind, protocol), wanted, shared=True))
            port = held[0].getsockname()[1]
    except BaseException:
        for bound in held:
            bound.close()
        raise
    return held, port


def _bound(bare: socket.socket, address: tuple[str | int, ...], shared: bool) -> socket.socket:
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if bare.family == socket.AF_INET6:
        bare.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if shared:
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bare.bind(address)
    except OSError as error:
        bare.close()
        raise OSError(error.errno, f"{address[0]}:{address[1]}: {os.strerror(error.errno or 0)}") from None
    return bare
