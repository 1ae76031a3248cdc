"""Anthropic's own client against the running sidecar, over providers of every kind, with nothing changed but the base URL."""

import json
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from e2e_support import Stack, provider, stack

from fastroute.app import App
from fastroute.config.load import parse_config

ROUTE = "{tiers: [[a]]}"
BOTH = pytest.mark.parametrize("dialect", ["openai_chat", "anthropic_messages"])
WAYS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
HELLO: Any = {"model": "auto", "max_tokens": 200, "messages": [{"role": "user", "content": "Say something."}]}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"name": name, "description": f"{name} of a city", "input_schema": SCHEMA} for name in ("weather", "local_time")]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@asynccontextmanager
async def sdk(s: Stack):
    async with anthropic.AsyncAnthropic(base_url=s.url, api_key="mine", max_retries=0) as client:
        yield client


async def ask(client: anthropic.AsyncAnthropic, stream: bool, **asked: Any) -> Any:
    """The whole message, however it came."""
    if not stream:
        return await client.messages.create(**asked)
    async with client.messages.stream(**asked) as events:
        kinds = [event.type async for event in events]
        assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
        assert kinds.count("content_block_start") == kinds.count("content_block_stop") > 0
        return await events.get_final_message()


@BOTH
@WAYS
async def test_text(dialect: str, stream: bool) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, sdk(s) as client:
        reply = await ask(client, stream, **HELLO, system=[{"type": "text", "text": "Be brief."}])
        assert [block.type for block in reply.content] == ["text"]
        assert reply.content[0].text
        assert (reply.role, reply.stop_reason) == ("assistant", "end_turn")
        assert reply.usage.input_tokens > 0
        assert reply.usage.output_tokens > 0
        assert s.trails[-1].request.api == "anthropic_messages"
        sent = s.sent("a")[-1]
        assert "Be brief." in sent["body"]
        assert json.loads(sent["body"])["model"] == "model-a"


@BOTH
@WAYS
async def test_parallel_calls_and_their_results(dialect: str, stream: bool) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, sdk(s) as client:
        asked = {**HELLO, "tools": TOOLS, "messages": [{"role": "user", "content": "Weather and time in Oslo?"}]}
        reply = await ask(client, stream, **asked)
        calls = [block for block in reply.content if block.type == "tool_use"]
        assert [call.name for call in calls] == ["weather", "local_time"]
        assert all("city" in call.input for call in calls)
        assert reply.stop_reason == "tool_use"
        results = [
            {"type": "tool_result", "tool_use_id": calls[0].id, "content": [{"type": "text", "text": "result of 0"}]},
            {"type": "tool_result", "tool_use_id": calls[1].id, "content": "no clock", "is_error": True},
        ]
        said = [block.model_dump(exclude_none=True) for block in reply.content]
        messages = [*asked["messages"], {"role": "assistant", "content": said}, {"role": "user", "content": results}]
        reply = await ask(client, stream, **{**asked, "messages": messages})
        assert "result of 0" in reply.content[0].text
        sent = s.sent("a")[-1]["body"]
        assert calls[0].id in sent
        assert calls[1].id in sent
        assert "no clock" in sent


@BOTH
async def test_vision(dialect: str) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, sdk(s) as client:
        for source in (
            {"type": "base64", "media_type": "image/png", "data": PIXEL},
            {"type": "url", "url": "https://e.com/a.png"},
        ):
            content = [{"type": "text", "text": "What is it?"}, {"type": "image", "source": source}]
            reply = await client.messages.create(**{**HELLO, "messages": [{"role": "user", "content": content}]})
            assert reply.content[0].text
            assert (source.get("url") or PIXEL) in s.sent("a")[-1]["body"]
        assert s.trails[-1].request.needs.vision


