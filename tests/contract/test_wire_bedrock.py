"""Recorded Converse replies replayed to an OpenAI client; recorded requests of others put to Bedrock.

The laws hold for any reply: what a recording says is read by code of this test's own and must come out on the other side, at any
cut of the bytes; and a broken stream must never look whole.
"""

import gzip
import json
import random
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bedrock_recordings import CLAUDE, DIALECT, Json, Told, asking, chat, endpoint, events_of, frames_of, named, over, recordings
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from fastroute.core.failures import Failure, FaultError
from fastroute.core.types import ChatRequest
from fastroute.dialects.anthropic_names import tool_name
from fastroute.dialects.messages_api import MessagesApi

FINISH = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
REFUSABLE = {"n", "logprobs", "top_logprobs", "functions", "web_search_options", "audio", "modalities", "reasoning_effort"}


def replay(request: ChatRequest, data: list[bytes]) -> tuple[bytes, Any]:
    translator = DIALECT.translator(request, endpoint())
    out = b"".join([translator.feed(piece) for piece in data])
    return out + translator.end(), translator


def chunks(out: bytes) -> list[Json]:
    frames = out.split(b"\n\n")
    assert frames[-2:] == [b"data: [DONE]", b""], "the last line is [DONE]"
    found = [json.loads(frame[6:]) for frame in frames[:-2]]
    for chunk in found:
        ChatCompletionChunk.model_validate(chunk, strict=False)
    return found


