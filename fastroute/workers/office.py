"""The admin port of a crew: a process of its own that asks the workers and answers for all of them.

Rules. Statistics are the same in every worker, so the first that answers speaks for all, and `by_worker` shows what each says.
What each counts for itself is added up: metrics, the latest requests. A worker that does not answer in time is left out, but
never its counts.

Theory of operation. Each worker has an admin port of its own on loopback, on a free port that its slab names, which asks for a
token that was made at the start and never leaves these processes. The office asks with plain blocking requests: it serves
operators only, and no client ever waits for it.

What can go wrong. A worker that hangs delays every answer by `PATIENCE_S`.
"""

import asyncio
import http.client
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import orjson
import structlog

from fastroute.config.schema import Config, masked
from fastroute.server.admin import AdminCalls, AdminPort
from fastroute.stats.shared import Slabs
from fastroute.telemetry.metrics import PLAIN_TYPE
from fastroute.workers.exposition import Counts, rendered
from fastroute.workers.member import Line

PATIENCE_S = 2.0
log = structlog.get_logger("fastroute.workers")
ADDED_UP = ("in_flight", "tasks", "remembered")  # of `/api/runtime`
SHOWN_OF_EACH = ("enabled", "breaker", "suspect", "gate_left_s", "ttft_ms", "p_fail", "n", "in_flight")


class Office:
    """Answers for the workers behind `slabs`."""

    def __init__(self, slabs: Slabs, token: str, config: Config) -> None:
        self._slabs, self._token, self.config = slabs, token, config
        self._counts = Counts()

    def calls(self, drain: Callable[[], None]) -> AdminCalls:
        """What stands behind the admin port. `drain`: begins a drain of all."""
        return AdminCalls(
            metrics=lambda accept: (self.metrics(), PLAIN_TYPE),
            endpoints=self.endpoints,
            requests=self.requests,
            request=self.request,
            config=lambda: masked(self.config),
            runtime=self.runtime,
            drain=drain,
            switch=self.switch,
        )

    def metrics(self) -> bytes:
        """All workers' metrics, added up."""
        for slot, generation, answer in self._ask_all("GET", "/metrics"):
            self._counts.take(slot, generation, answer.decode())
        return rendered(self._counts.total())

    def endpoints(self) -> list[dict[str, Any]]:
        """Each endpoint's statistics, and how each worker sees it."""
        views = [(slot, orjson.loads(answer)) for slot, _, answer in self._ask_all("GET", "/api/endpoints")]
        if not views:
            return []
        known = [(slot, {row["name"]: row for row in rows}) for slot, rows in views]
        return [{**row, "by_worker": [_of_worker(slot, rows, row["name"]) for slot, rows in known]} for row in views[0][1]]

    def requests(self, last: int) -> list[dict[str, Any]]:
        """The latest requests of all, newest first."""
        told = [row for _, _, answer in self._ask_all("GET", f"/api/requests?last={last}") for row in orjson.loads(answer)]
        return sorted(told, key=lambda row: row["started_at_s"], reverse=True)[:last]

    def request(self, request_id: str) -> Any:
        """One request, from whoever remembers it."""
        told = self._ask_all("GET", f"/api/requests/{quote(request_id, safe='')}")
        return orjson.loads(told[0][2]) if told else None

    def runtime(self, types: int) -> dict[str, Any]:
        """What the workers hold, added up, and each by itself. This process is not in it."""
        told = [(slot, orjson.loads(answer)) for slot, _, answer in self._ask_all("GET", f"/api/runtime?types={types}")]
        sums: dict[str, Any] = {key: sum(row[key] for _, row in told) for key in ADDED_UP}
        if types:
            sums["types"] = dict(sum((Counter(row["types"]) for _, row in told), Counter[str]()).most_common(types))
        return {**sums, "by_worker": [{"worker": slot, **row} for slot, row in told]}

    def switch(self, name: str, enabled: bool) -> bool:
        """Told to one worker, known to all within a tenth of a second."""
        path = f"/api/endpoints/{quote(name, safe='')}/{'enable' if enabled else 'disable'}"
        return any(self._ask(slot, "POST", path) is not None for slot in range(len(self._slabs)))

    def _ask_all(self, method: str, path: str) -> list[tuple[int, int, bytes]]:
        """(slot, generation, answer) of each worker that gave one."""
        asked = [(slot, self._slabs[slot].generation, self._ask(slot, method, path)) for slot in range(len(self._slabs))]
        return [(slot, generation, answer) for slot, generation, answer in asked if answer is not None]

    def _ask(self, slot: int, method: str, path: str) -> bytes | None:
        """None: the worker is not there, does not answer, or refuses."""
        port = self._slabs[slot].admin_port
        if port == 0:
            return None
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, headers={"authorization": f"Bearer {self._token}"})
            reply = connection.getresponse()
            body = reply.read()
            return body if reply.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def _of_worker(slot: int, rows: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    row = rows.get(name, {})
    return {"worker": slot, **{key: row[key] for key in SHOWN_OF_EACH if key in row}}


def keep_office(slabs: Slabs, token: str, config: Config, cell: memoryview, line: socket.socket) -> int:
    """Answers operators until told to end. `cell`: where the port is written, and read by a successor. Gives the exit code."""
    import uvloop

    return uvloop.run(_keep(Office(slabs, token, config), cell, line))


async def _keep(office: Office, cell: memoryview, line: socket.socket) -> int:
    ending = asyncio.Event()
    orders = Line(line, ending, by_signal=False)
    listen = office.config.listen
    port = AdminPort(office.calls(orders.please_drain), token=listen.admin_token)
    try:
        cell[0] = await port.start(listen.admin_host, cell[0] or listen.admin_port)
    except (OSError, ValueError) as error:
        log.error("cannot start the admin port", error=str(error))
        return 2
    orders.ready()
    await ending.wait()
    await port.stop()
    return 0
