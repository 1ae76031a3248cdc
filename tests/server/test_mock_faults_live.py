"""Every fault over real sockets: what a client sees, byte for byte."""

import asyncio
import gzip
import json
import zlib
from typing import Any

import pytest
from mock_support import BRISK, INSTANT, Wire, ask, ask_anthropic, post, post_anthropic, running

from fastroute.mock.provider import MockProviders

DIALECTS = [{"name": "o"}, {"name": "a", "dialect": "anthropic_messages"}]
BOTH = pytest.mark.parametrize("name", ["o", "a"])


async def streamed(mocks: MockProviders, name: str) -> Any:
    if name == "o":
        return await post(mocks.url("o"), ask(stream=True))
    return await post_anthropic(mocks.url("a"), ask_anthropic(stream=True))


async def asked_whole(mocks: MockProviders, name: str) -> Any:
    if name == "o":
        return await post(mocks.url("o"), ask())
    return await post_anthropic(mocks.url("a"), ask_anthropic())


async def answers(url: str) -> bool:
    try:
        return bool((await post(url, ask())).status == 200)
    except ConnectionRefusedError:
        return False


def finished(reply: Any) -> bool:
    """Whether the stream has its dialect's own terminal event."""
    return reply.events[-1] == "[DONE]" or reply.events[-1].get("type") == "message_stop"


@BOTH
async def test_healthy_streams_finish(name: str) -> None:
    async with running(*DIALECTS) as mocks:
        reply = await streamed(mocks, name)
        assert (reply.status, reply.ended) == (200, "complete")
        assert finished(reply)
        assert len(reply.text.split()) == 8


@BOTH
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503, 529])
async def test_statuses(name: str, status: int) -> None:
    async with running(*DIALECTS) as mocks:
        mocks.set_fault(name, "status", status=status, retry_after_s=7)
        reply = await asked_whole(mocks, name)
        assert reply.status == status
        assert reply.json()["error"]["message"]
        assert reply.headers["retry-after"] == "7"
        assert mocks.bill()["total_usd"] == 0


async def test_a_gateways_502() -> None:
    async with running() as mocks:
        mocks.set_fault("o", "status", status=502)
        reply = await post(mocks.url("o"), ask())
        assert (reply.status, reply.headers["content-type"]) == (502, "text/html; charset=utf-8")


async def test_refused_and_back_on_the_same_port() -> None:
    async with running() as mocks:
        url = mocks.url("o")
        mocks.set_fault("o", "refuse")
        with pytest.raises(ConnectionRefusedError):
            await post(url, ask())
        assert mocks.clear_faults("o", "refuse") == 1
        assert (await post(url, ask())).status == 200
        assert mocks.url("o") == url


async def test_refused_closes_idle_keep_alive_connections() -> None:
    async with running() as mocks, Wire(mocks.url("o")) as wire:
        wire.send(ask())
        assert (await wire.reply()).status == 200
        mocks.set_fault("o", "refuse")
        assert await wire.reader.read() == b""


async def test_a_scheduled_refusal_begins_and_ends_by_itself() -> None:
    async with running({"faults": [{"fault": "refuse", "at_s": 0, "for_s": 0.3}]}) as mocks:
        with pytest.raises(ConnectionRefusedError):
            await post(mocks.url("o"), ask())
        async with asyncio.timeout(5):
            while not await answers(mocks.url("o")):
                pass
        assert mocks.faults("o") == []


async def test_accepted_and_closed() -> None:
    async with running() as mocks:
        mocks.set_fault("o", "accept_close")
        async with Wire(mocks.url("o")) as wire:
            assert await wire.reader.read() == b""
        assert mocks.requests() == []


async def test_accept_close_also_ends_idle_connections() -> None:
    async with running() as mocks, Wire(mocks.url("o")) as wire:
        wire.send(ask())
        await wire.reply()
        mocks.set_fault("o", "accept_close")
        assert await wire.reader.read() == b""


async def test_a_stale_keep_alive_connection_closes_on_its_second_request() -> None:
    async with running() as mocks:
        mocks.set_fault("o", "stale_keep_alive")
        async with Wire(mocks.url("o")) as wire:
            wire.send(ask())
            assert (await wire.reply()).status == 200
            wire.send(ask())
            assert await wire.reader.read() == b""
        assert len(mocks.requests()) == 1


@BOTH
async def test_a_hang_sends_nothing_until_the_client_goes(name: str) -> None:
    async with running(*DIALECTS) as mocks:
        mocks.set_fault(name, "hang_before_headers")
        asking = asyncio.create_task(streamed(mocks, name))
        await mocks.until(lambda: mocks.in_flight(name) == 1 or bool(mocks.requests()))
        asking.cancel()
        await mocks.until(lambda: not mocks.requests()[0]["open"])
        (request,) = mocks.requests()
        assert (request["status"], request["cancelled"], request["usd"]) == (None, True, 0.0)
        assert mocks.in_flight(name) == 0


