"""`telemetry.log`: one line per request, written later, with nothing secret in it."""

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import structlog

from fastroute.core.failures import Failure, Fault
from fastroute.core.trail import Trail
from fastroute.core.types import Objective, Outcome, Overrides, Role
from fastroute.telemetry import log
from fastroute.telemetry.log import LogSink, configure, request_event
from fastroute.telemetry.redaction import REDACTED

KEY = "sk-" + "proj-A1b2C3d4E5f6G7h8"
MakeTrail = Callable[..., Trail]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """`configure` changes the process; this puts it back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
def out() -> io.BytesIO:
    return io.BytesIO()


def lines_in(out: io.BytesIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_one_json_line_per_request(out: io.BytesIO, make_trail: MakeTrail) -> None:
    sink = LogSink(configure(stream=out))
    sink.emit(make_trail("a", objective=Objective(ttft_s=0.5)))
    sink.emit(make_trail("b"))
    assert sink.flush() == 2
    first, second = lines_in(out)
    assert (first["id"], second["id"]) == ("a", "b")
    assert first == {
        "timestamp": "2026-05-28T20:26:41.000Z",
        "level": "info",
        "event": "request",
        "id": "a",
        "api": "openai_chat",
        "route": "auto",
        "endpoint": "flash",
        "status": 200,
        "failure": None,
        "attempts": 1,
        "tried": [],
        "stream": True,
        "ttft_ms": 400.0,
        "total_ms": 1000.0,
        "overhead_ms": 1.0,
        "cost_usd": 0.005,
        "cost_estimated": False,
        "objective_met": True,
        "tokens": {"input": 100, "output": 20},
        "tags": {},
    }


def test_nothing_is_written_on_the_request_path(out: io.BytesIO, make_trail: MakeTrail) -> None:
    sink = LogSink(configure(stream=out))
    sink.emit(make_trail())
    assert out.getvalue() == b""
    sink.flush()
    assert len(lines_in(out)) == 1


def test_a_flush_is_one_write_and_an_empty_one_is_none(make_trail: MakeTrail) -> None:
    class Counting(io.BytesIO):
        writes = 0

        def write(self, data: Any) -> int:
            self.writes += 1
            return super().write(data)

    out = Counting()
    sink = LogSink(configure(stream=out))
    assert sink.flush() == 0
    assert out.writes == 0
    for i in range(50):
        sink.emit(make_trail(str(i)))
    assert sink.flush() == 50
    assert out.writes == 1


def test_a_failed_request_says_how_and_what_was_tried(
    out: io.BytesIO, make_trail: MakeTrail, make_attempt: Callable[..., Any]
) -> None:
    limited = make_attempt("flash", outcome=Outcome(Fault(Failure.RATE_LIMITED, "slow down"), status=429), cost_pusd=0)
    reset = make_attempt("sonnet", Role.FAILOVER, outcome=Outcome(Fault(Failure.RESET, "gone")), cost_pusd=None)
    fault = Fault(Failure.RESET, "gone")
    event = request_event(make_trail(attempts=[limited, reset], winner=None, fault=fault, status=503, first_content_s=None))
    assert event["tried"] == ["flash primary rate_limited", "sonnet failover reset"]
    assert (event["attempts"], event["failure"], event["level"]) == (2, "reset", "warning")
    assert event["endpoint"] is event["tokens"] is event["ttft_ms"] is event["cost_usd"] is None


def test_a_failover_that_worked_names_the_attempt_before_it(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    limited = make_attempt("flash", outcome=Outcome(Fault(Failure.RATE_LIMITED, "slow down"), status=429), cost_pusd=0)
    event = request_event(make_trail(attempts=[limited, make_attempt("sonnet", Role.FAILOVER)]))
    assert (event["endpoint"], event["tried"], event["level"]) == ("sonnet", ["flash primary rate_limited"], "info")


def test_prompts_answers_and_faults_texts_never_appear(
    out: io.BytesIO, make_trail: MakeTrail, make_attempt: Callable[..., Any]
) -> None:
    sink = LogSink(configure(stream=out))
    trail = make_trail(attempts=[make_attempt(outcome=Outcome(fault=Fault(Failure.BAD_REQUEST, "PROMPT"), body=b"ANSWER"))])
    trail.request.fields = {"messages": msgspec.Raw(b'[{"role":"user","content":"PROMPT"}]')}
    trail.fault = Fault(Failure.BAD_REQUEST, "PROMPT")
    sink.emit(trail)
    sink.flush()
    assert b"PROMPT" not in out.getvalue()
    assert b"ANSWER" not in out.getvalue()


def test_keys_in_what_a_client_named_are_redacted(out: io.BytesIO, make_trail: MakeTrail) -> None:
    sink = LogSink(configure(stream=out))
    trail = make_trail(f"id-{KEY}")
    trail.request.overrides = Overrides(tags={"team": KEY, "api_key": "plain", "tier": "gold"})
    sink.emit(trail)
    sink.flush()
    (line,) = lines_in(out)
    assert KEY.encode() not in out.getvalue()
    assert line["tags"] == {"team": REDACTED, "api_key": REDACTED, "tier": "gold"}


def test_control_characters_cannot_forge_a_line(out: io.BytesIO, make_trail: MakeTrail) -> None:
    sink = LogSink(configure(stream=out))
    sink.emit(make_trail('x"}\n{"event":"request","id":"forged'))
    sink.flush()
    assert len(lines_in(out)) == 1


def test_a_full_queue_drops_the_newest_and_counts(out: io.BytesIO, make_trail: MakeTrail) -> None:
    sink = LogSink(configure(stream=out), capacity=2)
    for name in "abcd":
        sink.emit(make_trail(name))
    assert sink.dropped == 2
    assert sink.flush() == 2
    assert [line["id"] for line in lines_in(out)] == ["a", "b"]
    sink.emit(make_trail("e"))
    sink.flush()
    assert lines_in(out)[-1]["id"] == "e"
    assert sink.dropped == 2


def test_flushing_in_a_thread_loses_nothing(out: io.BytesIO, make_trail: MakeTrail) -> None:
    sink = LogSink(configure(stream=out))
    done = threading.Event()
    flushed = 0

    def flusher() -> None:
        nonlocal flushed
        while not done.is_set():
            flushed += sink.flush()

    thread = threading.Thread(target=flusher)
    thread.start()
    for i in range(500):
        sink.emit(make_trail(str(i)))
    done.set()
    thread.join()
    flushed += sink.flush()
    assert flushed == 500
    assert [line["id"] for line in lines_in(out)] == [str(i) for i in range(500)]


@pytest.mark.parametrize(("level", "written"), [("debug", 1), ("info", 1), ("warning", 0), ("ERROR", 0)])
def test_request_lines_are_info(out: io.BytesIO, make_trail: MakeTrail, level: str, written: int) -> None:
    sink = LogSink(configure(level, stream=out))
    sink.emit(make_trail())
    assert sink.flush() == written
    assert sink.dropped == 0


def test_other_lines_are_json_with_level_and_time_and_without_secrets(out: io.BytesIO) -> None:
    configure(stream=out)
    structlog.get_logger().info("listening", port=4000, api_key="abc", url=f"https://x.test/?key={KEY}")
    structlog.get_logger().debug("not at this level")
    (line,) = lines_in(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "listening",
        "level": "info",
        "port": 4000,
        "api_key": REDACTED,
        "url": f"https://x.test/?key={REDACTED}",
    }


def test_exceptions_are_logged_with_their_trace_and_without_secrets(out: io.BytesIO) -> None:
    configure(stream=out)
    try:
        raise ValueError(f"bad key {KEY}")
    except ValueError:
        structlog.get_logger().exception("sink failed")
    (line,) = lines_in(out)
    assert "Traceback" in line["exception"]
    assert "ValueError" in line["exception"]
    assert KEY not in out.getvalue().decode()


def test_objects_are_written_as_text_without_secrets(out: io.BytesIO) -> None:
    class Leaky:
        def __str__(self) -> str:
            return f"Leaky({KEY})"

    configure(stream=out)
    structlog.get_logger().info("odd", value=Leaky())
    assert lines_in(out)[0]["value"] == f"Leaky({REDACTED})"


def test_the_standard_library_logs_into_the_same_stream(out: io.BytesIO) -> None:
    configure(stream=out)
    logging.getLogger("aiohttp.server").error("Error handling %s with %s", "request", KEY)
    logging.getLogger("aiohttp.access").info("not wanted")
    (line,) = lines_in(out)
    assert (line["logger"], line["level"], line["event"]) == (
        "aiohttp.server",
        "error",
        f"Error handling request with {REDACTED}",
    )


def test_configuring_twice_does_not_log_twice(out: io.BytesIO) -> None:
    configure(stream=io.BytesIO())
    configure(stream=out)
    logging.getLogger("asyncio").warning("slow callback")
    assert len(lines_in(out)) == 1


def test_a_terminal_gets_columns_instead(out: io.BytesIO, make_trail: MakeTrail) -> None:
    sink = LogSink(configure(console=True, stream=out))
    sink.emit(make_trail("req-77"))
    sink.flush()
    text = out.getvalue().decode()
    assert "req-77" in text
    assert not text.startswith("{")
    assert len(text.splitlines()) == 1


def test_json_is_the_choice_where_the_stream_is_no_terminal(out: io.BytesIO) -> None:
    assert log._json_line is configure(stream=out)._render
