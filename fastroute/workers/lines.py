"""A stream for log lines that several processes write to at once."""

import os
import select
import threading

PIPE_PIECE_BYTES = select.PIPE_BUF  # what a pipe takes in one piece, so that no other writer's bytes come between


class WholeLines:
    """Writes to a file descriptor in pieces that end with a line, small enough for a pipe to keep whole.

    Only a line longer than `PIPE_PIECE_BYTES` can be torn by another process's. Blocks while the reader does.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""  # a line whose end has not come
        self._turn = threading.Lock()

    def write(self, data: bytes) -> int:
        with self._turn:
            whole, end, self._rest = (self._rest + data).rpartition(b"\n")
            for piece in _pieces(whole + end):
                self._write(piece)
        return len(data)

    def flush(self) -> None:
        """Nothing waits but an unfinished line."""

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def _write(self, piece: bytes) -> None:
        while piece:
            piece = piece[os.write(self._descriptor, piece) :]


def _pieces(data: bytes) -> list[bytes]:
    """The data cut after line ends, each piece as long as one write may be."""
    pieces, start = [], 0
    while len(data) - start > PIPE_PIECE_BYTES:
        cut = data.rfind(b"\n", start, start + PIPE_PIECE_BYTES) + 1
        cut = cut or data.find(b"\n", start) + 1
        pieces.append(data[start:cut])
        start = cut
    return [*pieces, data[start:]] if start < len(data) else pieces
