"""Heads that come again: what is recognised is what aiohttp's parser would read, and nothing else is recognised."""

import asyncio
import random
from unittest.mock import Mock

import pytest
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage

from fastroute.server import known
from fastroute.server.known import KnownHead

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nAuthorization: Bearer abc\r\n\r\n"
BODY = b'{"model":"auto"}'


def message(body: bytes, head: bytes = HEAD) -> bytes:
    return head % len(body) + body


def learned(head: bytes = HEAD, body: bytes = BODY) -> KnownHead[str]:
    knows: KnownHead[str] = KnownHead()
    knows.learn(message(body, head), len(body), "facts")
    return knows


def test_nothing_is_known_at_first_or_after_forgetting() -> None:
    knows: KnownHead[str] = KnownHead()
    assert knows.facts is None
    knows.learn(message(BODY), len(BODY), "facts")
    assert knows.facts == "facts"
    knows.forget()
    assert knows.facts is None


@pytest.mark.parametrize("body", [BODY, b"1", b"", b"x" * 12_345, b"\r\n\r\n", HEAD])
def test_the_same_head_with_another_length_is_recognised(body: bytes) -> None:
    assert learned().body(message(body)) == body


@pytest.mark.parametrize(
    "head",
    [
        HEAD.lower(),
        HEAD.replace(b"Content-Length: %d\r\n", b"content-length:%d\r\n"),
        HEAD.replace(b"Content-Length: %d\r\n", b"content-length: \t%d \t\r\n"),
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n",
    ],
)
def test_ways_to_write_the_length(head: bytes) -> None:
    knows = learned(head)
    if knows.facts is not None:
        assert knows.body(message(b"other body", head)) == b"other body"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        message(BODY)[:-1],
        message(BODY) + b"x",
        message(BODY) + message(BODY),
        message(BODY)[:20],
        message(BODY).replace(b"Host: x", b"Host: y"),
        message(BODY).replace(b"abc", b"abd"),
        message(BODY).replace(b"Content-Length: 16", b"Content-Length: +16"),
        message(BODY).replace(b"Content-Length: 16", b"Content-Length: 1_6"),
        message(BODY).replace(b"Content-Length: 16", b"Content-Length:  16"),
        message(BODY).replace(b"Content-Length: 16", b"Content-Length: 16 "),
        message(BODY).replace(b"Content-Length: 16", b"Content-Length: 16, 16"),
        message(BODY).replace(b"Content-Length: 16", b"Content-Length: 0000000016"),
        message(BODY).replace(b"Content-Length: 16", b"Content-Length: \xd9\xa1\xd9\xa6"),
        message(BODY).replace(b"Content-Length: 16", b"Content-Length: "),
        message(BODY).replace(b"16\r\n", b"16\n"),
        message(BODY).replace(b"16\r\n", b"16\r\nTransfer-Encoding: chunked\r\n"),
        b"\r\n" + message(BODY),
    ],
)
def test_anything_else_is_not_recognised(data: bytes) -> None:
    assert learned().body(data) is None


@pytest.mark.parametrize(
    "data",
    [
        HEAD.replace(b"Content-Length: %d\r\n", b"") + b"",
        b"no head at all",
        message(BODY) + b"more",
        message(BODY).replace(b"16\r\n", b"17\r\n"),
        message(BODY).replace(b"16\r\n", b"16\r\ncontent-length: 16\r\n"),
        message(BODY, HEAD[:-2] + b"x: %b\r\n\r\n" % (b"y" * known.MAX_HEAD_BYTES)),
    ],
)
def test_what_is_not_learned(data: bytes) -> None:
    knows: KnownHead[str] = KnownHead()
    knows.learn(data, len(BODY), "facts")
    assert knows.facts is None


def test_a_client_whose_heads_always_differ_is_given_up() -> None:
    knows: KnownHead[int] = KnownHead()
    for i in range(known.GIVE_UP_AFTER):
        knows.forget()
        knows.learn(message(BODY, b"trace: %d\r\n" % i + HEAD), len(BODY), i)
        assert knows.facts == i
    knows.forget()
    knows.learn(message(BODY), len(BODY), 99)
    assert knows.facts is None


def test_a_head_met_again_begins_the_count_anew() -> None:
    knows: KnownHead[int] = KnownHead()
    for i in range(3 * known.GIVE_UP_AFTER):
        knows.learn(message(BODY), len(BODY), i)
        assert knows.body(message(BODY)) == BODY
    assert knows.facts == 3 * known.GIVE_UP_AFTER - 1


def parsed(data: bytes, loop: asyncio.AbstractEventLoop) -> tuple[RawRequestMessage, bytes] | None:
    """The one whole message that aiohttp's parser finds in `data`; None where it finds anything else."""
    parser = HttpRequestParser(Mock(_reading_paused=False), loop, 2**16, max_line_size=8190, max_field_size=8190)
    try:
        messages, upgraded, tail = parser.feed_data(data)
    except HttpProcessingError:
        return None
    if len(messages) != 1 or upgraded or tail or not messages[0][1].is_eof():
        return None
    return messages[0][0], b"".join(getattr(messages[0][1], "_buffer", ()))


async def test_what_is_recognised_reads_as_the_parser_reads_it() -> None:
    """The parser is the judge: mutated messages that are recognised must parse to the known head and to the same body."""
    loop, rng = asyncio.get_running_loop(), random.Random(7)
    pieces = (
        b"\r\n",
        b"\r",
        b"\n",
        b" ",
        b"0",
        b"7",
        b"+",
        b"_",
        b"\x00",
        b":",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
    )
    original = parsed(message(BODY), loop)
    assert original is not None
    recognised = 0
    for _ in range(4000):
        data = bytearray(message(b"z" * rng.randrange(0, 130)))
        for _ in range(rng.randrange(0, 3)):
            at = rng.randrange(len(data))
            data[at : at + rng.randrange(0, 3)] = rng.choice(pieces)
        body = learned().body(bytes(data))
        if body is None:
            continue
        recognised += 1
        told = parsed(bytes(data), loop)
        assert told is not None, bytes(data)
        expected = {**original[0].headers, "Content-Length": told[0].headers["Content-Length"]}
        assert (dict(told[0].headers), told[1], told[0].path, told[0].method) == (
            expected, body, original[0].path, original[0].method,
        )  # fmt: skip
    assert recognised > 500
