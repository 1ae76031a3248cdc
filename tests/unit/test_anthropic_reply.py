"""Anthropic replies as canonical events: every event and block, at any cut, whole or broken."""

import random
from typing import Any

import msgspec
import pytest

from fastroute.core.failures import Failure
from fastroute.core.types import Usage
from fastroute.dialects.anthropic_reply import BLOCKS_KEY, EVENTS_KEY, AnthropicReader
from fastroute.dialects.canonical import (
    Ended,
    Event,
    Extra,
    Failed,
    Finished,
    FinishReason,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolStarted,
    UsageSeen,
)

Json = dict[str, Any]
START: Json = {
    "type": "message_start",
    "message": {"id": "msg_1", "model": "claude-x", "content": [], "usage": {"input_tokens": 10, "output_tokens": 1}},
}
STOP: Json = {"type": "message_stop"}


def frame(event: Json) -> bytes:
    return f"event: {event['type']}\ndata: ".encode() + msgspec.json.encode(event) + b"  \n\n"


def begin(index: int, **block: Any) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": block}


def piece(index: int, kind: str, **delta: Any) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}}


def end(index: int) -> Json:
    return {"type": "content_block_stop", "index": index}


def done(reason: str | None = "end_turn", output: int = 7, **more: Any) -> Json:
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None, **more},
        "usage": {"output_tokens": output},
    }


def read(*events: Json, names: dict[str, str] | None = None) -> list[Event]:
    reader = AnthropicReader(names)
    return reader.feed(b"".join(map(frame, events))) + reader.end()


def content(*events: Json, **options: Any) -> list[Event]:
    """The events between the start and the end of a proper reply."""
    out = read(START, *events, done(), STOP, **options)
    assert isinstance(out[-1], Ended)
    return [event for event in out[2:-1] if not isinstance(event, UsageSeen | Finished)]


TEXT = [begin(0, type="text", text=""), piece(0, "text_delta", text="Grüße "), piece(0, "text_delta", text="🌍"), end(0)]
TOOL = [
    begin(1, type="tool_use", id="toolu_1", name="f", input={}),
    piece(1, "input_json_delta", partial_json=""),
    piece(1, "input_json_delta", partial_json='{"a":'),
    piece(1, "input_json_delta", partial_json=" 1.0}"),
    end(1),
]


def test_a_plain_reply() -> None:
    assert read(START, {"type": "ping"}, *TEXT, done(), STOP) == [
        Started("msg_1", "claude-x"),
        UsageSeen(Usage(10, 1), {"input_tokens": 10, "output_tokens": 1}),
        TextDelta("Grüße "),
        TextDelta("🌍"),
        UsageSeen(Usage(10, 7), {"input_tokens": 10, "output_tokens": 7}),
        Finished(FinishReason.STOP, "end_turn"),
        Ended(),
    ]


def test_any_cut_gives_the_same_events() -> None:
    events = [START, *TEXT, *TOOL, done("tool_use"), STOP]
    stream = b"".join(map(frame, events))
    expected = read(*events)
    rng = random.Random(7)
    for size in (1, 2, 3, 7, 64, 0, 0, 0):
        reader, out, rest = AnthropicReader(), [], stream
        while rest:
            cut = size or rng.randint(1, 90)
            out += reader.feed(rest[:cut])
            rest = rest[cut:]
        assert out + reader.end() == expected


def test_the_last_frame_needs_no_blank_line() -> None:
    reader = AnthropicReader()
    stream = b"".join(map(frame, [START, *TEXT, done(), STOP])).rstrip() + b"\n"
    assert not any(isinstance(event, Ended) for event in reader.feed(stream))
    assert reader.end() == [Ended()]


def test_nothing_but_the_start_and_pings_is_no_content() -> None:
    assert [type(event) for event in read(START, {"type": "ping"}, begin(0, type="text", text=""))] == [Started, UsageSeen]


