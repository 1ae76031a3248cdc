"""`/api/runtime`: of one sidecar, and of a crew by its office."""

import asyncio
from typing import Any

import aiohttp
import pytest
from e2e_support import provider, stack

from fastroute.config.load import parse_config
from fastroute.server.admin import AdminCalls, AdminPort
from fastroute.stats.shared import Slabs
from fastroute.workers.office import Office

CONFIG = """
version: 1
providers: {p: {preset: openai-compatible, base_url: "http://127.0.0.1:9/v1"}}
endpoints: {a: {provider: p, model: m}}
"""


async def get(url: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(url) as reply:
        return reply.status, await reply.json()


async def test_a_sidecar_says_what_it_holds() -> None:
    async with stack({"one": provider()}, "{tiers: [[one]]}") as running:
        await running.ask()
        running.app.telemetry.digest()
        status, told = await get(f"{running.admin_url}/api/runtime")
        assert (status, told["in_flight"], told["remembered"]) == (200, 0, 1)
        assert told["tasks"] >= 1
        assert "types" not in told


async def test_a_request_under_way_is_in_flight() -> None:
    async with stack({"one": provider()}, "{tiers: [[one]]}") as running:
        running.mocks.set_fault("one", "hang_before_headers")
        asking = asyncio.create_task(running.ask())
        await running.mocks.until(lambda: running.mocks.in_flight("one") == 1)
        assert (await get(f"{running.admin_url}/api/runtime"))[1]["in_flight"] == 1
        running.mocks.clear_faults()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize("types", ["-1", "x", "1001", "", "٣"])
async def test_an_odd_number_of_types_is_refused(types: str) -> None:
    port = AdminPort(AdminCalls(runtime=lambda types: {"types": types}))
    number = await port.start("127.0.0.1", 0)
    try:
        status, told = await get(f"http://127.0.0.1:{number}/api/runtime?types={types}")
        assert (status, told["error"]["param"]) == (400, "types")
        assert await get(f"http://127.0.0.1:{number}/api/runtime?types=1000") == (200, {"types": 1000})
        assert await get(f"http://127.0.0.1:{number}/api/runtime") == (200, {"types": 0})
    finally:
        await port.stop()


async def test_an_office_adds_its_workers_up() -> None:
    slabs = Slabs(memoryview(bytearray(Slabs.size_bytes(3, 1))), 3, 1)
    ports = []
    for slot in range(2):  # the third has no process
        told = {"in_flight": slot, "tasks": 4, "remembered": 10, "types": {"dict": 5 + slot, "list": 1}}
        port = AdminPort(AdminCalls(runtime=lambda types, told=told: told), token="token")
        slabs[slot].take_over(100 + slot)
        slabs[slot].admin_port = await port.start("127.0.0.1", 0)
        ports.append(port)
    try:
        office = Office(slabs, "token", parse_config(CONFIG, env={}))
        told = await asyncio.to_thread(office.runtime, 1)
        assert {k: v for k, v in told.items() if k != "by_worker"} == {
            "in_flight": 1,
            "tasks": 8,
            "remembered": 20,
            "types": {"dict": 11},
        }
        assert [row["worker"] for row in told["by_worker"]] == [0, 1]
        assert "types" not in {k: v for k, v in (await asyncio.to_thread(office.runtime, 0)).items() if k != "by_worker"}
    finally:
        for port in ports:
            await port.stop()
