"""Recorded replies of OpenAI-style providers replayed to an OpenAI client.

The laws hold for any reply: what a recording says is read by code of these tests' own and must come out on the other side, at any
cut of the bytes; a broken stream must never look whole; and what needs no mend leaves byte for byte.
"""

import json
import random
import sys
from itertools import pairwise
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai_recordings import (
    API,
    DIALECT,
    Json,
    Reply,
    Told,
    add_message,
    asking,
    data_of,
    endpoint,
    expected_usage,
    kind,
    named,
    over,
    recordings,
    request_body,
    told_by_body,
    told_by_stream,
)

from fastroute.core.failures import Failure
from fastroute.core.types import ChatRequest, Departures, Profile

WORDS = {"eos": "stop", "model_length": "length", "function_call": "tool_calls"}
OWN_WORDS = {"stop", "length", "tool_calls", "content_filter", "function_call"}
BROKEN_BY_OPENAI = {
    "openai/chat-stream-tool-call-tool-result-include-usage-c443f5": 1
}  # `stop` after a call: one frame is mended


# --- what the client gets -----------------------------------------------------------------------------------------------


def replay(request: ChatRequest, name: str, pieces: list[bytes]) -> tuple[bytes, Any]:
    translator = DIALECT.translator(request, endpoint(name))
    out = b"".join([translator.feed(piece) for piece in pieces])
    return out + translator.end(), translator


def frames_of(name: str) -> list[bytes]:
    return [frame.encode() for frame in recordings()[name]["response"]["sse"]]


def chunks(out: bytes) -> list[Json]:
    """The chunks of a proper stream; checks its frame and its types."""
    frames = out.split(b"\n\n")
    assert frames[-2:] == [b"data: [DONE]", b""], "the last line is [DONE]"
    assert out.count(b"[DONE]") == 1
    assert all(frame.startswith(b"data: {") and b"\n" not in frame and b"\r" not in frame for frame in frames[:-2])
    found = [json.loads(frame[6:]) for frame in frames[:-2]]
    for chunk in found:
        ChatCompletionChunk.model_validate(typed(chunk), strict=True)
    return found


def typed(reply: Json) -> Json:
    """The reply without values that OpenAI's types do not list and its clients do not mind."""
    out = json.loads(json.dumps(reply)) | {"service_tier": None}  # Groq: on_demand
    for choice in out["choices"]:
        choice.get("message", {}).pop("annotations", None)  # OpenRouter: of type file
    return out


