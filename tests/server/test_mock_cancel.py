"""Clients that leave: how soon the mock notices, and what it bills."""

import asyncio

import pytest
from mock_support import Wire, ask, running

from fastroute.mock.provider import MockProviders

SLOW = {"ttft_ms": 60_000, "sigma": 0, "tpot_ms": 0}
PACED = {"ttft_ms": 1, "sigma": 0, "tpot_ms": 60}
LONG = {"mean": 40}


async def ended(mocks: MockProviders) -> dict[str, object]:
    """The one request, once it has ended."""
    async with asyncio.timeout(10):
        await mocks.until(lambda: bool(mocks.requests()) and not mocks.requests()[-1]["open"])
    return mocks.requests()[-1]


@pytest.mark.parametrize("stream", [True, False])
async def test_leaving_while_the_model_thinks(stream: bool) -> None:
    async with running({"latency": SLOW}) as mocks:
        async with Wire(mocks.url("o")) as wire:
            wire.send(ask(stream=stream))
            await mocks.until(lambda: bool(mocks.requests()))
        request = await ended(mocks)
        assert request["cancelled"]
        assert (request["status"], request["output_tokens"], request["first_byte_ms"]) == (None, 0, None)
        assert request["billed"]
        assert mocks.bill()["by_endpoint"]["o"]["input_tokens"] > 0
        assert mocks.in_flight("o") == 0


async def test_leaving_in_mid_stream_stops_within_one_chunk() -> None:
    async with running({"latency": PACED, "output_tokens": LONG}) as mocks:
        async with Wire(mocks.url("o")) as wire:
            wire.send(ask(stream=True))
            await wire.head()
            seen = b""
            while seen.count(b'"content":') < 4:  # the role chunk and three words
                seen += await wire.chunk()
        request = await ended(mocks)
        assert request["cancelled"]
        assert 3 <= request["output_tokens"] <= 5  # type: ignore[operator]
        assert request["tokens_after_cancel"] == 0


async def test_leaving_a_whole_reply_half_way_bills_the_part_that_was_generated() -> None:
    spec = {"latency": {"ttft_ms": 0, "sigma": 0, "tpot_ms": 1}, "output_tokens": {"mean": 100_000}}
    async with running(spec) as mocks:
        async with Wire(mocks.url("o")) as wire:
            wire.send(ask())
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wire.head(), 0.05)
        request = await ended(mocks)
        assert 20 <= request["output_tokens"] <= 2000  # type: ignore[operator]


@pytest.mark.parametrize("stream", [True, False])
async def test_an_endpoint_that_bills_after_a_cancel_bills_the_whole_answer(stream: bool) -> None:
    spec = {"latency": {"ttft_ms": 200, "sigma": 0, "tpot_ms": 1}, "output_tokens": LONG, "bills_after_cancel": True}
    async with running(spec) as mocks:
        async with Wire(mocks.url("o")) as wire:
            wire.send(ask(stream=stream))
            await mocks.until(lambda: bool(mocks.requests()))
        request = await ended(mocks)
        assert request["cancelled"]
        assert (request["output_tokens"], request["tokens_after_cancel"]) == (40, 40)
        assert request["writes"] == 0
        sums = mocks.bill()["by_endpoint"]["o"]
        assert (sums["cancelled"], sums["tokens_after_cancel"]) == (1, 40)
        assert sums["pusd"] == request["input_tokens"] * 1_000_000 + 40 * 10_000_000  # type: ignore[operator]


async def test_while_it_bills_on_the_answer_still_counts_as_in_flight() -> None:
    spec = {"latency": {"ttft_ms": 400, "sigma": 0, "tpot_ms": 0}, "bills_after_cancel": True, "limits": {"max_in_flight": 1}}
    async with running(spec) as mocks:
        async with Wire(mocks.url("o")) as wire:
            wire.send(ask())
            await mocks.until(lambda: bool(mocks.requests()))
        async with Wire(mocks.url("o")) as wire:
            wire.send(ask())
            assert (await wire.reply()).status == 429
        async with asyncio.timeout(10):
            await mocks.until(lambda: mocks.in_flight("o") == 0)


async def test_a_complete_answer_is_no_cancel_even_if_the_client_leaves_after_it() -> None:
    async with running() as mocks:
        async with Wire(mocks.url("o")) as wire:
            wire.send(ask(stream=True))
            await wire.reply()
        request = await ended(mocks)
        assert (request["cancelled"], request["delivered"]) == (False, True)


async def test_stopping_ends_what_is_under_way() -> None:
    async with running({"latency": SLOW}) as mocks:
        async with Wire(mocks.url("o")) as wire:
            wire.send(ask(stream=True))
            await mocks.until(lambda: bool(mocks.requests()))
            await mocks.stop()
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await wire.head()
        assert not mocks.requests()[0]["open"]
        assert mocks.in_flight("o") == 0


async def test_many_streams_at_once_leave_nothing_behind() -> None:
    async with running({"latency": PACED, "output_tokens": {"mean": 5}}) as mocks:

        async def one(leave: bool) -> None:
            async with Wire(mocks.url("o")) as wire:
                wire.send(ask(stream=True))
                await wire.head()
                if not leave:
                    await wire._chunked(200, {})

        async with asyncio.timeout(20):
            await asyncio.gather(*(one(leave=i % 2 == 0) for i in range(200)))
            await mocks.until(lambda: mocks.in_flight("o") == 0)
        sums = mocks.bill()["by_endpoint"]["o"]
        assert sums["requests"] == 200
        assert 90 <= sums["cancelled"] <= 100
        assert sums["output_tokens"] >= 500
        assert sums["tokens_after_cancel"] == 0
