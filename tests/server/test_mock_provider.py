"""Mock providers as a whole: start, stop, URLs, the shared port, the blocking run."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import msgspec
import pytest
from mock_support import ask, ask_anthropic, config, get, post, post_anthropic, running

from fastroute.mock.faults import FaultKind, FaultSpec
from fastroute.mock.provider import MockProviders, describe

BOTH = ({"name": "o"}, {"name": "a", "dialect": "anthropic_messages"})


async def test_urls_are_what_clients_are_configured_with() -> None:
    async with running(*BOTH) as mocks:
        assert mocks.url("o").endswith("/v1")
        assert mocks.url("a").rpartition(":")[2].isdigit()
        assert mocks.control_url not in (mocks.url("o"), mocks.url("a"))
        with pytest.raises(KeyError):
            mocks.url("x")


async def test_everything_is_listed_for_people() -> None:
    async with running(*BOTH) as mocks:
        text = describe(mocks)
        assert all(url in text for url in (mocks.url("o"), mocks.url("a"), mocks.control_url))


async def test_the_shared_port_reaches_every_endpoint() -> None:
    async with running(*BOTH, shared_port=0) as mocks:
        assert (await post(mocks.shared_url("o"), ask(stream=True))).events[-1] == "[DONE]"
        assert (await post_anthropic(mocks.shared_url("a"), ask_anthropic())).json()["type"] == "message"
        missing = await get(mocks.shared_url("o").replace("/o/", "/x/"), "/models")
        assert missing.status == 404
        assert mocks.bill()["by_endpoint"]["o"]["requests"] == 1


async def test_on_the_shared_port_a_refusing_endpoint_resets() -> None:
    async with running(*BOTH, shared_port=0) as mocks:
        mocks.set_fault("o", "refuse")
        with pytest.raises(ConnectionResetError):
            await post(mocks.shared_url("o"), ask())
        assert (await post_anthropic(mocks.shared_url("a"), ask_anthropic())).status == 200


async def test_without_a_shared_port_there_is_no_shared_url() -> None:
    async with running() as mocks:
        with pytest.raises(AssertionError, match="shared_port"):
            mocks.shared_url("o")


async def test_after_stopping_nothing_listens_and_the_bill_stays() -> None:
    async with running() as mocks:
        await post(mocks.url("o"), ask())
        url, bill = mocks.url("o"), mocks.bill()
    with pytest.raises(ConnectionRefusedError):
        await post(url, ask())
    with pytest.raises(ConnectionRefusedError):
        await get(mocks.control_url, "/__mock/health")
    assert mocks.bill() == bill
    await mocks.stop()


async def test_a_taken_port_leaves_nothing_open() -> None:
    async with running() as mocks:
        taken = int(mocks.control_url.rpartition(":")[2])
        other = MockProviders(config({"name": "o"}, control_port=taken))
        with pytest.raises(OSError, match="in use"):
            await other.start()
        with pytest.raises(ConnectionRefusedError):
            await post(other.url("o"), ask())


async def test_faults_by_kind_by_name_and_ready_made() -> None:
    async with running() as mocks:
        mocks.set_fault("o", FaultKind.GZIP)
        mocks.set_fault("o", "brownout", factor=2)
        mocks.set_fault("o", FaultSpec(fault=FaultKind.TRAILERS))
        assert [f["fault"] for f in mocks.faults("o")] == ["gzip", "brownout", "trailers"]
        assert mocks.clear_faults("o", FaultKind.GZIP) == 1
        assert mocks.clear_faults("o", "trailers") == 1
        assert mocks.clear_faults() == 1


async def test_bad_faults_are_errors() -> None:
    async with running() as mocks:
        with pytest.raises(KeyError):
            mocks.set_fault("x", "gzip")
        with pytest.raises(msgspec.ValidationError):
            mocks.set_fault("o", "explode")
        with pytest.raises(msgspec.ValidationError):
            mocks.set_fault("o", "status", colour="red")
        assert mocks.faults("o") == []


async def test_until_waits_for_a_request_to_arrive_and_to_end() -> None:
    async with running() as mocks:
        waiting = asyncio.create_task(mocks.until(lambda: len(mocks.requests()) == 2 and mocks.in_flight("o") == 0))
        await post(mocks.url("o"), ask())
        assert not waiting.done()
        await post(mocks.url("o"), ask())
        await asyncio.wait_for(waiting, 5)


async def test_two_may_wait_at_once() -> None:
    async with running() as mocks:
        waits = [asyncio.create_task(mocks.until(lambda n=n: len(mocks.requests()) >= n)) for n in (1, 2)]  # type: ignore[misc]
        await post(mocks.url("o"), ask())
        await asyncio.wait_for(waits[0], 5)
        await post(mocks.url("o"), ask())
        await asyncio.wait_for(waits[1], 5)


RUN = """
import sys
from fastroute.mock.provider import run
from fastroute.mock.schema import load_mock_config
run(load_mock_config(sys.argv[1]))
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_run_prints_urls_serves_and_ends_with_the_bill(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("endpoints: {o: {latency: {ttft_ms: 0, tpot_ms: 0}, price: {output_usd_per_mtok: 1}}}\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", RUN, str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    control = (await process.stdout.readline()).decode()
    url = (await process.stdout.readline()).decode().split()[-1]
    assert "/__mock/bill" in control
    assert (await post(url, ask(stream=True))).events[-1] == "[DONE]"
    process.send_signal(number)
    out, errors = await asyncio.wait_for(process.communicate(), 10)
    bill = json.loads(out.decode().removeprefix("bill: "))
    assert bill["by_endpoint"]["o"]["requests"] == 1
    assert (process.returncode, errors) == (0, b"")
