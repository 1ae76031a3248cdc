"""Every preset, and every model that it lists: a request reaches the right path with the right key.

A local server stands for all providers at once: each has the path of its real address below its own name. That the real
addresses are right is tested in `tests/unit/test_config_presets.py`.
"""

import asyncio
import json
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import pytest

from fastroute.app import App, catalog_of
from fastroute.config.load import parse_config
from fastroute.config.presets import Preset, presets
from fastroute.config.schema import Config, Provider
from fastroute.core.types import Endpoint
from fastroute.dialects.openai_chat import OpenAIChatApi
from fastroute.dialects.registry import dialects

Json = dict[str, Any]
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
MESSAGE = {
    "id": "1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
AUTH = {"bearer": "authorization", "api-key": "api-key", "x-api-key": "x-api-key"}
SPOKEN = ("openai_chat", "anthropic_messages")
OURS = [preset for preset in presets().values() if preset.profile.dialect in SPOKEN]


class Providers:
    """All providers in one server; `seen` by the first step of the path."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[str, dict[str, str], Json]] = {}

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        target = head[0].split()[1]
        name, _, path = target.removeprefix("/").partition("/")
        self.seen[name] = f"/{path}", headers, body
        answer = json.dumps(MESSAGE if "messages" in path else ANSWER).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n")
        writer.write(b"content-length: %d\r\n\r\n" % len(answer) + answer)
        await writer.drain()
        writer.close()

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()


def real_path(preset: Preset) -> str:
    return urlsplit(preset.base_url or preset.example_base_url or "").path


def model_of(preset: Preset) -> str:
    """A listed model where there are any; a name with what a URL must quote where it enters the path."""
    return next(iter(preset.models)).model if preset.models else "org/some-model:v1"


def check_request(preset: Preset, key: str, got: tuple[str, dict[str, str], Json], path: str) -> None:
    target, headers, body = got
    assert target == path, preset.name
    expected = f"Bearer {key}" if preset.profile.auth == "bearer" else key
    assert headers[AUTH[preset.profile.auth]] == expected, preset.name
    others = set(AUTH.values()) - {AUTH[preset.profile.auth]}
    assert not others & headers.keys(), f"{preset.name}: the key goes out in one way only"
    assert body["model"] == model_of(preset), preset.name
    for name, value in preset.profile.headers:
        assert headers[name] == value, preset.name


async def test_every_preset_is_reached_with_its_path_and_its_key() -> None:
    providers = Providers()
    port = await providers.start()
    lines = ["listen: {port: 0, admin_port: 0}", "providers:"]
    for preset in OURS:
        version = ", api_version: '2024-05-01'" if preset.name == "azure-foundry" else ""
        where = f"http://127.0.0.1:{port}/{preset.name}{real_path(preset)}"
        lines.append(f"  {preset.name}: {{api_key: key-{preset.name}, base_url: '{where}'{version}}}")
    lines.append(
        f"  classic: {{preset: azure, api_key: k, base_url: 'http://127.0.0.1:{port}/classic', api_version: '2024-10-21'}}"
    )
    app = App(parse_config("\n".join(lines), env={}))
    data_port, _ = await app.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{data_port}") as client:
            for preset in OURS:
                await ask(client, f"{preset.name}/{model_of(preset)}")
            await ask(client, "classic/my deployment".replace(" ", "+"))
    finally:
        await app.stop(drain_s=1.0)
        await providers.stop()
    for preset in OURS:
        path = real_path(preset) + preset.profile.chat_path
        query = "?api-version=2024-05-01" if preset.name == "azure-foundry" else ""
        check_request(preset, f"key-{preset.name}", providers.seen[preset.name], path + query)
    target, headers, _ = providers.seen["classic"]
    assert target == f"/openai/deployments/{quote('my+deployment', safe='')}/chat/completions?api-version=2024-10-21"
    assert headers["api-key"] == "k"
    assert len(providers.seen) == len(OURS) + 1 >= 40


async def ask(client: aiohttp.ClientSession, model: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    async with client.post("/v1/chat/completions", json=body) as response:
        answer = await response.json()
        assert response.status == 200, (model, answer)
        assert answer["choices"][0]["message"]["content"] == "Hi", model


# --- what is listed -----------------------------------------------------------------------------------------------------


def keyed(count: int | None = None) -> Config:
    """Dummy keys for the presets that need nothing else."""
    reachable = [preset for preset in OURS if preset.key_env and preset.base_url]
    return Config(providers={preset.name: Provider(api_key=f"key-{preset.name}") for preset in reachable[:count]})


async def test_twenty_providers_with_keys_list_more_than_500_models() -> None:
    config = keyed(20)
    assert len(config.providers) == 20
    app = App(parse_config("listen: {port: 0, admin_port: 0}\nproviders:\n" + keys_as_yaml(config), env={}))
    data_port, _ = await app.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{data_port}") as client, client.get("/v1/models") as response:
            listed = (await response.json())["data"]
            async with client.get("/v1/models/openai/gpt-6-luna") as one:
                assert (await one.json())["owned_by"] == "openai"
    finally:
        await app.stop(drain_s=1.0)
    ids = [model["id"] for model in listed]
    assert len(ids) == len(set(ids)) >= 500
    assert all(model["id"].startswith(f"{model['owned_by']}/") for model in listed)
    assert len({model["owned_by"] for model in listed}) >= 18, "the others serve what is not in the snapshot"


def keys_as_yaml(config: Config) -> str:
    return "\n".join(f"  {name}: {{api_key: {provider.api_key}}}" for name, provider in config.providers.items())


def test_a_request_to_any_listed_model_has_the_right_url_key_and_model() -> None:
    catalog, api, speaking = catalog_of(keyed()), OpenAIChatApi(), dialects(lambda: 1.0)
    request = api.decode(b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}', "r", 0.0)
    listed = catalog.model_ids()
    assert len(listed) >= 2000
    for name, owner in listed:
        endpoint = only_endpoint(catalog.route_for(name), name)
        preset, model = presets()[owner], name.removeprefix(f"{owner}/")
        sent = speaking[preset.profile.dialect].encode(request, endpoint)
        assert sent.url == f"{preset.base_url}{preset.profile.chat_path}", name
        key = f"Bearer key-{owner}" if preset.profile.auth == "bearer" else f"key-{owner}"
        assert dict(sent.headers)[AUTH[preset.profile.auth]] == key, name
        assert json.loads(sent.body)["model"] == model, name


def only_endpoint(route: Any, name: str) -> Endpoint:
    assert route is not None, name
    (tier,) = route.tiers
    (endpoint,) = tier
    assert isinstance(endpoint, Endpoint)
    return endpoint


@pytest.mark.parametrize(
    ("said", "listed"),
    [("", False), (", list_models: true", True), (", list_models: false", False)],
)
def test_a_provider_in_use_is_listed_whole_only_where_asked_for(said: str, listed: bool) -> None:
    text = f"providers: {{openai: {{api_key: k{said}}}}}\nendpoints: {{luna: {{provider: openai, model: gpt-6-luna}}}}"
    catalog = catalog_of(parse_config(text, env={}))
    names = [name for name, _ in catalog.model_ids()]
    assert ("openai/gpt-6.1-sol" in names) is listed
    assert names[0] == "luna"
    assert catalog.route_for("openai/gpt-6.1-sol") is not None, "it can be asked for all the same"


def test_a_provider_without_endpoints_can_be_kept_out_of_the_list() -> None:
    catalog = catalog_of(parse_config("providers: {groq: {api_key: k, list_models: false}}", env={}))
    assert catalog.model_ids() == []
