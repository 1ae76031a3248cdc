"""Playback against a connection that is not there: what is written, counted, and called back."""

import asyncio
from typing import Any

import pytest

from fastroute.mock.connection import Connection
from fastroute.mock.ledger import Record
from fastroute.mock.playback import Playback
from fastroute.mock.script import Ending, Script, Step

FAR_S = 1e6


class FakeConnection(Connection):
    """Notes what it is told; has no transport."""

    def __init__(self) -> None:
        super().__init__(service=None, open_connections=set())  # type: ignore[arg-type]
        self.sent: list[bytes] = []
        self.told: list[str] = []
        self.gone = False

    @property
    def closed(self) -> bool:
        return self.gone

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def done(self, keep_alive: bool) -> None:
        self.told.append(f"done, keep_alive={keep_alive}")

    def reset(self) -> None:
        self.told.append("reset")

    def leave(self) -> None:
        """The client goes away."""
        self.gone = True
        if self.on_lost is not None:
            self.on_lost()


class Stage:
    """One playback with everything around it."""

    def __init__(self, script: Script, keep_alive: bool = True) -> None:
        self.connection, self.ends = FakeConnection(), 0
        self.record = Record("a", asyncio.get_running_loop().time(), 0.0)
        self.playback = Playback(script, self.connection, self.record, keep_alive, self._ended)

    def _ended(self) -> None:
        self.ends += 1

    @property
    def body(self) -> bytes:
        return b"".join(self.connection.sent).partition(b"\r\n\r\n")[2]


def script(*steps: Step, ending: Ending = Ending.COMPLETE, **members: Any) -> Script:
    return Script(200, (("content-type", "text/plain"),), steps, ending, **members)


async def test_what_is_due_goes_out_in_one_write() -> None:
    stage = Stage(script(Step(0.0, b"ab", 1), Step(0.0, b"cde", 1)))
    stage.playback.begin()
    assert len(stage.connection.sent) == 1
    assert stage.body == b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"
    assert stage.connection.told == ["done, keep_alive=True"]
    assert (stage.ends, stage.record.output_tokens, stage.record.delivered) == (1, 2, True)


async def test_a_declared_length_is_not_chunked() -> None:
    stage = Stage(script(Step(0.0, b"abc"), declared_bytes=3))
    stage.playback.begin()
    assert stage.body == b"abc"
    assert b"content-length: 3\r\n" in stage.connection.sent[0]


async def test_later_steps_wait_for_their_time() -> None:
    stage = Stage(script(Step(0.0, b"now", 1), Step(FAR_S, b"later", 1)))
    stage.playback.begin()
    assert stage.body == b"3\r\nnow\r\n"
    assert (stage.ends, stage.record.output_tokens) == (0, 1)
    stage.playback.stop()
    assert stage.ends == 1


async def test_nothing_is_sent_before_the_first_step() -> None:
    stage = Stage(script(Step(FAR_S, b"x")))
    stage.playback.begin()
    assert stage.connection.sent == []
    assert stage.record.status is None
    stage.playback.stop()


async def test_a_step_without_payload_sends_the_head() -> None:
    stage = Stage(script(Step(0.0, b""), Step(FAR_S, b"x")))
    stage.playback.begin()
    assert (stage.body, stage.record.status) == (b"", 200)
    assert stage.connection.sent[0].startswith(b"HTTP/1.1 200 OK\r\n")
    stage.playback.stop()


