"""A canned upstream: answers every POST with a chat completion, whole or streamed, as cheaply as asyncio can.

Run as a process: `python -m bench.canned PORT`. It stands in for a provider that is never the bottleneck. A marker in the
prompt (`bench.request`) says what to answer: its size, chunks, pauses. `POST /__bench/stall?s=2` holds back everything that
is not yet written for two seconds, once; it answers at once.
"""

import asyncio
import sys
import time
from functools import lru_cache

import uvloop

from bench.request import Kind, read_marker

WORD = b" word"
STAMP = b" word @%018d"
_HEAD = '{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"m","choices":['
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Answer:
    """Everything of one kind of answer that can be built once. `frames` are HTTP chunks; a stamped one has a place for digits."""

    def __init__(self, kind: Kind) -> None:
        text = "The quick brown fox jumps over the lazy dog. " * (kind.output_tokens // 11 + 1)
        usage = f'{{"prompt_tokens":500,"completion_tokens":{kind.output_tokens},"total_tokens":{500 + kind.output_tokens}}}'
        body = (
            '{"id":"chatcmpl-bench","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
            f'{{"role":"assistant","content":"{text[: kind.output_tokens * 4]}"}},"logprobs":null,"finish_reason":"stop"}}],'
            f'"usage":{usage}}}'
        ).encode()
        self.whole = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        self.stamped, self.pause_s, self.think_s = kind.stamp, kind.pause_ms / 1000, kind.think_ms / 1000
        self.frames = [_chunk(frame) for frame in _frames(kind, usage)]


def _frames(kind: Kind, usage: str) -> list[bytes]:
    word = (STAMP % 0 if kind.stamp else WORD).decode()
    deltas = ['{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}']
    deltas += [f'{{"index":0,"delta":{{"content":"{word}"}},"finish_reason":null}}'] * max(1, kind.chunks - 2)
    deltas += ['{"index":0,"delta":{},"finish_reason":"stop"}']
    lines = [_HEAD + d + "]}" for d in deltas] + [f'{_HEAD}],"usage":{usage}}}', "[DONE]"]
    return [f"data: {line}\n\n".encode() for line in lines]


@lru_cache(maxsize=1024)
def answer_for(marker: bytes) -> Answer:
    """The answer that a marker asks for; the default one where it asks for nothing."""
    return Answer(read_marker(marker) or Kind())


class Canned(asyncio.Protocol):
    """One connection; requests carry content-length."""

    stalled_until_s = 0.0  # by the loop's clock, for all connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # uvloop's own class
        self.buffer = b""
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            if head.startswith(b"post /__bench/stall"):
                self.stall(float(head.split(b" ", 2)[1].partition(b"s=")[2] or 0))
            else:
                self.take(body)

    def stall(self, seconds: float) -> None:
        Canned.stalled_until_s = self.loop.time() + seconds
        self.transport.write(NO_CONTENT)

    def take(self, body: bytes) -> None:
        start = body.find(b"#bench ")
        answer = answer_for(body[start : body.find(b"#", start + 1) + 1] if start >= 0 else b"")
        stream = b'"stream":true' in body or b'"stream": true' in body
        if not answer.think_s and not Canned.stalled_until_s:
            self.answer(answer, stream)
            return
        now_s = self.loop.time()
        self.loop.call_at(max(now_s + answer.think_s, Canned.stalled_until_s), self.answer, answer, stream)
        if now_s > Canned.stalled_until_s:
            Canned.stalled_until_s = 0.0

    def answer(self, answer: Answer, stream: bool) -> None:
        if not stream:
            self.transport.write(answer.whole)
            return
        self.transport.write(STREAM_HEAD)
        self.began_s = self.loop.time()
        self.frame(answer, 0)

    def frame(self, answer: Answer, i: int) -> None:
        """One frame a loop turn, or a pause, so that each is a write of its own, as from a real model.

        The role comes with the first content, without a pause; contents are due on a grid, so that timers do not add up.
        """
        if self.transport.is_closing():
            return
        data = answer.frames[i]
        self.transport.write(data.replace(b"@000000000000000000", b"@%018d" % time.perf_counter_ns()) if answer.stamped else data)
        if i + 1 == len(answer.frames):
            self.transport.write(LAST_CHUNK)
        elif answer.pause_s and 0 < i < len(answer.frames) - 3:
            due_s = max(self.began_s + i * answer.pause_s, Canned.stalled_until_s)
            self.loop.call_at(due_s, self.frame, answer, i + 1)
        else:
            self.loop.call_soon(self.frame, answer, i + 1)


async def serve(port: int = 0) -> asyncio.Server:
    """Listens on 127.0.0.1; the caller closes."""
    Canned.stalled_until_s = 0.0
    return await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", port, backlog=8192)


async def main(port: int) -> None:
    """Serves until cancelled."""
    server = await serve(port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
