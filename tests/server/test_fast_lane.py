"""The fast lane: what it takes, what it leaves to aiohttp, and what it assumes about aiohttp."""

import asyncio
import inspect
from importlib.metadata import version

import aiohttp.web_protocol
import pytest
from aiohttp import base_protocol
from data_support import BODY, CHAT, FakeRouter, answer, chat_bytes, serving, trail_for

from fastroute.core.ports import ReplyPort
from fastroute.core.types import ChatRequest
from fastroute.server import protocol
from fastroute.server.data import DataPort

RESPONSES = b"HTTP/1.1 200 OK"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For every request that reached the lane, whether it took it."""
    seen: list[bool] = []
    take = DataPort.take

    def watched(self, connection, message, content):
        answering = take(self, connection, message, content)
        seen.append(answering is not None)
        return answering

    monkeypatch.setattr(DataPort, "take", watched)
    return seen


def test_the_minor_version_it_was_written_for() -> None:
    """Another minor version of aiohttp: read `protocol.py`, run the server tests, then change this number and the pin."""
    assert version("aiohttp").startswith("3.14.")


def test_every_name_it_leans_on_is_there() -> None:
    slots = {*aiohttp.web_protocol.RequestHandler.__slots__, *base_protocol.BaseProtocol.__slots__}
    names = slots | set(dir(aiohttp.web_protocol.RequestHandler))
    assert set(protocol.ASSUMPTIONS) <= names


def test_aiohttps_task_still_waits_the_way_the_lane_expects() -> None:
    source = inspect.getsource(aiohttp.web_protocol.RequestHandler)
    for line in (
        "self._waiter = loop.create_future()",
        "await self._waiter",
        "message, payload = self._messages.popleft()",
        "self._parser.message_consumed()",
        "waiter = self._waiter\n            if messages and waiter is not None and not waiter.done():",
        "if self._waiter and not self._waiter.done():\n            self.force_close()",
    ):
        assert line in source, line


async def test_a_whole_request_on_an_idle_connection_takes_it(taken: list[bool]) -> None:
    async with serving(FakeRouter()) as client:
        wire = await client.wire()
        for _ in range(3):
            await wire.send(chat_bytes(BODY))
            assert (await wire.response()).status == 200
    assert True in taken


@pytest.mark.parametrize(
    "head",
    [
        b"connection: close\r\n",
        b"transfer-encoding: chunked\r\n",
    ],
)
async def test_what_is_special_is_left_to_aiohttp_or_answered_alike(head: bytes, taken: list[bool]) -> None:
    async with serving(FakeRouter()) as client:
        wire = await client.wire()
        await asyncio.sleep(0)  # the connection's task begins to wait
        if b"chunked" in head:
            raw = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
            await wire.send(b"POST %b HTTP/1.1\r\nhost: x\r\n%b\r\n%b" % (CHAT.encode(), head, raw))
        else:
            await wire.send(
                b"POST %b HTTP/1.1\r\nhost: x\r\n%bcontent-length: %d\r\n\r\n%b" % (CHAT.encode(), head, len(BODY), BODY)
            )
        assert (await wire.response()).status == 200
    if b"close" in head:
        assert taken.count(True) == 0


async def test_an_empty_body_is_refused_like_any_bad_one(taken: list[bool]) -> None:
    async with serving(FakeRouter()) as client:
        assert (await client.post(b"")).status == 400
        assert not client.errors
    assert True not in taken


async def test_a_body_in_two_packets_is_left_to_aiohttp(taken: list[bool]) -> None:
    async with serving(FakeRouter()) as client:
        wire = await client.wire()
        raw = chat_bytes(BODY)
        await wire.send(raw[:-5])
        await asyncio.sleep(0.02)
        await wire.send(raw[-5:])
        assert (await wire.response()).status == 200
    assert True not in taken


@pytest.fixture
def retaken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For every request whose head was known, whether the lane took it."""
    seen: list[bool] = []
    retake = DataPort.retake

    def watched(self, connection, facts, body):
        answering = retake(self, connection, facts, body)
        seen.append(answering is not None)
        return answering

    monkeypatch.setattr(DataPort, "retake", watched)
    return seen


def spoken(body: bytes, extra: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nhost: x\r\n%bcontent-length: %d\r\n\r\n%b" % (CHAT.encode(), extra, len(body), body)


async def test_a_head_that_comes_again_is_not_parsed_again(taken: list[bool], retaken: list[bool]) -> None:
    router = FakeRouter()
    async with serving(router) as client:
        wire = await client.wire()
        await asyncio.sleep(0.01)
        for longer in range(4):
            await wire.send(spoken(BODY + b" " * longer, b"x-fastroute-tags: team=search\r\nx-request-id: mine\r\n"))
            response = await wire.response()
            assert (response.status, response.headers["x-request-id"]) == (200, "mine")
    assert (taken, retaken) == ([True], [True] * 3)
    assert [r.overrides.tags for r in router.requests] == [{"team": "search"}] * 4


async def test_a_fresh_id_for_each_request_with_a_known_head(retaken: list[bool]) -> None:
    async with serving(FakeRouter()) as client:
        wire = await client.wire()
        await asyncio.sleep(0.01)
        seen = set()
        for _ in range(3):
            await wire.send(spoken(BODY))
            seen.add((await wire.response()).headers["x-request-id"])
    assert (len(seen), retaken) == (3, [True, True])


async def test_a_bad_override_is_refused_each_time(retaken: list[bool]) -> None:
    async with serving(FakeRouter()) as client:
        wire = await client.wire()
        await asyncio.sleep(0.01)
        for _ in range(3):
            await wire.send(spoken(BODY, b"x-fastroute-slo-ms: never\r\n"))
            assert (await wire.response()).status == 400
    assert retaken == [True, True]


@pytest.mark.parametrize(
    "between",
    [
        b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}",
        b"\r\n" + spoken(BODY),
        spoken(BODY) + spoken(BODY),
        spoken(BODY, b"other: head\r\n"),
    ],
)
async def test_another_request_between_goes_through_the_parser(between: bytes, retaken: list[bool]) -> None:
    async with serving(FakeRouter()) as client:
        wire = await client.wire()
        await asyncio.sleep(0.01)
        await wire.send(spoken(BODY))
        assert (await wire.response()).status == 200
        await wire.send(between)
        for _ in range(between.count(b"HTTP/1.1")):
            assert (await wire.response()).status in (200, 404)
        assert True not in retaken
        for _ in range(3):
            await wire.send(spoken(BODY))
            assert (await wire.response()).status == 200


