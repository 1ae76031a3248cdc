"""Anthropic to Anthropic: as it came, there and back, but for the model and what is ours."""

import json

import pytest
from messages_support import CLAUDE, added_up, asked, told, turns

from fastroute.core.failures import Failure
from fastroute.core.types import Endpoint, Profile
from fastroute.dialects.anthropic_messages import AnthropicDialect
from fastroute.dialects.anthropic_vertex import AnthropicVertexDialect
from fastroute.dialects.messages_api import MessagesApi
from fastroute.dialects.messages_marks import UNSIGNED, mark_of, marked, without_marks
from fastroute.dialects.messages_relay import MessagesRelay

DIALECT = AnthropicDialect(lambda: 1.0)
USAGE = '{"input_tokens":3,"cache_read_input_tokens":2,"output_tokens":1}'
HEAD = (
    'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    f'"model":"claude-x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{USAGE}}}}}\n\n'
    'event: ping\ndata: {"type": "ping"}\n\n'
    'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}   }\n\n'
).encode()
TAIL = (
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    b'"usage":{"output_tokens":9}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


def test_requests_travel_as_they_came() -> None:
    body = b'{"max_tokens": 5,"model":"auto","messages":[ {"role":"user","content":"Hi"} ],"novel":{"a": 1.0},"fastroute_x":1}'
    request = MessagesApi().decode(body, "r", 0.0)
    sent = DIALECT.encode(request, CLAUDE)
    assert sent.body == (
        b'{"max_tokens":5,"model":"claude-sonnet-4-5","messages":[ {"role":"user","content":"Hi"} ],"novel":{"a": 1.0}}'
    )
    assert sent.url == "http://c/v1/messages"
    headers = dict(sent.headers)
    assert (headers["x-api-key"], headers["anthropic-version"]) == ("k", "2023-06-01")
    assert "anthropic-beta" not in headers


def test_betas_are_joined() -> None:
    headers = dict(DIALECT.encode(asked(betas="one, two,,one"), CLAUDE).headers)
    assert headers["anthropic-beta"] == "one,two"
    assert DIALECT.translate(asked(betas="one"), CLAUDE).betas == ("one",)


def test_claude_on_vertex() -> None:
    place = Endpoint(
        "v", "vertex", Profile("v", "anthropic_vertex", "/models/{model}:rawPredict"), "http://v", "claude-x", key="t"
    )
    sent = AnthropicVertexDialect(lambda: 1.0).encode(asked(stream=True, top_k=3), place)
    body = json.loads(sent.body)
    assert sent.url == "http://v/models/claude-x:streamRawPredict"
    assert (body["anthropic_version"], body["top_k"], "model" in body) == ("vertex-2023-10-16", 3, False)


def test_marks_stay_here() -> None:
    own = {"type": "thinking", "thinking": "hm", "signature": "SIG"}
    text = {"type": "text", "text": '"fastroute-unsigned"'}
    ours = [
        {"type": "thinking", "thinking": "x", "signature": UNSIGNED},
        {"type": "redacted_thinking", "data": marked("S", before=True)},
        {"type": "redacted_thinking", "data": marked("S", before=False)},
    ]
    request = turns("Hi", [own, *ours, text], "and", [ours[0]], "so")
    assert json.loads(bytes(without_marks(request))) == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [own, text]},
        {"role": "user", "content": "and"},
        {"role": "user", "content": "so"},
    ]
    plain = asked()
    assert without_marks(plain) is plain.fields["messages"]


@pytest.mark.parametrize("before", [True, False])
def test_marks(before: bool) -> None:
    mark = mark_of(marked("S", before))
    assert mark is not None
    assert (mark.signature, mark.before) == ("S", before)
    assert mark_of("EqQBanthropics") is None


@pytest.mark.parametrize("size", [1, 3, 50, 10_000])
def test_streams_pass_as_they_came(size: int) -> None:
    relay, data = MessagesRelay(asked(stream=True), "claude-x"), HEAD + TAIL
    out = b"".join(relay.feed(data[i : i + size]) for i in range(0, len(data), size)) + relay.end()
    assert out == data
    assert (relay.finished, relay.fault, relay.content_started) == (True, None, True)
    assert relay.usage is not None
    assert (relay.usage.input_tokens, relay.usage.cached_input_tokens, relay.usage.output_tokens) == (5, 2, 9)


def test_content_begins_with_the_text() -> None:
    relay = MessagesRelay(asked(stream=True), "claude-x")
    relay.feed(HEAD.partition(b"event: content_block_delta")[0])
    assert not relay.content_started


def test_a_cut_stream_is_a_fault() -> None:
    relay = MessagesRelay(asked(stream=True), "claude-x")
    assert relay.feed(HEAD) + relay.end() == HEAD
    assert relay.fault is not None
    assert relay.fault.failure is Failure.TRUNCATED


def test_errors_inside_a_stream_are_not_passed_on() -> None:
    relay = MessagesRelay(asked(stream=True), "claude-x")
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    assert relay.feed(HEAD + error + TAIL) == HEAD
    assert relay.fault is not None
    assert relay.fault.failure is Failure.OVERLOADED
    [event] = told(relay.interrupted(relay.fault))
    assert (event["error"]["type"], event["usage"]["input_tokens"]) == ("overloaded_error", 3)


def test_an_event_that_is_too_large() -> None:
    relay = MessagesRelay(asked(stream=True), "claude-x")
    relay.feed(HEAD)
    for _ in range(80):
        relay.feed(b"data: " + b"x" * (1 << 20))
    assert relay.fault is not None
    assert relay.fault.failure is Failure.TOO_LARGE


def test_whole_replies() -> None:
    body = f'{{"id":"m","type":"message","role":"assistant","model":"c","content":[],"stop_reason":"end_turn","usage":{USAGE}}}'
    relay = MessagesRelay(asked(), "claude-x")
    assert relay.whole(body.encode()) == body.encode()
    assert relay.usage is not None
    relay = MessagesRelay(asked(), "claude-x")
    assert relay.whole(b"<html>") == b""
    assert relay.fault is not None


def test_a_whole_message_where_a_stream_was_asked_for() -> None:
    message = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [{"type": "text", "text": "Hi"}]}
    body = json.dumps({**message, "stop_reason": "end_turn", "usage": json.loads(USAGE)})
    relay = MessagesRelay(asked(stream=True), "claude-x")
    message = added_up(told(relay.feed(body.encode()) + relay.end()))
    assert (message["content"], message["stop_reason"]) == ([{"type": "text", "text": "Hi"}], "end_turn")
    assert relay.finished
