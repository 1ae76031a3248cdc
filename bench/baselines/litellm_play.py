"""LiteLLM's own `Router` in the simulated world: the installed package, not a re-implementation.

Rules. LiteLLM decides, retries, cools down and times out by itself; we give it what a careful operator would: the prices,
a time limit for a stream's next bytes, two retries. It is asked for a stream and judged by its client's clock. A client gives up
at the route's deadline.

Theory of operation. One router a run, on virtual time (`litellm_time`); its HTTP goes to the simulated endpoints
(`litellm_http`). What comes out is the record that our own runs make, so that the same measures apply.
"""

import asyncio
import contextvars
import logging
import random
from collections.abc import Mapping
from typing import Any

from bench.baselines.litellm_sent import Sent, sent
from bench.baselines.litellm_time import AtOnce, run_here, run_virtual
from fastroute.core.failures import Failure
from fastroute.core.types import Endpoint, Objective, Role, Route
from fastroute.sim.oracle import current_job
from fastroute.sim.run import Line, Played, Setting, Try
from fastroute.sim.traces import Row
from fastroute.sim.weather import phases
from fastroute.sim.wire import SimulatedTransport
from fastroute.sim.world import Job, Provider, job_of

STRATEGIES = ("simple-shuffle", "cost-based-routing", "latency-based-routing")
STREAM_TIMEOUT_S = 5.0
RETRIES = 2
SETTLE_S = 1.0  # virtual, at the end: for what LiteLLM learns after an answer


def play_litellm(strategy: str, route: Route, setting: Setting, seed: int) -> Played:
    """One run. Needs `litellm_time.missing()` to be None; costs some 10 ms of real time a request."""
    import litellm  # noqa: F401  # takes seconds: before the clocks stop

    async def run() -> Played:
        return await LiteRun(strategy, route, setting, seed).go()

    return run_virtual(run)


class LiteRun:
    """A run under way. Make it inside the virtual loop."""

    def __init__(self, strategy: str, route: Route, setting: Setting, seed: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._route, self._strategy, self._seed = route, strategy, seed
        self._rows = tuple(setting.trace.arrivals(setting.rate_per_s, setting.requests, seed))
        self._phases = phases(setting.world, self._rows[-1].at_s, seed)
        self._jobs: dict[int, Job] = {}
        self._lines: list[Line] = []
        endpoints = {e.name: e for tier in route.tiers for e in tier}
        providers = {
            name: Provider(e, setting.world.of(name), self._phases, i, seed) for i, (name, e) in enumerate(endpoints.items())
        }
        transports = {name: SimulatedTransport(p, self._jobs, self._loop) for name, p in providers.items()}
        self._router = _router(strategy, tuple(endpoints.values()), transports)

    async def go(self) -> Played:
        """All requests, from the first arrival to the last end."""
        random.seed(self._seed)  # LiteLLM draws from the module's generator
        async with asyncio.TaskGroup() as group:
            for i, row in enumerate(self._rows):
                await asyncio.sleep(max(0.0, row.at_s - self._loop.time()))
                job = self._jobs[i] = job_of(i, row)
                context = contextvars.copy_context()
                context.run(current_job.set, job)
                context.run(sent.set, [])
                group.create_task(self._serve(row, job), context=context)
        await asyncio.sleep(SETTLE_S)
        self._lines.sort(key=lambda line: line.at_s)
        return Played(f"LiteLLM {self._strategy}", self._seed, tuple(self._lines), (), self._phases, self._loop.time())

    async def _serve(self, row: Row, job: Job) -> None:
        started_s, ttft_s, complete = self._loop.time(), None, False
        try:
            async with asyncio.timeout(self._route.deadline_s):
                stream = await self._router.acompletion(
                    model="auto",
                    messages=[{"role": "user", "content": "w " * 8}],
                    stream=True,
                    stream_options={"include_usage": True},
                )
                async for chunk in stream:
                    if ttft_s is None and chunk.choices and chunk.choices[0].delta.content:
                        ttft_s = self._loop.time() - started_s
                complete = True
        except Exception:  # noqa: BLE001  # every error that LiteLLM raises is an answer that was not given
            complete = False
        total_s, attempts = self._loop.time() - started_s, sent.get()
        for attempt in attempts:
            if attempt.reply is not None:
                attempt.reply.close()
        ok = complete and ttft_s is not None and bool(attempts) and attempts[-1].complete
        tries = tuple(
            _try(a, i == 0, ok and a is attempts[-1], bill)
            for i, (a, bill) in enumerate(zip(attempts, job.bills_pusd, strict=True))
        )
        met = ok and _kept(self._route.objective, ttft_s, total_s)
        self._lines.append(Line(row.at_s, met, tries, None, None, total_s, ttft_s))
        del self._jobs[job.number]


def _try(attempt: Sent, first: bool, won: bool, bill_pusd: int) -> Try:
    failure = attempt.failure or (None if attempt.complete else Failure.DEADLINE)
    role = Role.PRIMARY if first else Role.FAILOVER
    return Try(attempt.endpoint, role, attempt.started_s, won, failure, bill_pusd, bill_pusd, attempt.ttft_s)


def _kept(objective: Objective, ttft_s: float | None, total_s: float) -> bool:
    soon = objective.ttft_s is None or (ttft_s is not None and ttft_s <= objective.ttft_s)
    return soon and (objective.total_s is None or total_s <= objective.total_s)


def _router(strategy: str, endpoints: tuple[Endpoint, ...], transports: Mapping[str, SimulatedTransport]) -> Any:
    """LiteLLM's router over the endpoints, quiet, without threads or network."""
    import anyio.to_thread
    import httpx
    import litellm
    from litellm.litellm_core_utils import thread_pool_executor

    from bench.baselines.litellm_http import SimulatedHttp

    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.in_memory_llm_clients_cache.flush_cache()  # clients of an earlier run hold its loop
    http = SimulatedHttp(transports, asyncio.get_running_loop())
    litellm.aclient_session = httpx.AsyncClient(transport=http)
    thread_pool_executor.executor.submit = AtOnce().submit
    anyio.to_thread.run_sync = run_here  # type: ignore[assignment]
    return litellm.Router(
        model_list=[_deployment(e) for e in endpoints],
        routing_strategy=strategy,
        num_retries=RETRIES,
        stream_timeout=STREAM_TIMEOUT_S,
    )


def _deployment(endpoint: Endpoint) -> dict[str, Any]:
    price = endpoint.price
    costs = {} if price is None else {
        "input_cost_per_token": price.input_pusd / 1e12,
        "output_cost_per_token": price.output_pusd / 1e12,
    }  # fmt: skip
    own = {"model": f"openai/{endpoint.name}", "api_base": f"http://{endpoint.name}.sim/v1", "api_key": "sim", "max_retries": 0}
    return {"model_name": "auto", "litellm_params": {**own, **costs}, "model_info": {"id": endpoint.name, **costs}}