def test_calls_are_numbered_from_zero_whatever_their_block() -> None:
    second = [
        begin(5, type="tool_use", id="toolu_2", name="g", input={}),
        piece(5, "input_json_delta", partial_json="{}"),
        end(5),
    ]
    assert content(*TEXT, *TOOL, *second)[2:] == [
        ToolStarted(0, "toolu_1", "f"),
        ToolArguments(0, '{"a":'),
        ToolArguments(0, " 1.0}"),
        ToolStarted(1, "toolu_2", "g"),
        ToolArguments(1, "{}"),
    ]


def test_interleaved_blocks_keep_to_their_calls() -> None:
    first, second = (begin(i, type="tool_use", id=f"t{i}", name="f", input={}) for i in (0, 1))
    pieces = [piece(i, "input_json_delta", partial_json=text) for i, text in ((0, '{"x"'), (1, '{"y"'), (0, ":1}"), (1, ":2}"))]
    out = content(first, second, *pieces, end(1), end(0))
    for call, text in ((0, '{"x":1}'), (1, '{"y":2}')):
        assert "".join(e.text for e in out if isinstance(e, ToolArguments) and e.index == call) == text


def test_a_tool_without_arguments_gets_an_empty_object() -> None:
    quiet = begin(0, type="tool_use", id="t", name="f", input={})
    expected = [ToolStarted(0, "t", "f"), ToolArguments(0, "{}")]
    assert content(quiet, end(0)) == expected
    assert content(quiet, piece(0, "input_json_delta", partial_json=""), end(0)) == expected
    assert content(quiet) == expected, "also where the stop of the block is missing"


def test_arguments_may_come_with_the_start() -> None:
    assert content(begin(0, type="tool_use", id="t", name="f", input={"a": 1}), end(0))[1:] == [ToolArguments(0, '{"a":1}')]


def test_calls_have_ids_even_where_the_server_gave_none_or_one_twice() -> None:
    blocks = [begin(i, type="tool_use", id=given, name="f", input={}) for i, given in enumerate(["same", "same", "", None])]
    ids = [event.id for event in content(*blocks) if isinstance(event, ToolStarted)]
    assert ids[0] == "same"
    assert len(set(ids)) == 4
    assert all(ids)


def test_renamed_tools_get_their_names_back() -> None:
    out = content(begin(0, type="tool_use", id="t", name="a_b_12345678", input={}), names={"a_b_12345678": "a.b"})
    assert out[0] == ToolStarted(0, "t", "a.b")


def test_thinking_with_its_signature_and_redacted() -> None:
    assert content(
        begin(0, type="thinking", thinking="", signature=""),
        piece(0, "thinking_delta", thinking="hm"),
        piece(0, "signature_delta", signature="sig"),
        end(0),
        begin(1, type="redacted_thinking", data="blob"),
        end(1),
    ) == [ThinkingDelta("hm"), ThinkingDelta(signature="sig"), ThinkingDelta(redacted="blob", block=1)]


def test_server_tools_are_no_calls_and_go_out_whole() -> None:
    use = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}}
    result = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [{"type": "web_search_result"}]}
    out = read(
        START,
        begin(0, **use),
        piece(0, "input_json_delta", partial_json='{"query":'),
        piece(0, "input_json_delta", partial_json='"x"}'),
        end(0),
        begin(1, **result),
        end(1),
        *[{**event, "index": 2} for event in TEXT],
        done(),
        STOP,
    )
    assert out[2:4] == [Extra(BLOCKS_KEY, [{**use, "input": {"query": "x"}}]), Extra(BLOCKS_KEY, [result])]
    assert [e.reason for e in out if isinstance(e, Finished)] == [FinishReason.STOP]


def test_a_server_tool_cut_within_its_input_keeps_the_text() -> None:
    use = begin(0, type="server_tool_use", id="s", name="web_search", input={})
    out = read(START, use, piece(0, "input_json_delta", partial_json='{"qu'), end(0), done("max_tokens"), STOP)
    assert out[2].value[0]["input"] == '{"qu'
    assert isinstance(out[-1], Ended)