async def test_an_informational_response_goes_first_and_a_trailer_last() -> None:
    stage = Stage(script(Step(0.0, b"x"), interim=b"HTTP/1.1 103 Early Hints\r\n\r\n", trailer=b"a: b\r\n"))
    stage.playback.begin()
    sent = b"".join(stage.connection.sent)
    assert sent.startswith(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert sent.endswith(b"1\r\nx\r\n0\r\na: b\r\n\r\n")


async def test_a_client_that_wants_to_close_is_told_so() -> None:
    stage = Stage(script(Step(0.0, b"x")), keep_alive=False)
    stage.playback.begin()
    assert b"connection: close\r\n" in stage.connection.sent[0]
    assert stage.connection.told == ["done, keep_alive=False"]


async def test_closing_early_leaves_out_the_terminator() -> None:
    stage = Stage(script(Step(0.0, b"x", 1), ending=Ending.CLOSE))
    stage.playback.begin()
    assert stage.body == b"1\r\nx\r\n"
    assert stage.connection.told == ["done, keep_alive=False"]
    assert not stage.record.delivered


async def test_a_reset_resets_and_is_no_cancel() -> None:
    stage = Stage(script(ending=Ending.RESET, billed=False))
    stage.playback.begin()
    assert (stage.connection.told, stage.connection.sent, stage.ends) == (["reset"], [], 1)
    stage.connection.leave()
    assert (stage.record.cancelled_s, stage.ends) == (None, 1)


async def test_silence_lasts_until_the_client_goes() -> None:
    stage = Stage(script(Step(0.0, b"x", 1), ending=Ending.SILENCE))
    stage.playback.begin()
    assert (stage.ends, stage.connection.told) == (0, [])
    stage.connection.leave()
    assert stage.ends == 1
    assert stage.record.cancelled_s is not None


async def test_a_client_that_goes_stops_the_model() -> None:
    stage = Stage(script(Step(0.0, b"x", 1), Step(0.05, b"y", 1)))
    stage.playback.begin()
    stage.connection.leave()
    assert stage.ends == 1
    await asyncio.sleep(0.1)  # past the second step: it must not come
    assert (stage.record.output_tokens, stage.record.tokens_after_cancel) == (1, 0)
    assert len(stage.connection.sent) == 1


async def test_a_model_that_bills_after_a_cancel_goes_on_unheard() -> None:
    ended = asyncio.Event()
    stage = Stage(script(Step(0.0, b"x", 1), Step(0.01, b"y", 1), Step(0.02, b"z", 1)))
    stage.playback._on_end = ended.set
    stage.playback.begin(goes_on_after_cancel=True)
    stage.connection.leave()
    await asyncio.wait_for(ended.wait(), 5)
    assert (stage.record.output_tokens, stage.record.tokens_after_cancel) == (3, 2)
    assert len(stage.connection.sent) == 1
    assert not stage.record.delivered


async def test_a_script_without_end_stops_with_its_client_in_any_case() -> None:
    stage = Stage(script(Step(0.0, b"x", 1), Step(FAR_S, b"y", 1), finite=False))
    stage.playback.begin(goes_on_after_cancel=True)
    stage.connection.leave()
    assert stage.ends == 1


async def test_a_whole_reply_cancelled_half_way_counts_what_was_generated() -> None:
    stage = Stage(script(Step(1000.0, b"x", 100, since_s=-1000.0), declared_bytes=1))
    stage.playback.begin()
    stage.connection.leave()
    assert stage.record.output_tokens == pytest.approx(50, abs=1)
    assert stage.record.tokens_after_cancel == 0


async def test_the_rest_of_a_whole_reply_is_after_the_cancel() -> None:
    ended = asyncio.Event()
    stage = Stage(script(Step(0.02, b"x", 100, since_s=-0.02), declared_bytes=1))
    stage.playback._on_end = ended.set
    stage.playback.begin(goes_on_after_cancel=True)
    stage.connection.leave()
    await asyncio.wait_for(ended.wait(), 5)
    assert stage.record.output_tokens == 100
    assert 0 < stage.record.tokens_after_cancel < 60


async def test_nothing_is_counted_for_what_is_not_billed() -> None:
    stage = Stage(script(Step(1000.0, b"x", 0, since_s=-1000.0), billed=False))
    stage.playback.begin()
    stage.connection.leave()
    assert (stage.record.output_tokens, stage.record.billed) == (0, False)


async def test_a_slow_reader_pauses_the_script() -> None:
    stage = Stage(script(Step(0.0, b"x", 1), Step(0.001, b"y", 1)))
    stage.connection.paused = True
    stage.playback.begin()
    await asyncio.sleep(0.01)  # past the second step: it must wait
    assert stage.body == b"1\r\nx\r\n"
    stage.connection.paused = False
    assert stage.connection.on_resumed is not None
    stage.connection.on_resumed()
    assert stage.body == b"1\r\nx\r\n1\r\ny\r\n0\r\n\r\n"


async def test_a_slow_reader_that_leaves_a_billing_model_lets_it_go_on() -> None:
    stage = Stage(script(Step(0.0, b"x", 1), Step(0.0001, b"y", 1)))
    stage.connection.paused = True
    stage.playback.begin(goes_on_after_cancel=True)
    await asyncio.sleep(0.002)  # the second step is due, and waits for the reader
    stage.connection.leave()
    assert (stage.ends, stage.record.output_tokens) == (1, 2)


async def test_a_burst_is_bounded() -> None:
    big = b"x" * 200_000
    stage = Stage(script(*(Step(0.0, big, 1) for _ in range(5))))
    stage.playback.begin()
    assert stage.record.output_tokens == 2
    stage.playback.stop()


async def test_stopping_counts_no_more_and_ends_once() -> None:
    stage = Stage(script(Step(0.0, b"x", 1), Step(FAR_S, b"y", 9)))
    stage.playback.begin()
    stage.playback.stop()
    stage.connection.leave()
    assert (stage.ends, stage.record.output_tokens) == (1, 1)
