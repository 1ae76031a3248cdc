"""Requests: their size, the marker that tells the upstream what to answer, sizes from a trace."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.canned import Answer
from bench.request import Kind, read_marker, request_bytes, sized

KINDS = st.builds(
    Kind,
    output_tokens=st.integers(1, 5000),
    chunks=st.integers(1, 1000),
    pause_ms=st.sampled_from([0.0, 0.5, 20.0, 1500.0]),
    think_ms=st.sampled_from([0.0, 2.5, 100.0]),
    stamp=st.booleans(),
)


@given(KINDS)
def test_the_marker_says_what_the_kind_is(kind: Kind) -> None:
    assert read_marker(kind.marker().encode()) == kind


def test_text_without_a_marker_says_nothing() -> None:
    assert read_marker(b'{"model": "auto"}') is None


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_http_with_a_json_body_of_the_right_size(stream: bool) -> None:
    head, _, body = request_bytes(Kind(stream=stream, input_tokens=500), "/v1/x", (("x-a", "b"),)).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/x HTTP/1.1\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert b"x-a: b" in head
    told = json.loads(body)
    assert len(told["messages"][0]["content"]) == 2000
    assert told.get("stream", False) is stream


def test_a_tiny_request_keeps_its_marker() -> None:
    assert read_marker(request_bytes(Kind(input_tokens=1, chunks=7))) == Kind(chunks=7)


@pytest.mark.parametrize(("given", "rounded"), [(1, 1), (0, 1), (4808, 4800), (4852, 4900), (99, 99)])
def test_a_traces_sizes_are_rounded(given: int, rounded: int) -> None:
    assert sized(Kind(), given, None) == Kind(input_tokens=rounded)
    assert sized(Kind(), None, given) == Kind(output_tokens=rounded)


def test_no_sizes_no_change() -> None:
    kind = Kind(stream=True)
    assert sized(kind, None, None) is kind


def test_an_answers_frames_are_chunks_of_valid_events() -> None:
    frames = Answer(Kind(stream=True, chunks=5)).frames
    assert len(frames) == 7  # role, three words, finish, usage, [DONE]
    for frame in frames:
        size, _, rest = frame.partition(b"\r\n")
        assert len(rest) == int(size, 16) + 2
        data = rest.removesuffix(b"\r\n").decode()
        assert data.startswith("data: ")
        assert data.endswith("\n\n")
    assert json.loads(frames[1].partition(b"data: ")[2].strip())["choices"][0]["delta"]["content"] == " word"


def test_a_whole_answer_has_the_size_that_was_asked_for() -> None:
    head, _, body = Answer(Kind(output_tokens=250)).whole.partition(b"\r\n\r\n")
    told = json.loads(body)
    assert f"content-length: {len(body)}".encode() in head
    assert len(told["choices"][0]["message"]["content"]) == 1000
    assert told["usage"]["completion_tokens"] == 250
