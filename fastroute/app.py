"""The composition root: a configuration becomes a wired router behind its ports. The only module that knows everyone."""

import asyncio
import contextlib
import datetime
import gc
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog

from fastroute import __version__
from fastroute.config.catalog import Catalog
from fastroute.config.resolve import resolve
from fastroute.config.schema import Config, masked
from fastroute.core.ports import Sink
from fastroute.dialects.gemini_api import door_sign
from fastroute.dialects.messages_api import MessagesApi
from fastroute.dialects.rate_headers import rate_limits
from fastroute.dialects.registry import client_apis, dialects
from fastroute.dialects.responses_api import PATH as RESPONSES_PATH
from fastroute.engine.admission import Admission, Gatekeeper
from fastroute.engine.clock import SystemClock
from fastroute.engine.pacers import Pacers
from fastroute.engine.router import Parts, Router
from fastroute.engine.sharing import EXCHANGE_S, NotingBoard, Seat, Sharing
from fastroute.engine.state_file import StateFile
from fastroute.policy.registry import BUILT_IN, strategy
from fastroute.prices.catalog import PriceBook
from fastroute.prices.charge import charge
from fastroute.server import siblings
from fastroute.server.admin import AdminCalls, AdminPort
from fastroute.server.body import BodyLimits
from fastroute.server.data import DataPort, DataSettings, Views
from fastroute.stats.board import Scoreboard
from fastroute.telemetry.batch import Telemetry
from fastroute.telemetry.gauges import Readings
from fastroute.telemetry.log import Lines
from fastroute.telemetry.metrics import Metrics
from fastroute.telemetry.recent import RecentTrails
from fastroute.telemetry.request_log import RequestLog
from fastroute.telemetry.runtime import runtime
from fastroute.transport.choice import Transports

CHAT_PATH = "/v1/chat/completions"
MESSAGES_PATH = "/v1/messages"
TICK_S = 0.25
REMEMBERED_TRAILS = 10_000
log = structlog.get_logger("fastroute")


def catalog_of(config: Config) -> Catalog:
    """The endpoints and routes of a configuration, priced from the snapshot."""
    prices = PriceBook.load()
    return resolve(config, prices.price_of, prices.capabilities_of, prices.models_of)


