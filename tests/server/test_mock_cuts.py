"""A fault that cuts what is under way when it begins."""

import asyncio

import pytest
from mock_support import ask, post, running

SLOW = {"ttft_ms": 0, "sigma": 0, "tpot_ms": 10_000}


async def begun(mocks, count: int = 1) -> None:
    await mocks.until(lambda: mocks.in_flight("o") == count)


async def test_what_is_under_way_is_reset_when_the_endpoint_goes_down():
    async with running({"latency": SLOW}) as mocks:
        call = asyncio.create_task(post(mocks.url("o"), ask(stream=True)))
        await begun(mocks)
        mocks.set_fault("o", "refuse", cuts=True)
        reply = await call
        assert reply.ended in ("reset", "cut")
        assert mocks.in_flight("o") == 0
        with pytest.raises(ConnectionRefusedError):
            await post(mocks.url("o"), ask())


async def test_the_cut_waits_for_the_faults_beginning_and_goes_with_it():
    async with running({"latency": SLOW}) as mocks:
        call = asyncio.create_task(post(mocks.url("o"), ask(stream=True)))
        await begun(mocks)
        mocks.set_fault("o", "status", cuts=True, at_s=0.05)
        mocks.set_fault("o", "brownout", cuts=True, at_s=3600)
        assert mocks.in_flight("o") == 1
        assert (await call).ended in ("reset", "cut")
        assert mocks.clear_faults("o", "brownout") == 1
        assert mocks.clear_faults("o") == 1


async def test_a_fault_that_was_lifted_before_it_began_cuts_nothing():
    async with running({"latency": {"ttft_ms": 0, "sigma": 0, "tpot_ms": 20}}) as mocks:
        call = asyncio.create_task(post(mocks.url("o"), ask(stream=True)))
        await begun(mocks)
        mocks.set_fault("o", "status", cuts=True, at_s=0.05)
        mocks.clear_faults("o", "status")
        reply = await call
        assert (reply.status, reply.ended) == (200, "complete")
