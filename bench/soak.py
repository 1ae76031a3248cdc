"""`python -m bench.soak`: hours of mixed load and faults in short, and whether the sidecar is then what it was.

Theory of operation. A real `fastroute serve` over a real `fastroute mock`, both processes of their own. Visitors come at random
instants (Poisson), each of a kind from `soak_plan.VISITS`; the providers misbehave as `soak_plan.ROUNDS` says. `soak_watch`
looks once a second. Warm-up ends when the sidecar remembers as many requests as it ever will, `FULL` over, so that what grows
on purpose has grown and its memory has been used again; memory is judged from there to the end of the load (`soak_judge`). Then
nobody comes any more, and everything must go back to where it was before the first request: tasks, timers, sockets,
descriptors. The pool's idle connections to providers have `QUIET_S` to reach the end of their time.

Exit codes: 0 all held; 1 something did not; 2 it could not be run.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import uvloop

from bench import soak_judge, soak_plan, soak_report
from bench.contenders import free_port
from bench.processes import PACKAGE_PARENT
from bench.soak_client import Visitor, Wire, request
from bench.soak_judge import above, grown
from bench.soak_plan import PROVIDERS, ROUND_S, VISITS, Fault
from bench.soak_report import Report
from bench.soak_watch import TRACKED, Sample, Watch

REMEMBERED = 10_000  # requests the sidecar remembers, a worker
FULL = (
    1.8  # times as many must have come before memory is judged: the latest ones' memory is pieced together from the first ones'
)
READY_S = 30.0
QUIET_S = 90.0
STOP_S = 20.0
SAY_EVERY_S = 15.0
KEPT_LINES = 20
CLEAN = ("_API_KEY", "_BASE_URL")  # of the environment; whoever runs this may have providers configured


class DidNotRun(RuntimeError):
    """The processes did not start."""


class Options(NamedTuple):
    """A run. `rate` in visits a second."""

    seconds: float
    rate: float
    workers: int
    seed: int


class Child:
    """A process with its log read: request lines are counted, complaints kept."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.complaints: deque[str] = deque(maxlen=KEPT_LINES)
        self.levels: Counter[str] = Counter()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, *arguments: str) -> "Child":
        environment = {k: v for k, v in os.environ.items() if not k.endswith(CLEAN) and not k.startswith("FASTROUTE")}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [PACKAGE_PARENT, environment.get("PYTHONPATH")]))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fastroute", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
            limit=1 << 20,
        )
        return cls(process)

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            level = "info" if b'"level":"info"' in line else "warning" if b'"level":"warning"' in line else "error"
            self.levels[level] += 1
            if level != "info":
                self.complaints.append(line.decode(errors="replace").strip()[:2000])

    async def stop(self) -> int:
        """Ends it with SIGTERM, by force where that does not do. Gives the exit code."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await self.process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        code = await self.process.wait()
        await self._reading
        return code


class Soak:
    """One run. `say` is told of progress, a line at a time."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._rng = random.Random(options.seed)
        self._ports = {name: free_port() for name in ("port", "admin", "control", *PROVIDERS)}
        self._samples: list[Sample] = []
        self._faults: Counter[str] = Counter()
        self._warm_s: float | None = None
        self._warm_types: dict[str, int] = {}

    async def run(self) -> Report:
        """Raises DidNotRun, OSError."""
        _end_on_signals(asyncio.current_task())
        mock = await Child.start("mock", "--config", str(self._write("mock.yaml", soak_plan.MOCK)))
        serve = [
            "serve",
            "--config",
            str(self._write("sidecar.yaml", soak_plan.SIDECAR)),
            "--workers",
            str(self._options.workers),
        ]
        sidecar = await Child.start(*serve)
        watch = Watch(sidecar.process.pid, self._ports["port"], self._ports["admin"], [self._ports[p] for p in PROVIDERS])
        try:
            await self._ready(sidecar, mock)
            report = await self._soak(watch, sidecar)
        finally:
            watch.close()
            code = await sidecar.stop()
            await mock.stop()
        return report.finished(code, sidecar.levels, list(sidecar.complaints))

    def _write(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.write_text(text.format(**self._ports))
        return path

    async def _ready(self, sidecar: Child, mock: Child) -> None:
        until_s = time.monotonic() + READY_S
        while time.monotonic() < until_s:
            with suppress(OSError):
                for name in ("control", "port", "admin"):
                    (await Wire.open(self._ports[name])).close()
                return
            if (gone := next((c for c in (sidecar, mock) if c.process.returncode is not None), None)) is not None:
                raise DidNotRun(f"ended with {gone.process.returncode}: {' '.join(gone.complaints)}")
            await asyncio.sleep(0.1)
        raise DidNotRun(f"no answer after {READY_S:g} s")

    # --- the run ---

    async def _soak(self, watch: Watch, sidecar: Child) -> Report:
        visitor = Visitor(self._ports["port"], self._rng)
        await watch.runtime()  # the watch's own connection is part of the baseline
        await asyncio.sleep(1.0)
        baseline, types = await watch.sample(0, 0), await watch.types()
        say(f"sidecar {sidecar.process.pid}: {baseline.rss_bytes / 2**20:.1f} MiB, {baseline.fds} descriptors")
        started_s = watch.at_s
        observing = asyncio.create_task(self._observe(watch, visitor, sidecar), name="observe")
        breaking = asyncio.create_task(self._break(started_s, watch), name="break")
        try:
            await self._load(watch, visitor, started_s, observing)
        finally:
            breaking.cancel()
            observing.cancel()
            await asyncio.gather(breaking, observing, return_exceptions=True)
        loaded = [s for s in self._samples if s.at_s >= (self._warm_s or 0)] if self._warm_s is not None else []
        await self._control("DELETE", {})
        visitor.close()
        end, left, leftover = await self._settle(watch, baseline, types)
        return Report(
            options=self._options._asdict(),
            visits={f"{kind}: {how}": n for (kind, how), n in sorted(visitor.counts.items())},
            broken=visitor.broken,
            faults=dict(self._faults),
            warm_up_s=None if self._warm_s is None else self._warm_s - started_s,
            growth=_growth([(s.at_s, s.rss_bytes) for s in loaded]),
            anon_growth=_growth([(s.at_s, s.anon_bytes) for s in loaded]),
            baseline=baseline,
            end=end,
            left_over=left,
            grown=grown(leftover, self._warm_types),
            lost_records=await watch.lost_records(),
            samples=self._samples,
        )

    async def _load(self, watch: Watch, visitor: Visitor, started_s: float, observing: "asyncio.Task[None]") -> None:
        """Poisson arrivals; nobody waits for anybody. Raises what the observer met, such as a sidecar that died."""
        at_s, visits = started_s, set[asyncio.Task[None]]()
        kinds = [kind for kind, _ in VISITS]  # each at least once
        self._rng.shuffle(kinds)
        while at_s < started_s + self._options.seconds and not observing.done():
            task = asyncio.create_task(visitor.visit_as(kinds.pop()) if kinds else visitor.visit())
            visits.add(task)
            task.add_done_callback(visits.discard)
            at_s += self._rng.expovariate(self._options.rate)
            await asyncio.sleep(max(0.0, at_s - watch.at_s))
        if observing.done():
            observing.result()
        await asyncio.gather(*visits)

    async def _observe(self, watch: Watch, visitor: Visitor, sidecar: Child) -> None:
        told_s = watch.at_s
        while True:
            if sidecar.process.returncode is not None:
                raise DidNotRun(f"the sidecar ended with {sidecar.process.returncode}: {' '.join(sidecar.complaints)}")
            sample = await watch.sample(visitor.ended, visitor.under_way)
            self._samples.append(sample)
            if self._warm_s is None and sample.visits >= FULL * REMEMBERED * self._options.workers and self._filled(sample):
                self._warm_types = await watch.types()
                self._warm_s = watch.at_s
                say(f"{sample.at_s:5.0f} s: warm; memory is judged from here on")
            if sample.at_s - told_s >= SAY_EVERY_S:
                told_s = sample.at_s
                say(soak_report.progress(sample, visitor.total("refused"), visitor.total("broken")))
            await asyncio.sleep(max(0.05, 1.0 - (watch.at_s - sample.at_s)))

    def _filled(self, sample: Sample) -> bool:
        """Whether as many requests are remembered as ever will be; with several workers the rarer one decides."""
        return sample.remembered >= REMEMBERED * self._options.workers

    async def _break(self, started_s: float, watch: Watch) -> None:
        for fault in soak_plan.faults(self._options.seconds):
            await asyncio.sleep(max(0.0, started_s + fault.at_s - watch.at_s))
            if fault.at_s % ROUND_S == 0:
                await self._control("DELETE", {})  # those that are over; the mock keeps them until told
            await self._set(fault)

    async def _set(self, fault: Fault) -> None:
        await self._control("POST", fault.call())
        self._faults[fault.kind] += 1

    async def _control(self, method: str, call: Mapping[str, Any]) -> None:
        wire = await Wire.open(self._ports["control"])
        wire.send(request(json.dumps(call).encode(), "/__mock/faults", method))
        answer = await wire.answer()
        wire.close()
        if answer.status != 200:
            raise DidNotRun(f"the mock providers refuse {call}: {answer.body.decode(errors='replace')}")

    async def _settle(self, watch: Watch, was: Sample, types: Mapping[str, int]) -> tuple[Sample, dict[str, str], dict[str, int]]:
        """Waits until all is as it was, `QUIET_S` at most. Gives the last sample, what is not as it was, and all objects."""
        say("the load has ended; waiting for the sidecar to be idle")
        until_s = watch.at_s + QUIET_S
        while True:
            sample = await watch.sample(0, 0)
            self._samples.append(sample)
            left = soak_report.left_over(sample, was)
            if not left or watch.at_s > until_s:
                await asyncio.sleep(1.5)
                now = await watch.types()
                left |= above(now, types, TRACKED)
                if not left or watch.at_s > until_s:
                    return await watch.sample(0, 0), left, now
            await asyncio.sleep(1.0)


def _end_on_signals(task: "asyncio.Task[Any] | None") -> None:
    """SIGTERM and SIGINT cancel the run, so that its processes end with it. In the background of a shell, SIGINT is ignored."""
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _growth(points: list[tuple[float, float]]) -> soak_judge.Growth | None:
    try:
        return soak_judge.growth(points)
    except ValueError:
        return None


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """The options."""
    found = argparse.ArgumentParser(
        prog="python -m bench.soak", description="Mixed load and faults for a while; then nothing may be left."
    )
    found.add_argument("--seconds", type=float, default=300.0, help="of load (300); an hour is what shows a slow leak")
    found.add_argument("--rate", type=float, default=None, help="visits a second (120, or 40 from 30 minutes on)")
    found.add_argument("--workers", type=int, default=1)
    found.add_argument("--seed", type=int, default=1, help="of the visitors' choices")
    found.add_argument("--save", action="store_true", help="write JSON to --out")
    found.add_argument("--out", type=Path, default=Path("bench/results"), help="folder for it (bench/results)")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it. Gives the exit code."""
    told = parser().parse_args(arguments)
    rate = told.rate or (40.0 if told.seconds >= soak_judge.LONG_S else 120.0)
    options = Options(told.seconds, rate, told.workers, told.seed)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        try:
            report = uvloop.run(Soak(options, Path(folder)).run())
        except (DidNotRun, OSError) as error:
            print(f"soak: could not be run: {error}")
            return 2
        except asyncio.CancelledError:
            print("soak: ended by a signal")
            return 2
    print(soak_report.sentence(report))
    print(soak_report.table(report))
    for why in report.failures:
        print(f"FAILED: {why}")
    if told.save:
        told.out.mkdir(parents=True, exist_ok=True)
        path = told.out / f"soak-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
        print(f"saved {path}")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