def check_usage(usage: Json, told: Told) -> None:
    raw = told.usage
    read, written = raw.get("cacheReadInputTokens") or 0, raw.get("cacheWriteInputTokens") or 0
    assert usage["prompt_tokens"] == raw["inputTokens"] + read + written
    assert usage["completion_tokens"] == raw["outputTokens"]
    assert usage["total_tokens"] == raw["totalTokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    details = usage.get("prompt_tokens_details") or {}
    assert (details.get("cached_tokens") or 0) == read <= usage["prompt_tokens"]


def check_calls(calls: list[Json], told: Told) -> None:
    assert [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls] == [
        (c["toolUseId"], c["name"], c["input"]) for c in told.calls
    ]
    assert len({call["id"] for call in calls}) == len(calls)


# --- streams ----------------------------------------------------------------------------------------------------------


@over("stream")
@pytest.mark.parametrize("usage", [True, False])
def test_stream_laws(name: str, usage: bool) -> None:
    told = Told.streamed(events_of(name))
    out, translator = replay(asking(stream=True, usage=usage), [b"".join(frames_of(name))])
    assert (translator.finished, translator.fault) == (True, None)
    found = chunks(out)
    assert len({(c["id"], c["created"], c["model"]) for c in found}) == 1
    deltas = [choice for chunk in found for choice in chunk["choices"]]
    assert {choice["index"] for choice in deltas} == {0}, "a block's index is not the choice's"
    assert [i for i, choice in enumerate(deltas) if choice["delta"].get("role")] == [0], "role in the first delta only"
    assert "".join(c["delta"].get("content") or "" for c in deltas) == told.text
    assert "".join(c["delta"].get("reasoning_content") or "" for c in deltas) == told.thinking
    calls: dict[int, Json] = {}
    for piece in (piece for c in deltas for piece in c["delta"].get("tool_calls") or []):
        if piece["index"] in calls:
            calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
        else:
            calls[piece["index"]] = piece
    assert list(calls) == list(range(len(calls)))
    check_calls(list(calls.values()), told)
    assert [choice["finish_reason"] for choice in deltas if choice["finish_reason"]] == [FINISH[told.reason]]
    blocks = [block for c in deltas for block in c["delta"].get("thinking_blocks") or []]
    assert "".join(block.get("signature") or "" for block in blocks) == told.signatures
    usages = [chunk["usage"] for chunk in found if chunk.get("usage")]
    assert len(usages) == usage, "usage only if the client asked"
    if usage:
        check_usage(usages[0], told)


@over("stream")
def test_any_cut_gives_the_same_bytes(name: str) -> None:
    frames, request = frames_of(name), asking(stream=True)
    stream = b"".join(frames)
    expected, _ = replay(request, [stream])
    assert replay(request, frames)[0] == expected
    assert replay(request, [stream[i : i + 1] for i in range(len(stream))])[0] == expected
    rng = random.Random(name)
    cuts = sorted({0, len(stream), *rng.choices(range(len(stream)), k=len(stream) // 60 + 1)})
    assert replay(request, [stream[a:b] for a, b in pairwise(cuts)])[0] == expected


@over("stream")
def test_a_stream_cut_short_never_looks_whole(name: str) -> None:
    frames = frames_of(name)
    for kept in range(len(frames) - 1):  # only the metadata may be missing
        out, translator = replay(asking(stream=True), [*frames[:kept], frames[kept][:-1]])
        assert not translator.finished
        assert translator.fault.failure is Failure.TRUNCATED
        assert b"[DONE]" not in out
    *most, _ = frames
    out, translator = replay(asking(stream=True), most)
    assert (translator.finished, translator.fault, translator.usage) == (True, None, None)


@over("stream")
def test_content_starts_with_content(name: str) -> None:
    translator = DIALECT.translator(asking(stream=True), endpoint())
    said = False
    for frame, (kind, event) in zip(frames_of(name), events_of(name), strict=True):
        translator.feed(frame)
        delta = event.get("delta", {})
        said |= bool(delta.get("text") or delta.get("reasoningContent")) or "toolUse" in event.get("start", {})
        assert translator.content_started == (said or kind in ("messageStop", "metadata"))


@over("stream")
def test_streams_for_anthropic_clients(name: str) -> None:
    body = {"model": "auto", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    request = MessagesApi().decode(json.dumps(body).encode(), "r1", 0.0)
    out, translator = replay(request, frames_of(name))
    assert (translator.finished, translator.fault) == (True, None)
    events = [json.loads(line[6:]) for line in out.decode().splitlines() if line.startswith("data: ")]
    told = Told.streamed(events_of(name))
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(delta.get("text") or "" for delta in deltas) == told.text
    assert "".join(delta.get("thinking") or "" for delta in deltas) == told.thinking
    assert "".join(delta.get("signature") or "" for delta in deltas) == told.signatures
    assert sum((event.get("content_block") or {}).get("type") == "tool_use" for event in events) == len(told.calls)
    assert events[-1]["type"] == "message_stop"


# --- whole replies ----------------------------------------------------------------------------------------------------


@over("whole")
def test_whole_laws(name: str) -> None:
    body = recordings()[name]["response"]["body"]
    told = Told.whole(body)
    translator = DIALECT.translator(asking(stream=False), endpoint())
    out = json.loads(translator.whole(json.dumps(body).encode()))
    assert (translator.finished, translator.fault) == (True, None)
    ChatCompletion.model_validate(out, strict=False)
    [choice] = out["choices"]
    message = choice["message"]
    assert ((message.get("content") or ""), (message.get("reasoning_content") or "")) == (told.text, told.thinking)
    check_calls(message.get("tool_calls") or [], told)
    assert choice["finish_reason"] == FINISH[told.reason]
    check_usage(out["usage"], told)


@over("whole")
def test_signatures_go_back_where_they_were(name: str) -> None:
    body = recordings()[name]["response"]["body"]
    told = Told.whole(body)
    translator = DIALECT.translator(asking(stream=False), endpoint())
    [choice] = json.loads(translator.whole(json.dumps(body).encode()))["choices"]
    results = [{"role": "tool", "tool_call_id": c["id"], "content": "x"} for c in choice["message"].get("tool_calls") or []]
    user = {"role": "user", "content": "hi"}
    sent = json.loads(
        DIALECT.encode(chat({"model": "auto", "messages": [user, choice["message"], *results, user]}), endpoint()).body
    )
    thoughts = [
        block["reasoningContent"]["reasoningText"] for block in sent["messages"][1]["content"] if "reasoningContent" in block
    ]
    assert "".join(t["signature"] for t in thoughts) == told.signatures
    if told.signatures:
        assert "".join(t["text"] for t in thoughts) == told.thinking


@over("whole")
def test_a_whole_body_cut_short_is_a_fault(name: str) -> None:
    body = json.dumps(recordings()[name]["response"]["body"]).encode()
    for kept in (0, 1, len(body) // 2, len(body) - 1):
        translator = DIALECT.translator(asking(stream=False), endpoint())
        assert translator.whole(body[:kept]) == b""
        assert translator.fault.failure is Failure.MALFORMED


@over("error")
def test_errors(name: str) -> None:
    response = recordings()[name]["response"]
    headers = {key.lower(): value for key, value in response["headers"].items()}
    fault = DIALECT.fault(response["status"], headers, json.dumps(response["body"]).encode())
    message = response["body"]["message"] if "message" in response["body"] else response["body"]["Message"]
    assert (fault.status, fault.message) == (response["status"], message)
    if response["status"] == 403:
        assert fault.failure is Failure.AUTH
    elif "identifier is invalid" in message:
        assert fault.failure is Failure.NOT_FOUND
    elif "doesn't support" in message:
        assert fault.failure is Failure.UNSUPPORTED
    else:
        assert fault.rule.status == 400


# --- requests ---------------------------------------------------------------------------------------------------------


@cache
def shapes() -> Json:
    """Bedrock's own description of its messages."""
    botocore = pytest.importorskip("botocore", reason="botocore is not installed: no service model to check against")
    path = Path(botocore.__file__).parent / "data" / "bedrock-runtime" / "2023-09-30" / "service-2.json.gz"
    found: Json = json.loads(gzip.decompress(path.read_bytes()))["shapes"]
    return found


def validate(value: Any, shape_name: str, where: str = "") -> None:
    shape = shapes()[shape_name]
    kind = shape["type"]
    if shape.get("document"):
        return
    if kind == "structure":
        assert isinstance(value, dict), where
        assert value.keys() <= shape["members"].keys(), (where, value.keys())
        assert set(shape.get("required", ())) - {"modelId"} <= value.keys(), (where, shape["required"])
        assert not shape.get("union") or len(value) == 1, where
        for name, inner in value.items():
            validate(inner, shape["members"][name]["shape"], f"{where}.{name}")
    elif kind == "list":
        assert shape.get("min", 0) <= len(value) <= shape.get("max", 10**9), where
        for inner in value:
            validate(inner, shape["member"]["shape"], where + "[]")
    elif kind == "string":
        assert isinstance(value, str), where
        assert shape.get("min", 0) <= len(value) <= shape.get("max", 10**9), (where, value)
        assert value in shape.get("enum", [value]), (where, value)
    elif kind in ("integer", "float"):
        assert isinstance(value, int | float), where
        assert shape.get("min", value) <= value <= shape.get("max", value), where


def texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [part.get("text") or "" for part in content or [] if part.get("type") == "text"]


@over("openai")
def test_recorded_openai_requests(name: str) -> None:
    asked = recordings()[name]["request"]["body"]
    try:
        sent = DIALECT.encode(chat(asked), endpoint())
    except FaultError as error:
        fault = error.fault
        assert fault.param
        if fault.failure is Failure.UNSUPPORTED:
            assert fault.param in REFUSABLE or fault.param.startswith("messages["), fault
        return
    tail = "converse-stream" if asked.get("stream") else "converse"
    quoted = CLAUDE.replace(":", "%3A")
    assert sent.url == f"https://bedrock-runtime.us-east-1.amazonaws.com/model/{quoted}/{tail}"
    assert dict(sent.headers)["authorization"] == "Bearer k"
    body = json.loads(sent.body)
    validate(body, "ConverseRequest")
    everything = json.dumps([body.get("system"), body["messages"]], ensure_ascii=False)
    for text in (text for message in asked["messages"] for text in texts(message.get("content")) if text.strip()):
        assert json.dumps(text.rstrip(), ensure_ascii=False)[1:-1] in everything
    blocks = [block for message in body["messages"] for block in message["content"]]
    calls = [call for message in asked["messages"] for call in message.get("tool_calls") or []]
    assert [(b["toolUse"]["name"], b["toolUse"]["input"]) for b in blocks if "toolUse" in b] == [
        (tool_name(c["function"]["name"]), json.loads(c["function"]["arguments"] or "{}")) for c in calls
    ]
    assert [b["toolResult"]["toolUseId"] for b in blocks if "toolResult" in b] == [
        b["toolUse"]["toolUseId"] for b in blocks if "toolUse" in b
    ][: sum("toolResult" in b for b in blocks)]
    assert all(a["role"] != b["role"] for a, b in pairwise(body["messages"])), "roles alternate"
    specs = [tool["toolSpec"] for tool in body.get("toolConfig", {}).get("tools", [])]
    for tool in asked.get("tools") or []:
        spec = next(spec for spec in specs if spec["name"] == tool_name(tool["function"]["name"]))
        assert tool["function"].get("parameters", {}).items() <= spec["inputSchema"]["json"].items()


@over("anthropic")
def test_recorded_anthropic_requests(name: str) -> None:
    asked = recordings()[name]["request"]["body"]
    try:
        body = json.loads(DIALECT.encode(MessagesApi().decode(json.dumps(asked).encode(), "r1", 0.0), endpoint()).body)
    except FaultError as error:
        why = error.fault
    else:
        why = None
    if why is not None:
        assert (why.failure, bool(why.param)) == (Failure.UNSUPPORTED, True), why
        return
    validate(body, "ConverseRequest")
    everything = json.dumps([body.get("system"), body["messages"]], ensure_ascii=False)
    for message in asked["messages"]:
        for text in (text for text in texts(message["content"]) if text.strip()):
            assert json.dumps(text.rstrip(), ensure_ascii=False)[1:-1] in everything


@over("converse")
def test_the_validator_takes_what_was_recorded(name: str) -> None:
    """That the check above is no stricter than Bedrock: members newer than the model apart."""
    body = recordings()[name]["request"]["body"]
    if "server_tool_use" not in json.dumps(body):
        validate(body, "ConverseRequest")


def test_count(capsys: pytest.CaptureFixture[str]) -> None:
    refused: dict[str, str] = {}
    for kind in ("openai", "anthropic"):
        for name in named(kind):
            body = recordings()[name]["request"]["body"]
            try:
                request = chat(body) if kind == "openai" else MessagesApi().decode(json.dumps(body).encode(), "r1", 0.0)
                DIALECT.translate(request, endpoint())
            except FaultError as error:
                refused[name] = f"{error.fault.failure.value} {error.fault.param}: {error.fault.message}"
    counts = {kind: len(named(kind)) for kind in ("stream", "whole", "error", "openai", "anthropic")}
    with capsys.disabled():
        sys.stdout.write(f"\nwire, Bedrock: {counts} recordings; {len(refused)} requests refused\n")
        for name, why in refused.items():
            sys.stdout.write(f"  {name}: {why}\n")
    if not sum(counts.values()):
        pytest.skip("no recordings")
    assert {kind: counts[kind] for kind in ("stream", "whole", "error")} == {"stream": 8, "whole": 8, "error": 7}
    assert len(refused) <= 0.15 * (counts["openai"] + counts["anthropic"]), refused
