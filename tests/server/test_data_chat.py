"""The data port's chat path, over real sockets, with a router that does what each test says."""

import asyncio
import json

import pytest
from data_support import BODY, CHAT, FakeClock, FakeRouter, answer, chat_bytes, serving, trail_for

from fastroute.core.failures import Failure, Fault
from fastroute.core.ports import ClientGone, ReplyPort
from fastroute.core.types import ChatRequest

STREAM = b'{"model":"auto","messages":[],"stream":true}'


async def stream(request: ChatRequest, reply: ReplyPort) -> None:
    reply.open_stream(trail_for(request))
    for piece in (b"data: 1\n\n", b"", b"data: 2\n\n", b"data: [DONE]\n\n"):
        await reply.write(piece)
    await reply.close_stream(complete=True)


# --- whole replies ---


async def test_whole_reply_and_its_headers() -> None:
    router = FakeRouter()
    async with serving(router) as client:
        response = await client.post(headers="x-request-id: my-id\r\n")
        assert response.status == 200
        assert response.json() == {"ok": True}
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-request-id"] == "my-id"
        assert response.headers["x-fastroute-endpoint"] == "flash"
        assert response.headers["x-fastroute-route"] == "auto"
        assert response.headers["x-fastroute-cost-usd"] == "0.0000015"
        assert response.headers["server"] == "fastroute"
        assert "connection" not in response.headers
        assert router.requests[0].id == "my-id"
        assert router.requests[0].accepted_s == FakeClock().now_s()


@pytest.mark.parametrize("path", [CHAT, "/chat/completions", CHAT + "?api-version=1"])
async def test_paths_of_the_chat_api(path: str) -> None:
    async with serving(FakeRouter()) as client:
        assert (await client.post(path=path)).status == 200


async def test_fresh_id_where_the_client_sent_none_or_a_bad_one() -> None:
    router = FakeRouter()
    async with serving(router) as client:
        ids = [(await client.post(headers=h)).headers["x-request-id"] for h in ("", "x-request-id: a b\r\n", "")]
        assert len(set(ids)) == 3
        assert all(len(i) == 32 for i in ids)
        assert [r.id for r in router.requests] == ids


async def test_headers_become_overrides() -> None:
    router = FakeRouter()
    async with serving(router) as client:
        await client.post(headers="X-FastRoute-Route: fast\r\nx-fastroute-slo-ttft-ms: 800\r\nx-fastroute-tags: team=a\r\n")
        overrides = router.requests[0].overrides
        assert (overrides.route, overrides.ttft_s, overrides.tags) == ("fast", 0.8, {"team": "a"})


async def test_bad_header_is_a_400_that_names_it() -> None:
    router = FakeRouter()
    async with serving(router) as client:
        response = await client.post(headers="x-fastroute-slo-ms: soon\r\n")
        assert response.status == 400
        assert response.error["param"] == "x-fastroute-slo-ms"
        assert response.error["type"] == "invalid_request_error"
        assert len(response.headers["x-request-id"]) == 32
        assert router.requests == []


async def test_bad_body_is_the_apis_own_error() -> None:
    async with serving(FakeRouter()) as client:
        response = await client.post(b"{", "x-request-id: r1\r\n")
        assert response.status == 400
        assert response.error["code"] == "invalid_json"
        assert response.headers["x-request-id"] == "r1"


async def test_failed_chain_says_when_to_come_back() -> None:
    async def exhausted(request: ChatRequest, reply: ReplyPort) -> None:
        fault = Fault(Failure.RATE_LIMITED, "all are limited", retry_after_s=1.5)
        await reply.whole(trail_for(request, fault=fault, winner=None), 503, b'{"error":{}}')

    async with serving(FakeRouter(exhausted)) as client:
        response = await client.post()
        assert response.status == 503
        assert response.headers["x-should-retry"] == "false"
        assert response.headers["retry-after-ms"] == "1500"
        assert response.headers["retry-after"] == "2"
        assert response.headers["x-fastroute-attempts"] == "1"


async def test_upstreams_own_400_is_not_about_retrying() -> None:
    async def refused(request: ChatRequest, reply: ReplyPort) -> None:
        await reply.whole(trail_for(request, fault=Fault(Failure.BAD_REQUEST, "no")), 400, b'{"error":{}}')

    async with serving(FakeRouter(refused)) as client:
        response = await client.post()
        assert response.status == 400
        assert not {"x-should-retry", "retry-after", "retry-after-ms"} & set(response.headers)