@WAYS
async def test_anthropic_upstream_gets_the_clients_words(stream: bool) -> None:
    async with stack({"a": provider("anthropic_messages")}, ROUTE) as s, sdk(s) as client:
        asked = {
            **HELLO,
            "system": [{"type": "text", "text": "Brief.", "cache_control": {"type": "ephemeral"}}],
            "top_k": 5,
            "stop_sequences": ["END"],
            "metadata": {"user_id": "u1"},
        }
        given = {k: v for k, v in asked.items() if k != "top_k"}
        betas = {"anthropic-beta": "one-2026-01-01, two-2026-01-01"}
        await ask(client, stream, **given, extra_body={"top_k": 5}, extra_headers=betas)
        sent = s.sent("a")[-1]
        body = {k: v for k, v in json.loads(sent["body"]).items() if k != "stream"}
        assert body == {**asked, "model": "model-a"}
        assert s.trails[-1].request.overrides.betas == betas["anthropic-beta"]


@BOTH
@WAYS
async def test_errors_have_anthropics_shape(dialect: str, stream: bool) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, sdk(s) as client:
        with pytest.raises(anthropic.NotFoundError, match="nope") as caught:
            await client.messages.create(**{**HELLO, "model": "nope"}, stream=stream)
        assert caught.value.body["error"]["type"] == "not_found_error"
        with pytest.raises(anthropic.BadRequestError, match="temperature"):
            await client.messages.create(**HELLO, extra_body={"temperature": 3}, stream=stream)
        s.mocks.set_fault("a", "status", status=400, message="that is too much")
        with pytest.raises(anthropic.BadRequestError, match="that is too much") as refused:
            await client.messages.create(**HELLO, stream=stream)
        assert refused.value.body["type"] == "error"


@BOTH
@WAYS
async def test_an_overloaded_provider_is_told_as_anthropic_does(dialect: str, stream: bool) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, sdk(s) as client:
        s.mocks.set_fault("a", "status", status=529, message="Overloaded")
        with pytest.raises(anthropic.APIStatusError) as overloaded:
            await client.messages.create(**HELLO, stream=stream)
        assert overloaded.value.status_code == 529
        assert overloaded.value.body["error"]["type"] == "overloaded_error"
        assert overloaded.value.response.headers["x-should-retry"] == "false"
        status, _, _ = await s.ask()
        assert status == 503, "OpenAI's clients do not know a 529"


@BOTH
async def test_a_cut_stream_ends_with_an_error(dialect: str) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, sdk(s) as client:
        got: list[str] = []
        s.mocks.set_fault("a", "clean_cut", after_chunks=4)
        with pytest.raises(anthropic.APIStatusError) as caught:
            async with client.messages.stream(**HELLO) as events:
                async for event in events:
                    got.append(event.type)
        assert caught.value.body["error"]["type"] == "api_error"
        assert got[0] == "message_start"
        assert "message_stop" not in got


async def test_counting() -> None:
    async with stack({"a": provider()}, ROUTE) as s, sdk(s) as client:
        asked: Any = {"model": "auto", "messages": [{"role": "user", "content": "x" * 400}]}
        counted = await client.messages.count_tokens(**asked)
        assert 100 <= counted.input_tokens <= 120
        assert counted.estimated is True
        with pytest.raises(anthropic.BadRequestError, match="messages"):
            await client.messages.count_tokens(model="auto", messages=[])
        assert not s.trails


async def test_requests_without_a_limit_are_refused_by_name() -> None:
    async with stack({"a": provider()}, ROUTE) as s:
        async with s.http.post(f"{s.url}/v1/messages", json={k: v for k, v in HELLO.items() if k != "max_tokens"}) as reply:
            assert reply.status == 400
            assert await reply.json() == {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "max_tokens: Field required"},
            }
            assert reply.headers["x-request-id"]


async def test_headers_tell_how_it_was_served() -> None:
    async with stack({"a": provider()}, ROUTE) as s:
        headers = {"x-request-id": "mine-1", "x-fastroute-tags": "team=search"}
        async with s.http.post(f"{s.url}/v1/messages", json=HELLO, headers=headers) as reply:
            assert (reply.status, reply.headers["x-request-id"], reply.headers["x-fastroute-endpoint"]) == (200, "mine-1", "a")
            assert float(reply.headers["x-fastroute-cost-usd"]) > 0
        assert s.trails[-1].request.overrides.tags == {"team": "search"}


