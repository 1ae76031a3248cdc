"""A provider in a thread of its own, so that a blocked event loop cannot slow it down: it says exactly what a test wrote."""

import contextlib
import json
import socket
import threading
import time
from typing import Self

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
PING = b": ping\n\n"


def event(**delta: object) -> bytes:
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}).encode() + b"\n\n"


ROLE = event(role="assistant", content="")
CONTENT = event(content="Hello.")
LAST = json.loads(event()[6:])
LAST["choices"][0]["finish_reason"] = "stop"


def end(output_tokens: int = 5) -> bytes:
    """The last events of a stream that reports its usage."""
    usage = {"prompt_tokens": 10, "completion_tokens": output_tokens, "total_tokens": 10 + output_tokens}
    last = (LAST, {**LAST, "choices": [], "usage": usage})
    return b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in last) + b"data: [DONE]\n\n"


END = end()


class RawProvider:
    """`pieces`: (seconds before it, bytes), the same for every request. `arrived`: set when one has come."""

    def __init__(self, *pieces: tuple[float, bytes]) -> None:
        self.pieces = pieces
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5.0)

    def _serve(self) -> None:
        while True:
            try:
                wire, _ = self._socket.accept()
            except OSError:
                return
            with wire, contextlib.suppress(OSError):
                self._answer(wire)

    def _answer(self, wire: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += wire.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        while len(body) < length:
            body += wire.recv(65536)
        for wait_s, piece in self.pieces:
            time.sleep(wait_s)
            wire.sendall(piece)
