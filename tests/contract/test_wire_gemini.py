"""Recorded Gemini replies replayed to an OpenAI client.

The laws hold for any reply, so nothing here is a golden file: what a recording says is read by code of this test's own and must
come out on the other side, at any cut of the bytes; and a broken stream must never look whole.
"""

import json
import random
import sys
from itertools import pairwise
from typing import Any

import pytest
from gemini_recordings import DIALECT, Json, Told, asking, chat, chunks_of, endpoint, frames_of, named, over, pieces, recordings
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from fastroute.core.failures import Failure
from fastroute.core.types import ChatRequest

FINISH = {"STOP": "stop", "MAX_TOKENS": "length"}


def replay(request: ChatRequest, data: list[bytes]) -> tuple[bytes, Any]:
    translator = DIALECT.translator(request, endpoint())
    out = b"".join([translator.feed(piece) for piece in data])
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
    thoughts = raw.get("thoughtsTokenCount") or 0
    assert usage["prompt_tokens"] == raw["promptTokenCount"] + (raw.get("toolUsePromptTokenCount") or 0)
    assert usage["completion_tokens"] == (raw.get("candidatesTokenCount") or 0) + thoughts
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] == raw["totalTokenCount"]
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    assert cached == (raw.get("cachedContentTokenCount") or 0) <= usage["prompt_tokens"]
    assert ((usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0) == thoughts


def check_calls(calls: list[Json], told: Told) -> None:
    assert [call["function"]["name"] for call in calls] == [call["name"] for call in told.calls]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [call["args"] for call in told.calls]
    ids = [call["id"] for call in calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    for call, said in zip(calls, told.calls, strict=True):
        assert said["id"] is None or call["id"] == said["id"], "an id that Gemini gave is kept"


def finish_of(told: Told) -> str:
    return "tool_calls" if told.calls and told.reason == "STOP" else FINISH[told.reason or ""]


def collected(out: bytes) -> tuple[Json, list[Json]]:
    """A streamed reply as a client adds it up: the message, and the choices in their order."""
    deltas = [choice for chunk in chunks(out) for choice in chunk["choices"]]
    calls: dict[int, Json] = {}
    for piece in (piece for c in deltas for piece in c["delta"].get("tool_calls") or []):
        if piece["index"] in calls:
            assert not piece.get("id")
            calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
        else:
            calls[piece["index"]] = json.loads(json.dumps(piece))
    assert list(calls) == list(range(len(calls))), "one index per call, across the stream"
    message: Json = {"role": "assistant", "tool_calls": list(calls.values())}
    message["content"] = "".join(c["delta"].get("content") or "" for c in deltas)
    message["reasoning_content"] = "".join(c["delta"].get("reasoning_content") or "" for c in deltas)
    for choice in deltas:
        message |= {"extra_content": choice["delta"]["extra_content"]} if "extra_content" in choice["delta"] else {}
    return message, deltas


def check_stream(out: bytes, told: Told, *, usage: bool) -> None:
    found = chunks(out)
    assert len({(c["id"], c["created"], c["model"]) for c in found}) == 1
    message, deltas = collected(out)
    assert {choice["index"] for choice in deltas} == {0}
    assert [i for i, choice in enumerate(deltas) if choice["delta"].get("role")] == [0], "role in the first delta only"
    assert (message["content"], message["reasoning_content"]) == (told.text, told.thinking)
    check_calls(message["tool_calls"], told)
    assert [choice["finish_reason"] for choice in deltas if choice.get("finish_reason")] == [finish_of(told)]
    usages = [chunk["usage"] for chunk in found if chunk.get("usage")]
    assert len(usages) == (1 if usage else 0), "usage only if the client asked"
    if usage:
        assert found[-1]["choices"] == []
        check_usage(usages[0], told)


# --- streams ----------------------------------------------------------------------------------------------------------


@over("stream")
@pytest.mark.parametrize("usage", [True, False])
def test_stream_laws(name: str, usage: bool) -> None:
    out, translator = replay(asking(stream=True, usage=usage), [b"".join(frames_of(name))])
    assert (translator.finished, translator.fault) == (True, None)
    told = Told(chunks_of(name))
    check_stream(out, told, usage=usage)
    assert translator.usage.input_tokens >= told.usage["promptTokenCount"]


@over("stream")
def test_any_cut_gives_the_same_bytes(name: str) -> None:
    frames, request = frames_of(name), asking(stream=True)
    stream = b"".join(frames)
    expected, _ = replay(request, [stream])
    assert replay(request, frames)[0] == expected
    assert replay(request, list(pieces(stream)))[0] == expected
    rng = random.Random(name)
    for most in (5, 60, 2000):
        cuts = sorted({0, len(stream), *rng.choices(range(len(stream)), k=len(stream) // most + 1)})
        assert replay(request, [stream[a:b] for a, b in pairwise(cuts)])[0] == expected


@over("stream")
def test_comments_and_line_ends_change_nothing(name: str) -> None:
    frames = frames_of(name)
    if len(frames) == 1:
        return
    expected, _ = replay(asking(stream=True), frames)
    assert replay(asking(stream=True), [b": keep-alive\r\n\r\n" + frame for frame in frames])[0] == expected
    assert replay(asking(stream=True), [frame.replace(b"\r\n", b"\n") for frame in frames])[0] == expected


@over("stream")
def test_a_stream_cut_short_never_looks_whole(name: str) -> None:
    frames = frames_of(name)
    for kept in range(len(frames)):
        told = Told(chunks_of(name)[:kept])
        out, translator = replay(asking(stream=True), frames[:kept])
        if told.reason is not None:
            continue  # all that follows is usage
        assert translator.fault is not None, f"after {kept} of {len(frames)} frames"
        assert translator.fault.failure is Failure.TRUNCATED
        assert b"[DONE]" not in out
        assert b'"finish_reason":"' not in out, "no finish reason is made up"
        ending = translator.interrupted(translator.fault)
        assert json.loads(ending.removeprefix(b"data: ").split(b"\n\n")[0])["error"]["message"]


@over("stream")
def test_an_array_cut_short_never_looks_whole(name: str) -> None:
    body = json.dumps(chunks_of(name)).encode()
    check_stream(replay(asking(stream=True), [body])[0], Told(chunks_of(name)), usage=True)
    for kept in range(0, len(body), max(1, len(body) // 20)):
        out, translator = replay(asking(stream=True), [body[:kept]])
        assert (out, translator.finished, translator.fault.failure) == (b"", False, Failure.TRUNCATED)


@over("stream")
def test_an_error_in_the_middle_is_a_fault(name: str) -> None:
    frames = frames_of(name)
    said = {"error": {"code": 503, "message": "The model is overloaded. Please try again later.", "status": "UNAVAILABLE"}}
    error = b"data: " + json.dumps(said).encode() + b"\r\n\r\n"
    if len(frames) == 1:
        return
    for kept in range(len(frames)):
        request = asking(stream=True)
        out, translator = replay(request, [*frames[:kept], error])
        assert (translator.fault.failure, translator.fault.message) == (Failure.OVERLOADED, said["error"]["message"])
        assert out == b"".join(map(DIALECT.translator(request, endpoint()).feed, frames[:kept]))


@over("stream")
def test_content_starts_with_content(name: str) -> None:
    translator = DIALECT.translator(asking(stream=True), endpoint())
    frames, said = frames_of(name), chunks_of(name)
    for i, frame in enumerate(frames[: -1 if len(frames) > 1 else 0]):
        translator.feed(frame)
        told = Told(said[: i + 1])
        assert translator.content_started == bool(told.text or told.thinking or told.calls)


# --- whole replies ----------------------------------------------------------------------------------------------------


@over("reply")
def test_whole_laws(name: str) -> None:
    """Whole replies, and streams as the one reply they add up to."""
    said = chunks_of(name)
    translator = DIALECT.translator(asking(stream=False), endpoint())
    out = json.loads(translator.whole(json.dumps(said if len(said) > 1 else said[0]).encode()))
    assert (translator.finished, translator.fault) == (True, None)
    ChatCompletion.model_validate(out, strict=False)
    told = Told(said)
    [choice] = out["choices"]
    message = choice["message"]
    assert (message.get("content") or "") == told.text
    assert (message.get("reasoning_content") or "") == told.thinking
    check_calls(message.get("tool_calls") or [], told)
    assert choice["finish_reason"] == finish_of(told)
    assert len(message.get("images") or []) == told.media
    check_usage(out["usage"], told)


@over("whole")
def test_a_whole_body_cut_short_is_a_fault(name: str) -> None:
    body = json.dumps(recordings()[name]["response"]["body"]).encode()
    for kept in (0, 1, len(body) // 2, len(body) - 1):
        translator = DIALECT.translator(asking(stream=False), endpoint())
        assert translator.whole(body[:kept]) == b""
        assert translator.fault is not None
        assert translator.fault.failure is Failure.MALFORMED


@over("whole")
def test_log_probabilities(name: str) -> None:
    result = chunks_of(name)[0]["candidates"][0].get("logprobsResult")
    if result is None:
        return
    body = json.dumps(recordings()[name]["response"]["body"]).encode()
    out = json.loads(DIALECT.translator(asking(stream=False), endpoint()).whole(body))
    content = out["choices"][0]["logprobs"]["content"]
    assert [(t["token"], t["logprob"]) for t in content] == [
        (t["token"], t["logProbability"]) for t in result["chosenCandidates"]
    ]
    assert [len(t["top_logprobs"]) for t in content] == [len(top["candidates"]) for top in result["topCandidates"]]


@over("error")
def test_errors(name: str) -> None:
    response = recordings()[name]["response"]
    headers = {key.lower(): value for key, value in response["headers"].items()}
    fault = DIALECT.fault(response["status"], headers, json.dumps(response["body"]).encode())
    expected = {400: Failure.BAD_REQUEST, 403: Failure.AUTH, 404: Failure.NOT_FOUND}
    wrong_key = "API_KEY_INVALID" in json.dumps(response["body"])
    assert fault.failure is (Failure.AUTH if wrong_key else expected[response["status"]])
    assert (fault.status, fault.message) == (response["status"], response["body"]["error"]["message"])


# --- what comes back ----------------------------------------------------------------------------------------------------


@over("reply")
def test_signatures_go_back_where_they_were(name: str) -> None:
    """The message a client collects from the deltas, sent back with results, gives Gemini every signature of a call."""
    message, _ = collected(replay(asking(stream=True), [json.dumps(chunks_of(name)).encode()])[0])
    told = Told(chunks_of(name))
    user = {"role": "user", "content": "hi"}
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in message["tool_calls"]]
    asked: Json = {"model": "auto", "messages": [user, message, *results, user]}
    sent = json.loads(DIALECT.encode(chat(asked), endpoint()).body)
    model = next((content for content in sent["contents"] if content["role"] == "model"), {"parts": []})
    calls = [part for part in model["parts"] if "functionCall" in part]
    assert [(p["functionCall"]["name"], p["functionCall"]["args"]) for p in calls] == [(c["name"], c["args"]) for c in told.calls]
    assert [p["functionCall"].get("id") for p in calls] == [c["id"] for c in told.calls], "made-up ids stay here"
    given = [part["thoughtSignature"] for part in model["parts"] if "thoughtSignature" in part]
    assert set(given) - {"skip_thought_signature_validator"} <= set(told.signatures)
    if told.signatures:
        assert given[-1] in told.signatures, "the last one is Gemini's own"
    answers = [p["functionResponse"] for c in sent["contents"] for p in c["parts"] if "functionResponse" in p]
    assert [answer["name"] for answer in answers] == [call["name"] for call in told.calls]


def test_count(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {kind: len(named(of=kind)) for kind in ("stream", "whole", "error")}
    with capsys.disabled():
        sys.stdout.write(f"\nwire, Gemini: {counts} recordings\n")
    if not sum(counts.values()):
        pytest.skip("no recordings")
    assert counts == {"stream": 17, "whole": 27, "error": 5}