class App:
    """One sidecar: router, ports, sinks and the background tick. `start` once, `stop` once, on one event loop.

    `seat`: among other workers on the same data port; the admin port is then for their office only.
    """

    def __init__(
        self, config: Config, lines: Lines | None = None, sinks: tuple[Sink, ...] = (), seat: Seat | None = None
    ) -> None:
        self._seat = seat
        self.config, self.clock, self.rng = config, SystemClock(), random.Random()
        self.prices = PriceBook.load()
        self.catalog = resolve(config, self.prices.price_of, self.prices.capabilities_of, self.prices.models_of)
        endpoints = tuple(self.catalog.endpoints.values())
        pacers = Pacers(rate_limits, 1.0 if seat is None else 1.0 / len(seat.slabs))
        self.admission = Admission(Scoreboard() if seat is None else NotingBoard(), endpoints, self.clock, self.rng, pacers)
        self._sharing = None if seat is None else Sharing(seat, self.admission, tuple(self.catalog.endpoints), self.rng.random)
        file = config.statistics.file
        self._state = StateFile(Path(file), self.admission.board, self.clock) if file else None
        self.transports = Transports(config.providers)
        self.sink_errors: Counter[str] = Counter()
        metrics = Metrics(self._readings, self.clock, __version__, self.catalog.routes, self.catalog.endpoints)
        self.telemetry = Telemetry(metrics, RequestLog(lines) if lines else None, RecentTrails(REMEMBERED_TRAILS))
        self.router = Router(self._parts((*sinks, self.telemetry)))
        apis, counting = client_apis(), MessagesApi(counts=True)
        spoken = {CHAT_PATH: apis["openai_chat"], MESSAGES_PATH: apis["anthropic_messages"]}
        spoken[RESPONSES_PATH] = apis["openai_responses"]
        self.data = DataPort(self.router, spoken, self._views(), self.clock, self._limits())
        self.data.answer_at(MESSAGES_PATH + "/count_tokens", counting, counting.counted)
        self.data.api_at = door_sign
        self.stopping = asyncio.Event()
        self.admin = AdminPort(self._admin_calls(), token=seat.token if seat else config.listen.admin_token)
        self._ticking: list[asyncio.Task[None]] = []

    async def start(self) -> tuple[int, int]:
        """Listens on both ports; gives (data port, admin port).

        Raises OSError; ValueError for an admin port open to all, or for TLS files that are none.
        """
        listen = self.config.listen
        self.transports.prepare()
        admin_host, admin_port = ("127.0.0.1", 0) if self._seat else (listen.admin_host, listen.admin_port)
        admin_port = await self.admin.start(admin_host, admin_port)
        if self._state:
            self._state.load()
        if self._seat and self._sharing:
            self._sharing.take_over(os.getpid())
            self._seat.slab.admin_port = admin_port
            self._ticking.append(asyncio.create_task(self._exchange(self._sharing), name="exchange"))
        port = await self.data.start(listen.host, listen.port)
        self._ticking.append(asyncio.create_task(self._tick(), name="tick"))
        self.admission.lag.start(asyncio.get_running_loop(), self.clock)
        if self._state and self._keeps:
            self._ticking.append(asyncio.create_task(self._state.keep(), name="statistics"))
        return port, admin_port

    async def stop(self, drain_s: float | None = None) -> bool:
        """Drains and closes. False: requests were still running when their time was up."""
        clean = await self.data.drain(self.config.listen.drain_s if drain_s is None else drain_s)
        await self.admin.stop()
        self.admission.lag.stop()
        for task in self._ticking:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._state and self._keeps:
            self._state.save()
        await self.transports.aclose()
        self.telemetry.close()
        return clean

    @property
    def _keeps(self) -> bool:
        """Whether this process writes the statistics' file: of several workers, which all learn the same, only the first."""
        return self._seat is None or self._seat.slot == 0

    async def _tick(self) -> None:
        """Four times a second: overdue flights, tail tables, log lines."""
        while True:
            await asyncio.sleep(TICK_S * (0.8 + 0.4 * self.rng.random()))
            self.admission.tick(self.clock.now_s())
            self.telemetry.tick()

    async def _exchange(self, sharing: Sharing) -> None:
        """Tells the other workers what this one learned, and learns from them."""
        while True:
            await asyncio.sleep(EXCHANGE_S)
            sharing.exchange(self.clock.now_s())

    # --- wiring ---

    def _parts(self, sinks: tuple[Sink, ...]) -> Parts:
        return Parts(
            route_for=self.catalog.route_for,
            dialects=dialects(self.clock.wall_s),
            apis=client_apis(),
            strategies={name: strategy(name) for name in BUILT_IN},
            transport_for=self.transports.of,
            charge=charge,
            admission=self.admission,
            clock=self.clock,
            rng=self.rng,
            sinks=sinks,
            on_sink_error=self._note_sink_error,
        )

    def _note_sink_error(self, sink: Sink, error: Exception) -> None:
        name = type(sink).__name__
        self.sink_errors[name] += 1
        if self.sink_errors[name] == 1:
            log.error("a sink failed; further failures are only counted", sink=name, error=str(error))

    def _limits(self) -> DataSettings:
        listen = self.config.listen
        return DataSettings(
            body=BodyLimits(max_bytes=listen.max_body_bytes, total_timeout_s=listen.body_timeout_ms / 1000),
            reuse_port=self._seat is not None,
        )

    def _views(self) -> Views:
        return Views(
            models=lambda: [{"id": name, "owned_by": owner} for name, owner in self.catalog.model_ids()],
            lookup=self.telemetry.lookup,
            ready=self.ready,
            elsewhere=self._elsewhere if self._seat else None,
        )

    async def _elsewhere(self, request_id: str) -> bytes | None:
        """What another worker remembers of a request, as JSON."""
        if self._seat is None:
            return None
        path = f"/api/requests/{quote(request_id, safe='')}"
        ports = [slab.admin_port for _, slab in self._seat.slabs.others(self._seat.slot) if slab.admin_port]
        answers = await asyncio.gather(*(siblings.ask(port, self._seat.token, path) for port in ports))
        return next((answer for answer in answers if answer is not None), None)

    # --- what is shown ---

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether any endpoint would take a request, and what an operator asks first."""
        now_s = self.clock.now_s()
        usable = sum(k.admits(now_s, panic=False) for k in self.admission.keepers())
        detail = {
            "version": __version__,
            "endpoints": len(self.catalog.endpoints),
            "usable_endpoints": usable,
            "routes": list(self.catalog.routes),
            "prices_as_of": self.prices.snapshot_date.isoformat(),
            "prices_age_days": self.prices.age_days(datetime.datetime.now(datetime.UTC).date()),
        }
        if self._seat is not None:
            detail |= {"worker": self._seat.slot, "pid": self._seat.slab.pid}
        return usable > 0 or not self.catalog.endpoints, detail

    def endpoints(self) -> list[dict[str, Any]]:
        """Each endpoint's statistics and state, for the admin port."""
        now_s = self.clock.now_s()
        return [self._endpoint(keeper, now_s) for keeper in self.admission.keepers()]

    def _endpoint(self, keeper: Gatekeeper, now_s: float) -> dict[str, Any]:
        view = self.admission.view(keeper, now_s)
        return {
            "name": keeper.endpoint.name,
            "provider": keeper.endpoint.provider,
            "model": keeper.endpoint.model,
            "enabled": keeper.enabled,
            "priced": keeper.endpoint.price is not None,
            "breaker": view.breaker.value,
            "suspect": view.suspect,
            "gate_left_s": round(view.gate_left_s, 3),
            **{k: v for k, v in self.admission.board.describe(keeper.endpoint, now_s).items() if k != "endpoint"},
        }

    def _readings(self) -> Readings:
        now_s = self.clock.now_s()
        return Readings(
            views=self.admission.views(self.catalog.endpoints.values(), now_s),
            in_flight=self.data.in_flight,
            dropped=self.telemetry.dropped,
            sink_errors=dict(self.sink_errors),
            price_age_days=self.prices.age_days(datetime.datetime.now(datetime.UTC).date()),
        )

    def _admin_calls(self) -> AdminCalls:
        return AdminCalls(
            metrics=self.telemetry.render,
            endpoints=self.endpoints,
            requests=lambda last: [trail.to_dict() for trail in self.telemetry.last(last)],
            request=self._remembered,
            config=lambda: masked(self.config),
            runtime=self._runtime,
            drain=self.stopping.set,
            switch=self.switch,
        )

    def _runtime(self, types: int) -> dict[str, Any]:
        return {"in_flight": self.data.in_flight, "remembered": len(self.telemetry.recent), **runtime(types)}

    def _remembered(self, request_id: str) -> dict[str, Any] | None:
        trail = self.telemetry.lookup(request_id)
        return None if trail is None else trail.to_dict()

    def switch(self, name: str, enabled: bool) -> bool:
        """Takes an endpoint out of use or back in. False: there is none of that name."""
        for keeper in self.admission.keepers():
            if keeper.endpoint.name == name:
                keeper.enabled = enabled
                self.admission.epoch += 1
                if self._sharing:
                    self._sharing.switched(self.clock.now_s())
                return True
        return False


async def serve(app: App, announce: Callable[[int, int], None]) -> int:
    """Runs a sidecar until SIGTERM, SIGINT or a drain by the admin port. A second signal ends it at once. Gives the exit code.

    `announce` is told (data port, admin port) once both listen. Raises OSError, ValueError as `App.start`.
    """
    loop, hurry = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: hurry.set() if app.stopping.is_set() else app.stopping.set())
    announce(*await app.start())
    return await serve_until(app, hurry)


async def serve_until(app: App, hurry: asyncio.Event) -> int:
    """Lets a started sidecar serve until it is `stopping`, then drains it; `hurry` ends it at once. Gives the exit code."""
    gc.collect()
    gc.freeze()  # what start-up made stays; collections need not look at it again
    gc.set_threshold(20_000, 10, 10)
    await app.stopping.wait()
    log.info("draining", in_flight=app.data.in_flight, up_to_s=app.config.listen.drain_s)
    drain, rush = asyncio.create_task(app.stop()), asyncio.create_task(hurry.wait())
    await asyncio.wait({drain, rush}, return_when=asyncio.FIRST_COMPLETED)
    rush.cancel()
    if drain.done():
        return 0 if drain.result() else 1
    drain.cancel()
    return 1
