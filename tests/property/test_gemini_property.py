"""Gemini streams at any chunking, and any JSON Schema."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fastroute.dialects.gemini_names import renamed, tool_name
from fastroute.dialects.gemini_reply import GeminiReader
from fastroute.dialects.gemini_schema import structured_schema

TEXTS = st.text(max_size=8)
PARTS = st.one_of(
    st.builds(lambda text, thought: {"text": text, "thought": thought}, TEXTS, st.booleans()),
    st.builds(lambda text: {"functionCall": {"name": "f", "args": {"a": text}}, "thoughtSignature": "s"}, TEXTS),
)
CHUNKS = st.lists(st.lists(PARTS, max_size=3), min_size=1, max_size=5)


def stream(chunks: list[list[Any]], end: str) -> bytes:
    said = [{"candidates": [{"content": {"parts": parts}}]} for parts in chunks]
    said.append({"candidates": [{"finishReason": "STOP"}]})
    return b"".join(b"data: " + json.dumps(c, ensure_ascii=False).encode() + end.encode() * 2 for c in said)


@given(CHUNKS, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 400), max_size=12))
def test_any_cut_gives_the_same_events(chunks: list[list[Any]], end: str, cuts: list[int]) -> None:
    data = stream(chunks, end)
    one, other = GeminiReader("r"), GeminiReader("r")
    expected = one.feed(data) + one.end()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    found = [event for a, b in pairwise(places) for event in other.feed(data[a:b])]
    assert found + other.end() == expected


@given(st.binary(max_size=60))
def test_nothing_makes_it_raise(data: bytes) -> None:
    for reader, body in ((GeminiReader("r"), data), (GeminiReader("r"), b"data: " + data + b"\n\n")):
        reader.feed(body)
        reader.end()
    GeminiReader("r").whole(data)
    GeminiReader("r").whole(b'{"candidates": [' + data + b"]}")


@given(
    st.recursive(
        st.none() | st.booleans() | TEXTS,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "$ref", "properties", "items", "anyOf", "const", "pattern", "description"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_a_schema_taken_once_is_taken_as_it_is(schema: Any) -> None:
    if not isinstance(schema, dict):
        return
    taken, _ = structured_schema(schema)
    assert structured_schema(taken) == (taken, ())


@given(st.lists(st.text(max_size=80), max_size=6, unique=True))
def test_names_never_meet(names: list[str]) -> None:
    sent = [tool_name(name) for name in names]
    assert len(set(sent)) == len(names)
    assert all(1 <= len(name) <= 64 and name[0] not in "0123456789.-" for name in sent)
    assert all(renamed(names)[name] == ours for name, ours in zip(sent, names, strict=True) if name != ours)