def test_citations_are_kept_and_links_become_annotations() -> None:
    link = {"type": "web_search_result_location", "url": "https://x", "title": None, "cited_text": "c", "encrypted_index": "e"}
    page = {"type": "page_location", "document_index": 0}
    out = content(
        *TEXT,
        begin(1, type="text", text="", citations=[]),
        piece(1, "citations_delta", citation=link),
        piece(1, "text_delta", text="cited"),
        end(1),
        begin(2, type="text", text="", citations=[page]),
        piece(2, "text_delta", text="!"),
        end(2),
    )
    url = {"url": "https://x", "title": "", "start_index": 7, "end_index": 12}
    assert out[2:] == [
        TextDelta("cited"),
        Extra("citations", [link]),
        Extra("annotations", [{"type": "url_citation", "url_citation": url}]),
        TextDelta("!"),
        Extra("citations", [page]),
    ]


def test_usage_takes_the_last_value_of_each_member() -> None:
    start = {
        "type": "message_start",
        "message": {"id": "m", "model": "x", "usage": {"input_tokens": 5, "cache_read_input_tokens": 7}},
    }
    late = {
        **done(),
        "usage": {"input_tokens": 2000, "cache_read_input_tokens": None, "output_tokens": 30, "service_tier": "standard"},
    }
    seen = [event for event in read(start, *TEXT, late, STOP) if isinstance(event, UsageSeen)]
    assert [event.usage for event in seen] == [Usage(12, None, 7), Usage(2007, 30, 7)]
    assert seen[-1].raw == {"input_tokens": 2000, "cache_read_input_tokens": 7, "output_tokens": 30, "service_tier": "standard"}


def test_a_refusal_keeps_its_details() -> None:
    why = {"type": "refusal", "category": "cyber", "explanation": "Not that."}
    out = read(START, done("refusal", stop_details=why), STOP)
    assert out[3:] == [
        Extra("stop_details", why),
        RefusalDelta("Not that."),
        Finished(FinishReason.CONTENT_FILTER, "refusal"),
        Ended(),
    ]


def test_stop_sequence_and_other_members_of_the_end() -> None:
    event = {**done("stop_sequence"), "context_management": {"applied_edits": []}}
    event["delta"] |= {"stop_sequence": "END", "container": {"id": "c"}, "stop_details": None}
    out = read(START, event, STOP)
    assert out[3:] == [
        Extra("container", {"id": "c"}),
        Extra("context_management", {"applied_edits": []}),
        Finished(FinishReason.STOP, "stop_sequence", "END"),
        Ended(),
    ]


def test_one_finish_however_many_deltas() -> None:
    out = read(START, *TEXT, done(None, 3), done(), done(), STOP)
    assert sum(isinstance(event, Finished) for event in out) == 1


def test_an_end_without_a_reason_still_is_one() -> None:
    assert read(START, *TEXT, STOP)[-2:] == [Finished(FinishReason.STOP), Ended()]


@pytest.mark.parametrize("kept", range(1, 7))
def test_a_stream_cut_short_is_not_ended(kept: int) -> None:
    out = read(*[START, *TEXT, done(), STOP][:kept])
    assert not any(isinstance(event, Ended | Failed) for event in out)
    assert any(isinstance(event, Finished) for event in out) == (kept == 6), "no reason is made up"


def test_unknown_events_blocks_and_deltas_are_kept() -> None:
    news = {"type": "message_note", "note": 1}
    odd = piece(0, "sparkle_delta", sparkle=1)
    block = {"type": "hologram", "data": [1]}
    assert content(news, begin(0, type="text", text=""), odd, end(0), begin(1, **block), end(1)) == [
        Extra(EVENTS_KEY, [news]),
        Extra(EVENTS_KEY, [odd]),
        Extra(BLOCKS_KEY, [block]),
    ]


