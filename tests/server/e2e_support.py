"""The real sidecar over real mock providers, in one loop: for tests that act as a user would."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import openai

from fastroute.app import App
from fastroute.config.load import parse_config
from fastroute.core.trail import Trail
from fastroute.mock.provider import MockProviders
from fastroute.mock.schema import mock_config

PRESETS = {"openai_chat": "openai-compatible", "anthropic_messages": "anthropic-compatible"}
QUICK = {"ttft_ms": 20, "tpot_ms": 1, "sigma": 0.1}


def provider(dialect: str = "openai_chat", usd: float = 1.0, **kwargs: Any) -> dict[str, Any]:
    """A mock endpoint; `usd` is its price per million input tokens, output costs four times as much."""
    price = {"input_usd_per_mtok": usd, "output_usd_per_mtok": 4 * usd}
    return {"dialect": dialect, "latency": QUICK, "output_tokens": {"mean": 12}, "price": price, **kwargs}


class Stack:
    """A running sidecar, its mocks, and clients of it."""

    def __init__(self, app: App, mocks: MockProviders, port: int, admin_port: int, trails: list[Trail]) -> None:
        self.app, self.mocks, self.trails = app, mocks, trails
        self.url, self.admin_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}"
        self.port = port
        self.http = aiohttp.ClientSession()

    def openai(self, **kwargs: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key="unused", max_retries=0, **kwargs)

    async def ask(self, headers: dict[str, str] | None = None, **body: Any) -> tuple[int, dict[str, str], bytes]:
        """(status, lower-case headers, body) of one chat request."""
        body = {"model": "auto", "messages": [{"role": "user", "content": "Say something."}], **body}
        async with self.http.post(f"{self.url}/v1/chat/completions", json=body, headers=headers) as reply:
            return reply.status, {k.lower(): v for k, v in reply.headers.items()}, await reply.read()

    def sent(self, name: str) -> list[dict[str, Any]]:
        return [r for r in self.mocks.requests() if r["endpoint"] == name]


class Kept:
    def __init__(self) -> None:
        self.trails: list[Trail] = []

    def emit(self, trail: Trail) -> None:
        self.trails.append(trail)


def config_text(mocks: MockProviders, specs: dict[str, dict[str, Any]], route: str, extra: str = "") -> str:
    lines = ["version: 1", "listen: {port: 0, admin_port: 0}", "providers:"]
    for name, spec in specs.items():
        lines.append(
            f"  p-{name}: {{preset: {PRESETS[spec['dialect']]}, base_url: '{mocks.url(name)}', api_key: secret-of-{name}}}"
        )
    lines.append("endpoints:")
    for name, spec in specs.items():
        usd = spec["price"]["input_usd_per_mtok"]
        price = f"{{input_usd_per_mtok: {usd}, output_usd_per_mtok: {4 * usd}}}"
        lines.append(f"  {name}: {{provider: p-{name}, model: model-{name}, price: {price}}}")
    return "\n".join([*lines, "routes:", f"  auto: {route}", extra])


@asynccontextmanager
async def stack(specs: dict[str, dict[str, Any]], route: str, extra: str = ""):
    """`specs`: mock endpoints by name; `route`: the route `auto` as flow YAML."""
    async with MockProviders(mock_config({"endpoints": specs, "log_bodies": True})) as mocks:
        kept = Kept()
        app = App(parse_config(config_text(mocks, specs, route, extra), env={}), sinks=(kept,))
        port, admin_port = await app.start()
        running = Stack(app, mocks, port, admin_port, kept.trails)
        try:
            yield running
        finally:
            await running.http.close()
            await app.stop(drain_s=1.0)


async def until(true: Any, seconds: float = 5.0) -> None:
    """Waits for a condition that another task of this loop brings about."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 # the condition belongs to the server under test, which has no event for it
            await asyncio.sleep(0.005)
