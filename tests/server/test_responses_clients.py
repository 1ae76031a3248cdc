"""Responses clients of the running sidecar over both kinds of upstream, by OpenAI's own client with only the base URL changed."""

import json
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from e2e_support import provider, stack
from pydantic import BaseModel

from fastroute.app import App
from fastroute.config.load import parse_config

ROUTE = "{tiers: [[a]]}"
BOTH = pytest.mark.parametrize("dialect", ["openai_chat", "anthropic_messages"])
EITHER = pytest.mark.parametrize("stream", [False, True])
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TOOLS: Any = [
    {
        "type": "function",
        "name": name,
        "description": f"{name} of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    for name in ("weather", "local_time")
]
Json = dict[str, Any]


async def answer(client: openai.AsyncOpenAI, stream: bool, **asked: Any) -> Any:
    """The response, whichever way it comes; a stream is checked on the way."""
    if not stream:
        return await client.responses.create(model="auto", **asked)
    events = [event async for event in await client.responses.create(model="auto", stream=True, **asked)]
    return checked(events)


def checked(events: list[Any]) -> Any:
    """The response a stream ends with, once its order, numbers and sums are found right."""
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert [e.type for e in events[:2]] == ["response.created", "response.in_progress"]
    final = events[-1].response
    assert final.id == events[0].response.id
    opened: list[int] = []
    text: dict[int, str] = {}
    closed: dict[int, Any] = {}
    for event in events[2:-1]:
        if event.type == "response.output_item.added":
            opened.append(event.output_index)
            assert event.item.id == final.output[event.output_index].id
            continue
        assert event.output_index in opened
        assert event.output_index not in closed
        if event.type.endswith(".delta"):
            assert event.item_id == final.output[event.output_index].id
            text[event.output_index] = text.get(event.output_index, "") + event.delta
        elif event.type == "response.output_item.done":
            closed[event.output_index] = event.item
    assert opened == list(range(len(final.output)))
    assert [closed[i] for i in opened] == final.output
    for i, item in enumerate(final.output):
        said = item.arguments if item.type == "function_call" else "".join(p.text for p in item.content or item.summary)
        assert text.get(i, "") == said
    return final


@BOTH
@EITHER
async def test_text(dialect: str, stream: bool) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, s.openai() as client:
        asked = {"input": "Say something.", "instructions": "Be brief.", "metadata": {"team": "search"}, "store": False}
        reply = await answer(client, stream, **asked)
        assert (reply.status, reply.error, reply.incomplete_details) == ("completed", None, None)
        assert reply.output_text
        assert reply.id.startswith("resp_")
        assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens > 0
        assert reply.usage.input_tokens_details.cached_tokens == 0
        assert (reply.instructions, reply.metadata, reply.store) == ("Be brief.", {"team": "search"}, False)
        sent = json.loads(s.sent("a")[0]["body"])
        assert "Be brief." in json.dumps(sent)
        assert "metadata" not in sent


@BOTH
@EITHER
async def test_the_output_limit_shows(dialect: str, stream: bool) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, s.openai() as client:
        reply = await answer(client, stream, input="Say something.", max_output_tokens=3)
        assert (reply.status, reply.incomplete_details.reason) == ("incomplete", "max_output_tokens")
        assert reply.output[-1].status == "incomplete"
        assert reply.usage.output_tokens == 3, "usage is there for incomplete answers too"


@BOTH
@EITHER
async def test_parallel_calls_and_their_results(dialect: str, stream: bool) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, s.openai() as client:
        turns: list[Any] = [{"role": "user", "content": "Weather and time in Oslo?"}]
        reply = await answer(client, stream, input=turns, tools=TOOLS, tool_choice="auto", parallel_tool_calls=True)
        calls = [item for item in reply.output if item.type == "function_call"]
        assert [call.name for call in calls] == ["weather", "local_time"]
        assert len({call.call_id for call in calls}) == 2
        assert all("city" in json.loads(call.arguments) for call in calls)
        turns += [item.model_dump(exclude_none=True) for item in reply.output]
        turns += [{"type": "function_call_output", "call_id": c.call_id, "output": f"result of {c.name}"} for c in calls]
        reply = await answer(client, stream, input=turns, tools=TOOLS)
        assert "result of weather; result of local_time" in reply.output_text


@BOTH
async def test_one_named_call(dialect: str) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, s.openai() as client:
        choice = {"type": "function", "name": "local_time"}
        reply = await answer(client, True, input="Time in Oslo?", tools=TOOLS, tool_choice=choice)
        assert [item.name for item in reply.output if item.type == "function_call"] == ["local_time"]


@BOTH
@EITHER
async def test_vision(dialect: str, stream: bool) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, s.openai() as client:
        content = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": PIXEL, "detail": "low"}]
        reply = await answer(client, stream, input=[{"role": "user", "content": content}])
        assert reply.output_text
        [message] = json.loads(s.sent("a")[0]["body"])["messages"]
        image = message["content"][1]
        assert image["type"] == ("image_url" if dialect == "openai_chat" else "image")
        assert PIXEL.partition(",")[2] in json.dumps(image)


class City(BaseModel):
    name: str
    population: int


@BOTH
async def test_a_schema_parsed_by_the_client(dialect: str) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, s.openai() as client:
        reply = await client.responses.parse(model="auto", input="A city, please.", text_format=City)
        assert isinstance(reply.output_parsed, City)
        async with client.responses.stream(model="auto", input="A city, please.", text_format=City) as events:
            async for _ in events:
                pass
            assert isinstance((await events.get_final_response()).output_parsed, City)


@BOTH
async def test_errors_have_openais_shape(dialect: str) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, s.openai() as client:
        with pytest.raises(openai.NotFoundError) as unknown:
            await client.responses.create(model="nope", input="Hi")
        assert unknown.value.code == "model_not_found"
        s.mocks.set_fault("a", "status", status=400, message="max_tokens is too large")
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError, match="max_tokens is too large"):
                await client.responses.create(model="auto", input="Hi", stream=stream)


