"""Visitors of a soak run against servers that do what a test says: how each ending is told from the others."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bench.soak_client import BROKEN, COMPLETE, LEFT, REFUSED, Answer, Broken, Visitor, judged

WHOLE = json.dumps({"object": "chat.completion", "choices": [{"finish_reason": "stop", "message": {}}]}).encode()
ERROR = json.dumps({"error": {"message": "no", "type": "server_error", "param": None, "code": None}}).encode()
EVENTS = {"content-type": "text/event-stream; charset=utf-8"}
CONTENT = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\n'
FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
FAILED = b'data: {"error":{"message":"the provider stopped","type":"server_error"}}\n\n'


class Cut(bytes):
    """A reply after which the connection closes."""


def plain(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


def streamed(*pieces: bytes, end: bool = True) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
    sent = head + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces)
    return sent + b"0\r\n\r\n" if end else Cut(sent)


class Server:
    """Answers the n-th request as `reply` says; None closes instead. `heads` has what was asked."""

    def __init__(self, reply: Callable[[int], bytes | None]) -> None:
        self._reply = reply
        self.heads: list[bytes] = []
        self.connections = 0
        self.lost = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                await reader.readexactly(length)
                self.heads.append(head)
                reply = self._reply(len(self.heads) - 1)
                if reply is not None:
                    writer.write(reply)
                    await writer.drain()
                if reply is None or isinstance(reply, Cut):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.lost.set()
            writer.close()


@asynccontextmanager
async def visiting(reply: Callable[[int], bytes | None]) -> AsyncIterator[tuple[Server, Visitor]]:
    server = Server(reply)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    visitor = Visitor(listening.sockets[0].getsockname()[1], random.Random(1))
    try:
        yield server, visitor
    finally:
        visitor.close()
        listening.close()
        if server.connections:
            await server.lost.wait()


# --- what an answer is ---


@pytest.mark.parametrize(
    ("answer", "stream", "ending"),
    [
        (Answer(200, {}, WHOLE), False, COMPLETE),
        (Answer(503, {}, ERROR), False, REFUSED),
        (Answer(503, {}, ERROR), True, REFUSED),
        (Answer(200, EVENTS, CONTENT + FINISH), True, COMPLETE),
        (Answer(200, EVENTS, CONTENT + FAILED, cut=True), True, REFUSED),
        (Answer(200, EVENTS, CONTENT + FAILED + b"data: [DONE]\n\n"), True, REFUSED),
    ],
)
def test_an_answer_is_complete_or_an_error_in_shape(answer: Answer, stream: bool, ending: str) -> None:
    assert judged(answer, stream) == ending


@pytest.mark.parametrize(
    ("answer", "stream"),
    [
        (Answer(200, {}, b"<html>"), False),
        (Answer(200, {}, ERROR), False),
        (Answer(200, {}, WHOLE), True),
        (Answer(502, {}, b'{"error": "bad gateway"}'), False),
        (Answer(502, {}, b"[]"), False),
        (Answer(200, {}, WHOLE.replace(b'"stop"', b"null")), False),
        (Answer(200, EVENTS, CONTENT + FINISH), False),
        (Answer(200, EVENTS, CONTENT + FINISH, cut=True), True),
        (Answer(200, EVENTS, CONTENT), True),
        (Answer(200, EVENTS, CONTENT, cut=True), True),
        (Answer(200, EVENTS, CONTENT + b"data: [DONE]\n\n"), True),
    ],
)
def test_anything_else_is_broken(answer: Answer, stream: bool) -> None:
    with pytest.raises(Broken):
        judged(answer, stream)


# --- visits ---


async def test_kept_connections_are_used_again_and_new_ones_are_not_kept() -> None:
    async with visiting(lambda n: plain(WHOLE)) as (server, visitor):
        for _ in range(3):
            await visitor.visit_as("whole")
        assert server.connections == 1
        await visitor.visit_as("whole on a new connection")
        assert server.connections == 2
        assert visitor.counts == {("whole", COMPLETE): 3, ("whole on a new connection", COMPLETE): 1}


async def test_a_connection_closed_while_idle_is_replaced() -> None:
    async with visiting(lambda n: plain(WHOLE)) as (server, visitor):
        await visitor.visit_as("whole")
        visitor.close()
        await server.lost.wait()
        await visitor.visit_as("whole")
        assert visitor.counts["whole", COMPLETE] == 2


async def test_streams() -> None:
    replies = [streamed(CONTENT, CONTENT, FINISH), streamed(CONTENT, FAILED, end=False), streamed(CONTENT, end=False)]
    async with visiting(lambda n: replies[n]) as (_, visitor):
        for _ in replies:
            await visitor.visit_as("stream")
        assert visitor.counts == {("stream", COMPLETE): 1, ("stream", REFUSED): 1, ("stream", BROKEN): 1}
        assert visitor.broken[0].startswith("stream: a stream cut without a word")
        assert (visitor.total(BROKEN), visitor.ended, visitor.under_way) == (1, 3, 0)


async def test_a_visitor_leaves_in_the_middle() -> None:
    pieces = [CONTENT] * 20
    async with visiting(lambda n: streamed(*pieces, FINISH)) as (server, visitor):
        await visitor.visit_as("leaves in the middle of a stream")
        assert visitor.counts == {("leaves in the middle of a stream", LEFT): 1}
        await server.lost.wait()


@pytest.mark.parametrize("kind", ["leaves before an answer", "leaves in the middle of its request"])
async def test_a_visitor_leaves_before_anything_came(kind: str) -> None:
    async with visiting(lambda n: plain(WHOLE)) as (server, visitor):
        await visitor.visit_as(kind)
        await server.lost.wait()
        assert visitor.counts == {(kind, LEFT): 1}


async def test_two_requests_on_one_connection_are_both_answered() -> None:
    async with visiting(lambda n: plain(WHOLE) if n == 0 else streamed(CONTENT, FINISH)) as (server, visitor):
        await visitor.visit_as("two requests at once")
        assert visitor.counts == {("two requests at once", COMPLETE): 1}
        assert (server.connections, len(server.heads)) == (1, 2)


@pytest.mark.parametrize("kind", ["not JSON", "unknown model", "wrong type", "unknown path", "wrong method"])
async def test_a_bad_request_must_be_refused(kind: str) -> None:
    async with visiting(lambda n: plain(ERROR, 404) if n == 0 else plain(WHOLE)) as (_, visitor):
        await visitor.visit_as(kind)
        await visitor.visit_as(kind)
        assert visitor.counts == {(kind, REFUSED): 1, (kind, BROKEN): 1}


async def test_a_server_error_for_a_bad_request_is_broken() -> None:
    async with visiting(lambda n: plain(ERROR, 500)) as (_, visitor):
        await visitor.visit_as("not JSON")
        assert visitor.broken == ["not JSON: status 500 for a bad request"]


async def test_no_answer_at_all_is_broken() -> None:
    async with visiting(lambda n: None) as (_, visitor):
        await visitor.visit_as("whole")
        assert visitor.broken == ["whole: closed without an answer, after b''"]


async def test_half_a_body_is_broken() -> None:
    async with visiting(lambda n: Cut(plain(WHOLE)[:-5])) as (_, visitor):
        await visitor.visit_as("whole")
        assert visitor.broken == [f"whole: closed after {len(WHOLE) - 5} of {len(WHOLE)} bytes"]


async def test_whoever_waits_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.soak_client.PATIENCE_S", 0.05)
    async with visiting(lambda n: b"") as (_, visitor):
        await visitor.visit_as("whole")
        assert visitor.broken == ["whole: no end after 0.05 s"]
        assert visitor.under_way == 0


async def test_nobody_listens() -> None:
    listening = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()
    visitor = Visitor(port, random.Random(1))
    await visitor.visit_as("whole")
    assert visitor.counts == {("whole", BROKEN): 1}
