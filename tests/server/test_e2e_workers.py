"""`fastroute serve --workers 2` as a user runs it: real processes over a mock provider in the test's own loop."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from e2e_support import config_text, provider

from fastroute.mock.provider import MockProviders
from fastroute.mock.schema import mock_config

ROOT = Path(__file__).resolve().parents[2]
BODY = {"model": "auto", "messages": [{"role": "user", "content": "Say something."}]}
ROUTE = "{objective: {ttft_ms: 3000}, tiers: [[a, b]]}"


class Client:
    """One connection, kept alive, and the worker at its other end."""

    def __init__(self, url):
        self.url = url
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
        self.worker = self.pid = None

    async def meet(self):
        async with self.http.get(f"{self.url}/health") as reply:
            told = await reply.json()
        self.worker, self.pid = told["worker"], told["pid"]
        return self

    async def ask(self, **body):
        async with self.http.post(f"{self.url}/v1/chat/completions", json={**BODY, **body}) as reply:
            await reply.read()
            return reply.status


class Crew:
    def __init__(self, process, mocks, url, admin_url):
        self.process, self.mocks, self.url, self.admin_url = process, mocks, url, admin_url
        self.http = aiohttp.ClientSession()
        self.clients = []

    async def client(self):
        self.clients.append(Client(self.url))
        return await self.clients[-1].meet()

    async def clients_of_both(self, fewest=4):
        """Clients of either worker, at least so many each."""
        met = {0: [], 1: []}
        while min(len(clients) for clients in met.values()) < fewest:
            client = await self.client()
            met[client.worker].append(client)
        return met

    async def admin(self, path, method="GET"):
        async with self.http.request(method, f"{self.admin_url}{path}") as reply:
            return await (reply.json() if "json" in reply.content_type else reply.text())

    async def until(self, true, path="/api/endpoints", seconds=5.0):
        """Asks the admin port until the answer is as wanted; gives it."""
        told, until_s = await self.admin(path), time.monotonic() + seconds
        while not true(told):
            assert time.monotonic() < until_s, json.dumps(told)
            await asyncio.sleep(0.02)
            told = await self.admin(path)
        return told

    def members(self):
        """Process ids of the supervisor's children, the oldest first."""
        return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    async def office_is_killed_and_is_back(self):
        """On the same port, which here was any free one. Gives the dead one's process id."""
        office = self.members()[-1]
        os.kill(office, signal.SIGKILL)
        async with asyncio.timeout(5):
            while office in self.members() or len(self.members()) < 3:  # noqa: ASYNC110 # another process's children
                await asyncio.sleep(0.02)
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    await self.admin("/health")
                    return office
                await asyncio.sleep(0.02)

    async def close(self):
        for session in (self.http, *(client.http for client in self.clients)):
            await session.close()
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(10):
            await self.process.wait()


@asynccontextmanager
async def crew(tmp_path, **specs):
    specs = specs or {"a": provider(), "b": provider(usd=2)}
    async with MockProviders(mock_config({"endpoints": specs})) as mocks:
        file = tmp_path / "fastroute.yaml"
        file.write_text(config_text(mocks, specs, ROUTE if len(specs) > 1 else "{tiers: [[a]]}"))
        command = [sys.executable, "-m", "fastroute", "serve", "--config", str(file), "--workers", "2", "--log-level", "warning"]
        env = {k: v for k, v in os.environ.items() if not k.startswith("FASTROUTE")} | {"PYTHONPATH": str(ROOT)}
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=env, cwd=tmp_path)
        told = [(await process.stdout.readline()).decode().split() for _ in range(4)]
        assert told[0][-2:] == ["2", "workers"]
        running = Crew(process, mocks, told[1][2].removesuffix("/v1"), told[2][1].rstrip("/"))
        try:
            yield running
        finally:
            await running.close()


