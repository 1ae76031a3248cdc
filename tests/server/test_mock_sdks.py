"""The official clients against the mock: whole and streamed, with tools from call to final answer, and their errors."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
from mock_support import BRISK

from fastroute.mock.provider import MockProviders
from fastroute.mock.schema import mock_config

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
OPENAI_TOOLS: Any = [
    {"type": "function", "function": {"name": "weather", "description": "d", "parameters": CITY}},
    {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}},
]
ANTHROPIC_TOOLS: Any = [{"name": "weather", "input_schema": CITY}]
HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def mocks() -> AsyncIterator[MockProviders]:
    spec = {"latency": BRISK, "output_tokens": {"mean": 12}, "api_key": "secret", "models": ["m"]}
    data = {"endpoints": {"o": spec, "a": {**spec, "dialect": "anthropic_messages"}}}
    async with MockProviders(mock_config(data)) as running:
        yield running


@pytest.fixture
async def gpt(mocks: MockProviders) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=mocks.url("o"), api_key="secret", max_retries=0) as client:
        yield client


@pytest.fixture
async def claude(mocks: MockProviders) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=mocks.url("a"), api_key="secret", max_retries=0) as client:
        yield client


# --- OpenAI ---------------------------------------------------------------------------------------------------------


async def test_openai_whole(gpt: openai.AsyncOpenAI) -> None:
    reply = await gpt.chat.completions.create(model="m", messages=HELLO)
    assert reply.choices[0].finish_reason == "stop"
    assert len((reply.choices[0].message.content or "").split()) == 12
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 12


async def test_openai_streamed(gpt: openai.AsyncOpenAI) -> None:
    stream = await gpt.chat.completions.create(
        model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}, max_tokens=5
    )
    chunks = [chunk async for chunk in stream]
    assert len("".join(c.choices[0].delta.content or "" for c in chunks if c.choices).split()) == 5
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 5


async def test_openai_tools_from_call_to_answer(gpt: openai.AsyncOpenAI) -> None:
    first = await gpt.chat.completions.create(model="m", messages=HELLO, tools=OPENAI_TOOLS)
    calls: Any = first.choices[0].message.tool_calls
    assert first.choices[0].finish_reason == "tool_calls"
    assert [c.function.name for c in calls] == ["weather", "clock"]
    assert isinstance(json.loads(calls[0].function.arguments)["city"], str)
    results = [{"role": "tool", "tool_call_id": c.id, "content": f"result {i}"} for i, c in enumerate(calls)]
    turns: Any = [*HELLO, first.choices[0].message.model_dump(exclude_none=True, exclude={"annotations"}), *results]
    second = await gpt.chat.completions.create(model="m", messages=turns, tools=OPENAI_TOOLS)
    assert second.choices[0].finish_reason == "stop"
    assert "result 0; result 1" in (second.choices[0].message.content or "")


async def test_openai_tools_streamed_with_the_accumulating_client(gpt: openai.AsyncOpenAI) -> None:
    async with gpt.chat.completions.stream(model="m", messages=HELLO, tools=OPENAI_TOOLS[:1]) as stream:
        final = await stream.get_final_completion()
    calls: Any = final.choices[0].message.tool_calls
    assert [c.function.name for c in calls] == ["weather", "weather"]
    assert len({c.id for c in calls}) == 2
    assert all(set(json.loads(c.function.arguments)) == {"city"} for c in calls)


async def test_openai_without_parallel_calls(gpt: openai.AsyncOpenAI) -> None:
    reply = await gpt.chat.completions.create(model="m", messages=HELLO, tools=OPENAI_TOOLS, parallel_tool_calls=False)
    assert len(reply.choices[0].message.tool_calls or []) == 1


async def test_openai_structured_output(gpt: openai.AsyncOpenAI) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
    reply = await gpt.chat.completions.create(model="m", messages=HELLO, response_format=wanted)
    assert set(json.loads(reply.choices[0].message.content or "")) == {"city"}


async def test_openai_several_choices_and_logprobs(gpt: openai.AsyncOpenAI) -> None:
    reply = await gpt.chat.completions.create(model="m", messages=HELLO, n=3, logprobs=True)
    assert [c.index for c in reply.choices] == [0, 1, 2]
    assert len({c.message.content for c in reply.choices}) == 3
    assert all(c.logprobs and c.logprobs.content and len(c.logprobs.content) == 12 for c in reply.choices)


async def test_openai_models(gpt: openai.AsyncOpenAI) -> None:
    assert [m.id async for m in gpt.models.list()] == ["m"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_openai_errors(mocks: MockProviders, gpt: openai.AsyncOpenAI, status: int, kind: type[Exception]) -> None:
    mocks.set_fault("o", "status", status=status)
    with pytest.raises(kind):
        await gpt.chat.completions.create(model="m", messages=HELLO)


async def test_openai_error_in_a_stream(mocks: MockProviders, gpt: openai.AsyncOpenAI) -> None:
    mocks.set_fault("o", "error_in_stream", after_chunks=1)
    stream = await gpt.chat.completions.create(model="m", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="had an error"):
        [chunk async for chunk in stream]


async def test_openai_wrong_key(mocks: MockProviders) -> None:
    async with openai.AsyncOpenAI(base_url=mocks.url("o"), api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="m", messages=HELLO)


async def test_openai_client_retries_past_a_refusal_that_ends(mocks: MockProviders) -> None:
    mocks.set_fault("o", "status", status=429, retry_after_s=0.01, retry_after_form="ms")
    async with openai.AsyncOpenAI(base_url=mocks.url("o"), api_key="secret", max_retries=5) as client:
        asking = asyncio.create_task(client.chat.completions.create(model="m", messages=HELLO))
        await mocks.until(lambda: bool(mocks.requests()))
        mocks.clear_faults()
        assert (await asking).choices
    assert next(r["status"] for r in mocks.requests()) == 429
    assert [r["status"] for r in mocks.requests()][-1] == 200


# --- Anthropic ------------------------------------------------------------------------------------------------------


async def test_anthropic_whole(claude: anthropic.AsyncAnthropic) -> None:
    reply = await claude.messages.create(model="m", max_tokens=50, messages=HELLO)
    (block,) = reply.content
    assert block.type == "text"
    assert len(block.text.split()) == 12
    assert (reply.stop_reason, reply.usage.output_tokens) == ("end_turn", 12)


async def test_anthropic_streamed(claude: anthropic.AsyncAnthropic) -> None:
    async with claude.messages.stream(model="m", max_tokens=5, messages=HELLO) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert len(text.split()) == 5
    assert (final.stop_reason, final.usage.output_tokens) == ("max_tokens", 5)


@pytest.mark.parametrize("streamed", [False, True])
async def test_anthropic_tools_from_call_to_answer(claude: anthropic.AsyncAnthropic, streamed: bool) -> None:
    asked: Any = {"model": "m", "max_tokens": 200, "tools": ANTHROPIC_TOOLS}
    if streamed:
        async with claude.messages.stream(messages=HELLO, **asked) as stream:
            first: Any = await stream.get_final_message()
    else:
        first = await claude.messages.create(messages=HELLO, **asked)
    assert first.stop_reason == "tool_use"
    assert [b.type for b in first.content] == ["tool_use", "tool_use"]
    assert all(set(b.input) == {"city"} for b in first.content)
    calls: Any = [{"type": "tool_use", "id": b.id, "name": b.name, "input": b.input} for b in first.content]
    results: Any = [{"type": "tool_result", "tool_use_id": b.id, "content": f"result {i}"} for i, b in enumerate(first.content)]
    turns: Any = [*HELLO, {"role": "assistant", "content": calls}, {"role": "user", "content": results}]
    second: Any = await claude.messages.create(messages=turns, **asked)
    assert second.stop_reason == "end_turn"
    assert "result 0; result 1" in second.content[0].text


async def test_anthropic_refuses_missing_results(claude: anthropic.AsyncAnthropic) -> None:
    calls: Any = [{"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "x"}}]
    turns: Any = [*HELLO, {"role": "assistant", "content": calls}, *HELLO]
    with pytest.raises(anthropic.BadRequestError, match="tool_result"):
        await claude.messages.create(model="m", max_tokens=5, messages=turns, tools=ANTHROPIC_TOOLS)


async def test_anthropic_without_parallel_calls(claude: anthropic.AsyncAnthropic) -> None:
    choice: Any = {"type": "auto", "disable_parallel_tool_use": True}
    reply = await claude.messages.create(model="m", max_tokens=99, messages=HELLO, tools=ANTHROPIC_TOOLS, tool_choice=choice)
    assert len(reply.content) == 1


async def test_anthropic_counts_tokens(claude: anthropic.AsyncAnthropic) -> None:
    counted = await claude.messages.count_tokens(model="m", messages=HELLO)
    reply = await claude.messages.create(model="m", max_tokens=5, messages=HELLO)
    assert counted.input_tokens == reply.usage.input_tokens > 0


async def test_anthropic_models(claude: anthropic.AsyncAnthropic) -> None:
    assert [m.id async for m in claude.models.list()] == ["m"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.APIStatusError),
    ],
)
async def test_anthropic_errors(
    mocks: MockProviders, claude: anthropic.AsyncAnthropic, status: int, kind: type[Exception]
) -> None:
    mocks.set_fault("a", "status", status=status)
    with pytest.raises(kind) as caught:
        await claude.messages.create(model="m", max_tokens=5, messages=HELLO)
    assert caught.value.status_code == status  # type: ignore[attr-defined]


async def test_anthropic_error_in_a_stream(mocks: MockProviders, claude: anthropic.AsyncAnthropic) -> None:
    mocks.set_fault("a", "error_in_stream", after_chunks=1)
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        async with claude.messages.stream(model="m", max_tokens=50, messages=HELLO) as stream:
            await stream.get_final_message()