REFUSED: dict[str, Json] = {
    "previous_response_id": {"previous_response_id": "resp_1"},
    "conversation": {"conversation": "conv_1"},
    "background": {"background": True},
    "tools[0].type": {"tools": [{"type": "web_search"}]},
    "input[0]": {"input": [{"type": "item_reference", "id": "msg_1"}]},
    "top_logprobs": {"top_logprobs": 2},
}


@BOTH
@pytest.mark.parametrize("named", REFUSED)
async def test_what_only_responses_endpoints_have_is_refused_by_name(dialect: str, named: str) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, s.openai() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(**{"model": "auto", "input": "Hi", **REFUSED[named]})
        assert caught.value.param == named
        assert not s.sent("a")


@BOTH
async def test_a_stream_that_breaks_fails_and_is_never_completed(dialect: str) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, s.openai() as client:
        s.mocks.set_fault("a", "clean_cut", after_chunks=6)
        seen: list[str] = []
        with pytest.raises(openai.APIError):
            async for event in await client.responses.create(model="auto", input="Hi", stream=True):
                seen.append(event.type)
        assert seen[0] == "response.created"
        assert "response.completed" not in seen
        with pytest.raises(openai.InternalServerError):
            await client.responses.create(model="auto", input="Hi")


async def test_the_failed_event_is_on_the_wire() -> None:
    import aiohttp

    async with stack({"a": provider()}, ROUTE) as s:
        s.mocks.set_fault("a", "clean_cut", after_chunks=6)
        got = b""
        async with s.http.post(f"{s.url}/v1/responses", json={"model": "auto", "input": "Hi", "stream": True}) as reply:
            with pytest.raises(aiohttp.ClientPayloadError):
                async for piece in reply.content.iter_any():
                    got += piece
        events = [json.loads(line[6:]) for line in got.split(b"\n") if line.startswith(b"data: ")]
        error, failed = events[-2:]
        assert (error["type"], failed["type"]) == ("error", "response.failed")
        assert error["error"]["message"] == failed["response"]["error"]["message"]
        assert failed["response"]["status"] == "failed"
        assert failed["response"]["id"] == events[0]["response"]["id"]
        assert b"[DONE]" not in got


