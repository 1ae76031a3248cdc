"""Takes connections in as fast as they come, on event loops that take one a turn.

Theory of operation. libuv, under uvloop, accepts one connection per listening socket and turn of the loop. When a turn is long,
because a thousand connections have something to say, the next thousand wait for seconds in the kernel's queue: clients see a
router that does not answer. So whenever a connection was accepted, as many more as wait are, up to a limit that keeps the
loop's turn short. Where none waits that costs one call that says so.
"""

import asyncio
import os
import socket
from collections.abc import Callable

AT_ONCE = 64


class Acceptor:
    """Accepts from the listening sockets of a server beside its loop. `more` after each connection, `close` with the server."""

    def __init__(self, server: asyncio.Server, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        self._protocol = protocol
        self._sockets = [socket.socket(fileno=os.dup(listening.fileno())) for listening in server.sockets]
        self._pending = False
        self._connecting: set[asyncio.Task[object]] = set()
        for listening in self._sockets:
            listening.setblocking(False)

    def more(self) -> None:
        """A connection was accepted: soon sees whether others wait."""
        if self._sockets and not self._pending:
            self._pending = True
            asyncio.get_running_loop().call_soon(self._accept)

    def close(self) -> None:
        for listening in self._sockets:
            listening.close()
        self._sockets = []

    def _accept(self) -> None:
        self._pending = False
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            for _ in range(AT_ONCE):
                try:
                    accepted, _ = listening.accept()
                except OSError:  # none waits, or one that is gone already, or no descriptors are left: the loop will see
                    break
                accepted.setblocking(False)
                task = loop.create_task(loop.connect_accepted_socket(self._protocol, accepted))
                self._connecting.add(task)
                task.add_done_callback(self._connected)

    def _connected(self, task: "asyncio.Task[object]") -> None:
        self._connecting.discard(task)
        if not task.cancelled():
            task.exception()  # a client that has left meanwhile is nobody's concern
