"""Recorded Anthropic replies replayed to an OpenAI client.

The laws hold for any reply, so nothing here is a golden file: what a recording says is read by code of this test's own and must
come out on the other side, at any cut of the bytes; and a broken stream must never look whole.
"""

import json
import random
from itertools import pairwise
from typing import Any

import pytest
from anthropic_recordings import DIALECT, Json, Told, asking, chat, endpoint, over, recordings, told_by_body, told_by_stream
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from fastroute.core.failures import Failure
from fastroute.core.types import ChatRequest

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "model_context_window_exceeded": "length",
}


# --- what the client gets ---------------------------------------------------------------------------------------------


def replay(request: ChatRequest, pieces: list[bytes]) -> tuple[bytes, Any]:
    translator = DIALECT.translator(request, endpoint())
    out = b"".join([translator.feed(piece) for piece in pieces])
    return out + translator.end(), translator


def chunks(out: bytes) -> list[Json]:
    """The chunks of a proper stream; checks its frame."""
    frames = out.split(b"\n\n")
    assert frames[-2:] == [b"data: [DONE]", b""], "the last line is [DONE]"
    assert all(frame.startswith(b"data: ") for frame in frames[:-1])
    found = [json.loads(frame[6:]) for frame in frames[:-2]]
    for chunk in found:
        ChatCompletionChunk.model_validate(chunk, strict=False)
    return found


