"""The official OpenAI client against the data port, with a router that plays canned answers."""

import asyncio
import json
from collections.abc import AsyncIterator

import openai
import pytest
from data_support import Client, FakeRouter, serving, trail_for

from fastroute.core.failures import Failure, Fault
from fastroute.core.ports import ReplyPort
from fastroute.core.types import ChatRequest
from fastroute.server.data import Views

ASK = [{"role": "user", "content": "hi"}]


def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    value = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(value)}\n\n".encode()


async def canned(request: ChatRequest, reply: ReplyPort) -> None:
    trail = trail_for(request)
    if request.stream:
        reply.open_stream(trail)
        for piece in (chunk({"role": "assistant"}), chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop")):
            await reply.write(piece)
        await reply.write(b"data: [DONE]\n\n")
        return await reply.close_stream(complete=True)
    message = {"role": "assistant", "content": "Hello"}
    body = {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    return await reply.whole(trail, 200, json.dumps(body).encode())


@pytest.fixture
async def port() -> AsyncIterator[Client]:
    async with serving(FakeRouter(canned), Views(models=lambda: ({"id": "auto"}, {"id": "openai/gpt-4o"}))) as client:
        client.router = client.port._router  # type: ignore[attr-defined]
        yield client


@pytest.fixture
async def sdk(port: Client) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port.number}/v1", api_key="any", timeout=5) as made:
        yield made


async def test_whole(sdk: openai.AsyncOpenAI) -> None:
    raw = await sdk.chat.completions.with_raw_response.create(model="auto", messages=ASK)  # type: ignore[arg-type]
    assert raw.parse().choices[0].message.content == "Hello"
    assert raw.headers["x-fastroute-endpoint"] == "flash"
    assert raw.headers["x-fastroute-cost-usd"] == "0.0000015"


async def test_stream(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(model="auto", messages=ASK, stream=True)  # type: ignore[call-overload]
    text = "".join([c.choices[0].delta.content or "" async for c in stream])
    assert text == "Hello"


async def test_overrides_by_extra_headers(sdk: openai.AsyncOpenAI, port: Client) -> None:
    await sdk.chat.completions.create(model="auto", messages=ASK, extra_headers={"x-fastroute-slo-ttft-ms": "750"})  # type: ignore[call-overload]
    assert port.router.requests[0].overrides.ttft_s == 0.75  # type: ignore[attr-defined]


async def test_models(sdk: openai.AsyncOpenAI) -> None:
    assert [m.id async for m in sdk.models.list()] == ["auto", "openai/gpt-4o"]
    assert (await sdk.models.retrieve("openai/gpt-4o")).id == "openai/gpt-4o"
    with pytest.raises(openai.NotFoundError) as caught:
        await sdk.models.retrieve("gone")
    assert caught.value.code == "model_not_found"


async def test_exhausted_chain_is_not_retried(sdk: openai.AsyncOpenAI, port: Client) -> None:
    """The client would retry a 503 twice by itself."""

    async def exhausted(request: ChatRequest, reply: ReplyPort) -> None:
        fault = Fault(Failure.OVERLOADED, "all busy", retry_after_s=0.1)
        body = {"error": {"message": "all busy", "type": "server_error", "param": None, "code": "overloaded"}}
        await reply.whole(trail_for(request, fault=fault), 503, json.dumps(body).encode())

    port.router.script = exhausted  # type: ignore[attr-defined]
    with pytest.raises(openai.InternalServerError) as caught:
        await sdk.chat.completions.create(model="auto", messages=ASK)  # type: ignore[call-overload]
    assert caught.value.status_code == 503
    assert len(port.router.requests) == 1  # type: ignore[attr-defined]


async def test_bad_header_reads_as_a_bad_request(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.chat.completions.create(model="auto", messages=ASK, extra_headers={"x-fastroute-hedge": "maybe"})  # type: ignore[call-overload]
    assert caught.value.param == "x-fastroute-hedge"


async def test_stream_that_breaks_off_raises(sdk: openai.AsyncOpenAI, port: Client) -> None:
    async def broken(request: ChatRequest, reply: ReplyPort) -> None:
        reply.open_stream(trail_for(request))
        await reply.write(chunk({"content": "Hel"}))
        await reply.write(
            b'data: {"error":{"message":"the provider stopped","type":"server_error","param":null,"code":"stall"}}\n\n'
        )
        await reply.close_stream(complete=False)

    port.router.script = broken  # type: ignore[attr-defined]
    stream = await sdk.chat.completions.create(model="auto", messages=ASK, stream=True)  # type: ignore[call-overload]
    text = ""
    with pytest.raises(openai.APIError, match="the provider stopped"):
        async for part in stream:
            text += part.choices[0].delta.content or ""
    assert text == "Hel"


async def test_client_that_closes_its_stream_cancels_the_router(sdk: openai.AsyncOpenAI, port: Client) -> None:
    async def endless(request: ChatRequest, reply: ReplyPort) -> None:
        reply.open_stream(trail_for(request))
        await reply.write(chunk({"content": "Hel"}))
        await asyncio.Event().wait()

    port.router.script = endless  # type: ignore[attr-defined]
    stream = await sdk.chat.completions.create(model="auto", messages=ASK, stream=True)  # type: ignore[call-overload]
    async for _ in stream:
        break
    await stream.close()
    await asyncio.wait_for(port.router.cancelled.wait(), 5)  # type: ignore[attr-defined]