async def test_a_hang_that_ends_answers_late() -> None:
    async with running() as mocks:
        mocks.set_fault("o", "hang_before_headers", resume_after_ms=40)
        assert (await post(mocks.url("o"), ask())).status == 200
        (request,) = mocks.requests()
        assert request["first_byte_ms"] >= 39


async def test_a_reset_before_the_headers() -> None:
    async with running() as mocks:
        mocks.set_fault("o", "reset")
        with pytest.raises(ConnectionResetError):
            await post(mocks.url("o"), ask())
        assert mocks.bill()["total_usd"] == 0
        assert not mocks.requests()[0]["cancelled"]


@BOTH
async def test_a_reset_in_mid_stream(name: str) -> None:
    async with running(*DIALECTS) as mocks:
        mocks.set_fault(name, "slow_drip", interval_ms=20)
        mocks.set_fault(name, "reset", after_chunks=2)
        reply = await streamed(mocks, name)
        assert (reply.status, reply.ended) == (200, "reset")
        assert mocks.requests()[0]["output_tokens"] == 2


@BOTH
async def test_role_then_silence(name: str) -> None:
    async with running(*DIALECTS) as mocks:
        mocks.set_fault(name, "role_then_silence")
        path, extra = ("/chat/completions", {}) if name == "o" else ("/v1/messages", {"anthropic_version": "1"})
        async with Wire(mocks.url(name)) as wire:
            wire.send(ask(stream=True) if name == "o" else ask_anthropic(stream=True), path, **extra)
            status, _ = await wire.head()
            first = await wire.chunk()
            assert status == 200
            assert b"assistant" in first
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wire.chunk(), 0.05)
        await mocks.until(lambda: not mocks.requests()[0]["open"])
        assert mocks.requests()[0]["output_tokens"] == 0


async def test_comments_only() -> None:
    async with running() as mocks, Wire(mocks.url("o")) as wire:
        mocks.set_fault("o", "comments_only", interval_ms=5)
        wire.send(ask(stream=True))
        await wire.head()
        assert {await wire.chunk() for _ in range(4)} == {b": keep-alive\n\n"}
        await wire.leave()
        await mocks.until(lambda: not mocks.requests()[0]["open"])
        assert mocks.requests()[0]["output_tokens"] == 0


@BOTH
async def test_a_stall_after_two_chunks(name: str) -> None:
    async with running(*DIALECTS) as mocks:
        mocks.set_fault(name, "stall_mid_stream", after_chunks=2)
        asking = asyncio.create_task(streamed(mocks, name))
        await mocks.until(lambda: bool(mocks.requests()))
        done, _ = await asyncio.wait([asking], timeout=0.08)
        assert not done
        assert mocks.requests()[0]["output_tokens"] == 2
        asking.cancel()
        await mocks.until(lambda: not mocks.requests()[0]["open"])
        assert mocks.requests()[0]["cancelled"]


@BOTH
async def test_half_a_line(name: str) -> None:
    async with running(*DIALECTS) as mocks:
        mocks.set_fault(name, "half_sse_line", after_chunks=1)
        reply = await streamed(mocks, name)
        assert reply.ended == "cut"
        assert not reply.body.endswith(b"\n\n")


@BOTH
async def test_a_clean_cut_has_no_terminal_event(name: str) -> None:
    async with running(*DIALECTS) as mocks:
        mocks.set_fault(name, "clean_cut")
        reply = await streamed(mocks, name)
        assert reply.ended == "complete"
        assert not finished(reply)
        assert len(reply.text.split()) == 3


@BOTH
async def test_an_error_in_a_stream(name: str) -> None:
    async with running(*DIALECTS) as mocks:
        mocks.set_fault(name, "error_in_stream", after_chunks=1)
        reply = await streamed(mocks, name)
        assert (reply.status, reply.ended) == (200, "complete")
        assert "error" in reply.events[-1]
        assert not finished(reply)


@BOTH
async def test_an_error_in_a_200(name: str) -> None:
    async with running(*DIALECTS) as mocks:
        mocks.set_fault(name, "error_in_200")
        reply = await asked_whole(mocks, name)
        assert reply.status == 200
        assert reply.json()["error"]["message"]


@BOTH
async def test_bad_json(name: str) -> None:
    async with running(*DIALECTS) as mocks:
        mocks.set_fault(name, "bad_json")
        for reply in (await asked_whole(mocks, name), await streamed(mocks, name)):
            assert (reply.status, reply.ended) == (200, "complete")
            with pytest.raises(json.JSONDecodeError):
                reply.events if b"data:" in reply.body else reply.json()


@BOTH
async def test_a_truncated_body(name: str) -> None:
    async with running(*DIALECTS) as mocks:
        mocks.set_fault(name, "truncated_body")
        assert (await asked_whole(mocks, name)).ended == "cut"
        assert (await streamed(mocks, name)).ended == "cut"