# --- upstreams of our own: thinking, and Gemini -------------------------------------------------------------------------


@asynccontextmanager
async def replaying(preset: str, body: str):
    """(requests seen, Anthropic's client of a sidecar) in front of a provider that streams `body` to whoever asks."""
    seen: list[Any] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(await request.json())
        return web.Response(body=body.encode(), content_type="text/event-stream")

    site = web.Application()
    site.router.add_post("/{tail:.*}", answer)
    async with TestServer(site) as server:
        text = f"""
version: 1
listen: {{port: 0, admin_port: 0}}
providers: {{p: {{preset: {preset}, base_url: "http://127.0.0.1:{server.port}", api_key: secret}}}}
endpoints: {{a: {{provider: p, model: model-x}}}}
routes: {{auto: {{tiers: [[a]]}}}}
"""
        app = App(parse_config(text, env={}))
        port, _ = await app.start()
        try:
            async with anthropic.AsyncAnthropic(base_url=f"http://127.0.0.1:{port}", api_key="mine", max_retries=0) as client:
                yield seen, client
        finally:
            await app.stop(drain_s=1.0)


def events(*said: Any, named: bool = False) -> str:
    return "".join((f"event: {one['type']}\n" if named else "") + f"data: {json.dumps(one)}\n\n" for one in said)


USAGE = {"input_tokens": 3, "output_tokens": 1, "cache_read_input_tokens": 2}
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "c", "usage": USAGE}
THOUGHTS: Any = [
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "SIG"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "so"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
]


async def test_thinking_goes_back_as_it_was_signed() -> None:
    async with replaying("anthropic-compatible", events(*THOUGHTS, named=True)) as (seen, client):
        reply = await ask(client, True, **HELLO)
        assert [block.type for block in reply.content] == ["thinking", "text"]
        assert (reply.content[0].signature, reply.usage.output_tokens, reply.usage.cache_read_input_tokens) == ("SIG", 9, 2)
        said = [block.model_dump(exclude_none=True) for block in reply.content]
        messages = [*HELLO["messages"], {"role": "assistant", "content": said}, {"role": "user", "content": "go on"}]
        await ask(client, True, **{**HELLO, "messages": messages})
        assert seen[-1]["messages"][1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "SIG"}


async def test_reasoning_of_openai_style_providers_is_thinking() -> None:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x"}
    deltas = [{"role": "assistant", "reasoning_content": "hm"}, {"content": "so"}]
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    async with replaying("openai-compatible", events(*chunks) + "data: [DONE]\n\n") as (seen, client):
        reply = await ask(client, True, **HELLO, thinking={"type": "enabled", "budget_tokens": 1024})
        assert [(block.type, getattr(block, "thinking", None)) for block in reply.content] == [("thinking", "hm"), ("text", None)]
        assert seen[-1]["reasoning_effort"] == "low"


async def test_gemini_upstream() -> None:
    part = {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "S2"}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    candidate = {"content": {"parts": [part], "role": "model"}, "index": 0, "finishReason": "STOP"}
    reply = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "g", "responseId": "r"}
    async with replaying("gemini-compatible", events(reply)) as (seen, client):
        message = await ask(client, True, **HELLO, tools=TOOLS)
        assert (message.content[-1].input, message.stop_reason) == ({"city": "Oslo"}, "tool_use")
        said = [block.model_dump(exclude_none=True) for block in message.content]
        result = {"type": "tool_result", "tool_use_id": message.content[-1].id, "content": "snow"}
        messages = [*HELLO["messages"], {"role": "assistant", "content": said}, {"role": "user", "content": [result]}]
        await ask(client, True, **{**HELLO, "messages": messages}, tools=TOOLS)
        assert seen[-1]["contents"][1]["parts"][0]["thoughtSignature"] == "S2"
