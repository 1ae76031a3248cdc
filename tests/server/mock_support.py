"""What the tests of the mock provider share: a raw HTTP client that hides nothing, and small configs."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Self
from urllib.parse import urlsplit

from fastroute.mock.provider import MockProviders
from fastroute.mock.schema import MockConfig, mock_config

INSTANT = {"ttft_ms": 0, "sigma": 0, "tpot_ms": 0}
BRISK = {"ttft_ms": 2, "sigma": 0, "tpot_ms": 1}
PRICE = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 10}
HELLO = [{"role": "user", "content": "Hello, how are you today?"}]


def config(*specs: dict[str, Any], **rest: Any) -> MockConfig:
    """A config; endpoints are named `o` (OpenAI) unless the spec says otherwise, brisk, and cost 1 and 10 USD per Mtok."""
    usual = {"name": "o", "latency": BRISK, "price": PRICE, "output_tokens": {"mean": 8}}
    return mock_config({"endpoints": [{**usual, **spec} for spec in specs or ({},)], **rest})


@contextlib.asynccontextmanager
async def running(*specs: dict[str, Any], **rest: Any) -> AsyncIterator[MockProviders]:
    async with MockProviders(config(*specs, **rest)) as mocks:
        yield mocks


def ask(**members: Any) -> dict[str, Any]:
    """An OpenAI chat request."""
    return {"model": "m", "messages": HELLO, **members}


def ask_anthropic(**members: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 100, "messages": HELLO, **members}


class Reply:
    """A response as it was on the wire. `ended`: how the body ended: `complete`, `cut` (connection closed too early), `reset`."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes, ended: str, trailer: bytes = b"") -> None:
        self.status, self.headers, self.body, self.ended, self.trailer = status, headers, body, ended, trailer

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The data of each event, decoded; `[DONE]` as is."""
        lines = [line[6:] for line in self.body.decode().split("\n") if line.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]

    @property
    def text(self) -> str:
        """The text of an OpenAI or Anthropic stream."""
        found = []
        for event in self.events:
            if event != "[DONE]" and event.get("choices"):
                found.append(event["choices"][0]["delta"].get("content") or "")
            elif event != "[DONE]" and event.get("type") == "content_block_delta":
                found.append(event["delta"].get("text", ""))
        return "".join(found)


class Wire:
    """One raw client connection. Use as an async context manager."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port, self.prefix = parts.hostname or "", parts.port or 0, parts.path
        self.rest = b""

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=1 << 24)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def leave(self) -> None:
        """Closes the client's side."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def send(self, body: Any, path: str = "/chat/completions", method: str = "POST", **headers: str) -> None:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"{method} {self.prefix}{path} HTTP/1.1", "host: mock", f"content-length: {len(payload)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + payload)

    async def head(self) -> tuple[int, dict[str, str]]:
        raw = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = raw.strip().split("\r\n")
        return int(first.split(" ")[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}

    async def chunk(self) -> bytes:
        """The next chunk of a chunked body; b"" is its end."""
        size = int((await self.reader.readuntil(b"\r\n")).strip(), 16)
        if size == 0:
            return b""
        data = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        return data

    async def reply(self) -> Reply:
        status, headers = await self.head()
        if "content-length" in headers:
            return await self._sized(status, headers)
        return await self._chunked(status, headers)

    async def _sized(self, status: int, headers: dict[str, str]) -> Reply:
        try:
            return Reply(status, headers, await self.reader.readexactly(int(headers["content-length"])), "complete")
        except asyncio.IncompleteReadError as error:
            return Reply(status, headers, error.partial, "cut")

    async def _chunked(self, status: int, headers: dict[str, str]) -> Reply:
        pieces: list[bytes] = []
        try:
            while piece := await self.chunk():
                pieces.append(piece)
            trailer = (await self.reader.readuntil(b"\r\n")).strip()
            if trailer:
                await self.reader.readuntil(b"\r\n")
            return Reply(status, headers, b"".join(pieces), "complete", trailer)
        except asyncio.IncompleteReadError:
            return Reply(status, headers, b"".join(pieces), "cut")
        except ConnectionResetError:
            return Reply(status, headers, b"".join(pieces), "reset")


async def post(url: str, body: Any, path: str = "/chat/completions", **headers: str) -> Reply:
    """One request on a connection of its own."""
    async with Wire(url) as wire:
        wire.send(body, path, **headers)
        return await wire.reply()


async def post_anthropic(url: str, body: Any, path: str = "/v1/messages", **headers: str) -> Reply:
    return await post(url, body, path, **{"anthropic_version": "2023-06-01", "x_api_key": "k", **headers})


async def get(url: str, path: str, method: str = "GET", body: Any = b"") -> Reply:
    async with Wire(url) as wire:
        wire.send(body, path, method)
        return await wire.reply()
