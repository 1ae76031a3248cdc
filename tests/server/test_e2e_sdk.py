"""The official OpenAI client against both kinds of upstream: tools, streams, errors."""

import json

import openai
import pytest
from e2e_support import provider, stack

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"{name} of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    for name in ("weather", "local_time")
]
ROUTE = "{tiers: [[a]]}"
BOTH = pytest.mark.parametrize("dialect", ["openai_chat", "anthropic_messages"])


async def gathered(stream) -> tuple[dict, str, str | None]:
    """(tool calls by index, text, finish reason) of a streamed answer."""
    calls, text, finish = {}, "", None
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
            for piece in choice.delta.tool_calls or []:
                call = calls.setdefault(piece.index, {"id": None, "name": "", "arguments": ""})
                call["id"] = piece.id or call["id"]
                call["name"] += piece.function.name or ""
                call["arguments"] += piece.function.arguments or ""
    return calls, text, finish


async def asked(client, messages, stream):
    """(calls as [(id, name, arguments)], text, finish reason), streamed or whole."""
    reply = await client.chat.completions.create(model="auto", messages=messages, tools=TOOLS, stream=stream)
    if stream:
        calls, text, finish = await gathered(reply)
        assert sorted(calls) == list(range(len(calls)))
        return [(c["id"], c["name"], c["arguments"]) for _, c in sorted(calls.items())], text, finish
    choice = reply.choices[0]
    calls = [(c.id, c.function.name, c.function.arguments) for c in choice.message.tool_calls or []]
    return calls, choice.message.content or "", choice.finish_reason


@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_two_parallel_tool_calls_their_results_and_a_final_answer(dialect, stream):
    async with stack({"a": provider(dialect)}, ROUTE) as s, s.openai() as client:
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather and time in Oslo?"}]
        calls, _, finish = await asked(client, messages, stream)
        assert finish == "tool_calls"
        assert {name for _, name, _ in calls} == {"weather", "local_time"}
        assert len({id for id, _, _ in calls}) == 2
        assert all("city" in json.loads(arguments) for _, _, arguments in calls)
        messages.append(
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls],
            }
        )
        messages += [{"role": "tool", "tool_call_id": i, "content": f"result of {n}"} for i, n, _ in calls]
        calls, text, finish = await asked(client, messages, stream)
        assert (calls, finish) == ([], "stop")
        assert "result of weather" in text


@BOTH
async def test_usage_comes_when_asked_for_and_only_then(dialect):
    async with stack({"a": provider(dialect)}, ROUTE) as s, s.openai() as client:
        messages = [{"role": "user", "content": "Hi"}]
        plain = [c async for c in await client.chat.completions.create(model="auto", messages=messages, stream=True)]
        assert all(c.usage is None for c in plain)
        options = {"include_usage": True}
        full = [
            c
            async for c in await client.chat.completions.create(
                model="auto", messages=messages, stream=True, stream_options=options
            )
        ]
        assert [c.usage is not None for c in full] == [False] * (len(full) - 1) + [True]
        assert full[-1].choices == []
        assert full[-1].usage.total_tokens == full[-1].usage.prompt_tokens + full[-1].usage.completion_tokens


@BOTH
async def test_a_stream_that_breaks_raises_in_the_client(dialect):
    async with stack({"a": provider(dialect)}, ROUTE) as s, s.openai() as client:
        s.mocks.set_fault("a", "clean_cut", after_chunks=4)
        stream = await client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "Hi"}], stream=True)
        with pytest.raises(openai.APIError, match="ended before"):
            async for _ in stream:
                pass


@BOTH
async def test_the_providers_own_verdict_on_the_request_reaches_the_client(dialect):
    async with stack({"a": provider(dialect)}, ROUTE) as s, s.openai() as client:
        s.mocks.set_fault("a", "status", status=400, message="max_tokens is too large")
        with pytest.raises(openai.BadRequestError, match="max_tokens is too large"):
            await client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "Hi"}])


async def test_models_are_listed_and_unknown_ones_are_a_404():
    async with stack({"a": provider(), "b": provider("anthropic_messages")}, "{tiers: [[a], [b]]}") as s, s.openai() as client:
        names = [m.id async for m in client.models.list()]
        assert names == ["auto", "a", "b"]
        assert (await client.models.retrieve("auto")).id == "auto"
        for model in ("a", "p-b/model-b", "model-b"):
            reply = await client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}])
            assert reply.choices[0].finish_reason == "stop"
        with pytest.raises(openai.NotFoundError, match="nope"):
            await client.chat.completions.create(model="nope", messages=[{"role": "user", "content": "Hi"}])


@BOTH
async def test_json_schema_is_kept(dialect):
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema, "strict": True}}
    async with stack({"a": provider(dialect)}, ROUTE) as s, s.openai() as client:
        reply = await client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": "Is it ok?"}], response_format=wanted
        )
        assert isinstance(json.loads(reply.choices[0].message.content)["ok"], bool)
