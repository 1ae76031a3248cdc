"""One worker: a whole sidecar on the shared data port, with a seat among the others."""

import socket

import structlog

from fastroute.app import App, serve_until
from fastroute.config.schema import Config
from fastroute.engine.sharing import Seat
from fastroute.telemetry.log import Lines
from fastroute.workers.member import Line

log = structlog.get_logger("fastroute.workers")


def work(config: Config, lines: Lines, seat: Seat, line: socket.socket) -> int:
    """Serves until told to drain. Gives the exit code: 0, 1 where requests were cut off, 2 where it cannot start."""
    import uvloop

    return uvloop.run(_work(config, lines, seat, line))


async def _work(config: Config, lines: Lines, seat: Seat, line: socket.socket) -> int:
    app = App(config, lines, seat=seat)
    orders = Line(line, app.stopping)
    try:
        await app.start()
    except (OSError, ValueError) as error:
        log.error("cannot start", error=str(error))
        return 2
    orders.ready()
    return await serve_until(app, orders.hurry)
