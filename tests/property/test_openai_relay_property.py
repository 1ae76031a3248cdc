"""Whatever an OpenAI-style provider sends, the client gets a proper stream or a fault; never an exception, never both."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fastroute.core.types import ChatRequest, Endpoint, Profile
from fastroute.dialects.openai_chat import OpenAIChatApi
from fastroute.dialects.openai_relay import OpenAIRelay

Json = dict[str, Any]
WORDS = ["stop", "length", "tool_calls", "content_filter", "function_call"]

junk = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=4) | st.lists(st.integers(0, 2), max_size=2) | st.just({})
)
function = st.fixed_dictionaries(
    {}, optional={"name": st.sampled_from(["f", "g", "", None]), "arguments": st.sampled_from(["", "{}", '{"a":', "1}", None])}
)
call = st.fixed_dictionaries(
    {"function": function},
    optional={
        "index": st.sampled_from([0, 0, 1, 2, None, "x"]),
        "id": st.sampled_from(["a", "b", "", None, 7]),
        "type": st.just("function"),
    },
)
part = st.fixed_dictionaries({"type": st.sampled_from(["text", "thinking", "odd"]), "text": st.text(max_size=3)})
delta = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["assistant", None, ""]),
        "content": st.text(max_size=4) | st.none() | st.lists(part, max_size=2),
        "reasoning_content": st.text(max_size=4) | st.none(),
        "refusal": st.text(max_size=4) | st.none(),
        "tool_calls": st.lists(call, max_size=3) | st.none(),
        "function_call": st.none() | function,
    },
)
choice = st.fixed_dictionaries(
    {"delta": delta},
    optional={
        "index": st.sampled_from([0, 0, 0, 1]),
        "finish_reason": st.sampled_from([None, None, "stop", "tool_calls", "eos", "", "length"]),
    },
)
usage = st.none() | st.fixed_dictionaries(
    {"prompt_tokens": st.integers(0, 50), "completion_tokens": st.integers(0, 50), "total_tokens": st.integers(0, 100)}
)
chunk = st.fixed_dictionaries(
    {"choices": st.lists(choice, max_size=2)},
    optional={
        "id": st.just("c-1"),
        "object": st.just("chat.completion.chunk"),
        "created": st.just(1),
        "model": st.just("m"),
        "usage": usage,
    },
)
wild = st.recursive(
    junk,
    lambda inner: st.dictionaries(
        st.sampled_from(
            ["choices", "delta", "index", "tool_calls", "function", "content", "usage", "id", "finish_reason", "error"]
        ),
        inner | st.lists(inner, max_size=2),
        max_size=4,
    ),
    max_leaves=8,
)


def asking(usage_asked: bool) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
    body["stream_options"] = {"include_usage": usage_asked}
    return OpenAIChatApi().decode(json.dumps(body).encode(), "req-1", 0.0)


def run(frames: list[Any], usage_asked: bool, cut: int, done: bool) -> tuple[bytes, OpenAIRelay]:
    endpoint = Endpoint("e", "p", Profile("p", "openai_chat", "/c"), "https://x", "m")
    translator = OpenAIRelay(asking(usage_asked), endpoint, 1)
    stream = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames).encode() + (b"data: [DONE]\n\n" if done else b"")
    cut = min(cut, len(stream))
    return translator.feed(stream[:cut]) + translator.feed(stream[cut:]) + translator.end(), translator


def check(out: bytes, translator: OpenAIRelay, usage_asked: bool) -> None:
    """The laws of a stream that ended well."""
    frames = out.split(b"\n\n")
    assert frames[-2:] == [b"data: [DONE]", b""]
    found = [json.loads(frame[6:]) for frame in frames[:-2]]
    finishes: dict[int, list[str]] = {}
    calls: dict[int, dict[int, Json]] = {}
    roles: dict[int, int] = {}
    for entry in (entry for each in found for entry in each["choices"]):
        finishes.setdefault(entry["index"], []).extend([entry["finish_reason"]] if entry["finish_reason"] else [])
        roles[entry["index"]] = roles.get(entry["index"], 0) + bool(entry["delta"].get("role"))
        assert isinstance(entry["delta"].get("content") or "", str)
        for item in entry["delta"].get("tool_calls") or ():
            known = calls.setdefault(entry["index"], {}).setdefault(item["index"], {"ids": []})
            known["ids"] += [item["id"]] if item.get("id") else []
    assert all(len(given) == 1 and given[0] in WORDS for given in finishes.values())
    assert all(count <= 1 for count in roles.values())
    for per_choice in calls.values():
        assert sorted(per_choice) == list(range(len(per_choice)))
        ids = [known["ids"] for known in per_choice.values()]
        assert all(len(given) == 1 for given in ids)
        assert len({given[0] for given in ids}) == len(ids)
    told = [each for each in found if each.get("usage")]
    assert len(told) <= (1 if usage_asked else 0)
    assert not told or told[0]["choices"] == []
    assert translator.fault is None


@given(st.lists(chunk, max_size=8), st.booleans(), st.integers(0, 400), st.booleans())
def test_a_stream_ends_well_or_with_a_fault(frames: list[Json], usage_asked: bool, cut: int, done: bool) -> None:
    out, translator = run(frames, usage_asked, cut, done)
    assert translator.finished != (translator.fault is not None)
    if translator.finished:
        check(out, translator, usage_asked)
    else:
        assert b"[DONE]" not in out
    again, other = run(frames, usage_asked, 0, done)
    assert (out, translator.fault) == (again, other.fault), "at any cut"


plain = st.fixed_dictionaries(
    {
        "content": st.text(min_size=1, max_size=4)
        | st.sampled_from(['"', "\\", "\n", "é", "\U0001f600", '"role"', ',"usage":null'])
    },
    optional={"reasoning_content": st.none(), "role": st.just("assistant")},
)
usual = st.tuples(st.sampled_from([plain, plain, plain, delta]).flatmap(lambda one: one), st.sampled_from([None] * 8 + ["stop"]))


@given(
    st.lists(usual, max_size=10),
    st.sampled_from([{}, {"usage": None}, {"obfuscation": "x"}]),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(0, 1500), max_size=4),
)
def test_streams_that_keep_a_pattern_come_out_the_same_at_any_cut(
    deltas: list[Any], more: Json, usage_asked: bool, ascii_only: bool, cuts: list[int]
) -> None:
    """Fed byte by byte no event comes whole, so none is known by its bytes."""
    head = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    frames = [
        {**head, "choices": [{"index": 0, "delta": each, "finish_reason": finish}], **more}
        for each, finish in [({"role": "assistant", "content": ""}, None), *deltas, ({}, "stop")]
    ]
    texts = [json.dumps(frame, ensure_ascii=ascii_only, separators=(",", ":")) for frame in frames]
    stream = "".join(f"data: {text}\n\n" for text in [*texts, "[DONE]"]).encode()
    by_event = [event + b"\n\n" for event in stream.split(b"\n\n")[:-1]]
    ends = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    outcomes = []
    for pieces in (by_event, [stream[a:b] for a, b in pairwise(ends)], [stream[i : i + 1] for i in range(len(stream))]):
        translator = OpenAIRelay(asking(usage_asked), Endpoint("e", "p", Profile("p", "openai_chat", "/c"), "https://x", "m"), 1)
        out = b"".join([translator.feed(piece) for piece in pieces]) + translator.end()
        outcomes.append((out, translator.fault, translator.usage, translator.output_tokens_seen, translator.content_started))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@given(st.lists(wild, max_size=5), st.booleans())
def test_wild_events_never_raise(frames: list[Any], done: bool) -> None:
    _, translator = run(frames, True, 0, done)
    assert translator.finished != (translator.fault is not None)


@given(wild)
def test_wild_bodies_never_raise(body: Any) -> None:
    endpoint = Endpoint("e", "p", Profile("p", "openai_chat", "/c"), "https://x", "m")
    translator = OpenAIRelay(asking(False), endpoint, 1)
    out = translator.whole(json.dumps(body).encode())
    assert bool(out) == (translator.fault is None) == translator.finished
