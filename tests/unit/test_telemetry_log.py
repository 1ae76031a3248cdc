"""`telemetry.log`: every line in one shape, with nothing secret in it."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from fastroute.telemetry.log import configure
from fastroute.telemetry.redaction import REDACTED

KEY = "sk-" + "proj-A1b2C3d4E5f6G7h8"


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


def test_a_terminal_gets_columns_instead(out: io.BytesIO) -> None:
    lines = configure(console=True, stream=out)
    structlog.get_logger().info("listening", port=4000, api_key="abc")
    text = out.getvalue().decode()
    assert "listening" in text
    assert "abc" not in text
    assert not text.startswith("{")
    assert lines.render is not None
    shown = lines.render({"event": "request", "id": "req-77", "route": None}).decode()
    assert "req-77" in shown
    assert "route" not in shown
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_columns_are_the_choice_for_a_terminal(terminal: bool) -> None:
    class Stream(io.BytesIO):
        def isatty(self) -> bool:
            return terminal

    assert (configure(stream=Stream()).render is not None) is terminal


@pytest.mark.parametrize(("level", "enabled"), [("debug", True), ("info", True), ("warning", False), ("ERROR", False)])
def test_request_lines_are_info(level: str, enabled: bool) -> None:
    assert configure(level, stream=io.BytesIO()).enabled is enabled


def test_lines_of_requests_go_to_the_same_stream(out: io.BytesIO) -> None:
    lines = configure(stream=out)
    structlog.get_logger().info("before")
    lines.write(b'{"event":"request"}\n')
    assert [line["event"] for line in lines_in(out)] == ["before", "request"]
