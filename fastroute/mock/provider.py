"""Mock providers as one thing to start and stop: embedded in a demo, a bench or a test, or as `fastroute mock`.

async with MockProviders(load_mock_config("mock.yaml")) as mocks:
    mocks.url("nano")                                   # what a client is configured with
    mocks.set_fault("nano", "status", status=503)
    mocks.bill()["total_usd"]
"""

import asyncio
import signal
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import msgspec

from fastroute.mock.control import Control
from fastroute.mock.endpoint import MockEndpoint
from fastroute.mock.faults import FaultKind, FaultSpec
from fastroute.mock.ledger import Ledger
from fastroute.mock.listener import Listener
from fastroute.mock.model import DIALECTS
from fastroute.mock.schema import MockConfig
from fastroute.mock.shared_port import SharedPort


class MockProviders:
    """All mock endpoints of a config, with their control port. Everything is called on the thread of the running loop."""

    def __init__(self, config: MockConfig) -> None:
        self.config = config
        self._ledger = Ledger({e.name: e.price for e in config.endpoints}, config.log_requests)
        self._changed = asyncio.Event()
        self._ledger.on_change = self._changed.set
        self._endpoints = {e.name: MockEndpoint(e, config, self._ledger) for e in config.endpoints}
        self._control = Listener(Control(self._endpoints, self._ledger), config.host, config.control_port)
        self._shared = None
        if config.shared_port is not None:
            self._shared = Listener(SharedPort(self._endpoints), config.host, config.shared_port)

    async def start(self) -> None:
        """Listens on every port. Raises `OSError` where one is taken; nothing is left open then."""
        try:
            for endpoint in self._endpoints.values():
                endpoint.start()
            for listener in self._listeners():
                listener.open()
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Ends every response and closes every port. Idempotent. The bill stays readable."""
        for endpoint in self._endpoints.values():
            await endpoint.aclose()
        for listener in self._listeners():
            await listener.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    def url(self, name: str) -> str:
        """What to configure a client with: for OpenAI's dialect it ends with `/v1`, for Anthropic's with the port."""
        endpoint = self._endpoints[name]
        return self._origin(endpoint.port) + DIALECTS[endpoint.spec.dialect].url_suffix

    def shared_url(self, name: str) -> str:
        """The same endpoint on the shared port. Only with `shared_port` configured."""
        assert self._shared is not None, "no shared_port is configured"
        return f"{self._origin(self._shared.port)}/{name}{DIALECTS[self._endpoints[name].spec.dialect].url_suffix}"

    @property
    def control_url(self) -> str:
        """Where `/__mock/...` is; without a trailing slash."""
        return self._origin(self._control.port)

    def set_fault(self, name: str, fault: FaultKind | str | FaultSpec, **parameters: Any) -> None:
        """Puts a fault in force on one endpoint, or on all for `*`. `parameters` are the members of `FaultSpec`.

        Takes effect before it returns. Raises `KeyError` for an unknown endpoint, `msgspec.ValidationError` for a bad parameter.
        """
        spec = fault if isinstance(fault, FaultSpec) else msgspec.convert({"fault": fault, **parameters}, FaultSpec)
        for endpoint in self._named(name):
            endpoint.set_fault(spec)

    def clear_faults(self, name: str = "*", fault: FaultKind | str | None = None) -> int:
        """Lifts faults, of one kind or all, from one endpoint or all; gives how many."""
        kind = None if fault is None else FaultKind(fault)
        return sum(endpoint.clear_faults(kind) for endpoint in self._named(name))

    def faults(self, name: str) -> list[dict[str, Any]]:
        return self._endpoints[name].faults()

    def bill(self) -> dict[str, Any]:
        """What the providers would have charged so far; see `Ledger.bill`."""
        return self._ledger.bill()

    def requests(self, last: int | None = None) -> list[dict[str, Any]]:
        """The latest chat requests, oldest first; see `ledger.Record`."""
        return self._ledger.requests(last)

    async def until(self, true: Callable[[], bool]) -> None:
        """Waits until `true()`, which is asked now and whenever a request has arrived or ended. No time limit of its own."""
        while not true():
            self._changed.clear()
            await self._changed.wait()

    def in_flight(self, name: str) -> int:
        return self._endpoints[name].in_flight

    def _named(self, name: str) -> list[MockEndpoint]:
        return list(self._endpoints.values()) if name == "*" else [self._endpoints[name]]

    def _listeners(self) -> list[Listener]:
        return [self._control] if self._shared is None else [self._control, self._shared]

    def _origin(self, port: int) -> str:
        host = self.config.host
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(config: MockConfig) -> None:
    """Serves until SIGINT or SIGTERM; prints the URLs first and the bill last. Raises `OSError` where a port is taken."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(config))


async def _serve(config: MockConfig) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with MockProviders(config) as mocks:
        sys.stdout.write(describe(mocks))
        sys.stdout.flush()
        await stopping.wait()
    sys.stdout.write(f"bill: {msgspec.json.encode(mocks.bill()).decode()}\n")


def describe(mocks: MockProviders) -> str:
    """The URLs of all endpoints, for people."""
    width = max(len(e.name) for e in mocks.config.endpoints)
    lines = [f"mock providers; control {mocks.control_url}/__mock/bill"]
    lines += [f"  {e.name:<{width}}  {e.dialect:<18}  {mocks.url(e.name)}" for e in mocks.config.endpoints]
    return "\n".join(lines) + "\n"


def _loop_factory() -> Any:
    """uvloop's where it is installed, else the default."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
