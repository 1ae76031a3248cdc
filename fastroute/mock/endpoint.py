"""One mock endpoint: a port, a model behind it, and everything that can be wrong with it.

Theory of operation. `serve` decides in one go, without waiting, what a request gets: an error or an answer, perhaps a broken one.
That is a script; a `Playback` performs it. Canned endpoints skip even that.
Order: faults that need no answer, then key, limits, the request itself, the model's name, then faults that break an answer.
"""

import asyncio
import time
from random import Random
from typing import Any

from fastroute.mock.ask import Rejected
from fastroute.mock.canned import Canned
from fastroute.mock.connection import Connection
from fastroute.mock.faults import MODIFIERS, FaultBoard, FaultKind, FaultSpec, RetryAfterForm
from fastroute.mock.gate import Gate
from fastroute.mock.http1 import Request, head
from fastroute.mock.ledger import Ledger, Record
from fastroute.mock.listener import Listener
from fastroute.mock.mischief import instead, modified, rate_left, retry_headers, spoiled
from fastroute.mock.model import Model
from fastroute.mock.playback import Playback
from fastroute.mock.schema import EndpointSpec, MockConfig
from fastroute.mock.script import JSON, Headers, Script, fixed, healthy


class MockEndpoint:
    """A `connection.Service` for one endpoint spec. `start` and `aclose` frame its life."""

    def __init__(self, spec: EndpointSpec, config: MockConfig, ledger: Ledger) -> None:
        self.spec, self._log_bodies, self._ledger = spec, config.log_bodies, ledger
        self._model = Model(spec, config.seed)
        self._faults = FaultBoard(Random(f"{config.seed}:{spec.name}:faults"))
        self._gate = Gate(spec.limits)
        self._playing: set[Playback] = set()
        self._turns: list[asyncio.TimerHandle] = []
        self._cuts: list[tuple[FaultKind, asyncio.TimerHandle]] = []
        self._canned = Canned(self._model) if spec.canned else None
        self._listener = Listener(self, config.host, spec.port)

    @property
    def port(self) -> int:
        return self._listener.port

    @property
    def in_flight(self) -> int:
        return len(self._playing)

    def start(self) -> None:
        """Listens (or, where a `refuse` is in force, does not). Raises `OSError` where the port is taken."""
        now_s = time.monotonic()
        for spec in self.spec.faults:
            self._add(spec, now_s)
        self._apply_connection_faults()

    async def aclose(self) -> None:
        """Stops everything at once."""
        self._lift_cuts(None)
        for timer in self._turns:
            timer.cancel()
        for playback in list(self._playing):
            playback.stop()
        await self._listener.aclose()

    # --- faults ---

    def set_fault(self, spec: FaultSpec) -> None:
        """Puts a fault in force; its `at_s` counts from now."""
        self._add(spec, time.monotonic())
        self._apply_connection_faults()

    def clear_faults(self, kind: FaultKind | None = None) -> int:
        """Lifts the faults of one kind, or all; gives how many. Responses under way keep theirs."""
        cleared = self._faults.clear(kind)
        self._lift_cuts(kind)
        self._apply_connection_faults()
        return cleared

    def _add(self, spec: FaultSpec, now_s: float) -> None:
        self._faults.add(spec, now_s)
        if spec.cuts:
            self._cuts.append((spec.fault, asyncio.get_running_loop().call_later(spec.at_s, self._cut)))

    def _lift_cuts(self, kind: FaultKind | None) -> None:
        """Those that are still to come."""
        for timer in (timer for of, timer in self._cuts if kind in (None, of)):
            timer.cancel()
        self._cuts = [cut for cut in self._cuts if kind not in (None, cut[0])]

    def _cut(self) -> None:
        for playback in list(self._playing):
            playback.break_off()

    def faults(self) -> list[dict[str, Any]]:
        return self._faults.listing(time.monotonic())

    def _apply_connection_faults(self) -> None:
        """Brings the listening socket in line with the board, now and whenever a `refuse` begins or ends."""
        now_s = time.monotonic()
        if self._faults.refusing(now_s):
            self._listener.refuse()
        else:
            self._listener.open()
        if self._faults.strikes(FaultKind.ACCEPT_CLOSE, now_s):
            self._listener.drop_idle()
        for timer in self._turns:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._turns = [loop.call_later(t - now_s, self._apply_connection_faults) for t in self._faults.turns_s() if t > now_s]

    # --- requests ---

    def admits(self) -> bool:
        now_s = time.monotonic()
        return not self._faults.refusing(now_s) and not self._faults.strikes(FaultKind.ACCEPT_CLOSE, now_s)

    def serve(self, request: Request, connection: Connection) -> None:
        now_s = time.monotonic()
        if connection.served > 1 and self._faults.strikes(FaultKind.STALE_KEEP_ALIVE, now_s):
            connection.close()
            return
        path = request.path.removeprefix("/v1")
        if path != self._model.dialect.chat_path or request.method != "POST":
            self._serve_aside(request, path, connection)
            return
        if self._canned is not None and self._canned.instant and not self._faults:
            self._serve_canned(self._canned, request, connection)
            return
        record = self._ledger.open(Record(self.spec.name, now_s, time.time(), request.headers.get("x-request-id")))
        if self._log_bodies:
            record.body = request.body.decode("utf-8", "replace")
        self._play(self._script(request, record), request, connection, record)

    def _play(self, script: Script, request: Request, connection: Connection, record: Record) -> None:
        def ended() -> None:
            self._playing.discard(playback)
            self._ledger.close(record, time.monotonic())

        playback = Playback(script, connection, record, request.keep_alive, ended)
        self._playing.add(playback)
        playback.begin(self.spec.bills_after_cancel)

    def _script(self, request: Request, record: Record) -> Script:
        if self._canned is not None and not self._faults:
            return self._canned.script(request.body, record)
        faults = self._faults.drawn(record.arrived_s)
        record.fault = ",".join(s.fault for s in faults) or None
        try:
            return modified(self._answer(request, faults, record), faults)
        except Rejected as rejected:
            return self._rejection(rejected)

    def _answer(self, request: Request, faults: tuple[FaultSpec, ...], record: Record) -> Script:
        """What this request gets, before modifiers. Raises `Rejected`."""
        dialect = self._model.dialect
        for spec in faults:
            if (script := instead(spec, dialect, time.time())) is not None:
                return script
        dialect.authorise(request.headers, self.spec.api_key)
        self._limit(record.arrived_s, rate_left(faults))
        ask = dialect.read(request.headers, request.body, self.spec.strict)
        record.model, record.stream = ask.model, ask.stream
        if not self._model.serves(ask.model):
            raise dialect.refusal(404, f"The model `{ask.model}` does not exist or you do not have access to it.")
        draft = self._model.draft(ask, self.in_flight, faults)
        bill = self._model.bill(ask, draft.tokens)
        record.input_tokens, record.cached_tokens = bill.input_tokens, bill.cached_tokens
        broken = next((s for s in faults if s.fault not in MODIFIERS), None)
        return healthy(draft) if broken is None else spoiled(broken, draft)

    def _limit(self, now_s: float, left_ratio: float) -> None:
        wait_s = self._gate.refuse_for_s(now_s, self.in_flight, left_ratio)
        if wait_s is not None:
            rejected = self._model.dialect.refusal(429)
            rejected.retry_after_s = wait_s
            raise rejected

    def _rejection(self, rejected: Rejected) -> Script:
        hint = retry_headers(rejected.retry_after_s, RetryAfterForm.SECONDS, time.time())
        return fixed(rejected.status, JSON + hint, self._model.dialect.error(rejected))

    def _serve_canned(self, canned: Canned, request: Request, connection: Connection) -> None:
        """No record, no playback: counted, and written in one go."""
        stream = canned.wants_stream(request.body)
        self._ledger.count(self.spec.name, canned.ask.input_tokens, canned.tokens(stream))
        connection.send(canned.response(stream))
        connection.done(request.keep_alive)

    def _serve_aside(self, request: Request, path: str, connection: Connection) -> None:
        """Everything but chat: the list of models, token counting, unknown paths. Neither logged nor charged."""
        status, headers, body = self._aside(request, path)
        connection.send(head(status, (*headers, ("content-length", str(len(body)))), request.keep_alive) + body)
        connection.done(request.keep_alive)

    def _aside(self, request: Request, path: str) -> tuple[int, Headers, bytes]:
        dialect = self._model.dialect
        try:
            dialect.authorise(request.headers, self.spec.api_key)
            if request.method == "GET" and path == "/models":
                return 200, JSON, dialect.models(self.spec.models)
            body = dialect.other(path, request.headers, request.body) if request.method == "POST" else None
            if body is not None:
                return 200, JSON, body
            raise dialect.refusal(404, f"Invalid URL ({request.method} {request.path})")
        except Rejected as rejected:
            return rejected.status, JSON, dialect.error(rejected)
