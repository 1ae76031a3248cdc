"""Chunks known by their bytes: only those that a JSON reader would accept as the same chunk with another text."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_support import HEAD, chunk, sse

from fastroute.dialects.openai_frames import Delta, plain_chunk, without_null_usage
from fastroute.dialects.openai_pattern import TRIES, Pattern, Patterns, pattern_of

HI = chunk({"content": "Hi"})


def delta_in(event: bytes) -> Delta:
    return plain_chunk.decode(event[6:-2]).choices[0].delta


def pattern(came: bytes = HI, left: bytes | None = None) -> Pattern:
    found = pattern_of(came, came if left is None else left, delta_in(came))
    assert found is not None
    return found


def raw_chunk(text: bytes) -> bytes:
    """A chunk whose text is these bytes, sound or not."""
    return HI.replace(b'"Hi"', b'"' + text + b'"')


# --- what matches -------------------------------------------------------------------------------------------------------


def test_the_same_chunk_with_another_text_is_the_very_same_bytes() -> None:
    data = chunk({"content": " there"})
    count, end, out = pattern().take(data)
    assert (count, end) == (1, len(data))
    assert out is data


def test_several_events_in_one_piece_are_one_piece_again() -> None:
    data = HI + chunk({"content": "\n"}) + chunk({"content": 'é"\\'})
    count, end, out = pattern().take(data)
    assert (count, end) == (3, len(data))
    assert out is data


@pytest.mark.parametrize(
    "after",
    [chunk({"content": ""}), chunk({}, "stop"), b"data: [DONE]\n\n", HI[:-1], HI[:-20], b": comment\n\n", b"\n\n", b"d"],
)
def test_what_follows_is_left_for_others(after: bytes) -> None:
    assert pattern().take(HI + HI + after) == (2, 2 * len(HI), HI + HI)
    assert pattern().take(after) == (0, 0, b"")


@pytest.mark.parametrize(
    "text",
    [rb"a\n\t\r\b\f\/", rb"\"\\", rb"\u00e9\u2028", rb"\ud83d\ude00", rb"\uD83D\uDE00", "é日\x7f".encode(), rb"\\\"\\\\"],
)
def test_sound_texts(text: bytes) -> None:
    data = raw_chunk(text)
    assert plain_chunk.decode(data[6:-2])
    assert pattern().take(data)[:2] == (1, len(data))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'"',
        b"\\",
        b'a"b',
        rb"\q",
        rb"\u12",
        rb"\u12g4",
        rb"\ud83d",
        rb"\ud83d\n",
        rb"\ude00\ud83d",
        rb"\ud83dx",
        b"a\nb",
        b"a\x00",
        b"\x1f",
        b'x","role":"system',
        b'x"},"finish_reason":"stop',
    ],
)
def test_texts_that_are_not_sound_or_not_alone(text: bytes) -> None:
    assert pattern().take(raw_chunk(text)) == (0, 0, b"")


def is_plain(data: bytes) -> bool:
    """A JSON reader finds one plain chunk with a text and nothing more."""
    if data.count(b"\n") != 2:
        return False
    try:
        delta = delta_in(data)
    except (msgspec.MsgspecError, ValueError):
        return False
    return bool(delta.content) and delta == Delta(content=delta.content)


@given(st.text(alphabet='ab"\\/u0d8:,{}é\n\x00', max_size=9) | st.text(max_size=6).map(lambda text: json.dumps(text)[1:-1]))
def test_only_plain_chunks_match_and_all_of_them(text: str) -> None:
    data = raw_chunk(text.encode())
    count, end, _ = pattern().take(data)
    assert (count == 1 and end == len(data)) == is_plain(data)


@given(st.lists(st.text(min_size=1, max_size=5), max_size=6), st.booleans(), st.integers(0, 40))
def test_whatever_texts_and_cut(texts: list[str], ascii_only: bool, cut: int) -> None:
    events = [b"data: " + json.dumps({**json.loads(HI[6:]), "i": 1}, ensure_ascii=ascii_only).encode() + b"\n\n"]
    made = pattern(events[0])
    events = [events[0].replace(b'"Hi"', json.dumps(text, ensure_ascii=ascii_only).encode()) for text in texts]
    data = b"".join(events)
    whole = data[: len(data) - cut] if cut else data
    count, end, out = made.take(whole)
    assert out == b"".join(events[:count])
    assert end == len(out)
    assert count == len(texts) - (cut > 0 and bool(texts)) or cut > len(events[-1])


# --- other shapes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["content", "reasoning_content", "reasoning", "refusal"])
def test_every_spoken_member(name: str) -> None:
    made = pattern(chunk({"content": None, name: "a"}))
    assert made.take(chunk({"content": None, name: "bc"}))[0] == 1
    assert made.take(chunk({"content": None, name: ""}))[0] == 0


def test_spaces_after_colons() -> None:
    spaced = [b"data: " + json.dumps(json.loads(chunk({"content": text})[6:])).encode() + b"\n\n" for text in ("a", "bcd")]
    assert pattern(spaced[0]).take(spaced[1])[0] == 1
    assert pattern(spaced[0]).take(chunk({"content": "a"}))[0] == 0


@pytest.mark.parametrize("member", ["obfuscation", "p"])
def test_padding_differs_too(member: str) -> None:
    def padded(text: str, padding: Any) -> bytes:
        return sse({**json.loads(chunk({"content": text})[6:]), member: padding})

    first, second, third = padded("a", "xy"), padded("b", ""), padded("c", 'q"')
    made = pattern(first)
    assert made.take(second + third)[:2] == (2, len(second + third))
    assert made.take(chunk({"content": "b"}))[0] == 0
    assert made.take(padded("b", 5))[0] == 0


def test_a_second_text_that_differs_is_no_match() -> None:
    made = pattern(chunk({"content": "a", "reasoning": "x"}))
    assert made.take(chunk({"content": "b", "reasoning": "x"}))[0] == 1
    assert made.take(chunk({"content": "b", "reasoning": "y"}))[0] == 0


def test_mended_chunks_leave_mended() -> None:
    came = [chunk({"content": text}, usage=None, obfuscation=pad) for text, pad in (("a", "1"), ("b", "23"))]
    left = [without_null_usage(event) for event in came]
    assert left != came
    made = pattern(came[0], left[0])
    assert made.take(came[1] + came[0]) == (2, len(came[0] + came[1]), left[1] + left[0])
    head = {**HEAD, "usage": None}
    came = [sse({**head, "choices": json.loads(chunk({"content": text})[6:])["choices"]}) for text in ("a", "b")]
    assert pattern(came[0], without_null_usage(came[0])).take(came[1])[2] == without_null_usage(came[1])


@pytest.mark.parametrize(
    "came",
    [
        HI.replace(b'"content":', b'"content" : '),  # spelled in no common way
        HI.replace(b'"content"', b'"con\\u0074ent"'),
        HI.replace(b',"created"', b',\n"created"'),  # its line ends become spaces
        HI.replace(b'"Hi"', b'"Hi","x\\"content":"Hi"').replace(
            b'"content":"Hi",', b'"content" :"Hi",'
        ),  # the name within a name
    ],
)
def test_no_pattern_is_seen_in_chunks_out_of_the_common(came: bytes) -> None:
    assert delta_in(came).content == "Hi"
    assert pattern_of(came, came, delta_in(came)) is None


def test_no_pattern_of_arguments() -> None:
    came = chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]})
    assert pattern_of(came, came, delta_in(came)) is None


def test_the_name_in_another_place_does_no_harm() -> None:
    """Its text varies there, and the content stays what it was: not empty."""
    came = HI.replace(b'"choices"', b'"x":{"content":"a"},"choices"')
    made = pattern(came)
    other = came.replace(b'"a"', b'"b"')
    assert made.take(other)[0] == 1
    assert delta_in(other).content == "Hi"
    assert made.take(came.replace(b'"Hi"', b'""'))[0] == 0


# --- the patterns of one stream -----------------------------------------------------------------------------------------


def test_a_pattern_is_kept_while_it_matches() -> None:
    patterns = Patterns()
    first = patterns.shown_by(HI, HI, Delta(content="Hi"), 1)
    assert first is patterns.latest is not None
    again = chunk({"content": "again"})
    assert patterns.shown_by(again, again, Delta(content="again"), 2) is first
    other = chunk({"content": "x"}, id="other")
    assert patterns.shown_by(other, other, Delta(content="x"), 9) not in (None, first)


def test_a_stream_without_a_pattern_is_not_asked_for_long() -> None:
    patterns = Patterns()
    found = []
    for i in range(1, 10):
        came = chunk({"content": "x"}, id=str(i))
        found.append(patterns.shown_by(came, came, Delta(content="x"), i) is not None)
    assert found == [True] * (TRIES - 1) + [False] * (10 - TRIES)


def test_patterns_that_served_may_change_for_ever() -> None:
    patterns = Patterns()
    for i in range(1, 50):
        came = chunk({"content": "x"}, created=i)
        assert patterns.shown_by(came, came, Delta(content="x"), 10 * i) is not None
