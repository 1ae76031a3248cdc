"""`telemetry.request_log`: one line per request, written later, by a thread, with nothing secret in it."""

import io
import json
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastroute.core.failures import Failure, Fault
from fastroute.core.trail import Trail
from fastroute.core.types import ChatRequest, Objective, Outcome, Overrides, Role, Usage
from fastroute.telemetry.log import Lines
from fastroute.telemetry.measures import measure
from fastroute.telemetry.redaction import REDACTED, redact_text
from fastroute.telemetry.request_log import NAMES_KEPT, SECONDS_KEPT, RequestLog, Writer

KEY = "sk-" + "proj-A1b2C3d4E5f6G7h8"
MakeTrail = Callable[..., Trail]


@pytest.fixture
def out() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def log(out: io.BytesIO) -> RequestLog:
    return RequestLog(Lines(out))


def lines_in(out: io.BytesIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def line_of(trail: Trail) -> dict[str, Any]:
    out = io.BytesIO()
    log = RequestLog(Lines(out))
    log.add(trail)
    log.flush()
    (line,) = lines_in(out)
    return line


def test_one_json_line_per_request(out: io.BytesIO, log: RequestLog, make_trail: MakeTrail) -> None:
    log.add(make_trail("a", objective=Objective(ttft_s=0.5)))
    log.add(make_trail("b"))
    assert log.flush() == 2
    first, second = lines_in(out)
    assert (first["id"], second["id"]) == ("a", "b")
    assert list(first.items()) == [
        ("timestamp", "2026-05-28T20:26:41.000Z"),
        ("level", "info"),
        ("event", "request"),
        ("id", "a"),
        ("api", "openai_chat"),
        ("route", "auto"),
        ("endpoint", "flash"),
        ("status", 200),
        ("failure", None),
        ("attempts", 1),
        ("tried", []),
        ("stream", True),
        ("ttft_ms", 400.0),
        ("total_ms", 1000.0),
        ("overhead_ms", 1.0),
        ("cost_usd", 0.005),
        ("cost_estimated", False),
        ("objective_met", True),
        ("tokens", {"input": 100, "output": 20}),
        ("tags", {}),
    ]


def test_a_batch_is_one_line_each_in_order(out: io.BytesIO, log: RequestLog, make_trail: MakeTrail) -> None:
    batch = [make_trail(str(i), ended_s=100.0 + i) for i in range(70)]
    log.extend(batch, [measure(trail) for trail in batch])
    assert log.waiting == 70
    assert log.flush() == 70
    assert log.waiting == 0
    assert [(line["id"], line["total_ms"]) for line in lines_in(out)] == [(str(i), i * 1000.0) for i in range(70)]
    assert out.getvalue().endswith(b"}\n")


def test_nothing_is_written_on_the_request_path(out: io.BytesIO, log: RequestLog, make_trail: MakeTrail) -> None:
    log.add(make_trail())
    assert out.getvalue() == b""
    log.flush()
    assert len(lines_in(out)) == 1


def test_a_flush_is_one_write_and_an_empty_one_is_none(make_trail: MakeTrail) -> None:
    class Counting(io.BytesIO):
        writes = 0

        def write(self, data: Any) -> int:
            self.writes += 1
            return super().write(data)

    out = Counting()
    log = RequestLog(Lines(out))
    assert log.flush() == 0
    assert out.writes == 0
    for i in range(50):
        log.add(make_trail(str(i)))
    assert log.flush() == 50
    assert out.writes == 1


# --- what a line says ---


def test_a_failed_request_says_how_and_what_was_tried(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    limited = make_attempt("flash", outcome=Outcome(Fault(Failure.RATE_LIMITED, "slow down"), status=429), cost_pusd=0)
    reset = make_attempt("sonnet", Role.FAILOVER, outcome=Outcome(Fault(Failure.RESET, "gone")), cost_pusd=None)
    fault = Fault(Failure.RESET, "gone")
    line = line_of(make_trail(attempts=[limited, reset], winner=None, fault=fault, status=503, first_content_s=None))
    assert line["tried"] == ["flash primary rate_limited", "sonnet failover reset"]
    assert (line["attempts"], line["failure"], line["level"]) == (2, "reset", "warning")
    assert line["endpoint"] is line["tokens"] is line["ttft_ms"] is line["cost_usd"] is None


def test_a_failover_that_worked_names_the_attempt_before_it(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    limited = make_attempt("flash", outcome=Outcome(Fault(Failure.RATE_LIMITED, "slow down"), status=429), cost_pusd=0)
    line = line_of(make_trail(attempts=[limited, make_attempt("sonnet", Role.FAILOVER)]))
    assert (line["endpoint"], line["tried"], line["level"]) == ("sonnet", ["flash primary rate_limited"], "info")


def test_a_loser_that_ended_well_was_tried_and_ok(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    hedge = make_attempt("sonnet", Role.HEDGE, cost_estimated=True)
    line = line_of(make_trail(attempts=[hedge, make_attempt("flash")]))
    assert (line["tried"], line["cost_estimated"], line["cost_usd"]) == (["sonnet hedge ok"], True, 0.01)


def test_one_attempt_that_lost_is_among_the_tried(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    reset = make_attempt("flash", outcome=Outcome(Fault(Failure.RESET, "gone")), cost_estimated=True)
    line = line_of(make_trail(attempts=[reset], winner=None, status=503))
    assert (line["tried"], line["cost_estimated"]) == (["flash primary reset"], True)


def test_nothing_known_is_null(make_trail: MakeTrail) -> None:
    line = line_of(make_trail(attempts=[], winner=None, route=None, status=404, ended_s=None, first_content_s=None))
    unknown = ("route", "endpoint", "ttft_ms", "total_ms", "overhead_ms", "cost_usd", "objective_met", "tokens")
    assert [line[name] for name in unknown] == [None] * len(unknown)
    assert (line["attempts"], line["tried"], line["cost_estimated"]) == (0, [], False)


def test_tokens_that_are_known_are_told(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    usage = Usage(input_tokens=10, output_tokens=None, cached_input_tokens=0, cache_write_tokens=3, reasoning_tokens=2)
    line = line_of(make_trail(attempts=[make_attempt(outcome=Outcome(usage=usage))]))
    assert line["tokens"] == {"input": 10, "cached_input": 0, "cache_write": 3, "reasoning": 2}


@given(
    st.floats(0, 4e9, allow_subnormal=False),
    st.floats(0, 1e5, allow_subnormal=False),
    st.floats(0, 1e5, allow_subnormal=False),
)
@example(1_780_000_000.9999999, 0.0, 0.0)
@example(0.0, 0.0004995, 1e-9)
def test_times_are_to_the_microsecond(wall_s: float, first_s: float, more_s: float) -> None:
    request = ChatRequest("r", "openai_chat", "auto", {}, 0.0, 4, stream=True)
    trail = Trail(request, wall_s, first_content_s=first_s, ended_s=first_s + more_s, upstream_s=first_s)
    line = line_of(trail)
    for name, seconds in (("ttft_ms", trail.ttft_s), ("total_ms", trail.total_s), ("overhead_ms", trail.overhead_s(0.0))):
        assert seconds is not None
        assert line[name] == pytest.approx(seconds * 1000, abs=0.000_501)
        assert line[name] == round(line[name], 3)


@pytest.mark.parametrize(
    ("wall_s", "timestamp"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_780_000_000.0, "2026-05-28T20:26:40.000Z"),
        (1_780_000_000.0019, "2026-05-28T20:26:40.001Z"),
        (1_780_000_000.9989, "2026-05-28T20:26:40.998Z"),
        (1_780_000_000.9999998, "2026-05-28T20:26:41.000Z"),
        (4_102_444_799.5, "2099-12-31T23:59:59.500Z"),
    ],
)
def test_the_time_of_day_is_that_of_the_end(make_trail: MakeTrail, wall_s: float, timestamp: str) -> None:
    trail = make_trail(ended_s=100.0)
    trail.started_wall_s = wall_s
    assert line_of(trail)["timestamp"] == timestamp


def test_what_is_remembered_of_names_and_seconds_is_bounded(log: RequestLog, make_trail: MakeTrail) -> None:
    for i in range(NAMES_KEPT + 100):
        log.add(make_trail(route=f"route-{i}", ended_s=100.0 + i))
    assert 0 < len(log._names) <= NAMES_KEPT
    assert 0 < len(log._seconds) <= SECONDS_KEPT


# --- what it never says ---


def test_prompts_answers_and_faults_texts_never_appear(
    out: io.BytesIO, log: RequestLog, make_trail: MakeTrail, make_attempt: Callable[..., Any]
) -> None:
    trail = make_trail(attempts=[make_attempt(outcome=Outcome(fault=Fault(Failure.BAD_REQUEST, "PROMPT"), body=b"ANSWER"))])
    trail.request.fields = {"messages": msgspec.Raw(b'[{"role":"user","content":"PROMPT"}]')}
    trail.fault = Fault(Failure.BAD_REQUEST, "PROMPT")
    log.add(trail)
    log.flush()
    assert b"PROMPT" not in out.getvalue()
    assert b"ANSWER" not in out.getvalue()


def test_keys_in_what_somebody_named_are_redacted(
    out: io.BytesIO, log: RequestLog, make_trail: MakeTrail, make_attempt: Callable[..., Any]
) -> None:
    attempts = [make_attempt(f"lost-{KEY}"), make_attempt(f"won {KEY}")]
    trail = make_trail(f"id-{KEY}", route=f"to {KEY}", attempts=attempts)
    trail.request.overrides = Overrides(tags={"team": KEY, "api_key": "plain", "tier": "gold"})
    log.add(trail)
    log.flush()
    (line,) = lines_in(out)
    assert KEY.encode() not in out.getvalue()
    assert line["tags"] == {"team": REDACTED, "api_key": REDACTED, "tier": "gold"}
    assert (line["route"], line["endpoint"]) == (f"to {REDACTED}", f"won {REDACTED}")


@given(st.text("0123456789abcdef-", max_size=64))
@example("550e8400-e29b-41d4-a716-446655440000")
def test_an_id_that_is_not_searched_for_keys_can_be_none(text: str) -> None:
    """What `_NO_KEY` lets through is what redaction would leave as it is."""
    assert redact_text(text) == text


def test_control_characters_cannot_forge_a_line(make_trail: MakeTrail) -> None:
    assert line_of(make_trail('x"}\n{"event":"request","id":"forged'))["id"] == 'x"}\n{"event":"request","id":"forged'


@pytest.mark.parametrize("pretty", [False, True])
def test_half_a_character_spoils_no_other_line(
    out: io.BytesIO, make_trail: MakeTrail, make_attempt: Callable[..., Any], pretty: bool
) -> None:
    log = RequestLog(Lines(out, render=(lambda event: json.dumps(event, ensure_ascii=False).encode()) if pretty else None))
    lost = make_attempt("lost\udcff")
    batch = [make_trail("a"), make_trail("b\udcff"), make_trail("c", attempts=[lost, make_attempt("won\ud800")])]
    batch[2].request.overrides = Overrides(tags={"te\udcffam": "caf\udce9"})
    log.extend(batch, [measure(trail) for trail in batch])
    log.flush()
    a, b, c = lines_in(out)
    assert (a["id"], b["id"], c["id"], c["tags"]) == ("a", "b?", "c", {"te?am": "caf?"})
    assert (c["tried"], c["endpoint"]) == (["lost? primary ok"], "won?")


# --- where lines wait ---


def test_a_full_queue_drops_the_newest_and_counts(out: io.BytesIO, make_trail: MakeTrail) -> None:
    log = RequestLog(Lines(out), capacity=2)
    batch = [make_trail(name) for name in "abcd"]
    log.extend(batch, [measure(trail) for trail in batch])
    log.add(make_trail("e"))
    assert log.dropped == 3
    assert log.flush() == 2
    assert [line["id"] for line in lines_in(out)] == ["a", "b"]
    log.add(make_trail("f"))
    log.flush()
    assert lines_in(out)[-1]["id"] == "f"
    assert log.dropped == 3


def test_lines_that_cannot_be_written_are_counted_and_the_next_ones_tried(make_trail: MakeTrail) -> None:
    class Broken(io.BytesIO):
        broken = True

        def write(self, data: Any) -> int:
            if self.broken:
                raise BrokenPipeError
            return super().write(data)

    out = Broken()
    log = RequestLog(Lines(out))
    log.add(make_trail("a"))
    assert log.flush() == 1
    assert (log.dropped, log.waiting) == (1, 0)
    out.broken = False
    log.add(make_trail("b"))
    log.flush()
    assert [line["id"] for line in lines_in(out)] == ["b"]
    out.close()
    log.add(make_trail("c"))
    log.flush()
    assert log.dropped == 2


def test_where_lines_are_not_wanted_none_is_made(out: io.BytesIO, make_trail: MakeTrail) -> None:
    log = RequestLog(Lines(out, enabled=False))
    log.add(make_trail())
    assert (log.flush(), log.dropped, out.getvalue()) == (0, 0, b"")


def test_people_get_lines_made_for_them(out: io.BytesIO, make_trail: MakeTrail) -> None:
    log = RequestLog(Lines(out, render=lambda event: f"{event['event']} {event['id']} {event['tokens']['input']}".encode()))
    log.add(make_trail("req-77"))
    log.add(make_trail("req-78"))
    log.flush()
    assert out.getvalue() == b"request req-77 100\nrequest req-78 100\n"


# --- the thread ---


class Gate(io.BytesIO):
    """A stream whose writes wait until somebody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.open, self.done = threading.Event(), threading.Event(), threading.Event()

    def write(self, data: Any) -> int:
        self.reached.set()
        assert self.open.wait(10)
        return super().write(data)

    def flush(self) -> None:
        self.done.set()


def test_a_blocked_stream_blocks_neither_adding_nor_waking_nor_closing(make_trail: MakeTrail) -> None:
    out = Gate()
    log = RequestLog(Lines(out), capacity=5)
    writer = Writer(log)
    log.add(make_trail("a"))
    writer.wake()
    assert out.reached.wait(10)
    for name in "bcdefg":
        log.add(make_trail(name))
        writer.wake()
    assert (log.waiting, log.dropped) == (5, 2)
    thread = writer._thread
    writer.close(wait_s=0.0)
    out.open.set()
    assert thread is not None
    thread.join(10)
    assert [line["id"] for line in lines_in(out)] == ["a", "b", "c", "d", "e"]


def test_what_is_woken_for_is_written_soon(make_trail: MakeTrail) -> None:
    out = Gate()
    out.open.set()
    log = RequestLog(Lines(out))
    writer = Writer(log)
    for name in "ab":
        out.done.clear()
        log.add(make_trail(name))
        writer.wake()
        assert out.done.wait(10)
    writer.close()
    assert [line["id"] for line in lines_in(out)] == ["a", "b"]


def test_closing_writes_the_rest_whether_or_not_it_was_ever_woken(make_trail: MakeTrail) -> None:
    for woken in (False, True):
        out = io.BytesIO()
        log = RequestLog(Lines(out))
        writer = Writer(log)
        if woken:
            writer.wake()
        log.add(make_trail("last"))
        writer.close()
        assert [line["id"] for line in lines_in(out)] == ["last"]


def test_the_thread_ends_with_the_writer_and_does_not_hold_up_the_process(log: RequestLog) -> None:
    writer = Writer(log)
    assert writer._thread is None
    writer.wake()
    thread = writer._thread
    assert thread is not None
    assert thread.daemon
    writer.close()
    assert not thread.is_alive()


def test_flushing_in_a_thread_loses_nothing(out: io.BytesIO, log: RequestLog, make_trail: MakeTrail) -> None:
    writer = Writer(log)
    for i in range(500):
        log.add(make_trail(str(i)))
        writer.wake()
    writer.close(wait_s=10)
    assert (log.waiting, log.dropped) == (0, 0)
    assert [line["id"] for line in lines_in(out)] == [str(i) for i in range(500)]
