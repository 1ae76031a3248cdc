"""Closed-loop load over keep-alive connections: each sends its next request when its last answer is complete."""

import asyncio
import time
from dataclasses import dataclass, field

PROMPT = "Summarise the following support conversation in two sentences for the next agent. " * 24


def request_bytes(path: str, stream: bool) -> bytes:
    """A chat request of about 500 tokens."""
    tail = b',"stream":true' if stream else b""
    body = b'{"model":"auto","messages":[{"role":"user","content":"' + PROMPT.encode() + b'"}],"max_tokens":100' + tail + b"}"
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"authorization: Bearer bench\r\n\r\n" + body


@dataclass
class Result:
    """What came back. `latencies_s` in order of completion."""

    done: int = 0
    errors: int = 0
    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)


async def _one(reader: asyncio.StreamReader) -> bool:
    """Reads one answer to its end; whether it was a 200."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"chunked" in head:
        while (size := int((await reader.readline()).split(b";")[0], 16)) > 0:
            await reader.readexactly(size + 2)
        await reader.readline()
    else:
        at = head.find(b"content-length:")
        await reader.readexactly(int(head[at + 15 :].split(b"\r\n", 1)[0]))
    return b" 200 " in head.split(b"\r\n", 1)[0]


async def _connection(port: int, request: bytes, until_s: float, result: Result) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (started_s := time.perf_counter()) < until_s:
        writer.write(request)
        ok = await _one(reader)
        result.latencies_s.append(time.perf_counter() - started_s)
        result.done += ok
        result.errors += not ok
    writer.close()


async def run(port: int, path: str, stream: bool, connections: int, seconds: float) -> Result:
    """Load for `seconds` on `connections` connections to 127.0.0.1:`port`."""
    result, started_s = Result(), time.perf_counter()
    request = request_bytes(path, stream)
    await asyncio.gather(*(_connection(port, request, started_s + seconds, result) for _ in range(connections)))
    result.seconds = time.perf_counter() - started_s
    return result
