"""One connection against a transport of paper: every cut, both ways of reading, and what is called when."""

import asyncio
import gc
import gzip
import weakref
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.core.failures import Failure, FaultError
from fastroute.transport.connection import HIGH_WATER_BYTES, JOIN_UP_TO_BYTES, Connection
from fastroute.transport.http1 import Reply


class Paper(asyncio.Transport):
    """A socket that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []
        self.sent = b""
        self.unsent_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def writelines(self, list_of_data: object) -> None:
        self.log.append("writelines")
        self.sent += b"".join(list_of_data)  # type: ignore[call-overload]

    def pause_reading(self) -> None:
        self.log.append("pause")

    def resume_reading(self) -> None:
        self.log.append("resume")

    def abort(self) -> None:
        self.log.append("abort")

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes


class Drawer:
    """A shelf that remembers."""

    def __init__(self) -> None:
        self.kept: list[Connection] = []

    def give_back(self, connection: Connection) -> None:
        self.kept.append(connection)

    def forget(self, connection: Connection) -> None:
        if connection in self.kept:
            self.kept.remove(connection)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


class Scene:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.paper, self.drawer = loop, Paper(), Drawer()
        self.connection = Connection(self.drawer, loop, 0.0)
        self.connection.connection_made(self.paper)

    def replied(self, *pieces: bytes) -> Reply:
        """Sends a request; the first piece holds the head of the reply, or ends it."""
        waiter = self.connection.send(b"POST / HTTP/1.1\r\ncontent-length: ", b"{}")
        for piece in pieces:
            self.connection.data_received(piece)
        outcome = self.loop.run_until_complete(waiter)
        if outcome is not True:
            assert isinstance(outcome, FaultError)
            raise outcome
        return Reply(self.connection)

    def all_of(self, reply: Reply) -> bytes:
        async def read() -> bytes:
            pieces = []
            while piece := await asyncio.wait_for(reply.read(), 1):
                pieces.append(piece)
            return b"".join(pieces)

        return self.loop.run_until_complete(read())


@pytest.fixture
def scene(loop: asyncio.AbstractEventLoop) -> Scene:
    return Scene(loop)


BODY = b'{"choices":[{"message":{"content":"\xc3\xa9"}}]}'
WHOLE = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
CHUNKED = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
    b"%x\r\n%b\r\n" % (len(BODY[i : i + 7]), BODY[i : i + 7]) for i in range(0, len(BODY), 7)
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-A: 0\r\n\r\n"
REPLIES = [WHOLE, CHUNKED + b"0\r\n\r\n", CHUNKED + b"0\r\nX-Sum: 1\r\nX-A: 2\r\n\r\n", INTERIM + WHOLE]


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({i % len(data) for i in at} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


@given(st.sampled_from(REPLIES), st.lists(st.integers(0, 10_000), max_size=12), st.integers(0, 12))
def test_a_reply_is_the_same_however_it_is_cut(
    loop: asyncio.AbstractEventLoop, data: bytes, at: list[int], poured_from: int
) -> None:
    """Pieces before `poured_from` are buffered, the others are poured."""
    scene = Scene(loop)
    connection = scene.connection
    waiter = connection.send(b"", b"")
    pieces = cut(data, at)
    while not waiter.done():
        connection.data_received(pieces.pop(0))
    reply = Reply(connection)
    for piece in pieces[:poured_from]:
        connection.data_received(piece)

    async def rest() -> list[bytes]:
        taken: list[bytes] = []
        task = asyncio.ensure_future(reply.pour(lambda piece: taken.append(piece) is None))
        await asyncio.sleep(0)
        for piece in pieces[poured_from:]:
            connection.data_received(piece)
        assert await asyncio.wait_for(task, 1) is True
        return taken

    assert b"".join(loop.run_until_complete(rest())) == BODY
    assert (reply.status, reply.headers["x-a"], "x-sum" in reply.headers) == (200, "1", False)
    reply.close()
    assert scene.drawer.kept == [connection]


def test_one_connection_serves_many_replies(scene: Scene) -> None:
    for data in REPLIES * 3:
        reply = scene.replied(data)
        assert scene.all_of(reply) == BODY
        reply.close()
    assert scene.drawer.kept == [scene.connection] * len(REPLIES) * 3
    assert scene.paper.log == []


@given(st.binary(min_size=1, max_size=80))
def test_no_bytes_break_more_than_their_reply(loop: asyncio.AbstractEventLoop, data: bytes) -> None:
    scene = Scene(loop)
    waiter = scene.connection.send(b"", b"")
    scene.connection.data_received(data)
    scene.connection.eof_received()
    outcome = loop.run_until_complete(waiter)
    assert outcome is True or (isinstance(outcome, FaultError) and outcome.fault.rule.failover)
    assert scene.drawer.kept == []


def test_headers_are_taken_apart_once_and_only_when_asked_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastroute.transport.connection.parsed_head", None)  # nobody may call it
    reply = scene.replied(WHOLE)
    assert reply._fields is None
    assert reply.headers is reply.headers
    assert reply.headers["content-length"] == str(len(BODY))


def test_headers_outlive_the_connection(scene: Scene) -> None:
    reply = scene.replied(WHOLE)
    reply.close()
    scene.replied(WHOLE.replace(b"X-A: 1", b"X-A: 9"))
    assert (reply.status, reply.headers["x-a"]) == (200, "1")


def test_compression_is_undone_however_it_is_cut(loop: asyncio.AbstractEventLoop) -> None:
    """Above all between head and body, where there is no first byte yet to tell by."""
    packed = gzip.compress(BODY)
    data = b"HTTP/1.1 200 OK\r\ncontent-ENCODING: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(packed), packed)
    for place in range(1, len(data)):
        scene = Scene(loop)
        reply = scene.replied(data[:place], data[place:])
        assert scene.all_of(reply) == BODY
        reply.close()
        assert scene.drawer.kept == [scene.connection]


# --- when a connection is kept ---


def test_half_sent_requests_spoil_it(scene: Scene) -> None:
    reply = scene.replied(WHOLE)
    scene.all_of(reply)
    scene.paper.unsent_bytes = 1
    reply.close()
    assert (scene.drawer.kept, scene.paper.log) == ([], ["abort"])


def test_unread_pieces_spoil_it(scene: Scene) -> None:
    scene.replied(WHOLE).close()
    assert (scene.drawer.kept, scene.paper.log) == ([], ["abort"])


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nConnection: close", b"HTTP/1.0 200 OK"])
def test_providers_that_end_it_are_believed(scene: Scene, head: bytes) -> None:
    reply = scene.replied(head + b"\r\nContent-Length: 2\r\n\r\n{}")
    assert scene.all_of(reply) == b"{}"
    reply.close()
    assert (scene.drawer.kept, scene.paper.log) == ([], ["abort"])


def test_an_idle_connection_that_is_lost_is_forgotten(scene: Scene) -> None:
    reply = scene.replied(WHOLE)
    scene.all_of(reply)
    reply.close()
    scene.connection.connection_lost(None)
    assert scene.drawer.kept == []
    assert scene.connection.lost


def test_nothing_more_is_sent_once_the_provider_has_closed_its_half(scene: Scene) -> None:
    waiter = scene.connection.send(b"", b"x")
    assert scene.connection.eof_received() is False
    assert "abort" in scene.paper.log
    outcome = scene.loop.run_until_complete(waiter)
    assert isinstance(outcome, FaultError)
    assert outcome.fault.failure is Failure.RESET


def test_a_body_until_close_that_is_reset_is_cut(scene: Scene) -> None:
    reply = scene.replied(b"HTTP/1.1 200 OK\r\n\r\n{}")
    scene.connection.connection_lost(ConnectionResetError())
    with pytest.raises(FaultError) as caught:
        scene.all_of(reply)
    assert caught.value.fault.failure is Failure.RESET


def test_a_lost_connection_is_not_held_by_its_parser(loop: asyncio.AbstractEventLoop) -> None:
    """Collections are rare here, so what is done with must go by itself."""

    class Noticed(Connection):
        pass  # takes a weak reference

    gc.disable()
    try:
        connection = Noticed(Drawer(), loop, 0.0)
        connection.connection_made(Paper())
        noticed = weakref.ref(connection)
        connection.connection_lost(None)
        del connection
        assert noticed() is None
    finally:
        gc.enable()


# --- sending, back-pressure ---


def test_small_bodies_go_with_their_head_and_large_ones_are_not_copied(scene: Scene) -> None:
    scene.connection.send(b"h: ", b"x" * JOIN_UP_TO_BYTES)
    assert scene.paper.log == []
    assert scene.paper.sent == b"h: %d\r\n\r\n%b" % (JOIN_UP_TO_BYTES, b"x" * JOIN_UP_TO_BYTES)
    scene.paper.sent = b""
    scene.connection.send(b"h: ", b"x" * (JOIN_UP_TO_BYTES + 1))
    assert scene.paper.log == ["writelines"]
    assert scene.paper.sent == b"h: %d\r\n\r\n%b" % (JOIN_UP_TO_BYTES + 1, b"x" * (JOIN_UP_TO_BYTES + 1))


def test_the_socket_is_paused_above_the_mark_and_resumed_by_a_read(scene: Scene) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    reply = scene.replied(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(HIGH_WATER_BYTES // 65536 - 1):
        scene.connection.data_received(chunk)
    assert scene.paper.log == []
    for _ in range(3):  # what was on its way already
        scene.connection.data_received(chunk)
    assert scene.paper.log == ["pause"]
    assert len(scene.loop.run_until_complete(reply.read())) == 65536 * (HIGH_WATER_BYTES // 65536 + 2)
    assert scene.paper.log == ["pause", "resume"]
    scene.connection.data_received(chunk)
    assert scene.paper.log == ["pause", "resume"]


def test_bytes_without_content_do_not_pause_it(scene: Scene) -> None:
    """Else nobody could resume it: there would be nothing to read."""
    scene.replied(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    scene.connection.data_received(b"1;" + b"e" * HIGH_WATER_BYTES)
    scene.connection.data_received(b"e" * HIGH_WATER_BYTES)
    assert "pause" not in scene.paper.log


def test_a_pour_with_a_paused_socket_resumes_it(scene: Scene) -> None:
    reply = scene.replied(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    scene.connection.data_received(b"50000\r\n" + b"x" * 0x50000 + b"\r\n")
    assert scene.paper.log == ["pause"]
    assert scene.loop.run_until_complete(reply.pour(lambda piece: False)) is False
    assert scene.paper.log == ["pause", "resume"]


# --- closing and cancelling ---


@pytest.mark.parametrize("go_on", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_a_taker_that_closes_the_reply_ends_the_pour(scene: Scene, go_on: bool, last: bool) -> None:
    def take(piece: bytes) -> bool:
        reply.close()
        return go_on

    async def story() -> bool:
        task = asyncio.ensure_future(reply.pour(take))
        await asyncio.sleep(0)
        scene.connection.data_received(b"2\r\nab\r\n" + (b"0\r\n\r\n" if last else b""))
        return await asyncio.wait_for(task, 1)

    reply = scene.replied(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    if last:
        assert scene.loop.run_until_complete(story()) is go_on
        assert scene.drawer.kept == [scene.connection]
    else:
        with pytest.raises(FaultError):
            scene.loop.run_until_complete(story())
        assert scene.paper.log == ["abort"]
    assert (scene.connection.waiter, scene.connection.take) == (None, None)


def test_a_compressed_body_until_close_that_is_cut_is_malformed(scene: Scene) -> None:
    packed = gzip.compress(BODY)
    for size, fails in ((len(packed), False), (len(packed) - 1, True)):
        cut_scene = Scene(scene.loop)
        reply = cut_scene.replied(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + packed[:size])
        cut_scene.connection.connection_lost(None)
        if fails:
            with pytest.raises(FaultError) as caught:
                cut_scene.all_of(reply)
            assert caught.value.fault.failure is Failure.MALFORMED
        else:
            assert cut_scene.all_of(reply) == BODY


def test_a_late_cancellation_leaves_the_connections_next_user_alone(scene: Scene) -> None:
    """A pour is cancelled as its body ends, its reply is closed, and the connection is in use again before the task runs."""

    async def story() -> None:
        task = asyncio.ensure_future(reply.pour(lambda piece: True))
        await asyncio.sleep(0)
        scene.connection.data_received(b"0\r\n\r\n")
        task.cancel()
        reply.close()
        assert scene.drawer.kept == [scene.connection]
        waiter = scene.connection.send(b"", b"")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert scene.connection.waiter is waiter
        scene.connection.data_received(WHOLE)
        assert await asyncio.wait_for(waiter, 1) is True

    reply = scene.replied(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    scene.loop.run_until_complete(story())


def test_a_cut_between_two_pours_is_told_to_the_second(scene: Scene) -> None:
    reply = scene.replied(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
    assert scene.loop.run_until_complete(reply.pour(lambda piece: False)) is False
    scene.connection.data_received(b"2\r\ncd\r\n")
    scene.connection.connection_lost(None)
    taken: list[bytes] = []
    with pytest.raises(FaultError):
        scene.loop.run_until_complete(asyncio.wait_for(reply.pour(lambda piece: taken.append(piece) is None), 1))
    assert taken == [b"cd"]


def test_what_comes_between_a_cancellation_and_its_task_is_kept_for_the_next_reader(scene: Scene) -> None:
    async def story() -> tuple[list[bytes], bytes]:
        taken: list[bytes] = []
        task = asyncio.ensure_future(reply.pour(lambda piece: taken.append(piece) is None))
        await asyncio.sleep(0)
        task.cancel()
        scene.connection.data_received(b"2\r\nab\r\n")  # before the task has heard of it
        with pytest.raises(asyncio.CancelledError):
            await task
        scene.connection.data_received(b"2\r\ncd\r\n")
        return taken, await reply.read()

    reply = scene.replied(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert scene.loop.run_until_complete(story()) == ([], b"abcd")


def test_a_cancelled_read_loses_nothing(scene: Scene) -> None:
    async def story() -> bytes:
        task = asyncio.ensure_future(reply.read())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        scene.connection.data_received(b"2\r\nab\r\n")
        return await reply.read()

    reply = scene.replied(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert scene.loop.run_until_complete(story()) == b"ab"
