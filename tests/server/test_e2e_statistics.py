"""A sidecar that is stopped and started again predicts as it did before: real processes, one file between them."""

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from e2e_support import config_text, provider

from fastroute.engine.state_file import read
from fastroute.mock.provider import MockProviders
from fastroute.mock.schema import mock_config

ROOT = Path(__file__).resolve().parents[2]
BODY = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": "Say something."}]}
SPECS = {"a": provider(), "b": provider(usd=50)}
ENV = {k: v for k, v in os.environ.items() if not k.startswith("FASTROUTE")} | {"PYTHONPATH": str(ROOT)}


class Sidecar:
    def __init__(self, process, url, admin_url):
        self.process, self.url, self.admin_url = process, url, admin_url

    async def ask(self, times):
        async with aiohttp.ClientSession() as http:
            for _ in range(times):
                async with http.post(f"{self.url}/chat/completions", json=BODY) as reply:
                    await reply.read()
                    assert reply.status == 200

    async def known(self):
        """What it knows of `a`."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.admin_url}/api/endpoints") as reply:
            told = await reply.json()
        rows = told["endpoints"] if isinstance(told, dict) else told
        return next(row for row in rows if row["name"] == "a")

    async def end(self, by=signal.SIGTERM):
        """Gives what it said on standard error."""
        self.process.send_signal(by)
        async with asyncio.timeout(10):
            return (await self.process.communicate())[1].decode()


@pytest.fixture
async def started(tmp_path):
    """Starts sidecars, one after the other, over the same mock providers and the same file."""
    running = []
    async with MockProviders(mock_config({"endpoints": SPECS})) as mocks:
        config = tmp_path / "fastroute.yaml"
        extra = f"statistics: {{file: {tmp_path / 'statistics.json'}}}"
        config.write_text(config_text(mocks, SPECS, "{objective: {ttft_ms: 3000}, tiers: [[a, b]]}", extra))

        @asynccontextmanager
        async def start(*options):
            command = [sys.executable, "-m", "fastroute", "serve", "--config", str(config), *options]
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=ENV, cwd=tmp_path)
            running.append(process)
            told = [(await process.stdout.readline()).decode().split() for _ in range(4)]
            yield Sidecar(process, told[1][2], told[2][1].rstrip("/"))

        yield start
        for process in running:
            if process.returncode is None:
                process.kill()
                await process.communicate()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "statistics.json"


async def explained(tmp_path, file):
    request = tmp_path / "request.json"
    request.write_text(json.dumps(BODY))
    command = ["-m", "fastroute", "explain", "--config", "fastroute.yaml", "--stats", str(file), "--json", str(request)]
    pipe = asyncio.subprocess.PIPE
    done = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=pipe, stderr=pipe, env=ENV, cwd=tmp_path)
    out, err = await done.communicate()
    return done.returncode, out.decode(), err.decode()


async def test_a_restart_is_not_cold(started, file, tmp_path):
    async with started() as first:
        cold = await first.known()
        await first.ask(40)
        warm = await first.known()
        await first.end()
    assert file.exists()
    async with started() as second:
        again = await second.known()
        await second.ask(1)
        await second.end(signal.SIGKILL)
    assert (cold["n"], warm["n"], again["n"]) == (0, 40, 20)
    assert again["ttft_ms"]["p50"] == pytest.approx(warm["ttft_ms"]["p50"], rel=0.25)
    assert again["tpot_ms"] == pytest.approx(warm["tpot_ms"], rel=0.25)
    assert cold["ttft_ms"]["p50"] > 5 * warm["ttft_ms"]["p50"], "else this shows nothing"
    assert read(file).endpoints["a"].tail.samples == 40, "a kill loses what was new, not what was there"
    code, out, _ = await explained(tmp_path, file)
    a = next(c for c in json.loads(out)["candidates"] if c["endpoint"] == "a")
    assert (code, a["n"]) == (0, 20)
    assert a["predicted_ttft_ms"]["p50"] < 0.2 * cold["ttft_ms"]["p50"]


async def test_a_broken_file_does_not_keep_it_from_starting(started, file, tmp_path):
    file.write_bytes(b'{"fastroute_statistics": 1, "kept_s": ')
    code, _, told = await explained(tmp_path, file)
    assert (code, str(file) in told) == (2, True)
    async with started() as sidecar:
        await sidecar.ask(10)
        said = await sidecar.end()
    assert str(file) in said
    assert read(file).endpoints["a"].tail.samples == 10, "and it is replaced"


async def test_of_two_workers_one_writes_what_both_learned(started, file):
    async with started("--workers", "2") as crew:
        for _ in range(8):
            await crew.ask(5)  # on a connection of its own, so at either worker
        async with asyncio.timeout(5):
            while (await crew.known())["n"] < 40:  # noqa: ASYNC110 # other processes
                await asyncio.sleep(0.02)
        await crew.end()
    assert read(file).endpoints["a"].tail.samples >= 35
    async with started("--workers", "2") as crew:
        assert (await crew.known())["n"] >= 17
        await crew.end()
