"""Anthropic streams are well formed and say what was said, whatever the order of events and the cuts between them."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.dialects.canonical import (
    Ended,
    Event,
    Finished,
    FinishReason,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolStarted,
)
from fastroute.dialects.messages_api import MessagesApi
from fastroute.dialects.messages_relay import MessagesRelay
from fastroute.dialects.messages_writer import MessagesWriter

REQUEST = MessagesApi().decode(b'{"model":"a","max_tokens":1,"messages":[{"role":"user","content":"x"}]}', "r", 0.0)
values = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=8), max_size=3)
said = st.lists(
    st.builds(TextDelta, st.text(min_size=1, max_size=6)) | st.builds(ThinkingDelta, st.text(min_size=1, max_size=6)), max_size=6
)


@st.composite
def replies(draw: st.DrawFn) -> tuple[list[Event], list[dict[str, Any]]]:
    """Events of text, thinking and calls, whose pieces are told in any order across calls; and the calls' inputs."""
    inputs = draw(st.lists(values, max_size=3))
    queues: list[list[Event]] = [list(draw(said))]
    for index, value in enumerate(inputs):
        text = json.dumps(value)
        cut = draw(st.integers(0, len(text)))
        pieces = [ToolArguments(index, piece) for piece in (text[:cut], text[cut:])]
        queues.append([ToolStarted(index, f"t{index}", "f"), *pieces])
    events: list[Event] = []
    while any(queues):
        events.append(draw(st.sampled_from([queue for queue in queues if queue])).pop(0))
    return [*events, Finished(FinishReason.STOP), Ended()], inputs


def read(data: bytes) -> dict[int, dict[str, Any]]:
    """Blocks by index, each with its type and joined deltas; one is open at a time."""
    blocks: dict[int, dict[str, Any]] = {}
    opened: int | None = None
    for frame in data.split(b"\n\n")[:-1]:
        event = json.loads(frame.partition(b"data: ")[2])
        match event["type"]:
            case "content_block_start":
                assert opened is None
                assert event["index"] == len(blocks)
                opened = event["index"]
                blocks[opened] = {**event["content_block"], "told": ""}
            case "content_block_delta":
                assert event["index"] == opened
                delta = event["delta"]
                blocks[event["index"]]["told"] += delta.get("text", delta.get("thinking", delta.get("partial_json", "")))
            case "content_block_stop":
                assert event["index"] == opened
                opened = None
            case "message_stop":
                assert opened is None
    return blocks


@given(replies(), st.integers(1, 5))
def test_streams_are_well_formed(reply: tuple[list[Event], list[dict[str, Any]]], step: int) -> None:
    events, inputs = reply
    writer = MessagesWriter(REQUEST, "m")
    data = b"".join(writer.write(events[i : i + step]) for i in range(0, len(events), step))
    assert data.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    blocks = read(data).values()
    calls = {block["id"]: json.loads(block["told"]) for block in blocks if block["type"] == "tool_use"}
    assert calls == {f"t{index}": value for index, value in enumerate(inputs)}
    for kind, event_type in (("text", TextDelta), ("thinking", ThinkingDelta)):
        told = "".join(block["told"] for block in blocks if block["type"] == kind)
        assert told == "".join(event.text for event in events if isinstance(event, event_type))
    whole = json.loads(MessagesWriter(REQUEST, "m").whole(events))
    assert [block["type"] for block in whole["content"]] == [block["type"] for block in blocks]


@given(replies(), st.lists(st.integers(0, 4000), max_size=8))
@settings(max_examples=50)
def test_the_relay_gives_the_same_at_any_cut(reply: tuple[list[Event], list[dict[str, Any]]], cuts: list[int]) -> None:
    data = MessagesWriter(REQUEST, "m").write(reply[0])
    relay = MessagesRelay(REQUEST, "m")
    ends = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    out = b"".join(relay.feed(data[a:b]) for a, b in pairwise(ends)) + relay.end()
    assert out == data
    assert (relay.finished, relay.fault) == (True, None)
