"""A canned upstream: answers every POST with one fixed chat completion, whole or streamed, as cheaply as asyncio can.

Run as a process: `python -m bench.canned PORT`. It stands in for a provider that is never the bottleneck.
"""

import asyncio
import sys

import uvloop

TEXT = "The quick brown fox jumps over the lazy dog. " * 10
WHOLE = (
    b'{"id":"chatcmpl-bench","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"' + TEXT.encode() + b'"},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":500,"completion_tokens":100,"total_tokens":600}}'
)
CHUNKS = 32
_HEAD = '{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"m","choices":['


def _frames() -> list[bytes]:
    deltas = ['{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}']
    deltas += ['{"index":0,"delta":{"content":" word"},"finish_reason":null}'] * (CHUNKS - 2)
    deltas += ['{"index":0,"delta":{},"finish_reason":"stop"}']
    usage = '"usage":{"prompt_tokens":500,"completion_tokens":30,"total_tokens":530}'
    lines = [_HEAD + d + "]}" for d in deltas] + [_HEAD + "]," + usage + "}", "[DONE]"]
    return [f"data: {line}\n\n".encode() for line in lines]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(WHOLE), WHOLE)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FRAMES = [_chunk(frame) for frame in _frames()]


class Canned(asyncio.Protocol):
    """One connection; requests carry content-length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # uvloop's own class
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            self.answer(b'"stream":true' in body)

    def answer(self, stream: bool) -> None:
        if not stream:
            self.transport.write(REPLY)
            return
        self.transport.write(STREAM_HEAD)
        self.frame(0)

    def frame(self, i: int) -> None:
        """One frame a loop turn, so that each is a write of its own, as from a real model."""
        self.transport.write(FRAMES[i])
        if i + 1 < len(FRAMES):
            asyncio.get_running_loop().call_soon(self.frame, i + 1)
        else:
            self.transport.write(b"0\r\n\r\n")


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