async def test_bad_bodies_are_named() -> None:
    async with stack({"a": provider()}, ROUTE) as s:
        for body, param in (({"model": "auto"}, "input"), ({"model": "auto", "input": 3}, "input"), ({"input": "Hi"}, "model")):
            async with s.http.post(f"{s.url}/v1/responses", json=body) as reply:
                assert (reply.status, (await reply.json())["error"]["param"]) == (400, param)


# --- Responses upstream -----------------------------------------------------------------------------------------------

USAGE = {
    "input_tokens": 5,
    "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 7,
}
PART = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
MESSAGE = {"type": "message", "id": "msg_up", "role": "assistant", "status": "completed", "content": [PART]}
RESPONSE = {"id": "resp_up", "object": "response", "created_at": 9, "status": "completed", "model": "m-up", "tools": []}
RESPONSE |= {"output": [MESSAGE], "usage": USAGE, "parallel_tool_calls": True, "tool_choice": "auto", "error": None}


@asynccontextmanager
async def responses_upstream():
    """(requests seen, URL of a sidecar in front of a Responses provider of our own)."""
    seen: list[tuple[str, Json]] = []

    async def reply(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        seen.append((request.path, body))
        if not body.get("stream"):
            return web.json_response(RESPONSE)
        place = {"item_id": "msg_up", "output_index": 0, "content_index": 0}
        events: list[Json] = [
            {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "output": [], "usage": None}},
            {"type": "response.output_item.added", "output_index": 0, "item": {**MESSAGE, "content": []}},
            {"type": "response.content_part.added", **place, "part": {**PART, "text": ""}},
            {"type": "response.output_text.delta", **place, "delta": "Hello", "logprobs": []},
            {"type": "response.output_item.done", "output_index": 0, "item": MESSAGE},
            {"type": "response.completed", "response": RESPONSE},
        ]
        numbered = [{**event, "sequence_number": i} for i, event in enumerate(events)]
        data = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in numbered)
        return web.Response(body=data.encode(), content_type="text/event-stream")

    site = web.Application()
    site.router.add_post("/{tail:.*}", reply)
    async with TestServer(site) as server:
        text = f"""
version: 1
listen: {{port: 0, admin_port: 0}}
providers: {{r: {{preset: responses-compatible, base_url: "http://127.0.0.1:{server.port}/v1", api_key: secret}}}}
endpoints: {{a: {{provider: r, model: m-up}}}}
routes: {{auto: {{tiers: [[a]]}}}}
"""
        app = App(parse_config(text, env={}))
        port, _ = await app.start()
        try:
            yield seen, f"http://127.0.0.1:{port}"
        finally:
            await app.stop(drain_s=1.0)


@EITHER
async def test_an_upstream_that_keeps_state_is_given_what_was_asked(stream: bool) -> None:
    async with (
        responses_upstream() as (seen, url),
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client,
    ):
        asked: Any = {"input": "And then?", "previous_response_id": "resp_before", "tools": [{"type": "web_search"}]}
        reply = await client.responses.create(model="auto", stream=stream, **asked)
        if stream:
            reply = [event async for event in reply][-1].response
        assert (reply.id, reply.output_text, reply.usage.total_tokens) == ("resp_up", "Hello", 7)
        path, body = seen[-1]
        assert (path, body) == ("/v1/responses", {"model": "m-up", "stream": stream, **asked})


@EITHER
async def test_chat_clients_reach_a_responses_upstream(stream: bool) -> None:
    async with (
        responses_upstream() as (seen, url),
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client,
    ):
        messages: Any = [{"role": "user", "content": "Hi"}]
        reply = await client.chat.completions.create(model="auto", messages=messages, stream=stream)
        if stream:
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in reply if chunk.choices]) == "Hello"
        else:
            assert (reply.choices[0].message.content, reply.usage.total_tokens) == ("Hello", 7)
        assert seen[-1][1]["store"] is False
