"""A listening socket that can be closed and opened again on the same port while everything else runs.

Theory of operation. Opening and closing take effect at once, without an await: the loop watches the socket for readability and
we accept by hand. (`create_server` cannot be undone before its task has run.) While closed, a bound socket that does not
listen keeps the port: the kernel refuses connections to it, and nobody else can take it.
"""

import asyncio
import socket
from typing import Any

from fastroute.mock.connection import Connection, Service

_BACKLOG = 1024


class Listener:
    """One port. Not open at first. `connections` are those accepted and still open."""

    def __init__(self, service: Service, host: str, port: int) -> None:
        self._service, self._host = service, host
        self.port = port
        self.connections: set[Connection] = set()
        self._placeholder: socket.socket | None = None
        self._listening: socket.socket | None = None
        self._joining: set[asyncio.Task[Any]] = set()  # accepted, not yet with their transport

    @property
    def is_open(self) -> bool:
        return self._listening is not None

    def open(self) -> None:
        """Listens. Needs the running loop. Raises `OSError` where the port is taken."""
        if self.is_open:
            return
        self._drop_placeholder()
        listening = self._bound()
        listening.listen(_BACKLOG)
        self._listening, self.port = listening, listening.getsockname()[1]
        asyncio.get_running_loop().add_reader(listening.fileno(), self._accept, listening)

    def refuse(self) -> None:
        """Does not listen, but keeps the port. Closes the connections that are idle, and those at work when they are done."""
        self._stop_listening()
        if self._placeholder is None:
            self._placeholder = self._bound()
            self.port = self._placeholder.getsockname()[1]
        self.drop_idle()
        for connection in self.connections:
            connection.leaving = True

    def drop_idle(self) -> None:
        """Closes the connections that wait for a request."""
        for connection in [c for c in self.connections if c.idle]:
            connection.close()

    async def aclose(self) -> None:
        """Stops listening and resets every connection. Idempotent."""
        self._stop_listening()
        self._drop_placeholder()
        await asyncio.gather(*self._joining, return_exceptions=True)
        for connection in list(self.connections):
            connection.reset()
        await asyncio.gather(*(connection.lost.wait() for connection in list(self.connections)))

    def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while self._listening is listening:
            try:
                accepted, _ = listening.accept()
            except OSError:  # none left, or the client has gone already, or no file descriptors: the loop calls again
                return
            accepted.setblocking(False)
            joining = loop.create_task(loop.connect_accepted_socket(self._connection, accepted))
            self._joining.add(joining)
            joining.add_done_callback(self._joined)

    def _joined(self, joining: asyncio.Task[Any]) -> None:
        self._joining.discard(joining)
        if not joining.cancelled():
            joining.exception()  # the client has gone meanwhile: nobody else will ask

    def _connection(self) -> Connection:
        return Connection(self._service, self.connections)

    def _stop_listening(self) -> None:
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening.fileno())
            self._listening.close()
            self._listening = None

    def _drop_placeholder(self) -> None:
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None

    def _bound(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        try:
            bound.bind((self._host, self.port))
        except OSError:
            bound.close()
            raise
        return bound