def check_usage(usage: Json, told: Told) -> None:
    raw = told.usage
    cached, written = raw.get("cache_read_input_tokens") or 0, raw.get("cache_creation_input_tokens") or 0
    assert usage["prompt_tokens"] == raw["input_tokens"] + cached + written
    assert usage["completion_tokens"] == raw["output_tokens"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert ((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0) == cached <= usage["prompt_tokens"]
    thinking = (raw.get("output_tokens_details") or {}).get("thinking_tokens")
    if thinking is not None:
        assert usage["completion_tokens_details"]["reasoning_tokens"] == thinking


def check_calls(calls: list[Json], told: Told) -> None:
    assert [call["function"]["name"] for call in calls] == [call["name"] for call in told.calls]
    assert [call["id"] for call in calls] == [call["id"] for call in told.calls]
    ids = [call["id"] for call in calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)


def check_stream(out: bytes, told: Told, *, usage: bool) -> None:
    found = chunks(out)
    assert len({(c["id"], c["created"], c["model"]) for c in found}) == 1
    deltas = [choice for chunk in found for choice in chunk["choices"]]
    assert {choice["index"] for choice in deltas} == {0}
    assert [i for i, choice in enumerate(deltas) if choice["delta"].get("role")] == [0], "role in the first delta only"
    assert "".join(c["delta"].get("content") or "" for c in deltas) == told.text
    assert "".join(c["delta"].get("reasoning_content") or "" for c in deltas) == told.thinking
    calls: dict[int, Json] = {}
    for piece in (piece for c in deltas for piece in c["delta"].get("tool_calls") or []):
        if piece["index"] in calls:
            assert not piece.get("id")
            calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
        else:
            calls[piece["index"]] = json.loads(json.dumps(piece))
    assert list(calls) == list(range(len(told.calls))), "one index per call, across the stream"
    check_calls(list(calls.values()), told)
    assert [call["function"]["arguments"] for call in calls.values()] == [call["arguments"] for call in told.calls]
    finishes = [choice["finish_reason"] for choice in deltas if choice.get("finish_reason")]
    assert finishes == ["tool_calls" if told.calls and told.stop_reason != "max_tokens" else FINISH[told.stop_reason or ""]]
    usages = [chunk["usage"] for chunk in found if chunk.get("usage")]
    assert len(usages) == (1 if usage else 0), "usage only if the client asked"
    if usage:
        assert found[-1]["choices"] == []
        check_usage(usages[0], told)


# --- streams ----------------------------------------------------------------------------------------------------------


@over("stream")
@pytest.mark.parametrize("usage", [True, False])
def test_stream_laws(name: str, usage: bool) -> None:
    frames = recordings()[name]["response"]["sse"]
    out, translator = replay(asking(name, stream=True, usage=usage), ["".join(frames).encode()])
    assert (translator.finished, translator.fault) == (True, None)
    check_stream(out, told_by_stream(frames), usage=usage)
    assert translator.usage.output_tokens == told_by_stream(frames).usage["output_tokens"]


@over("stream")
def test_any_cut_gives_the_same_bytes(name: str) -> None:
    frames = [frame.encode() for frame in recordings()[name]["response"]["sse"]]
    request, stream = asking(name, stream=True), b"".join(frames)
    expected, _ = replay(request, [stream])
    assert replay(request, frames)[0] == expected
    assert replay(request, [stream[i : i + 1] for i in range(len(stream))])[0] == expected
    rng = random.Random(name)
    for most in (5, 60, 2000):
        cuts = sorted({0, len(stream), *rng.choices(range(len(stream)), k=len(stream) // most + 1)})
        assert replay(request, [stream[a:b] for a, b in pairwise(cuts)])[0] == expected


@over("stream")
def test_pings_and_comments_change_nothing(name: str) -> None:
    frames = [frame.encode() for frame in recordings()[name]["response"]["sse"]]
    frames[-1] = frames[-1].rstrip(b"\n") + b"\n\n"
    expected, _ = replay(asking(name, stream=True), frames)
    noise = b': keep-alive\n\nevent: ping\ndata: {"type": "ping"}\n\n'
    assert replay(asking(name, stream=True), [noise + frame for frame in frames])[0] == expected


def some(count: int, most: int = 24) -> list[int]:
    """Positions to break a stream of `count` frames at: all of a short one, spread over a long one, always both ends."""
    step = max(1, count // most)
    return sorted({*range(0, count, step), count - 2, count - 1} - {-1})


@over("stream")
def test_a_stream_cut_short_never_looks_whole(name: str) -> None:
    recorded = recordings()[name]["response"]["sse"]
    frames = [frame.encode() for frame in recorded]
    for kept in some(len(frames)):
        out, translator = replay(asking(name, stream=True), frames[:kept])
        assert translator.fault is not None, f"after {kept} of {len(frames)} frames"
        assert translator.fault.failure is Failure.TRUNCATED
        assert b"[DONE]" not in out
        given = told_by_stream(recorded[:kept]).stop_reason is not None
        assert (b'"finish_reason":"' in out) <= given, "no finish reason is made up"
        ending = translator.interrupted(translator.fault)
        assert json.loads(ending.removeprefix(b"data: ").split(b"\n\n")[0])["error"]["message"]


@over("stream")
def test_an_error_in_the_middle_is_a_fault(name: str) -> None:
    frames = [frame.encode() for frame in recordings()[name]["response"]["sse"]]
    error = b'event: error\ndata: {"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"}}\n\n'
    for kept in some(len(frames)):
        request = asking(name, stream=True)
        out, translator = replay(request, [*frames[:kept], error])
        assert translator.fault is not None
        assert (translator.fault.failure, translator.fault.message) == (Failure.OVERLOADED, "Overloaded")
        assert out == b"".join(map(DIALECT.translator(request, endpoint()).feed, [b"".join(frames[:kept])]))


@over("stream")
def test_content_starts_with_content(name: str) -> None:
    recorded = recordings()[name]["response"]["sse"]
    translator = DIALECT.translator(asking(name, stream=True), endpoint())
    for i, frame in enumerate(recorded):
        translator.feed(frame.encode())
        told = told_by_stream(recorded[: i + 1])
        if told.text or told.thinking or told.signatures or told.calls or told.stop_reason == "refusal":
            assert translator.content_started or told.stop_reason
            return
        assert translator.content_started == ("redacted_thinking" in frame), "headers, pings and server tools are no content"


# --- whole replies ----------------------------------------------------------------------------------------------------


@over("whole")
def test_whole_laws(name: str) -> None:
    body = recordings()[name]["response"]["body"]
    translator = DIALECT.translator(asking(name, stream=False), endpoint())
    out = json.loads(translator.whole(json.dumps(body).encode()))
    assert (translator.finished, translator.fault) == (True, None)
    ChatCompletion.model_validate(out, strict=False)
    told = told_by_body(body)
    [choice] = out["choices"]
    message = choice["message"]
    assert (message.get("content") or "") == told.text
    assert (message.get("reasoning_content") or "") == told.thinking
    calls = message.get("tool_calls") or []
    check_calls(calls, told)
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [call["arguments"] for call in told.calls]
    assert choice["finish_reason"] == ("tool_calls" if told.calls else FINISH[told.stop_reason or ""])
    check_usage(out["usage"], told)


@over("whole")
def test_a_whole_body_cut_short_is_a_fault(name: str) -> None:
    body = json.dumps(recordings()[name]["response"]["body"]).encode()
    for kept in (0, 1, len(body) // 2, len(body) - 1):
        translator = DIALECT.translator(asking(name, stream=False), endpoint())
        assert translator.whole(body[:kept]) == b""
        assert translator.fault is not None
        assert translator.fault.failure is Failure.MALFORMED


# --- errors -----------------------------------------------------------------------------------------------------------


@over("error")
def test_errors(name: str) -> None:
    response = recordings()[name]["response"]
    headers = {key.lower(): value for key, value in response["headers"].items()}
    fault = DIALECT.fault(response["status"], headers, json.dumps(response["body"]).encode())
    expected = {400: Failure.BAD_REQUEST, 401: Failure.AUTH, 403: Failure.AUTH, 404: Failure.NOT_FOUND, 413: Failure.BAD_REQUEST}
    if "prompt is too long" not in fault.message:
        assert fault.failure is expected[response["status"]]
    assert fault.status == response["status"]
    assert fault.type == response["body"]["error"]["type"]
    assert fault.message == response["body"]["error"]["message"]
    assert fault.retry_after_s is None


@over("signed")
def test_streamed_reasoning_goes_back_as_it_came(name: str) -> None:
    """What a client collects from the deltas, as its SDK does (list items join by index), is the block that Anthropic signed."""
    frames = recordings()[name]["response"]["sse"]
    told = told_by_stream(frames)
    blocks: dict[int, Json] = {}
    for chunk in chunks(replay(asking(name, stream=True), ["".join(frames).encode()])[0]):
        for block in (block for choice in chunk["choices"] for block in choice["delta"].get("thinking_blocks") or []):
            known = blocks.setdefault(block["index"], {"type": block["type"], "thinking": "", "signature": ""})
            known |= {key: known[key] + block.get(key, "") for key in ("thinking", "signature")}
    message = {"role": "assistant", "content": told.text or "x", "thinking_blocks": list(blocks.values())}
    user = {"role": "user", "content": "hi"}
    sent = json.loads(DIALECT.encode(chat({"model": "auto", "messages": [user, message, user]}), endpoint()).body)
    given = [block for block in sent["messages"][1]["content"] if block["type"] == "thinking"]
    assert "".join(block["thinking"] for block in given) == told.thinking
    assert "".join(block["signature"] for block in given) == told.signatures
