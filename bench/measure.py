"""Runs a scenario: upstream and contenders as processes, the load from here, rounds interleaved.

Theory of operation. The contender has a core of its own (all cores where it has several workers); driver and upstream share
the other. A round of one contender is: start, warm up at full load, read its CPU and memory, run the load, read again. Each
round takes the contenders in turn, so that a machine that drifts drifts for all of them. A round whose driver was the
bottleneck is run again; after ATTEMPTS the scenario is refused.
"""

import asyncio
import os
import random
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import uvloop

from bench import contenders, processes, rows, users
from bench.arrivals import interleave
from bench.contenders import Launch, Missing, Site
from bench.driver import Refused, judged, objection
from bench.intervals import quantile
from bench.load import ClosedLoop, OpenLoop, Sample, Target
from bench.peers import CONTENDERS
from bench.processes import Scheduled
from bench.request import Kind
from bench.rows import ROUTED, Round, Row
from bench.scenario import Scenario

SAMPLING_S = 0.2
ATTEMPTS = 3  # at a round, before its driver's lag or load refuses the scenario
Say = Callable[[str, float], None]
"""(what is being done, seconds that it took or is expected to take)"""


class DidNotAnswer(RuntimeError):
    """A contender that listens but answers no call with a complete 200."""


class Cell(NamedTuple):
    """One combination that a scenario measures."""

    contender: str
    connections: int
    workers: int


