"""The live half of the check: `fastroute mock` and `fastroute serve` as processes of their own, and requests over sockets.

Rules. Open loop: a request is sent when it is due. Times are the client's, from the intended start. The faults are posted to the
mock's control port just before the first request; from then on the mock keeps their time.
"""

import asyncio
import json
import re
import sys
import urllib.request
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import yaml

from bench.alarm import Alarm
from bench.client import Call, Client, Connection
from bench.contenders import free_port
from bench.live_plan import Seen, control_calls, endpoints_of, mock_config, request_bytes, routed_config
from bench.load import quiet
from bench.processes import cores, process, scheduled
from fastroute.core.types import Objective, Route
from fastroute.sim.traces import Trace
from fastroute.sim.weather import phases
from fastroute.sim.worldfile import World

GRACE_S = 30.0
CONTENT = re.compile(rb'"content":"[^"]')


class Live(msgspec.Struct, frozen=True):
    """One live run. `bill` is the mock's; `busy_ratio` and `waited_ratio`: how long the sidecar had, and lacked, a core."""

    seen: tuple[Seen, ...]
    bill: dict[str, Any]
    lag_p99_ms: float
    busy_ratio: float
    waited_ratio: float


class _Listening(Connection):
    """Knows the mock's content deltas."""

    __slots__ = ()

    def _stream(self, call: Call, data: bytes, now_s: float) -> None:
        if not call.first_s and CONTENT.search(data):
            call.first_s = now_s
        super()._stream(call, data, now_s)


class _ListeningClient(Client):
    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Listening(self), self._host, self._port)
        self._all.add(connection)
        return connection


class Volley:
    """Sends one request for each row when it is due. `go` gives the calls in that order, the unanswered ones as failed."""

    def __init__(self, port: int, trace: Trace, model: str) -> None:
        self._rows, self._client = trace.rows, _ListeningClient(port)
        self._requests = [request_bytes(row, i, model) for i, row in enumerate(trace.rows)]
        self.calls: list[Call] = []
        self._open = 0

    async def go(self) -> list[Call]:
        self._ended = asyncio.Event()
        self._alarm = Alarm(self._ring)
        try:
            await self._client.open(16)
            with quiet():
                self._start_s = perf_counter() + 0.05
                self._alarm.set(self._start_s)
                async with asyncio.timeout(self._rows[-1].at_s + GRACE_S):
                    await self._ended.wait()
        except TimeoutError:
            for call in self.calls:
                call.failure = call.failure or ("" if call.end_s else "unanswered")
        finally:
            self._alarm.close()
            await self._client.close()
        return self.calls

    def _ring(self) -> None:
        while len(self.calls) < len(self._rows):
            due_s = self._start_s + self._rows[len(self.calls)].at_s
            if due_s > perf_counter():
                self._alarm.set(due_s)
                return
            call = Call(0, len(self.calls), due_s, self._took)
            self.calls.append(call)
            self._open += 1
            self._client.start(self._requests[call.block], call)

    def _took(self, call: Call) -> None:
        self._open -= 1
        if not self._open and len(self.calls) == len(self._rows):
            self._ended.set()


def run_live(config: Path, route: Route, world: World, trace: Trace, seed: int, folder: Path) -> Live:
    """Starts everything, sends everything, ends everything. Raises `DidNotStart`, `Unplayable`, `OSError`."""
    known = endpoints_of(route)
    ports = {name: free_port() for name in (*known, "control", "port", "admin")}
    routed, mocked = folder / "live.yaml", folder / "live-mock.yaml"
    urls = {name: f"http://127.0.0.1:{ports[name]}/v1" for name in known}
    routed.write_text(routed_config(config, urls, ports["port"], ports["admin"]))
    mocked.write_text(yaml.safe_dump(mock_config(world, known, ports, seed)))
    schedule = control_calls(phases(world, trace.rows[-1].at_s, seed))
    own, other = cores()
    log = folder / "serve.log"
    fastroute = [sys.executable, "-m", "fastroute"]
    with ExitStack() as stack:
        stack.enter_context(process([*fastroute, "mock", "-c", str(mocked)], ports["control"], {other}, folder / "mock.log"))
        pid = stack.enter_context(process([*fastroute, "serve", "-c", str(routed)], ports["port"], {own}, log))
        before, started_s = scheduled(pid), perf_counter()
        for call in schedule:
            _control(ports["control"], "faults", call)
        calls = asyncio.run(Volley(ports["port"], trace, route.name).go())
        after, seconds = scheduled(pid), perf_counter() - started_s
        bill = _control(ports["control"], "bill")
        lines = _until_written(log, len(calls))
    lags_s = sorted(call.lag_s for call in calls)
    return Live(
        tuple(_seen(call, trace.rows[call.block].at_s, route.objective, lines.get(f"live-{call.block}")) for call in calls),
        bill,
        lags_s[int(0.99 * (len(lags_s) - 1))] * 1e3,
        (after.cpu_s - before.cpu_s) / seconds,
        (after.waited_s - before.waited_s) / seconds,
    )


def _control(port: int, what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/__mock/{what}", data), timeout=5) as reply:
        found: dict[str, Any] = json.load(reply)
        return found


def _until_written(log: Path, wanted: int, patience_s: float = 3.0) -> dict[str, dict[str, Any]]:
    """The log's lines by id, once there are as many as wanted or it has been waited for them."""
    until_s = perf_counter() + patience_s
    while True:
        found = log_lines(log.read_bytes().splitlines())
        if len(found) >= wanted or perf_counter() > until_s:
            return found


def log_lines(lines: Iterable[bytes]) -> dict[str, dict[str, Any]]:
    """Request lines of a sidecar's log by request id; anything else in it is passed over."""
    found = {}
    for line in lines:
        if line.startswith(b"{") and b'"live-' in line:
            plain = json.loads(line)
            if "tried" in plain:
                found[plain["id"]] = plain
    return found


def _seen(call: Call, at_s: float, objective: Objective, line: dict[str, Any] | None) -> Seen:
    """A call judged by its client's clock."""
    ttft_s = call.ttft_s if call.first_s else None
    told: dict[str, Any] = line or {}
    return Seen(
        at_s,
        call.ok and met(objective, ttft_s, call.total_s),
        call.failure,
        ttft_s,
        call.total_s,
        call.lag_s,
        _tried(told),
        told.get("objective_met"),
        told.get("cost_usd"),
    )


def _tried(line: dict[str, Any]) -> tuple[str, ...]:
    """Everybody who was asked, in order: a log line names those that failed, with how, and the one that answered."""
    failed = [str(told).split()[0] for told in line.get("tried", ())]
    answered = [str(line["endpoint"])] if len(failed) < line.get("attempts", 0) and line.get("endpoint") else []
    return (*failed, *answered)


def met(objective: Objective, ttft_s: float | None, total_s: float) -> bool:
    """Whether a complete answer kept the objective."""
    in_time = objective.ttft_s is None or (ttft_s is not None and ttft_s <= objective.ttft_s)
    return in_time and (objective.total_s is None or total_s <= objective.total_s)


def shares(firsts: Sequence[str]) -> dict[str, float]:
    """Each endpoint's share of first attempts."""
    return {name: firsts.count(name) / len(firsts) for name in sorted(set(firsts))}