def check_usage(usage: Json, told: Reply) -> None:
    assert told.usage is not None
    prompt, completion, cached = expected_usage(told.usage)
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (prompt, completion)
    assert ((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0) == cached <= prompt


def check_calls(calls: list[Json], told: Told) -> None:
    assert [(c["function"]["name"], c["function"]["arguments"]) for c in calls] == [
        (c["name"], c["arguments"].strip() or "{}") for c in told.calls
    ]
    ids = [call["id"] for call in calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert all(mine == theirs["id"] for mine, theirs in zip(ids, told.calls, strict=True) if theirs["id"])


def check_choice(entries: list[Json], told: Told) -> None:
    got = Told(calls=[])
    calls: dict[int, Json] = {}
    assert [i for i, entry in enumerate(entries) if entry["delta"].get("role")] in ([], [0]), "role in the first delta only"
    for entry in entries:
        assert isinstance(entry["delta"].get("content") or "", str)
        add_message(got, {key: value for key, value in entry["delta"].items() if key != "tool_calls"})
        for piece in entry["delta"].get("tool_calls") or []:
            if piece["index"] in calls:
                assert not piece.get("id")
                assert not piece["function"].get("name")
                calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
            else:
                calls[piece["index"]] = json.loads(json.dumps(piece))
    assert (got.text, got.thinking, got.refusal) == (told.text, told.thinking, told.refusal)
    assert list(calls) == list(range(len(told.calls))), "one index per call, across the stream"
    check_calls(list(calls.values()), told)
    assert all("finish_reason" in entry for entry in entries)
    finishes = [entry["finish_reason"] for entry in entries if entry["finish_reason"]]
    assert finishes == [expected_finish(told)]
    assert entries[-1]["finish_reason"], "nothing follows the finish"


def expected_finish(told: Told) -> str:
    if told.finish is None:  # a proxy gave one finish reason for all choices, then [DONE]
        return "stop"
    if told.calls and told.finish != "length":
        return "tool_calls"
    return str(told.finish) if told.legacy else WORDS.get(str(told.finish), str(told.finish))


def check_stream(out: bytes, told: Reply, *, usage: bool) -> None:
    found = chunks(out)
    entries: dict[int, list[Json]] = {}
    for choice in (choice for chunk in found for choice in chunk["choices"]):
        entries.setdefault(choice["index"], []).append(choice)
    assert entries.keys() == told.choices.keys()
    for index, choice in told.choices.items():
        check_choice(entries[index], choice)
    usages = [chunk["usage"] for chunk in found if chunk.get("usage")]
    assert len(usages) == (1 if usage and told.usage else 0), "usage only if the client asked, and once"
    if usages:
        assert found[-1]["choices"] == []
        check_usage(usages[0], told)
    if not usage:
        assert not any("usage" in chunk for chunk in found)


# --- streams ------------------------------------------------------------------------------------------------------------


@over("stream")
@pytest.mark.parametrize("usage", [True, False])
def test_stream_laws(name: str, usage: bool) -> None:
    frames = recordings()[name]["response"]["sse"]
    told = told_by_stream(frames)
    out, translator = replay(asking(name, stream=True, usage=usage), name, ["".join(frames).encode()])
    assert (translator.finished, translator.fault, translator.content_started) == (True, None, True)
    check_stream(out, told, usage=usage)
    if told.usage:
        prompt, completion, cached = expected_usage(told.usage)
        assert (translator.usage.input_tokens, translator.usage.output_tokens) == (prompt, completion)
        assert (translator.usage.cached_input_tokens or 0) == cached


@over("stream")
def test_any_cut_gives_the_same_bytes(name: str) -> None:
    frames = frames_of(name)
    request, stream = asking(name, stream=True), b"".join(frames)
    expected, _ = replay(request, name, [stream])
    assert replay(request, name, frames)[0] == expected
    assert replay(request, name, [stream[i : i + 1] for i in range(len(stream))])[0] == expected
    rng = random.Random(name)
    for most in (5, 60, 2000):
        cuts = sorted({0, len(stream), *rng.choices(range(len(stream)), k=len(stream) // most + 1)})
        assert replay(request, name, [stream[a:b] for a, b in pairwise(cuts)])[0] == expected


@over("stream")
def test_comments_and_keepalives_change_nothing(name: str) -> None:
    frames = frames_of(name)
    expected, _ = replay(asking(name, stream=True), name, frames)
    noise = b": ping\n\nretry: 10\n\ndata: : keepalive\n\ndata:\n\n"
    assert replay(asking(name, stream=True), name, [noise + frame for frame in frames])[0] == expected


def some(count: int, most: int = 20) -> list[int]:
    """Positions to break a stream of `count` frames at: all of a short one, spread over a long one, always both ends."""
    step = max(1, count // most)
    return sorted({*range(0, count, step), count - 2, count - 1} - {-2, -1})


@over("stream")
def test_a_stream_cut_short_never_looks_whole(name: str) -> None:
    recorded, request = recordings()[name]["response"]["sse"], asking(name, stream=True)
    expected = max(len(told_by_stream(recorded).choices), request.choices)
    for kept in some(len(recorded)):
        told = told_by_stream(recorded[:kept])
        out, translator = replay(request, name, [frame.encode() for frame in recorded[:kept]])
        if sum(choice.finish is not None for choice in told.choices.values()) == expected:
            assert (translator.finished, translator.fault) == (True, None)
            continue
        assert translator.fault is not None, f"after {kept} of {len(recorded)} frames"
        assert translator.fault.failure is Failure.TRUNCATED
        assert b"[DONE]" not in out
        given = sum(choice.finish is not None for choice in told.choices.values())
        assert out.count(b'"finish_reason":"') <= given, "no finish reason is made up"
        assert not translator.finished
        ending = translator.interrupted(translator.fault)
        assert json.loads(ending.removeprefix(b"data: "))["error"]["message"]
        assert b"[DONE]" not in ending


@over("stream")
def test_a_stream_cut_inside_a_frame_never_looks_whole(name: str) -> None:
    frames = frames_of(name)
    for kept in some(len(frames) - 1, most=8):
        frame = frames[kept]
        told = told_by_stream([f.decode() for f in frames[:kept]])
        if any(choice.finish for choice in told.choices.values()) or not frame.startswith(b"data: {"):
            continue
        _, translator = replay(asking(name, stream=True), name, [*frames[:kept], frame[: len(frame) // 2]])
        assert translator.fault is not None
        assert translator.fault.failure is Failure.TRUNCATED


@over("stream")
def test_an_error_in_the_middle_is_a_fault(name: str) -> None:
    frames, request = frames_of(name), asking(name, stream=True)
    said = b'data: {"error":{"message":"Overloaded","type":"overloaded_error","code":529}}\n\n'
    for error in (b"event: error\n" + said, said, said.replace(b"data: ", b"error: ")):
        for kept in some(len(frames) - 1, most=8):
            out, translator = replay(request, name, [*frames[:kept], error])
            assert translator.fault is not None
            assert (translator.fault.failure, translator.fault.message) == (Failure.OVERLOADED, "Overloaded")
            assert not translator.finished
            assert b"Overloaded" not in out
            assert b"[DONE]" not in out


@over("stream")
def test_content_starts_with_content(name: str) -> None:
    recorded = recordings()[name]["response"]["sse"]
    translator = DIALECT.translator(asking(name, stream=True), endpoint(name))
    for i, frame in enumerate(recorded):
        translator.feed(frame.encode())
        told = told_by_stream(recorded[: i + 1]).choices.values()
        spoken = any(c.text or c.thinking or c.refusal or c.calls or c.finish for c in told)
        if translator.content_started != spoken:
            deltas = [choice["delta"] for chunk in data_of(recorded[: i + 1]) for choice in chunk["choices"]]
            assert any(delta.get("reasoning_details") for delta in deltas)
        if translator.content_started:
            return
    pytest.fail("content never started")


@over("stream", provider="openai/")
def test_openai_to_openai_is_byte_for_byte(name: str) -> None:
    frames = frames_of(name)
    asked = any('"usage":{' in frame.decode() for frame in frames)
    out, _ = replay(asking(name, stream=True, usage=asked), name, [b"".join(frames)])
    ours, theirs = out.split(b"\n\n"), b"".join(frames).split(b"\n\n")
    assert len(ours) == len(theirs)
    assert sum(a != b for a, b in zip(ours, theirs, strict=True)) == BROKEN_BY_OPENAI.get(name, 0)


@over("failing")
def test_a_recorded_failure_is_a_fault_at_any_cut(name: str) -> None:
    stream = b"".join(frames_of(name))
    request = asking(name, stream=True)
    expected, translator = replay(request, name, [stream])
    assert translator.fault.failure is Failure.GENERATION_FAILED
    assert b"finish_reason" in expected
    assert b"[DONE]" not in expected
    assert replay(request, name, [stream[i : i + 1] for i in range(len(stream))])[0] == expected


# --- whole replies ------------------------------------------------------------------------------------------------------


@over("whole")
def test_whole_laws(name: str) -> None:
    body = recordings()[name]["response"]["body"]
    translator = DIALECT.translator(asking(name, stream=False), endpoint(name))
    out = json.loads(translator.whole(b"\n\n" + json.dumps(body).encode()))
    assert (translator.finished, translator.fault, translator.content_started) == (True, None, True)
    ChatCompletion.model_validate(typed(out), strict=True)
    told, got = told_by_body(body), told_by_body(out)
    assert got.choices.keys() == told.choices.keys()
    for choice in out["choices"]:
        was, now = told.choices[choice["index"]], got.choices[choice["index"]]
        assert (now.text, now.thinking, now.refusal) == (was.text, was.thinking, was.refusal)
        assert not isinstance(choice["message"].get("content"), list)
        check_calls(choice["message"].get("tool_calls") or [], was)
        assert choice["finish_reason"] == expected_finish(was)
        assert choice["finish_reason"] in OWN_WORDS
    if told.usage:
        check_usage(out["usage"], told)


@over("whole")
def test_whole_replies_that_need_no_mend_are_not_touched(name: str) -> None:
    body = json.dumps(recordings()[name]["response"]["body"]).encode()
    translator = DIALECT.translator(asking(name, stream=False), endpoint(name))
    out = translator.whole(body)
    if name.startswith("openai/"):
        assert out == body
    again = DIALECT.translator(asking(name, stream=False), endpoint(name))
    assert again.whole(out) == out, "what has been mended needs no mend"


@over("whole")
def test_a_whole_body_cut_short_is_a_fault(name: str) -> None:
    body = json.dumps(recordings()[name]["response"]["body"]).encode()
    for kept in (0, 1, len(body) // 2, len(body) - 1):
        translator = DIALECT.translator(asking(name, stream=False), endpoint(name))
        assert translator.whole(body[:kept]) == b""
        assert translator.fault.failure is Failure.MALFORMED


@over("whole")
def test_a_whole_body_for_a_stream_becomes_one(name: str) -> None:
    """Some servers do not stream, and answer so all the same."""
    body = recordings()[name]["response"]["body"]
    out, translator = replay(asking(name, stream=True), name, [json.dumps(body).encode()])
    assert (translator.finished, translator.fault) == (True, None)
    check_stream(out, told_by_body(body), usage=True)


# --- errors and requests ------------------------------------------------------------------------------------------------

ERRORS = {
    "azure/chat-429-c1297a": (Failure.RATE_LIMITED, 1.0),
    "groq/chat-400-136b80": (Failure.GENERATION_FAILED, None),
    "ollama/chat-400-3fe39b": (Failure.CONTEXT_LENGTH, None),
    "openai/chat-400-vision-2dbae2": (Failure.BAD_REQUEST, None),
    "openai/chat-401-5d8fc6": (Failure.AUTH, None),
    "openai/chat-404-include-usage-2ec2cf": (Failure.NOT_FOUND, None),
    "openrouter/chat-429-140242": (Failure.RATE_LIMITED, None),
    "openrouter/chat-429-48b195": (Failure.RATE_LIMITED, None),
    "perplexity/chat-400-5c0954": (Failure.CONTEXT_LENGTH, None),
    "perplexity/chat-401-95e816": (Failure.AUTH, None),
}
BY_STATUS = {400: Failure.BAD_REQUEST, 401: Failure.AUTH, 404: Failure.NOT_FOUND, 429: Failure.RATE_LIMITED}


@over("error")
def test_errors(name: str) -> None:
    response = recordings()[name]["response"]
    headers = {key.lower(): value for key, value in response["headers"].items()}
    fault = DIALECT.fault(response["status"], headers, json.dumps(response["body"]).encode())
    expected = ERRORS.get(name, (BY_STATUS[response["status"]], None))
    assert (fault.failure, fault.retry_after_s) == expected
    assert fault.status == response["status"]
    error = response["body"]["error"]
    assert fault.message.startswith(error["message"][:20])
    assert "REDACTED" not in fault.message
    assert fault.type == error.get("type")


@over("stream", "whole")
def test_recorded_requests_are_put_to_the_provider_as_they_were(name: str) -> None:
    """They were taken as they stood, so a departure of the provider's preset that changes or refuses one is made up."""
    sent, profile = request_body(name), endpoint(name).profile
    request = API.decode(json.dumps(sent).encode(), "req-1", 100.0)
    out = json.loads(DIALECT.encode(request, endpoint(name)).body)
    sent["model"] = "m-1"
    options = {**(sent.pop("stream_options", None) or {}), "include_usage": True}
    if not profile.stream_usage:
        options.pop("include_usage")
    if request.stream and options:
        sent["stream_options"] = options
    other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}[profile.max_tokens_field]
    if other in sent:
        sent[profile.max_tokens_field] = sent.pop(other)
    for message in sent["messages"]:
        if message["role"] == "developer" and not profile.developer_role:
            message["role"] = "system"
    assert out == _without_what_asks_nothing(sent, profile)
    assert request.stream == bool(sent.get("stream"))
    assert kind(recordings()[name]) == ("stream" if request.stream or "sse" in recordings()[name]["response"] else "whole")


def _without_what_asks_nothing(sent: Json, profile: Profile) -> Json:
    """A member that asks for nothing (`n: 1`) may go, where its provider refuses its name."""
    ways = profile.departures or Departures()
    return {k: v for k, v in sent.items() if not (k in ways.refused and v in (1, None, False))}


def test_count(capsys: pytest.CaptureFixture[str]) -> None:
    """Says how much was replayed, so that an absent folder is not taken for success."""
    counts = {of: len(named(of)) for of in ("stream", "failing", "whole", "error")}
    providers = {name.partition("/")[0] for name in recordings()}
    with capsys.disabled():
        sys.stdout.write(f"\nwire, OpenAI: {counts} recordings of {len(providers)} providers\n")
    assert sum(counts.values()) == len(recordings())
