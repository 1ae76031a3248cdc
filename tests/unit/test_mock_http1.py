"""The request reader of the mock provider: any cut, any framing, no guesses."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.mock import http1
from fastroute.mock.http1 import BadRequest, Request, RequestReader

SIZED = b"POST /v1/chat/completions?beta=true HTTP/1.1\r\nHost: a\r\nX-Request-ID:  r1 \r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"
)


def read_all(data: bytes, cuts: list[int] | None = None) -> list[Request]:
    reader, requests = RequestReader(), []
    edges = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts or [])})
    for start, end in itertools.pairwise(edges):
        reader.feed(data[start:end])
        while (request := reader.next()) is not None:
            requests.append(request)
    return requests


def refusal(data: bytes) -> BadRequest:
    reader = RequestReader()
    reader.feed(data)
    with pytest.raises(BadRequest) as caught:
        reader.next()
    return caught.value


def test_reads_a_request_with_a_content_length() -> None:
    (request,) = read_all(SIZED)
    assert (request.method, request.path, request.query) == ("POST", "/v1/chat/completions", "beta=true")
    assert request.headers == {"host": "a", "x-request-id": "r1", "content-length": "5"}
    assert request.body == b"hello"
    assert request.keep_alive


def test_reads_a_chunked_request_and_drops_its_trailers() -> None:
    (request,) = read_all(CHUNKED)
    assert request.body == b"hello world"


def test_a_chunked_request_without_trailers_leaves_nothing_behind() -> None:
    plain = CHUNKED.replace(b"X-Trailer: 1\r\n", b"")
    assert [r.body for r in read_all(plain + SIZED)] == [b"hello world", b"hello"]


def test_reads_a_request_without_a_body() -> None:
    (request,) = read_all(b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (request.method, request.body) == ("GET", b"")


@given(st.lists(st.integers(min_value=0, max_value=10_000), max_size=12))
def test_any_cut_gives_the_same_requests(cuts: list[int]) -> None:
    stream = SIZED + CHUNKED + SIZED
    assert read_all(stream, cuts) == read_all(stream)
    assert [r.body for r in read_all(stream)] == [b"hello", b"hello world", b"hello"]


def test_byte_by_byte_gives_the_same_requests() -> None:
    stream = CHUNKED + SIZED
    assert read_all(stream, list(range(len(stream)))) == read_all(stream)


def test_waits_for_the_rest_of_a_body() -> None:
    reader = RequestReader()
    reader.feed(SIZED[:-1])
    assert reader.next() is None
    reader.feed(SIZED[-1:])
    assert reader.next() is not None
    assert reader.next() is None


def test_empty_lines_before_a_request_are_skipped() -> None:
    (request,) = read_all(b"\r\n\r\n" + SIZED)
    assert request.body == b"hello"


def test_a_client_that_expects_continue_is_noticed_until_its_body_came() -> None:
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert reader.next() is None
    assert reader.wants_continue
    reader.feed(b"ok")
    assert reader.next() is not None
    assert not reader.wants_continue


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("HTTP/1.1", None, True),
        ("HTTP/1.1", "close", False),
        ("HTTP/1.1", "keep-alive", True),
        ("HTTP/1.0", None, False),
        ("HTTP/1.0", "Keep-Alive", True),
    ],
)
def test_keep_alive_follows_version_and_header(version: str, connection: str | None, kept: bool) -> None:
    line = f"Connection: {connection}\r\n" if connection else ""
    (request,) = read_all(f"GET / {version}\r\nHost: a\r\n{line}\r\n".encode())
    assert request.keep_alive is kept


@pytest.mark.parametrize(
    "head",
    [
        b"GET /\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET http://elsewhere/ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n: empty\r\n\r\n",
        b"GET / HTTP/1.1\r\nName : space\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: five\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
    ],
)
def test_bad_requests_are_refused(head: bytes) -> None:
    assert refusal(head).status == 400


def test_a_head_that_is_too_large_is_refused_whole_or_unfinished() -> None:
    filler = b"X: " + b"a" * http1.MAX_HEAD_BYTES
    assert refusal(b"GET / HTTP/1.1\r\n" + filler).status == 431
    assert refusal(b"GET / HTTP/1.1\r\n" + filler + b"\r\n\r\n").status == 431


def test_a_body_that_is_too_large_is_refused_before_it_is_read() -> None:
    too_many = http1.MAX_BODY_BYTES + 1
    assert refusal(f"POST / HTTP/1.1\r\nContent-Length: {too_many}\r\n\r\n".encode()).status == 413
    assert refusal(f"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{too_many:x}\r\n".encode()).status == 413


def test_a_chunk_that_comes_in_many_reads_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "MAX_BODY_BYTES", 8)
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n")
    for byte in b"abcdef":
        assert reader.next() is None
        reader.feed(bytes([byte]))
    reader.feed(b"\r\n0\r\n\r\n")
    request = reader.next()
    assert request is not None
    assert request.body == b"abcdef"


def test_a_head_names_status_headers_and_whether_the_connection_stays() -> None:
    made = http1.head(529, (("content-type", "application/json"),), keep_alive=False)
    assert made.startswith(b"HTTP/1.1 529 Overloaded\r\n")
    assert b"content-type: application/json\r\n" in made
    assert made.endswith(b"connection: close\r\n\r\n")
    assert b"connection" not in http1.head(200, (), keep_alive=True)


def test_a_chunk_carries_its_size_and_an_empty_payload_is_no_chunk() -> None:
    assert http1.chunk(b"x" * 17) == b"11\r\n" + b"x" * 17 + b"\r\n"
    assert http1.chunk(b"") == b""
