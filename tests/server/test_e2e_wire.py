"""Every recorded chat and messages exchange as a real upstream behind the real sidecar, asked by the official client.

What the translators do with the bytes is tested in `tests/contract`; here the whole path runs: preset, HTTP both ways, cuts into
packets, status and headers, and the client's own parser.
"""

import asyncio
import contextlib
import json
import random
import sys
from pathlib import Path
from typing import Any

import openai
import pytest
from e2e_support import Stack

from fastroute.app import App
from fastroute.config.load import parse_config
from fastroute.mock.provider import MockProviders
from fastroute.mock.schema import mock_config

PROVIDERS = [
    *("openai", "openai-compatible", "azure", "groq", "deepseek", "mistral", "xai", "together", "openrouter", "perplexity"),
    *("anthropic", "alibaba", "cerebras", "databricks", "huggingface", "moonshot", "vercel-gateway", "writer", "zai", "ollama"),
    "gemini",
]
PRESETS = {
    "vercel-gateway": "openai-compatible",
    "gemini": "openai-compatible",
    "writer": "openai-compatible",
    "ollama": "ollama",
}
FINISHES = ("stop", "length", "tool_calls", "content_filter", "function_call")
SKIPPED_HEADERS = ("transfer-encoding", "content-length", "content-encoding", "connection")


def recordings(shared: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for provider in PROVIDERS:
        for file in sorted((shared / "wire" / provider).glob("*.json")):
            exchange = json.loads(file.read_text())
            if exchange["api"] in ("openai.chat", "anthropic.messages"):
                found[f"{provider}.{file.stem}"] = exchange
    return found


def body_of(response: dict[str, Any]) -> bytes:
    if "sse" in response:
        return "".join(response["sse"]).encode()
    return json.dumps(response["body"], ensure_ascii=False).encode() if "body" in response else response["body_text"].encode()


class Replay:
    """An HTTP server that answers `/{name}/...` with a recording, its body cut into random pieces."""

    def __init__(self, exchanges: dict[str, dict[str, Any]]) -> None:
        self._exchanges, self._rng = exchanges, random.Random(3)

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            response = self._exchanges[head.split()[1].decode().split("/")[1]]["response"]
            lines = [f"HTTP/1.1 {response['status']} Recorded", "transfer-encoding: chunked", "connection: close"]
            lines += [f"{k}: {v}" for k, v in response["headers"].items() if k.lower() not in SKIPPED_HEADERS]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
            body = body_of(response)
            while body:
                size = self._rng.choice((1, 2, 7, 40, 700, 5000))
                piece, body = body[:size], body[size:]
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                if self._rng.random() < 0.05:
                    await writer.drain()
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()


def config_for(names: list[str], port: int) -> str:
    lines = ["listen: {port: 0, admin_port: 0}", "providers:"]
    for i, name in enumerate(names):
        provider = name.split(".")[0]
        preset = PRESETS.get(provider, provider)
        lines.append(f"  p{i}: {{preset: {preset}, api_key: k, base_url: 'http://127.0.0.1:{port}/{name}'}}")
    lines.append("endpoints:")
    lines += [f"  e{i}: {{provider: p{i}, model: m}}" for i in range(len(names))]
    return "\n".join(lines)


def failed(exchange: dict[str, Any]) -> bool:
    """The recording is of an error: by status, or inside a 200."""
    return exchange["response"]["status"] != 200 or "error" in str(exchange["features"])


async def streamed(client: openai.AsyncOpenAI, model: str, name: str) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    options = {"include_usage": True}
    stream = await client.chat.completions.create(model=model, messages=messages, stream=True, stream_options=options)
    finishes: dict[int, list[str]] = {}
    ids: dict[tuple[int, int], str] = {}
    content = 0
    async for chunk in stream:
        for choice in chunk.choices:
            finishes.setdefault(choice.index, [])
            content += bool(choice.delta.content) or bool(choice.delta.tool_calls) or bool(choice.delta.model_extra)
            if choice.finish_reason:
                finishes[choice.index].append(choice.finish_reason)
            for call in choice.delta.tool_calls or []:
                if call.id:
                    assert ids.setdefault((choice.index, call.index), call.id) == call.id, name
    assert finishes, name
    assert all(len(f) == 1 for f in finishes.values()), (name, finishes)
    for index in {i for i, _ in ids}:
        mine = [call_id for (choice, _), call_id in ids.items() if choice == index]
        assert len(set(mine)) == len(mine), name
        assert finishes[index] == ["tool_calls"], name


async def whole(client: openai.AsyncOpenAI, model: str, name: str) -> None:
    reply = await client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}])
    assert reply.choices, name
    for choice in reply.choices:
        assert choice.finish_reason in FINISHES, (name, choice.finish_reason)
        ids = [c.id for c in choice.message.tool_calls or []]
        assert all(ids), name
        assert len(set(ids)) == len(ids), name
    if reply.usage and reply.usage.prompt_tokens_details and reply.usage.prompt_tokens_details.cached_tokens:
        assert reply.usage.prompt_tokens >= reply.usage.prompt_tokens_details.cached_tokens, name


async def test_every_recording_comes_through_the_sidecar(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exchanges = recordings(shared)
    names = list(exchanges)
    replay = Replay(exchanges)
    app = App(parse_config(config_for(names, await replay.start()), env={}))
    async with MockProviders(mock_config({"endpoints": {"none": {}}})) as unused:
        s = Stack(app, unused, *(await app.start()), [])
        wrong: list[str] = []
        ran = {"stream": 0, "whole": 0, "error": 0}
        try:
            async with s.openai(timeout=20) as client:
                for i, name in enumerate(names):
                    exchange = exchanges[name]
                    kind = "error" if failed(exchange) else "stream" if "sse" in exchange["response"] else "whole"
                    ran[kind] += 1
                    ask = streamed if "sse" in exchange["response"] else whole
                    try:
                        await ask(client, f"e{i}", name)
                        wrong += [f"{name}: no error"] if kind == "error" else []
                    except openai.APIError as error:
                        wrong += [f"{name}: {error}"] if kind != "error" else []
                    except AssertionError as error:
                        wrong.append(str(error))
        finally:
            await s.http.close()
            await app.stop(drain_s=1.0)
            await replay.stop()
    with capsys.disabled():
        sys.stdout.write(f"\nwire, end to end: {ran} recordings\n")
    assert wrong == []
    assert sum(ran.values()) == len(names)
