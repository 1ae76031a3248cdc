"""The mock's Anthropic dialect: requests read, answers whole and as events."""

import json
from random import Random
from typing import Any

import pytest

from fastroute.mock.answer import compose
from fastroute.mock.anthropic_messages import AnthropicMessages
from fastroute.mock.ask import Ask, Rejected
from fastroute.mock.dialect import Bill, Rendered
from fastroute.mock.schema import OutputSpec

DIALECT = AnthropicMessages()
HEADERS = {"anthropic-version": "2023-06-01"}
BILL = Bill(input_tokens=12, cached_tokens=4, output_tokens=6)
USER = {"role": "user", "content": "hi there"}
TOOL = {"name": "w", "input_schema": {"type": "object", "properties": {"c": {"type": "string"}}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def read(**members: Any) -> Ask:
    body = {"model": "m", "max_tokens": 100, "messages": [USER], **members}
    return DIALECT.read(HEADERS, json.dumps(body).encode(), strict=True)


def whole(**members: Any) -> dict[str, Any]:
    ask = read(**members)
    return json.loads(DIALECT.whole(ask, compose(ask, "s", OutputSpec(mean=6), Random(1)), BILL))


def rendered(**members: Any) -> Rendered:
    ask = read(stream=True, **members)
    return DIALECT.stream(ask, compose(ask, "s", OutputSpec(mean=6), Random(1)), BILL)


def stream(**members: Any) -> list[dict[str, Any]]:
    made = rendered(**members)
    return decoded(b"".join((made.prelude, *made.chunks, made.tail)))


def decoded(data: bytes) -> list[dict[str, Any]]:
    """The events' data, after checking that each event's name is its type."""
    events = []
    for event in data.decode().split("\n\n")[:-1]:
        name, payload = event.split("\n")
        events.append(json.loads(payload.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def rebuilt(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The content blocks that a client assembles; checks that blocks open and close in order."""
    blocks: list[dict[str, Any]] = []
    open_block: int | None = None
    for event in events:
        if event["type"] == "content_block_start":
            assert open_block is None
            open_block = event["index"]
            assert open_block == len(blocks)
            blocks.append({**event["content_block"], "json": ""})
        elif event["type"] == "content_block_delta":
            assert event["index"] == open_block
            blocks[-1]["text"] = blocks[-1].get("text", "") + event["delta"].get("text", "")
            blocks[-1]["json"] += event["delta"].get("partial_json", "")
        elif event["type"] == "content_block_stop":
            assert event["index"] == open_block
            open_block = None
    assert open_block is None
    return blocks


def test_reads_what_matters() -> None:
    ask = read(
        system="be brief",
        stop_sequences=["x"],
        tools=[TOOL],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )
    assert (ask.model, ask.max_output_tokens, ask.stop) == ("m", 100, ("x",))
    assert (ask.tool_mode, ask.parallel) == ("required", False)
    assert "be brief" in ask.transcript


def test_a_named_tool() -> None:
    ask = read(tools=[TOOL], tool_choice={"type": "tool", "name": "w"})
    assert (ask.tool_mode, ask.named_tool) == ("named", "w")


def test_results_of_the_last_turn_are_found_in_order() -> None:
    calls = [{"type": "tool_use", "id": i, "name": "w", "input": {}} for i in ("a", "b")]
    results = [
        {"type": "tool_result", "tool_use_id": "a", "content": "one"},
        {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "two"}]},
    ]
    messages = [USER, {"role": "assistant", "content": calls}, {"role": "user", "content": results}]
    ask = read(messages=messages, tools=[TOOL])
    assert ask.tool_results == ("one", "two")
    assert ask.called_tools == ()


@pytest.mark.parametrize("member", ["output_config", "output_format"])
def test_a_schema_for_the_answer(member: str) -> None:
    wanted = {"type": "json_schema", "schema": SCHEMA}
    reply = whole(**{member: {"format": wanted} if member == "output_config" else wanted})
    assert json.loads(reply["content"][0]["text"]) == {"a": 1}


def test_the_version_header_is_required() -> None:
    with pytest.raises(Rejected, match="anthropic-version"):
        DIALECT.read({}, b"{}", strict=True)


@pytest.mark.parametrize("body", [b"", b"[]", b"{"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Rejected, match="not valid JSON"):
        DIALECT.read(HEADERS, body, strict=True)


def test_a_whole_text_answer() -> None:
    reply = whole()
    (block,) = reply["content"]
    assert (reply["type"], reply["role"], reply["model"]) == ("message", "assistant", "m")
    assert block["type"] == "text"
    assert len(block["text"].split()) == 6
    assert (reply["stop_reason"], reply["stop_sequence"]) == ("end_turn", None)


def test_usage_has_cached_tokens_beside_the_input() -> None:
    assert whole()["usage"] == {
        "input_tokens": 8,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 4,
        "output_tokens": 6,
    }


def test_stop_reasons() -> None:
    assert whole(max_tokens=2)["stop_reason"] == "max_tokens"
    assert whole(tools=[TOOL])["stop_reason"] == "tool_use"
    word = whole()["content"][0]["text"].split()[2]
    cut = whole(stop_sequences=[word])
    assert (cut["stop_reason"], cut["stop_sequence"]) == ("stop_sequence", word)


def test_a_whole_answer_with_calls() -> None:
    calls = whole(tools=[TOOL])["content"]
    assert [c["type"] for c in calls] == ["tool_use", "tool_use"]
    assert len({c["id"] for c in calls}) == 2
    assert all(c["id"].startswith("toolu_") and set(c["input"]) == {"c"} for c in calls)


def test_a_call_cut_by_max_tokens_has_an_empty_input() -> None:
    reply = whole(tools=[TOOL], max_tokens=1)
    assert reply["stop_reason"] == "max_tokens"
    assert reply["content"][0]["input"] == {}


def test_a_stream_has_its_events_in_order() -> None:
    kinds = [e["type"] for e in stream()]
    assert kinds[:3] == ["message_start", "ping", "content_block_start"]
    assert kinds[3:-3] == ["content_block_delta"] * 6
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_a_stream_tells_the_same_as_the_whole_answer() -> None:
    (block,) = rebuilt(stream())
    assert block["text"] == whole()["content"][0]["text"]
    assert len(rendered().chunks) == 6


def test_usage_starts_with_the_input_and_ends_cumulative() -> None:
    events = stream()
    assert events[0]["message"]["usage"]["input_tokens"] == 8
    assert events[0]["message"]["usage"]["output_tokens"] == 1
    assert events[-2]["usage"]["output_tokens"] == 6
    assert events[-2]["delta"]["stop_reason"] == "end_turn"


def test_streamed_calls_are_blocks_of_their_own() -> None:
    blocks = rebuilt(stream(tools=[TOOL]))
    assert [b["type"] for b in blocks] == ["tool_use", "tool_use"]
    assert all(b["input"] == {} and set(json.loads(b["json"])) == {"c"} for b in blocks)


def test_arguments_begin_with_an_empty_piece() -> None:
    deltas = [e["delta"] for e in stream(tools=[TOOL]) if e["type"] == "content_block_delta"]
    assert deltas[0] == {"type": "input_json_delta", "partial_json": ""}


def test_an_answer_stopped_at_once_has_no_block() -> None:
    first = whole()["content"][0]["text"].split()[0]
    assert rebuilt(stream(stop_sequences=[first])) == []
    assert whole(stop_sequences=[first])["content"] == []


def test_parts_for_faults() -> None:
    made = rendered()
    assert decoded(made.filler)[0]["delta"]["text"] == " and"
    assert decoded(made.error)[0]["error"]["type"] == "overloaded_error"
    with pytest.raises(json.JSONDecodeError):
        decoded(made.broken)


@pytest.mark.parametrize(
    ("headers", "key", "good"),
    [
        ({}, None, True),
        ({"x-api-key": "x"}, None, True),
        ({"x-api-key": "x"}, "x", True),
        ({"authorization": "Bearer x"}, "x", True),
        ({"authorization": "Bearer y", "x-api-key": "x"}, "x", True),
        ({"x-api-key": "y"}, "x", False),
        ({"authorization": "Bearer y"}, "x", False),
        ({"authorization": "Basic x"}, None, False),
        ({"api-key": "x"}, None, False),
        ({}, "x", False),
    ],
)
def test_keys(headers: dict[str, str], key: str | None, good: bool) -> None:
    if good:
        DIALECT.authorise(headers, key)
        return
    with pytest.raises(Rejected) as caught:
        DIALECT.authorise(headers, key)
    assert (caught.value.status, caught.value.kind) == (401, "authentication_error")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (529, "overloaded_error"),
    ],
)
def test_errors_have_the_providers_shape(status: int, kind: str) -> None:
    rejected = DIALECT.refusal(status)
    body = json.loads(DIALECT.error(rejected))
    assert rejected.status == status
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert body["error"]["message"]


def test_own_words_in_an_error() -> None:
    body = json.loads(DIALECT.error(DIALECT.refusal(500, "so sorry", "odd_error")))
    assert body["error"] == {"type": "odd_error", "message": "so sorry"}


def test_the_list_of_models() -> None:
    listed = json.loads(DIALECT.models(["a", "b"]))
    assert [m["id"] for m in listed["data"]] == ["a", "b"]
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == ("a", "b", False)
    assert json.loads(DIALECT.models([]))["first_id"] is None


def test_counting_tokens() -> None:
    body = json.dumps({"model": "m", "messages": [USER]}).encode()
    counted = DIALECT.other("/messages/count_tokens", HEADERS, body)
    assert counted is not None
    assert json.loads(counted) == {"input_tokens": read().input_tokens}
    assert DIALECT.other("/complete", HEADERS, body) is None


@pytest.mark.parametrize("body", [b"[", b'{"model": "m"}'])
def test_counting_refuses_what_it_cannot_read(body: bytes) -> None:
    with pytest.raises(Rejected):
        DIALECT.other("/messages/count_tokens", HEADERS, body)
