"""`telemetry.batch`: nothing on the path, nothing stale for a reader, everything once."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from fastroute.core.trail import Trail
from fastroute.core.types import Outcome
from fastroute.telemetry.batch import BATCH, Telemetry
from fastroute.telemetry.gauges import Readings
from fastroute.telemetry.log import Lines
from fastroute.telemetry.metrics import OPEN_METRICS_TYPE, PLAIN_TYPE, Metrics
from fastroute.telemetry.recent import RecentTrails
from fastroute.telemetry.request_log import RequestLog

MakeTrail = Callable[..., Trail]


class Watched(io.BytesIO):
    """A stream that says when something has been written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def flush(self) -> None:
        self.written.set()


class Rig:
    def __init__(self, clock: Any, capacity: int = 1000) -> None:
        self.out = Watched()
        self.metrics = Metrics(Readings, clock, "1.2.3", ["auto"], ["flash"])
        self.log = RequestLog(Lines(self.out), capacity)
        self.telemetry = Telemetry(self.metrics, self.log, RecentTrails(200))

    def counted(self) -> float:
        labels = {"route": "auto", "endpoint": "flash", "status_class": "2xx"}
        return self.metrics.registry.get_sample_value("fastroute_requests_total", labels) or 0.0

    def ids(self) -> list[str]:
        return [json.loads(line)["id"] for line in self.out.getvalue().splitlines()]


@pytest.fixture
def rig(clock: Any) -> Iterator[Rig]:
    rig = Rig(clock)
    yield rig
    rig.telemetry.close()


def test_a_request_ends_with_an_append_and_no_more(rig: Rig, make_trail: MakeTrail) -> None:
    trail = make_trail()
    trail.request.fields = {"messages": msgspec.Raw(b"[]")}
    rig.telemetry.emit(trail)
    assert (rig.counted(), rig.log.waiting, len(rig.telemetry.recent), rig.out.getvalue()) == (0, 0, 0, b"")
    assert trail.request.fields


def test_a_tick_counts_logs_and_remembers(rig: Rig, make_trail: MakeTrail) -> None:
    for name in "abc":
        rig.telemetry.emit(make_trail(name))
    rig.telemetry.tick()
    assert rig.counted() == 3
    assert len(rig.telemetry.recent) == 3
    assert rig.out.written.wait(10)
    assert rig.ids() == ["a", "b", "c"]


def test_a_tick_with_nothing_to_do_starts_no_thread(rig: Rig) -> None:
    before = threading.active_count()
    rig.telemetry.tick()
    assert threading.active_count() == before


def test_a_full_batch_is_digested_at_once_so_that_memory_is_bounded(rig: Rig, make_trail: MakeTrail) -> None:
    for i in range(BATCH - 1):
        rig.telemetry.emit(make_trail(str(i)))
    assert rig.counted() == 0
    rig.telemetry.emit(make_trail("last"))
    assert rig.counted() == BATCH
    assert rig.log.waiting == BATCH
    assert rig.out.getvalue() == b""  # written by the thread, later


def test_each_request_counts_once_however_often_it_is_digested(rig: Rig, make_trail: MakeTrail) -> None:
    rig.telemetry.emit(make_trail("a"))
    for _ in range(3):
        rig.telemetry.digest()
        rig.telemetry.tick()
        rig.telemetry.lookup("a")
    rig.telemetry.emit(make_trail("b"))
    rig.telemetry.close()
    assert rig.counted() == 2
    assert rig.ids() == ["a", "b"]
    assert len(rig.telemetry.recent) == 2


@pytest.mark.parametrize(
    "read",
    [
        lambda t: t.lookup("a").request.id == "a",
        lambda t: [trail.request.id for trail in t.last(1)] == ["a"],
        lambda t: b'fastroute_requests_total{endpoint="flash",route="auto",status_class="2xx"} 1.0' in t.render()[0],
        lambda t: b"fastroute_requests_total" in t.snapshot(),
    ],
)
def test_whoever_reads_sees_what_has_just_ended(rig: Rig, make_trail: MakeTrail, read: Callable[[Telemetry], bool]) -> None:
    rig.telemetry.emit(make_trail("a"))
    assert read(rig.telemetry)


def test_prompt_and_answer_are_let_go(rig: Rig, make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    trail = make_trail("a", attempts=[make_attempt(outcome=Outcome(status=200, body=b"ANSWER"))])
    trail.request.fields = {"messages": msgspec.Raw(b'"PROMPT"')}
    rig.telemetry.emit(trail)
    rig.telemetry.digest()
    assert rig.telemetry.lookup("a") is trail
    assert "PROMPT" not in repr(trail)
    assert "ANSWER" not in repr(trail)


def test_without_a_log_all_else_works(clock: Any, make_trail: MakeTrail) -> None:
    metrics = Metrics(Readings, clock, "1.2.3", ["auto"], ["flash"])
    telemetry = Telemetry(metrics, None, RecentTrails(5))
    telemetry.emit(make_trail("a"))
    telemetry.tick()
    telemetry.emit(make_trail("b"))
    telemetry.close()
    assert [t.request.id for t in telemetry.last(5)] == ["b", "a"]
    assert telemetry.dropped == {}


def test_lines_lost_are_shown_as_dropped(clock: Any, make_trail: MakeTrail) -> None:
    rig = Rig(clock, capacity=2)
    for name in "abcde":
        rig.telemetry.emit(make_trail(name))
    rig.telemetry.digest()
    assert rig.telemetry.dropped == {"log": 3}
    assert rig.counted() == 5
    rig.telemetry.close()
    assert rig.ids() == ["a", "b"]


def test_closing_writes_what_waits(rig: Rig, make_trail: MakeTrail) -> None:
    rig.telemetry.emit(make_trail("a"))
    rig.telemetry.tick()
    rig.telemetry.emit(make_trail("b"))
    rig.telemetry.close()
    assert rig.ids() == ["a", "b"]


def test_metrics_come_in_the_format_asked_for(rig: Rig) -> None:
    assert rig.telemetry.render()[1] == PLAIN_TYPE
    body, content_type = rig.telemetry.render("application/openmetrics-text; version=1.0.0")
    assert content_type == OPEN_METRICS_TYPE
    assert body.endswith(b"# EOF\n")


def test_a_snapshot_is_what_another_process_merges(rig: Rig, clock: Any, make_trail: MakeTrail) -> None:
    other = Rig(clock)
    for i in range(BATCH + 1):
        other.telemetry.emit(make_trail(str(i)))
    rig.telemetry.metrics.merge([other.telemetry.snapshot()])
    assert rig.counted() == BATCH + 1
    other.telemetry.close()