async def test_connection_serves_again() -> None:
    async with serving(FakeRouter()) as client:
        wire = await client.wire()
        for _ in range(3):
            await wire.send(chat_bytes())
            assert (await wire.response()).status == 200


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def echo(request: ChatRequest, reply: ReplyPort) -> None:
        await reply.whole(trail_for(request), 200, json.dumps(request.model).encode())

    async with serving(FakeRouter(echo)) as client:
        wire = await client.wire()
        await wire.send(b"".join(chat_bytes(b'{"model":"m%d"}' % i) for i in range(40)))
        assert [(await wire.response()).json() for _ in range(40)] == [f"m{i}" for i in range(40)]


# --- streams ---


async def test_stream_and_its_headers() -> None:
    async with serving(FakeRouter(stream)) as client:
        response = await client.post(STREAM)
        assert response.status == 200
        assert response.body == b"data: 1\n\ndata: 2\n\ndata: [DONE]\n\n"
        assert response.whole
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-accel-buffering"] == "no"
        assert response.headers["x-fastroute-endpoint"] == "flash"
        assert "x-fastroute-cost-usd" not in response.headers


async def test_pieces_leave_as_they_are_written() -> None:
    seen = asyncio.Event()

    async def patient(request: ChatRequest, reply: ReplyPort) -> None:
        reply.open_stream(trail_for(request))
        await reply.write(b"data: 1\n\n")
        await seen.wait()
        await reply.close_stream(complete=True)

    async with serving(FakeRouter(patient)) as client:
        wire = await client.wire()
        await wire.send(chat_bytes(STREAM))
        head = await asyncio.wait_for(wire.reader.readuntil(b"data: 1\n\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 200 OK")
        seen.set()
        assert await asyncio.wait_for(wire.reader.readexactly(5), 5) == b"0\r\n\r\n"


async def test_stream_connection_serves_again() -> None:
    async with serving(FakeRouter(stream)) as client:
        wire = await client.wire()
        for _ in range(3):
            await wire.send(chat_bytes(STREAM))
            assert (await wire.response()).whole


async def test_stream_that_is_not_whole_does_not_end_as_if_it_were() -> None:
    async def cut(request: ChatRequest, reply: ReplyPort) -> None:
        reply.open_stream(trail_for(request))
        await reply.write(b'data: {"error":{}}\n\n')
        await reply.close_stream(complete=False)

    async with serving(FakeRouter(cut)) as client:
        response = await client.post(STREAM)
        assert response.body == b'data: {"error":{}}\n\n'
        assert not response.whole
        assert client.errors == []


async def test_http10_stream_ends_with_the_connection() -> None:
    async with serving(FakeRouter(stream)) as client:
        wire = await client.wire()
        await wire.send(chat_bytes(STREAM, "Connection: keep-alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"))
        response = await wire.response()
        assert response.body == b"data: 1\n\ndata: 2\n\ndata: [DONE]\n\n"
        assert "transfer-encoding" not in response.headers


async def test_slow_client_slows_the_router() -> None:
    written = 0
    stuck = asyncio.Event()

    async def flood(request: ChatRequest, reply: ReplyPort) -> None:
        nonlocal written
        reply.open_stream(trail_for(request))
        for _ in range(400):
            try:
                await asyncio.wait_for(asyncio.shield(write := asyncio.ensure_future(reply.write(b"x" * 65536))), 0.3)
            except TimeoutError:
                stuck.set()
                await write
            written += 1
        await reply.close_stream(complete=True)

    async with serving(FakeRouter(flood)) as client:
        wire = await client.wire()
        await wire.send(chat_bytes(STREAM))
        await asyncio.wait_for(stuck.wait(), 10)
        assert written < 300
        response = await wire.response()
        assert response.whole
        assert len(response.body) == 400 * 65536


# --- clients that leave ---


async def test_client_that_leaves_cancels_the_router() -> None:
    arrived = asyncio.Event()

    async def hang(request: ChatRequest, reply: ReplyPort) -> None:
        arrived.set()
        await asyncio.Event().wait()

    router = FakeRouter(hang)
    async with serving(router) as client:
        wire = await client.wire()
        await wire.send(chat_bytes())
        await asyncio.wait_for(arrived.wait(), 5)
        assert client.port.in_flight == 1
        await wire.aclose()
        await asyncio.wait_for(router.cancelled.wait(), 5)
        assert isinstance(router.ended[0], asyncio.CancelledError)
        await asyncio.wait_for(client.port._none_left.wait(), 5)
        assert client.port.in_flight == 0
        assert client.errors == []


async def test_client_that_leaves_in_the_middle_of_a_stream() -> None:
    async def endless(request: ChatRequest, reply: ReplyPort) -> None:
        reply.open_stream(trail_for(request))
        while True:
            await reply.write(b"data: 1\n\n")
            await asyncio.sleep(0)

    router = FakeRouter(endless)
    async with serving(router) as client:
        wire = await client.wire()
        await wire.send(chat_bytes(STREAM))
        await asyncio.wait_for(wire.reader.readuntil(b"data: 1"), 5)
        wire.writer.transport.abort()
        await asyncio.wait_for(client.port._none_left.wait(), 5)
        assert isinstance(router.ended[0], asyncio.CancelledError | ClientGone)
        assert client.errors == []


@pytest.mark.parametrize("act", ["whole", "open_stream", "write", "close_stream"])
async def test_every_step_tells_that_the_client_is_gone(act: str) -> None:
    """The router is shielded here, so that it outlives the cancellation and meets the closed socket itself."""
    gone, done = asyncio.Event(), asyncio.Event()
    seen: list[BaseException | None] = []

    async def steps(request: ChatRequest, reply: ReplyPort) -> None:
        trail = trail_for(request)
        if act in ("write", "close_stream"):
            reply.open_stream(trail)
            await reply.write(b"data: 1\n\n")
        await gone.wait()
        try:
            if act == "whole":
                await reply.whole(trail, 200, b"{}")
            elif act == "open_stream":
                reply.open_stream(trail)
                await reply.write(b"data: 1\n\n")
            elif act == "write":
                await reply.write(b"data: 2\n\n")
            else:
                await reply.close_stream(complete=True)
            seen.append(None)
        except BaseException as error:
            seen.append(error)
        done.set()

    tasks: list[asyncio.Task[None]] = []

    async def shielded(request: ChatRequest, reply: ReplyPort) -> None:
        tasks.append(asyncio.ensure_future(steps(request, reply)))
        await asyncio.shield(tasks[0])

    router = FakeRouter(shielded)
    async with serving(router) as client:
        wire = await client.wire()
        await wire.send(chat_bytes(STREAM))
        await asyncio.wait_for(router.asked.wait(), 5)
        await wire.aclose()
        await asyncio.wait_for(router.cancelled.wait(), 5)
        gone.set()
        await asyncio.wait_for(done.wait(), 5)
        assert isinstance(seen[0], ClientGone)


async def test_client_gone_from_the_router_is_no_error() -> None:
    async def left(request: ChatRequest, reply: ReplyPort) -> None:
        raise ClientGone

    async with serving(FakeRouter(left)) as client:
        wire = await client.wire()
        await wire.send(chat_bytes())
        assert await wire.eof() == b""
        assert client.errors == []


# --- the outer wall ---


async def test_unexpected_error_is_a_500_that_says_nothing() -> None:
    async def broken(request: ChatRequest, reply: ReplyPort) -> None:
        raise RuntimeError("sk-secret at /srv/app.py")

    async with serving(FakeRouter(broken)) as client:
        response = await client.post(headers="x-request-id: r9\r\n")
        assert response.status == 500
        assert response.error == {"message": "internal error", "type": "server_error", "param": None, "code": "internal_error"}
        assert response.headers["x-request-id"] == "r9"
        assert response.headers["x-should-retry"] == "false"
        assert b"secret" not in response.body
        assert [str(e) for e in client.errors] == ["sk-secret at /srv/app.py"]


async def test_unexpected_error_in_the_middle_of_a_stream_cuts_it() -> None:
    async def broken(request: ChatRequest, reply: ReplyPort) -> None:
        reply.open_stream(trail_for(request))
        await reply.write(b"data: 1\n\n")
        raise RuntimeError("boom")

    async with serving(FakeRouter(broken)) as client:
        wire = await client.wire()
        await wire.send(chat_bytes(STREAM))
        received = await wire.eof()
        assert b" 500 " not in received
        assert not received.endswith(b"0\r\n\r\n")
        assert len(client.errors) == 1


async def test_unexpected_error_before_the_first_bytes_of_a_stream_is_a_500() -> None:
    async def broken(request: ChatRequest, reply: ReplyPort) -> None:
        reply.open_stream(trail_for(request))
        raise RuntimeError("boom")

    async with serving(FakeRouter(broken)) as client:
        assert (await client.post(STREAM)).status == 500


async def test_router_that_does_not_answer_is_a_500() -> None:
    async def mute(request: ChatRequest, reply: ReplyPort) -> None:
        pass

    async with serving(FakeRouter(mute)) as client:
        assert (await client.post()).status == 500
        assert str(client.errors[0]) == "the router gave no answer"


async def test_port_survives_its_errors() -> None:
    async def broken(request: ChatRequest, reply: ReplyPort) -> None:
        raise RuntimeError("boom")

    router = FakeRouter(broken)
    async with serving(router) as client:
        wire = await client.wire()
        await wire.send(chat_bytes())
        assert (await wire.response()).status == 500
        router.script = answer
        await wire.send(chat_bytes(BODY))
        assert (await wire.response()).status == 200