async def worker_behind(url):
    """Which worker one new connection meets."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
    finally:
        writer.close()
    return json.loads(answer.partition(b"\r\n\r\n")[2])["worker"]


def requests_counted(metrics):
    return sum(float(line.rpartition(" ")[2]) for line in metrics.splitlines() if line.startswith("fastroute_requests_total"))


def ended_well(rows):
    """How many attempts the statistics have a time of; a few may be left out where the loop was late."""
    return sum(row["n"] for row in rows)


def agree(rows):
    """Whether both workers say the same: exactly in what they count, nearly in what they estimate from samples."""
    for row in rows:
        if len(row["by_worker"]) < 2:
            return False
        one, two = row["by_worker"]
        same = two["p_fail"] == one["p_fail"] and two["n"] == pytest.approx(one["n"], rel=0.2)
        if not same or two["ttft_ms"]["p50"] != pytest.approx(one["ttft_ms"]["p50"], rel=0.1):
            return False
    return True


async def test_connections_spread_and_statistics_agree(tmp_path):
    async with crew(tmp_path) as c:
        met = Counter()
        for _ in range(20):
            met.update(await asyncio.gather(*(worker_behind(c.url) for _ in range(30))))
        assert 0.4 <= met[0] / 600 <= 0.6, met

        clients = await c.clients_of_both()
        for _ in range(12):
            asked = [client.ask(stream=True) for both in clients.values() for client in both[:4]]
            assert set(await asyncio.gather(*asked)) == {200}
        rows = await c.until(lambda rows: 90 <= ended_well(rows) <= 96 and agree(rows))
        assert {view["worker"] for row in rows for view in row["by_worker"]} == {0, 1}
        assert requests_counted(await c.admin("/metrics")) == 96
        assert len(await c.admin("/api/requests?last=200")) == 96
        for both in clients.values():  # whichever worker served it
            headers = {"x-request-id": f"asked of {both[0].worker}"}
            async with both[0].http.post(f"{c.url}/v1/chat/completions", json=BODY, headers=headers) as reply:
                assert reply.status == 200
                name = reply.headers["x-request-id"]
            for other in (clients[0][0], clients[1][0]):
                async with other.http.get(f"{c.url}/v1/requests/{name}") as reply:
                    assert (reply.status, (await reply.json())["id"]) == (200, name)
                async with other.http.get(f"{c.url}/v1/requests/nobody") as reply:
                    assert reply.status == 404
            assert (await c.admin(f"/api/requests/{name}"))["id"] == name
        assert len({row["id"] for row in await c.admin("/api/requests?last=200")}) == 98


async def test_a_killed_worker_is_replaced_and_no_request_of_the_other_fails(tmp_path):
    async with crew(tmp_path, a=provider(latency={"ttft_ms": 150, "tpot_ms": 1, "sigma": 0.1})) as c:
        clients = await c.clients_of_both()
        doomed, safe = clients[0][0].pid, clients[1]
        answered = []

        async def load(client):
            for _ in range(8):
                answered.append(await client.ask(stream=True))

        loads = [asyncio.create_task(load(client)) for client in safe[:4]]
        lost = [asyncio.create_task(client.ask(stream=True)) for client in clients[0][:4]]
        await c.until(lambda rows: rows[0]["in_flight"] >= 4)
        before = requests_counted(await c.admin("/metrics"))
        os.kill(doomed, signal.SIGKILL)
        killed_s = time.monotonic()
        for ended in await asyncio.gather(*lost, return_exceptions=True):
            assert isinstance(ended, aiohttp.ClientError) or ended == 200
        heir = await next_of(c, 0, doomed)
        assert time.monotonic() - killed_s < 5
        await asyncio.gather(*loads)
        assert answered == [200] * 32
        rows = await c.until(lambda rows: rows[0]["in_flight"] == 0 and agree(rows))
        assert len(rows[0]["by_worker"]) == 2
        assert rows[0]["n"] >= 24  # the successor knows what was learned before its time
        assert await heir.ask() == 200
        assert requests_counted(await c.admin("/metrics")) >= before


async def next_of(c, worker, dead):
    """A client of whoever took that worker's place. Nobody who connects meanwhile is turned away."""
    async with asyncio.timeout(10):
        while True:
            client = await c.client()
            if client.worker == worker and client.pid != dead:
                return client


async def test_gates_and_switches_hold_in_all_workers(tmp_path):
    async with crew(tmp_path) as c:
        office = await c.office_is_killed_and_is_back()
        clients = await c.clients_of_both(1)
        c.mocks.set_fault("a", "status", status=429, retry_after_s=30)
        assert await clients[0][0].ask() == 200
        gated = await c.until(lambda rows: all(view["gate_left_s"] > 29 for view in rows[0]["by_worker"]))
        assert gated[1]["gate_left_s"] == 0
        for both in clients.values():
            assert [await both[0].ask() for _ in range(3)] == [200] * 3
        assert len([r for r in c.mocks.requests() if r["endpoint"] == "a"]) == 1
        assert office not in c.members()

        assert await c.admin("/api/endpoints/b/disable", "POST") == {"endpoint": "b", "enabled": False}
        await c.until(lambda rows: [view["enabled"] for view in rows[1]["by_worker"]] == [False, False])
        assert {await both[0].ask() for both in clients.values()} == {503}
        await second_crew_is_refused(c, tmp_path)


@pytest.mark.parametrize("by", ["signal", "admin"])
async def test_a_drain_lets_every_worker_end_its_requests(tmp_path, by):
    slow = provider(latency={"ttft_ms": 300, "tpot_ms": 10, "sigma": 0}, output_tokens={"mean": 40, "sigma": 0})
    async with crew(tmp_path, a=slow) as c:
        clients = await c.clients_of_both(1)
        asked = [asyncio.create_task(both[0].ask(stream=True)) for both in clients.values()]
        await c.until(lambda rows: rows[0]["in_flight"] == 2)
        if by == "signal":
            c.process.send_signal(signal.SIGTERM)
        else:
            assert await c.admin("/api/drain", "POST") == {"status": "draining"}
        assert await asyncio.gather(*asked) == [200, 200]
        async with asyncio.timeout(5):
            assert await c.process.wait() == 0
        with pytest.raises(aiohttp.ClientConnectionError):
            await c.client()


async def test_a_second_signal_ends_it_at_once(tmp_path):
    async with crew(tmp_path, a=provider(latency={"ttft_ms": 20_000, "tpot_ms": 1, "sigma": 0})) as c:
        clients = await c.clients_of_both(1)
        asked = [asyncio.create_task(both[0].ask(stream=True)) for both in clients.values()]
        await c.until(lambda rows: rows[0]["in_flight"] == 2)
        c.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(ConnectionError, ValueError, TimeoutError):  # until it drains
            while True:
                await asyncio.wait_for(worker_behind(c.url), 1.0)
        c.process.send_signal(signal.SIGTERM)
        started_s = time.monotonic()
        async with asyncio.timeout(5):
            assert await c.process.wait() == 1
        assert time.monotonic() - started_s < 3
        assert all(isinstance(ended, aiohttp.ClientError) for ended in await asyncio.gather(*asked, return_exceptions=True))


async def second_crew_is_refused(c, tmp_path):
    port = c.url.rpartition(":")[2]
    command = [sys.executable, "-m", "fastroute", "serve", "--config", "fastroute.yaml", "--workers", "2", "--port", port]
    process = await asyncio.create_subprocess_exec(
        *command, stderr=asyncio.subprocess.PIPE, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    _, told = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 2
    assert b"in use" in told
    assert b"Traceback" not in told
