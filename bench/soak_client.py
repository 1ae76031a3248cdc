"""The visitors of a soak run: each one visit of one kind, and what came of it.

Rules. A visit ends as `complete`, `refused` (an error in its API's shape, by status or inside the stream), `left` (the
visitor's own doing), or `broken`, which is the router's fault and says why. Nothing else is possible: whatever a visit raises
is `broken`.
A kept connection that the router closed while it was idle is no fault: the visit goes on with a new one, as clients do.
"""

import asyncio
import json
import random
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from bench.soak_plan import ROUTES, VISITS

PATH = "/v1/chat/completions"
PATIENCE_S = 40.0
MAX_IDLE = 48
MAX_IDLE_S = 60.0  # the router closes after 75
SMALL_BUFFER_BYTES = 8192
COMPLETE, REFUSED, LEFT, BROKEN = "complete", "refused", "left", "broken"
WORD = "context "


class Broken(Exception):
    """Something that must not happen to a client; the message says what."""


class Left(Exception):
    """The visitor has seen enough."""


class Answer(NamedTuple):
    """An answer. `cut`: the connection closed before the end of a chunked body, as it does after an error inside a stream."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False

    @property
    def stays(self) -> bool:
        return not self.cut and self.headers.get("connection", "").lower() != "close"


Look = Callable[[int, bytes], Awaitable[None]]
"""Is shown each piece of a body, with its number from 0; may wait, or raise Left."""


class Wire:
    """One connection to the router."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.idle_since_s = 0.0

    @classmethod
    async def open(cls, port: int, slow: bool = False) -> "Wire":
        """`slow`: with a small receive buffer, so that the router feels it."""
        if not slow:
            return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        return cls(*await asyncio.open_connection(sock=sock, limit=SMALL_BUFFER_BYTES))

    @property
    def lost(self) -> bool:
        return self._reader.at_eof() or self._writer.is_closing()

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def answer(self, look: Look | None = None) -> Answer:
        """Reads one answer to its end. Raises Broken where it has none, Left as `look` does."""
        status, headers = await self._head()
        length = headers.get("content-length")
        if length is None:
            return await self._streamed(status, headers, look)
        try:
            return Answer(status, headers, await self._reader.readexactly(int(length)))
        except asyncio.IncompleteReadError as error:
            raise Broken(f"closed after {len(error.partial)} of {length} bytes") from None

    async def _head(self) -> tuple[int, dict[str, str]]:
        try:
            lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except asyncio.IncompleteReadError as error:
            raise Broken(f"closed without an answer, after {error.partial[:40]!r}") from None
        fields = (line.partition(":") for line in lines[1:] if line)
        return int(lines[0].split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in fields}

    async def _streamed(self, status: int, headers: dict[str, str], look: Look | None) -> Answer:
        pieces: list[bytes] = []
        try:
            while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
                piece = (await self._reader.readexactly(size + 2))[:-2]
                if look is not None:
                    await look(len(pieces), piece)
                pieces.append(piece)
            await self._reader.readexactly(2)
        except asyncio.IncompleteReadError:
            return Answer(status, headers, b"".join(pieces), cut=True)
        return Answer(status, headers, b"".join(pieces))

    async def ended(self) -> None:
        """Waits for the router to close, and drops what it says."""
        while await self._reader.read(1 << 16):
            pass

    def close(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        self._writer.transport.abort()


def request(body: bytes, path: str = PATH, method: str = "POST", headers: str = "") -> bytes:
    """A whole HTTP request with a JSON body. `headers`: further lines, each with its end."""
    head = f"{method} {path} HTTP/1.1\r\nhost: soak\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n{headers}\r\n".encode() + body


def chat(route: str, stream: bool = False, words: int = 30) -> bytes:
    """A chat request that the router can serve."""
    message = {"role": "user", "content": WORD * words}
    return request(json.dumps({"model": route, "messages": [message], "stream": stream}).encode())


def judged(answer: Answer, streamed: bool) -> str:
    """COMPLETE or REFUSED. Raises Broken for an answer that is neither."""
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        return _judged_events(answer, streamed)
    try:
        told = json.loads(answer.body)
    except ValueError:
        raise Broken(f"status {answer.status} with a body that is not JSON: {answer.body[:60]!r}") from None
    error = told.get("error") if isinstance(told, dict) else None
    if isinstance(error, dict) and answer.status >= 400 and error.get("message") and error.get("type"):
        return REFUSED
    if answer.status != 200 or error is not None or streamed:
        raise Broken(f"status {answer.status} in no known shape: {answer.body[:60]!r}")
    if told.get("object") == "chat.completion" and not told["choices"][0].get("finish_reason"):
        raise Broken("an answer without a finish_reason")
    return COMPLETE


def _judged_events(answer: Answer, streamed: bool) -> str:
    if answer.status != 200 or not streamed:
        raise Broken(f"an unexpected stream, status {answer.status}")
    events = [line[6:] for line in answer.body.splitlines() if line.startswith(b"data: ")]
    if any(event.startswith(b'{"error"') for event in events[-2:]):
        return REFUSED
    if answer.cut or events[-1:] != [b"[DONE]"] or b'"finish_reason":"' not in answer.body:
        raise Broken(f"a stream {'cut' if answer.cut else 'ended'} without a word: ...{answer.body[-60:]!r}")
    return COMPLETE


class Visitor:
    """Visits the router on `port`. `counts` by (kind, ending); `broken`: the first few, with their reasons."""

    def __init__(self, port: int, rng: random.Random) -> None:
        self._port, self._rng = port, rng
        self._idle: list[Wire] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.broken: list[str] = []
        self.under_way = 0
        self._does: dict[str, Callable[[], Awaitable[str]]] = self._visits()

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(self._does)

    @property
    def ended(self) -> int:
        return sum(self.counts.values())

    def total(self, ending: str) -> int:
        return sum(n for (_, how), n in self.counts.items() if how == ending)

    async def visit(self) -> None:
        """One visit of a kind drawn by weight."""
        await self.visit_as(self._rng.choices([kind for kind, _ in VISITS], [weight for _, weight in VISITS])[0])

    async def visit_as(self, kind: str) -> None:
        """One visit of this kind."""
        self.under_way += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                ending = await self._does[kind]()
        except Left:
            ending = LEFT
        except TimeoutError:
            ending = self._note(kind, f"no end after {PATIENCE_S:g} s")
        except (Broken, OSError, ValueError, LookupError, asyncio.LimitOverrunError) as error:
            ending = self._note(kind, str(error) or type(error).__name__)
        self.under_way -= 1
        self.counts[kind, ending] += 1

    def _note(self, kind: str, why: str) -> str:
        if len(self.broken) < 20:
            self.broken.append(f"{kind}: {why}")
        return BROKEN

    def close(self) -> None:
        """Closes the connections that are kept."""
        while self._idle:
            self._idle.pop().close()

    # --- connections ---

    def _kept(self) -> Wire | None:
        now_s = asyncio.get_running_loop().time()
        while self._idle:
            wire = self._idle.pop() if self._rng.random() < 0.8 else self._idle.pop(0)
            if not wire.lost and now_s - wire.idle_since_s < MAX_IDLE_S:
                return wire
            wire.close()
        return None

    def _keep(self, wire: Wire, answer: Answer) -> None:
        if answer.stays and len(self._idle) < MAX_IDLE:
            wire.idle_since_s = asyncio.get_running_loop().time()
            self._idle.append(wire)
        else:
            wire.close()

    async def _ask(self, sent: bytes, fresh: bool = False, look: Look | None = None, slow: bool = False) -> Answer:
        """On a kept connection where one is there, unless `fresh`."""
        wire = None if fresh or slow else self._kept()
        wire = wire or await Wire.open(self._port, slow)
        try:
            wire.send(sent)
            answer = await wire.answer(look)
        except BaseException:
            wire.abort()
            raise
        if fresh or slow:
            wire.close()
        else:
            self._keep(wire, answer)
        return answer

    # --- what they do ---

    def _visits(self) -> dict[str, Callable[[], Awaitable[str]]]:
        refused = self._refused
        return {
            "whole": lambda: self._chat(False),
            "whole on a new connection": lambda: self._chat(False, fresh=True),
            "whole, large prompt": lambda: self._chat(False, words=self._rng.choice((5_000, 25_000, 100_000))),
            "stream": lambda: self._chat(True),
            "stream on a new connection": lambda: self._chat(True, fresh=True),
            "stream, large prompt": lambda: self._chat(True, words=self._rng.choice((5_000, 25_000))),
            "long stream": self._long,
            "long stream, slow reader": self._slow,
            "leaves before an answer": self._leave_early,
            "leaves in the middle of a stream": self._leave_midway,
            "leaves a long stream unread": self._leave_unread,
            "leaves in the middle of its request": self._leave_sending,
            "two requests at once": self._two,
            "not JSON": lambda: refused(request(b'{"model": "auto", "messages": [')),
            "unknown model": lambda: refused(chat("no-such-model")),
            "wrong type": lambda: refused(request(b'{"model": "auto", "messages": "hello"}')),
            "unknown path": lambda: refused(request(b"{}", "/v1/nothing")),
            "wrong method": lambda: refused(request(b"", method="DELETE")),
            "not HTTP": lambda: refused(b"\x16\x03\x01 hello\r\n\r\n", fresh=True),
            "headers too large": lambda: refused(request(b"{}", headers=f"x-long: {'x' * 20_000}\r\n"), fresh=True),
            "half a head, then silence": self._half_head,
            "what is there": self._look_around,
        }

    def _route(self) -> str:
        return self._rng.choices([name for name, _ in ROUTES], [share for _, share in ROUTES])[0]

    async def _chat(self, stream: bool, fresh: bool = False, words: int = 30) -> str:
        return judged(await self._ask(chat(self._route(), stream, words), fresh), stream)

    async def _refused(self, sent: bytes, fresh: bool = False) -> str:
        answer = await self._ask(sent, fresh)
        if answer.status >= 500 or judged(answer, False) != REFUSED:
            raise Broken(f"status {answer.status} for a bad request")
        return REFUSED

    async def _long(self) -> str:
        return judged(await self._ask(chat("long", True)), True)

    async def _slow(self) -> str:
        async def look(number: int, piece: bytes) -> None:
            if number % 40 == 0:
                await asyncio.sleep(0.1)

        return judged(await self._ask(chat("long", True), look=look, slow=True), True)

    async def _leave_early(self) -> str:
        wire = await Wire.open(self._port)
        wire.send(chat(self._route(), self._rng.random() < 0.5))
        await asyncio.sleep(self._rng.random() * 0.05)
        self._hang_up(wire)
        return LEFT

    async def _leave_midway(self) -> str:
        leaves_at = self._rng.randrange(1, 8)

        async def look(number: int, piece: bytes) -> None:
            if number >= leaves_at:
                raise Left

        return judged(await self._ask(chat(self._route(), True), look=look), True)

    async def _leave_unread(self) -> str:
        wire = await Wire.open(self._port, slow=True)
        wire.send(chat("long", True))
        await asyncio.sleep(2.0)
        self._hang_up(wire)
        return LEFT

    async def _leave_sending(self) -> str:
        wire = await Wire.open(self._port)
        whole = chat(self._route(), words=2_000)
        wire.send(whole[: self._rng.randrange(1, len(whole))])
        await asyncio.sleep(self._rng.random() * 0.2)
        self._hang_up(wire)
        return LEFT

    def _hang_up(self, wire: Wire) -> None:
        if self._rng.random() < 0.5:
            wire.close()
        else:
            wire.abort()

    async def _two(self) -> str:
        wire = await Wire.open(self._port)
        try:
            wire.send(chat(self._route()) + chat(self._route(), True))
            first = judged(await wire.answer(), False)
            return max(first, judged(await wire.answer(), True))  # REFUSED, if either is
        finally:
            wire.close()

    async def _half_head(self) -> str:
        wire = await Wire.open(self._port)
        wire.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: so")
        try:
            await wire.ended()  # the router must hang up
        finally:
            wire.close()
        return REFUSED

    async def _look_around(self) -> str:
        answer = await self._ask(request(b"", self._rng.choice(("/v1/models", "/health")), "GET"))
        if answer.status not in (200, 503):
            raise Broken(f"status {answer.status}")
        return COMPLETE