@BOTH
async def test_html_and_nothing_with_status_200(name: str) -> None:
    async with running(*DIALECTS) as mocks:
        mocks.set_fault(name, "html_200")
        page = await asked_whole(mocks, name)
        assert (page.status, page.body[:9]) == (200, b"<!DOCTYPE")
        mocks.clear_faults(name)
        mocks.set_fault(name, "empty_200")
        empty = await asked_whole(mocks, name)
        assert (empty.status, empty.body, empty.ended) == (200, b"", "complete")


async def test_a_brownout_and_a_slow_drip() -> None:
    async with running({"latency": {"ttft_ms": 10, "sigma": 0, "tpot_ms": 1}}) as mocks:
        mocks.set_fault("o", "brownout", factor=5)
        await post(mocks.url("o"), ask(stream=True))
        mocks.clear_faults()
        mocks.set_fault("o", "slow_drip", interval_ms=10)
        await post(mocks.url("o"), ask(stream=True))
        brown, slow = mocks.requests()
        assert brown["first_byte_ms"] >= 49  # timers may be half a millisecond early
        assert slow["last_byte_ms"] - slow["first_byte_ms"] >= 65
        assert (brown["fault"], slow["fault"]) == ("brownout", "slow_drip")


async def test_a_huge_header() -> None:
    async with running() as mocks:
        mocks.set_fault("o", "huge_header", size_bytes=200_000)
        reply = await post(mocks.url("o"), ask())
        assert len(reply.headers["x-padding"]) == 200_000
        assert reply.json()["choices"]


async def test_gzip_unasked() -> None:
    async with running() as mocks:
        mocks.set_fault("o", "gzip")
        whole = await post(mocks.url("o"), ask())
        assert whole.headers["content-encoding"] == "gzip"
        assert json.loads(gzip.decompress(whole.body))["choices"]
        stream = await post(mocks.url("o"), ask(stream=True))
        assert zlib.decompressobj(wbits=31).decompress(stream.body).endswith(b"data: [DONE]\n\n")


async def test_an_endless_body_ends_with_its_client() -> None:
    async with running({"bills_after_cancel": True}) as mocks, Wire(mocks.url("o")) as wire:
        mocks.set_fault("o", "endless_body", size_bytes=20_000)
        wire.send(ask(stream=True))
        await wire.head()
        got = 0
        while got < 1_000_000:
            got += len(await wire.chunk())
        await wire.leave()
        await mocks.until(lambda: not mocks.requests()[0]["open"])
        assert mocks.requests()[0]["output_tokens"] > 1000


async def test_early_hints_and_trailers() -> None:
    async with running() as mocks:
        mocks.set_fault("o", "early_hints")
        mocks.set_fault("o", "trailers")
        async with Wire(mocks.url("o")) as wire:
            wire.send(ask())
            assert (await wire.head())[0] == 103
            reply = await wire.reply()
        assert (reply.status, reply.trailer) == (200, b"x-checksum: 0")
        assert reply.json()["choices"]


async def test_a_connection_serves_on_after_a_fault_that_ends_in_good_order() -> None:
    async with running() as mocks, Wire(mocks.url("o")) as wire:
        for fault in ("status", "clean_cut", "error_in_stream", "empty_200", "trailers"):
            mocks.set_fault("o", fault)
            wire.send(ask(stream=True))
            assert (await wire.reply()).ended == "complete"
            mocks.clear_faults()
        wire.send(ask(stream=True))
        assert (await wire.reply()).events[-1] == "[DONE]"


async def test_a_ratio_strikes_its_share_the_same_with_the_same_seed() -> None:
    seen = []
    for _ in range(2):
        async with running({"latency": INSTANT}, seed=5) as mocks, Wire(mocks.url("o")) as wire:
            mocks.set_fault("o", "status", ratio=0.5)
            statuses = []
            for _ in range(60):
                wire.send(ask())
                statuses.append((await wire.reply()).status)
            seen.append(statuses)
    assert seen[0] == seen[1]
    assert 15 < seen[0].count(500) < 45


async def test_faults_from_the_config_are_in_force_at_the_start() -> None:
    async with running({"faults": [{"fault": "status", "status": 503}]}) as mocks:
        assert (await post(mocks.url("o"), ask())).status == 503


async def test_a_fault_on_all_endpoints() -> None:
    async with running({"name": "o", "latency": BRISK}, {"name": "p", "latency": BRISK}) as mocks:
        mocks.set_fault("*", "status", status=503)
        assert {(await post(mocks.url(n), ask())).status for n in ("o", "p")} == {503}
        assert mocks.clear_faults() == 2


async def test_faults_come_before_the_key_is_checked() -> None:
    async with running({"api_key": "k", "faults": [{"fault": "status", "status": 503}]}) as mocks:
        assert (await post(mocks.url("o"), b"not json")).status == 503