@pytest.mark.parametrize(("kind", "failure"), [("overloaded_error", Failure.OVERLOADED), ("api_error", Failure.SERVER_ERROR)])
def test_an_error_event_ends_everything(kind: str, failure: Failure) -> None:
    out = read(START, *TEXT[:2], {"type": "error", "error": {"type": kind, "message": "Overloaded"}}, *TEXT, done(), STOP)
    assert [type(event) for event in out] == [Started, UsageSeen, TextDelta, Failed]
    assert out[-1].fault.failure is failure
    assert out[-1].fault.message == "Overloaded"


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (b'event: error\ndata: {"error": {"message": "no type here"}}\n\n', Failure.SERVER_ERROR),
        (b"event: error\ndata: upstream connect error\n\n", Failure.SERVER_ERROR),
        (b'data: {"error": {"type": "rate_limit_error", "message": "slow down"}}\n\n', Failure.RATE_LIMITED),
        (b"event: message_start\ndata: {broken\n\n", Failure.MALFORMED),
        (b"data: [1, 2]\n\n", Failure.MALFORMED),
        (b'data: {"type": "content_block_delta", "index": 0}\n\n', Failure.MALFORMED),
        (b'data: {"type": "content_block_delta", "delta": {"type": "text_delta", "text": 5}}\n\n', Failure.MALFORMED),
        (b'data: {"type": "content_block_start", "content_block": []}\n\n', Failure.MALFORMED),
        (b'data: {"type": "message_delta", "delta": 7, "usage": []}\n\n', Failure.MALFORMED),
        (b'data: {"type": "message_start", "message": null}\n\n', Failure.MALFORMED),
        (b"data: \xff\xfe\n\n", Failure.MALFORMED),
    ],
)
def test_broken_streams_fail_and_say_nothing_more(data: bytes, failure: Failure) -> None:
    reader = AnthropicReader()
    out = reader.feed(frame(START) + data + frame(TEXT[1]))
    assert isinstance(out[-1], Failed)
    assert out[-1].fault.failure is failure
    assert sum(isinstance(event, Failed) for event in out) == 1
    assert reader.feed(frame(STOP)) + reader.end() == []


def test_an_endless_event_fails() -> None:
    reader = AnthropicReader()
    out = [event for _ in range(5) for event in reader.feed(b"x" * (4 << 20))]
    assert [event.fault.failure for event in out] == [Failure.TOO_LARGE]


def test_what_follows_the_end_is_ignored() -> None:
    reader = AnthropicReader()
    stream = b"".join(map(frame, [START, *TEXT, done(), STOP]))
    assert isinstance(reader.feed(stream + b"data: [DONE]\n\n" + frame(TEXT[1]))[-1], Ended)
    assert reader.feed(frame(TEXT[1])) + reader.end() == []


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_whole_reply_in_place_of_a_stream(size: int) -> None:
    body = b' \n{"id":"m","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn"}'
    reader = AnthropicReader()
    for i in range(0, len(body), size):
        assert reader.feed(body[i : i + size]) == []
    assert reader.end() == [Started("m"), TextDelta("hi"), Finished(FinishReason.STOP, "end_turn"), Ended()]


def test_an_error_in_place_of_a_stream() -> None:
    reader = AnthropicReader()
    reader.feed(b'{"type":"error","error":{"type":"api_error","message":"Internal"}}')
    [event] = reader.end()
    assert isinstance(event, Failed)
    assert event.fault.failure is Failure.SERVER_ERROR


@pytest.mark.parametrize("data", [b'{"id":"m","content":[{"type":"te', b"", b"  "])
def test_less_than_a_reply_in_place_of_a_stream_is_no_end(data: bytes) -> None:
    reader = AnthropicReader()
    assert reader.feed(data) + reader.end() == []