async def test_half_of_a_known_head_then_the_rest(retaken: list[bool]) -> None:
    """What came last in pieces leaves the parser in the middle: the same head behind it must not be taken for a new request."""
    router = FakeRouter()
    async with serving(router) as client:
        wire = await client.wire()
        await asyncio.sleep(0.01)
        await wire.send(spoken(BODY))
        assert (await wire.response()).status == 200
        smuggled = spoken(BODY)
        await wire.send(b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (CHAT.encode(), len(smuggled)))
        await asyncio.sleep(0.02)
        await wire.send(smuggled)  # the body of the one before, whatever it looks like
        assert (await wire.response()).status == 400
    assert len(router.requests) == 1
    assert True not in retaken


async def test_a_known_head_while_draining_or_with_no_room_is_not_retaken(retaken: list[bool]) -> None:
    async with serving(FakeRouter()) as client:
        wire = await client.wire()
        await asyncio.sleep(0.01)
        await wire.send(spoken(BODY))
        assert (await wire.response()).status == 200
        limits = client.port._bodies._limits
        client.port._bodies.held_bytes = limits.max_held_bytes
        await wire.send(spoken(BODY))
        assert (await wire.response()).status == 503
        client.port._bodies.held_bytes = 0
    assert retaken == [False]


async def test_requests_behind_one_under_way_wait_their_turn() -> None:
    order: list[str] = []
    go = asyncio.Event()

    async def first_waits(request: ChatRequest, reply: ReplyPort) -> None:
        order.append("begin")
        if len(order) == 1:
            await go.wait()
        await answer(request, reply)
        order.append("end")

    async with serving(FakeRouter(first_waits)) as client:
        wire = await client.wire()
        await wire.send(chat_bytes(BODY))
        await asyncio.wait_for(client.port._router.asked.wait(), 5)
        await wire.send(chat_bytes(BODY) + chat_bytes(BODY))
        await asyncio.sleep(0.02)
        assert order == ["begin"]
        go.set()
        assert [(await wire.response()).status for _ in range(3)] == [200, 200, 200]
    assert order == ["begin", "end"] * 3


async def test_a_client_that_leaves_cancels_its_request_in_the_lane(taken: list[bool]) -> None:
    async def wait(request: ChatRequest, reply: ReplyPort) -> None:
        await asyncio.Event().wait()

    router = FakeRouter(wait)
    async with serving(router) as client:
        wire = await client.wire()
        await asyncio.sleep(0.01)
        await wire.send(chat_bytes(BODY))
        await asyncio.wait_for(router.asked.wait(), 5)
        assert taken == [True]
        wire.writer.close()
        await asyncio.wait_for(router.cancelled.wait(), 5)
        async with asyncio.timeout(5):
            await client.port._none_left.wait()
    assert client.port.in_flight == 0


async def test_a_connection_in_the_lane_is_not_idle_and_survives_the_keep_alive_timer() -> None:
    go = asyncio.Event()

    async def wait(request: ChatRequest, reply: ReplyPort) -> None:
        await go.wait()
        await reply.whole(trail_for(request), 200, b"{}")

    router = FakeRouter(wait)
    async with serving(router) as client:
        wire = await client.wire()
        await asyncio.sleep(0.01)
        await wire.send(chat_bytes(BODY))
        await asyncio.wait_for(router.asked.wait(), 5)
        listener = client.port._listener
        assert listener is not None
        (connection,) = listener.connections
        assert not connection.idle
        listener.close_idle()
        connection._next_keepalive_close_time = 0.0
        connection._process_keepalive()
        go.set()
        assert (await wire.response()).status == 200
        assert connection.idle
        assert connection._keepalive_handle is not None
        await wire.send(chat_bytes(BODY))
        assert (await wire.response()).status == 200


async def test_a_request_cancelled_before_it_began_is_counted_out_again() -> None:
    router = FakeRouter()
    async with serving(router) as client:
        wire = await client.wire()
        await wire.send(chat_bytes(BODY))
        await wire.response()
        listener = client.port._listener
        assert listener is not None
        (connection,) = listener.connections
        connection.data_received(chat_bytes(BODY))
        assert (client.port.in_flight, client.port._bodies.held_bytes) == (1, len(BODY))
        connection.connection_lost(None)
        await asyncio.sleep(0.01)
        assert len(router.requests) == 1
        assert (client.port.in_flight, client.port._bodies.held_bytes) == (0, 0)
