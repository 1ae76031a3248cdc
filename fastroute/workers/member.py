"""A member's end of its line to the supervisor, inside its event loop."""

import asyncio
import contextlib
import signal
import socket

from fastroute.workers.supervisor import PLEASE_DRAIN, QUIT, READY


class Line:
    """Orders come in as events: `drain` (the caller's), and `hurry` for an end at once. Make it on the loop that hears them.

    `by_signal`: SIGTERM and SIGINT to this process are taken for the order to drain, else for none: the office stays to the end.
    """

    def __init__(self, line: socket.socket, drain: asyncio.Event, by_signal: bool = True) -> None:
        self._line, self._drain = line, drain
        self.hurry = asyncio.Event()
        line.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(line, self._hear)
        for number in (signal.SIGTERM, signal.SIGINT):  # sent to the whole group, or by an operator who means this one
            loop.add_signal_handler(number, drain.set if by_signal else lambda: None)

    def ready(self) -> None:
        """Tells the supervisor that this member serves."""
        self._say(READY)

    def please_drain(self) -> None:
        """Asks the supervisor to drain everybody."""
        self._say(PLEASE_DRAIN)

    def close(self) -> None:
        """Hears no more."""
        asyncio.get_running_loop().remove_reader(self._line)

    def _say(self, word: bytes) -> None:
        with contextlib.suppress(OSError):
            self._line.send(word)

    def _hear(self) -> None:
        try:
            order = self._line.recv(64)
        except BlockingIOError:
            return
        except ConnectionError:
            order = b""
        if not order:  # the supervisor is gone
            self.close()
        self._drain.set()
        if QUIT in order:
            self.hurry.set()