class Bench:
    """One scenario. `run` gives its rows; `notes` say what was left out, and why. `say` is told of progress."""

    def __init__(self, scenario: Scenario, say: Say, routers: dict[str, Target] | None = None) -> None:
        self.scenario, self._say = scenario, say
        self._routers = routers or {}
        self.notes: list[str] = []

    def run(self, upstream_port: int | None = None) -> list[Row]:
        """Raises Refused where the driver was the bottleneck, DidNotStart or DidNotAnswer where a contender fails."""
        found: dict[Cell, list[Round]] = {}
        with tempfile.TemporaryDirectory() as text, ExitStack() as stack:
            self._folder, self._upstream = Path(text), upstream_port or contenders.free_port()
            self._own, self._shared = processes.cores()
            self._upstream_pid = stack.enter_context(self._canned())
            stack.enter_context(processes.pinned({self._shared}))
            for i in range(self.scenario.rounds):
                for cell in self.cells():
                    self._say(f"{self.scenario.name}: round {i + 1}/{self.scenario.rounds}, {self._label(cell)}", self._one_s)
                    if (one := self._round(cell, i)) is not None:
                        found.setdefault(cell, []).append(one)
        return rows.beside_nginx([self._row(cell, rounds) for cell, rounds in found.items()])

    def _canned(self) -> Any:
        command = [processes.PYTHON, "-m", "bench.canned", str(self._upstream)]
        return processes.process(command, self._upstream, {self._shared}, self._folder / "canned.log")

    @property
    def _one_s(self) -> float:
        return self.scenario.seconds + self.scenario.warmup_s + 1.5

    def cells(self) -> list[Cell]:
        scenario = self.scenario
        names = [*scenario.contenders, *self._routers]
        return [Cell(n, c, w) for w in scenario.worker_counts for c in scenario.connections for n in names]

    def _label(self, cell: Cell) -> str:
        return cell.contender + (f", {cell.connections} connections" if len(self.scenario.connections) > 1 else "")

    def _round(self, cell: Cell, number: int) -> Round | None:
        """None where the contender is not there."""
        for attempt in range(ATTEMPTS):
            with ExitStack() as stack:
                started = self._start(cell, stack)
                if started is None:
                    return None
                target, pid = started
                found = uvloop.run(self._measure(cell, target, pid, self.scenario.seed + number))
            if not found.routed:
                raise DidNotAnswer(f"{self.scenario.name}: {cell.contender} answered no call well: {_told(found.failures)}")
            why = self._objection(found)
            if why is None:
                return found
            self._note(f"{self.scenario.name}, {cell.contender}: round {number + 1} was run again: {why}")
            if attempt == ATTEMPTS - 1:
                raise Refused(f"{self.scenario.name} is refused ({cell.contender}): {why}")
        return None

    def _start(self, cell: Cell, stack: ExitStack) -> tuple[Target, int | None] | None:
        """The contender's process, as a target and a pid; the pid is None for a router that someone else runs."""
        if (given := self._routers.get(cell.contender)) is not None:
            return given, None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=self._folder)))
        site = Site(folder, contenders.free_port(), self._upstream, cell.workers)
        launch = CONTENDERS[cell.contender](site)
        if isinstance(launch, Missing):
            self._note(f"{cell.contender} is left out: {launch.why}")
            return None
        on = {self._own} if cell.workers == 1 else {self._own, self._shared}
        pid = stack.enter_context(self._process(launch, site, on))
        return Target(cell.contender, site.port, path=launch.path, headers=launch.headers), pid

    def _process(self, launch: Launch, site: Site, on: set[int]) -> Any:
        log = site.directory / "log"
        return processes.process(launch.command, site.port, on, log, dict(launch.env), launch.ready_s)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    async def _measure(self, cell: Cell, target: Target, pid: int | None, seed: int) -> Round:
        await self._warm_up(target)
        watch = Watch(pid, self._upstream_pid)
        watching = asyncio.ensure_future(watch.sample())
        stalls = [asyncio.ensure_future(self._stall(s.at_s, s.for_s)) for s in self.scenario.stalls]
        try:
            sample, start_s = await self._load(cell, target, seed)
            used = watch.used()
        finally:
            for task in (watching, *stalls):
                task.cancel()
        return self._as_round(sample, start_s, watch, used)

    async def _warm_up(self, target: Target) -> None:
        kind = self.scenario.request
        quick = msgspec.structs.replace(kind, pause_ms=0.0, think_ms=0.0, chunks=min(kind.chunks, 32))
        if self.scenario.warmup_s:
            await ClosedLoop(target, quick, 16).run(self.scenario.warmup_s)
        await ClosedLoop(self._direct, quick, 4).run(0.1)

    @property
    def _direct(self) -> Target:
        return Target("direct", self._upstream)

    async def _load(self, cell: Cell, target: Target, seed: int) -> tuple[Sample, float]:
        scenario = self.scenario
        if scenario.closed is not None:
            loop = ClosedLoop(target, scenario.request, cell.connections, scenario.closed.spread_s)
            return await loop.run(scenario.seconds), 0.0
        targets = [self._direct, target]
        if scenario.users is not None:
            crowd = users.Crowd(users.find(scenario.users.name), targets, scenario.request, seed)
            return await crowd.run(scenario.users.count, scenario.users.spawn_per_s, scenario.seconds), 0.0
        return await self._open(targets, seed)

    async def _open(self, targets: list[Target], seed: int) -> tuple[Sample, float]:
        process, rng = self.scenario.arrivals, random.Random(seed)
        assert process is not None
        arrivals = process.arrivals(self.scenario.seconds, rng)
        shots = interleave(arrivals, 2 if self.scenario.paired else 1, process.pair_gap_s, rng)
        if not self.scenario.paired:
            shots = [shot._replace(target=ROUTED) for shot in shots]
        loop = OpenLoop(targets, shots, self.scenario.request, self.scenario.max_open)
        return await loop.run(), loop.start_s

    async def _stall(self, at_s: float, for_s: float) -> None:
        await asyncio.sleep(at_s)
        await stall(self._upstream, for_s)

    def _as_round(self, sample: Sample, start_s: float, watch: "Watch", used: "Used") -> Round:
        lags_s = [call.lag_s for call in sample.calls if call.sent_s]
        routed = sum(c.target == ROUTED and c.ok for c in sample.calls) if sample.calls else sample.done
        return Round(
            calls=sample.calls,
            start_s=start_s,
            latencies_s=sample.latencies_s,
            done=sample.done,
            failures=dict(sample.failures),
            seconds=sample.seconds,
            cpu_s=used.cpu_s,
            waited_s=used.waited_s,
            routed=routed,
            rss_idle_bytes=watch.rss_idle_bytes,
            rss_peak_bytes=watch.rss_peak_bytes,
            driver=judged(lags_s or [0.0], used.driver_s, used.wall_s),
            overflowed=sample.overflowed_s is not None,
        )

    def _objection(self, found: Round) -> str | None:
        if self.scenario.closed is not None or not self.scenario.judge_driver:
            return None
        return objection(found.driver, quantile(rows.latencies([found]), 0.99) * 1e3)

    def _row(self, cell: Cell, rounds: Sequence[Round]) -> Row:
        scenario, last = self.scenario, rounds[-1]
        points = rows.timeline(last, scenario.seconds) if scenario.arrivals else []
        limit_ms = scenario.saturated_p99_ms
        idle_mib, peak_mib = rows.rss_mib(rounds)
        added, failures = rows.measures(rounds), rows.failures(rounds)
        return Row(
            scenario=scenario.name,
            contender=cell.contender,
            stream=scenario.request.stream,
            load=scenario.load_text,
            workers=cell.workers,
            connections=cell.connections,
            rounds=len(rounds),
            n=sum(r.routed for r in rounds),
            errors=sum(failures.values()),
            failures=failures,
            per_s=sum(r.routed for r in rounds) / sum(r.seconds for r in rounds),
            cpu_us=rows.cpu_us(rounds, scenario.seed),
            wait_us=rows.wait_us(rounds),
            latency_ms=rows.quantiles_ms(rows.latencies(rounds)),
            total=added["total"],
            ttft=added["ttft"],
            chunk=added["chunk"],
            rss_mib=idle_mib,
            rss_peak_mib=peak_mib,
            per_stream_kib=self._per_stream_kib(cell, peak_mib - idle_mib),
            largest_worker_share=rows.largest_share(last, cell.workers),
            saturation=rows.saturation(points, limit_ms, last.overflowed) if scenario.ramp else None,
            timeline=points,
            driver=rows.worst([r.driver for r in rounds]),
        )

    def _per_stream_kib(self, cell: Cell, grown_mib: float) -> float | None:
        kind: Kind = self.scenario.request
        slow = kind.stream and kind.pause_ms > 0 and self.scenario.closed is not None
        return grown_mib * 1024 / cell.connections if slow else None


