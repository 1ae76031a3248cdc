"""The office asks real admin ports, whose answers are made up, and answers for all of them."""

import asyncio

import pytest

from fastroute.config.load import parse_config
from fastroute.server.admin import AdminCalls, AdminPort
from fastroute.stats.shared import Slabs
from fastroute.workers.office import Office

CONFIG = """
version: 1
listen: {admin_token: hush}
providers:
  p: {preset: openai-compatible, base_url: "http://127.0.0.1:9/v1", api_key: secret-key}
endpoints:
  a: {provider: p, model: m}
"""
METRICS = b"# TYPE fastroute_requests_total counter\nfastroute_requests_total 5.0\n"


class Crew:
    def __init__(self, workers):
        self.slabs = Slabs(memoryview(bytearray(Slabs.size_bytes(workers, 2))), workers, 2)
        self.drained = 0
        self.switched = []
        self.office = Office(self.slabs, "token", parse_config(CONFIG, env={}))
        self.ports = []

    def drain(self):
        self.drained += 1

    def switch(self, slot):
        def told(name, enabled):
            self.switched.append((slot, name, enabled))
            return name != "nobody"

        return told

    async def start(self, slot, token="token"):
        rows = [{"name": name, "breaker": "closed", "n": slot, "p_fail": 0.1 * slot, "model": "m"} for name in ("a/1", "b")]
        calls = AdminCalls(
            metrics=lambda accept: (METRICS, "text/plain"),
            endpoints=lambda: rows,
            requests=lambda last: [{"id": f"{slot}-{n}", "started_at_s": n * 10.0 + slot} for n in reversed(range(last))],
            switch=self.switch(slot),
        )
        port = AdminPort(calls, token=token)
        self.slabs[slot].take_over(100 + slot)
        self.slabs[slot].admin_port = await port.start("127.0.0.1", 0)
        self.ports.append(port)
        return port


@pytest.fixture
async def crew():
    crew = Crew(3)
    for slot in range(2):
        await crew.start(slot)
    yield crew  # the third has no process
    for port in crew.ports:
        await port.stop()


async def test_metrics_are_added_up(crew):
    assert b"fastroute_requests_total 10.0" in await asyncio.to_thread(crew.office.metrics)


async def test_who_has_died_still_counts(crew):
    await asyncio.to_thread(crew.office.metrics)
    await crew.ports[1].stop()
    assert b"fastroute_requests_total 10.0" in await asyncio.to_thread(crew.office.metrics)
    crew.slabs[1].reclaim()
    await crew.start(1)
    assert b"fastroute_requests_total 15.0" in await asyncio.to_thread(crew.office.metrics)


async def test_the_first_speaks_for_all_and_each_is_shown(crew):
    rows = await asyncio.to_thread(crew.office.endpoints)
    assert [(row["name"], row["model"], row["n"]) for row in rows] == [("a/1", "m", 0), ("b", "m", 0)]
    assert rows[1]["by_worker"] == [
        {"worker": 0, "breaker": "closed", "p_fail": 0.0, "n": 0},
        {"worker": 1, "breaker": "closed", "p_fail": 0.1, "n": 1},
    ]


async def test_the_latest_requests_of_all_are_merged_newest_first(crew):
    told = await asyncio.to_thread(crew.office.requests, 3)
    assert [row["id"] for row in told] == ["1-2", "0-2", "1-1"]


async def test_a_switch_is_told_to_one_and_goes_round_by_itself(crew):
    assert await asyncio.to_thread(crew.office.switch, "a/1", False)
    assert crew.switched == [(0, "a/1", False)]
    assert not await asyncio.to_thread(crew.office.switch, "nobody", True)


async def test_nobody_there_is_no_error():
    office = Crew(2).office
    assert (office.endpoints(), office.requests(10), office.metrics(), office.switch("a", True)) == ([], [], b"", False)


async def test_a_port_that_refuses_or_is_gone_is_left_out(crew):
    await crew.start(2, token="another")
    crew.slabs[0].admin_port = 1
    rows = await asyncio.to_thread(crew.office.endpoints)
    assert [view["worker"] for view in rows[0]["by_worker"]] == [1]


async def test_the_config_is_masked_and_a_drain_is_passed_on(crew):
    calls = crew.office.calls(crew.drain)
    assert "secret-key" not in str(calls.config())
    calls.drain()
    assert crew.drained == 1
    body, content_type = await asyncio.to_thread(calls.metrics, "application/openmetrics-text")
    assert (b"fastroute_requests_total" in body, content_type.startswith("text/plain")) == (True, True)