def _told(failures: dict[str, int]) -> str:
    return ", ".join(f"{n:,} x {why}" for why, n in failures.items()) or "none was made"


class Watch:
    """CPU and memory of the contender and the CPU of driver and upstream, from now on. `pid` None: only the driver's."""

    def __init__(self, pid: int | None, upstream_pid: int) -> None:
        self.pid, self._upstream_pid = pid, upstream_pid
        self.rss_idle_bytes = self.rss_peak_bytes = processes.rss_bytes(pid) if pid is not None else 0
        self._before = self._read()

    def _read(self) -> tuple[dict[int, Scheduled], float, float]:
        contender = processes.of_tree(self.pid) if self.pid is not None else {}
        busy_s = processes.scheduled(os.getpid()).cpu_s + processes.scheduled(self._upstream_pid).cpu_s
        return contender, busy_s, asyncio.get_running_loop().time()

    async def sample(self) -> None:
        """Notes the peak of memory until cancelled."""
        while self.pid is not None:
            await asyncio.sleep(SAMPLING_S)
            self.rss_peak_bytes = max(self.rss_peak_bytes, processes.rss_bytes(self.pid))

    def used(self) -> "Used":
        """What was used since the beginning."""
        contender, busy_s, now_s = self._read()
        before, busy_before_s, started_s = self._before
        none = Scheduled(0.0, 0.0)
        return Used(
            cpu_s={p: now.cpu_s - before.get(p, none).cpu_s for p, now in contender.items()},
            waited_s=sum(now.waited_s - before.get(p, none).waited_s for p, now in contender.items()),
            driver_s=busy_s - busy_before_s,
            wall_s=now_s - started_s,
        )


class Used(NamedTuple):
    """CPU of each of the contender's processes, their waiting for a core, CPU of driver and upstream, and the time gone by."""

    cpu_s: dict[int, float]
    waited_s: float
    driver_s: float
    wall_s: float


async def stall(port: int, seconds: float) -> None:
    """Tells the upstream to hold back every answer from now on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"POST /__bench/stall?s={seconds} HTTP/1.1\r\nhost: bench\r\ncontent-length: 0\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
