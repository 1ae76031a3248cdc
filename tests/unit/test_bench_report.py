"""The sentence, the table, the JSON."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from bench_support import make_added, make_row

from bench import report
from bench.driver import Driver
from bench.intervals import Estimate
from bench.report import Report
from bench.rows import Row, Saturation

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def whole(rows: list[Row], **members: list[str]) -> Report:
    return report.report(rows, members.get("notes", []), members.get("refused", []), {}, NOW)


def test_the_sentence_beside_nginx() -> None:
    rows = [make_row("nginx", total=make_added(0.12, 0.3)), make_row(total=make_added(0.214, 0.6))]
    assert report.sentence(rows) == (
        "fastroute adds 0.21 ms at p50 and 0.60 ms at p99 to a chat request, where nginx adds 0.12 ms and 0.30 ms "
        "(n = 20,000, 1,000 requests/s, one worker)."
    )


def test_the_sentence_without_nginx_compares_with_a_direct_call() -> None:
    assert report.sentence([make_row(total=make_added(0.21, 0.6))]) == (
        "fastroute adds 0.21 ms at p50 and 0.60 ms at p99 to a chat request compared with a direct call "
        "(n = 20,000, 1,000 requests/s, one worker)."
    )


def test_nginx_in_another_scenario_is_no_comparison() -> None:
    rows = [make_row("nginx", scenario="burst", total=make_added(9, 9)), make_row(total=make_added(0.21, 0.6))]
    assert "nginx" not in report.sentence(rows)


def test_the_sentence_prefers_latency_to_cpu_and_whole_replies_to_streams() -> None:
    rows = [
        make_row(scenario="cpu-whole", load="whole, full load"),
        make_row(scenario="s", stream=True, load="20-chunk stream, 100 requests/s", total=make_added(1, 2)),
        make_row(total=make_added(0.21, 0.6)),
    ]
    assert "adds 0.21 ms at p50" in report.sentence(rows)
    assert "to a stream compared" in report.sentence(rows[:2])


def test_the_sentence_of_a_cpu_scenario() -> None:
    row = make_row(scenario="cpu-whole", load="whole, full load", x_nginx=3.3, workers=2)
    assert report.sentence([row]) == (
        "fastroute spends 66 us of CPU on a chat request, 3.3 x nginx (n = 20,000, full load, two workers)."
    )
    stream = make_row(stream=True, load="32-chunk stream, full load")
    assert "66 us of CPU on a 32-chunk stream (n" in report.sentence([stream])


def test_failures_are_part_of_the_sentence() -> None:
    text = report.sentence([make_row(total=make_added(0.2, 0.6), n=19_988, errors=12)])
    assert text.endswith("; 12 of 20,000 calls failed.")


def test_a_router_of_someone_else_without_cpu() -> None:
    assert "theirs answers a chat request in 0.50 ms at p50" in report.sentence([make_row("theirs", cpu_us=None)])


def test_yardsticks_alone_and_nothing_at_all() -> None:
    assert report.sentence([make_row("nginx")]).startswith("nginx spends 66 us of CPU on a chat request (n")
    assert report.sentence([]) == "nothing was measured."


def test_the_table_has_a_block_a_scenario_and_dashes_for_what_is_not_known() -> None:
    rows = [make_row("nginx", x_nginx=1.0, total=make_added(0.12, 0.3)), make_row(scenario="b", cpu_us=None)]
    text = report.table(rows)
    assert text.count("CPU us/req") == 2
    lines = text.splitlines()
    nginx = next(line for line in lines if line.startswith("nginx "))
    assert nginx.split()[:5] == ["nginx", "66.0", "1.00", "20,000", "0"]
    assert next(line for line in lines if line.startswith("fastroute ")).split()[1:3] == ["-", "-"]
    assert any(line.startswith("(direct)") for line in lines)


def test_names_tell_workers_and_connections_apart_where_they_vary() -> None:
    rows = [make_row(connections=16), make_row(connections=1000)]
    assert [report.label(r, rows) for r in rows] == ["fastroute @16", "fastroute @1000"]
    rows = [make_row(workers=1), make_row(workers=2)]
    assert [report.label(r, rows) for r in rows] == ["fastroute x1", "fastroute x2"]
    assert report.label(rows[0], rows[:1]) == "fastroute"


def test_details_tell_the_drivers_lag() -> None:
    found = report.details([make_row(total=make_added(0.2, 0.6), driver=Driver(0.031, 0.215, 0.42))])
    assert found[-1] == "the driver sent 0.031 ms late at p50, 0.215 ms at p99; its core was 42% busy"
    assert "[" in found[0]
    assert report.details([make_row()]) == []


def test_details_of_streams_workers_and_ramps() -> None:
    rows = [
        make_row(stream=True, total=make_added(1, 2), ttft=make_added(1, 2), chunk=make_added(0.1, 0.2)),
        make_row(per_stream_kib=38.04, rss_peak_mib=250.0),
        make_row(workers=2, largest_worker_share=0.53),
        make_row(saturation=Saturation(12_345.0, "contender")),
        make_row(saturation=Saturation(18_000.0, "driver")),
        make_row(saturation=Saturation(18_000.0, None)),
    ]
    text = "\n".join(line for row in rows for line in report.details([row]))
    for said in (
        "fastroute, first content: +1.000 ms",
        "fastroute, a chunk: +0.100 ms",
        "38.0 KiB a stream (peak 250 MiB)",
        "the busiest of two workers did 53% of the work",
        "saturates after 12,345 requests/s",
        "the driver gave out first, after 18,000 requests/s",
        "held to the end of the ramp, 18,000 requests/s",
    ):
        assert said in text


def test_why_calls_failed_is_told() -> None:
    assert report.details([make_row(errors=3, failures={"status 503": 2, "unanswered": 1})]) == [
        "fastroute: 2 x status 503",
        "fastroute: 1 x unanswered",
    ]


def test_growth_with_connections_is_told() -> None:
    rows = [make_row(connections=16), make_row(connections=1000, cpu_us=Estimate(72.6, 70.0, 75.0))]
    assert report.details(rows) == ["fastroute @1000: 1.10 x the CPU per request of fastroute @16"]


def test_a_disturbed_contender_is_told() -> None:
    assert "disturbed, it waited 30 us per request" in report.details([make_row(wait_us=30.0)])[0]
    assert report.details([make_row(wait_us=3.0)]) == []
    assert report.details([make_row(wait_us=30.0, workers=2)]) == []


def test_the_json_has_sentence_commit_machine_and_rows(tmp_path: Path) -> None:
    found = whole([make_row(total=make_added(0.21, 0.6))], notes=["nginx is left out"])
    paths = report.write(found, tmp_path / "results", page="<p>page</p>")
    assert [p.name for p in paths] == ["bench-20260102-030405.json", "bench-20260102-030405.html"]
    told = json.loads(paths[0].read_bytes())
    assert told["sentence"].startswith("fastroute adds 0.21 ms at p50")
    assert re.fullmatch(r"[0-9a-f]{7,}|unknown", told["commit"])
    assert {"cores", "arch", "cpu", "memory_gib", "kernel", "python", "load_1m"} <= set(told["machine"])
    assert told["rows"][0]["total"]["p50"] == {"value": 0.21, "lo": pytest.approx(0.189), "hi": pytest.approx(0.231)}
    assert told["rows"][0]["total"]["hdr_added"]
    assert told["notes"] == ["nginx is left out"]


def test_the_json_can_be_read_back(tmp_path: Path) -> None:
    found = whole([make_row(total=make_added(0.21, 0.6), cpu_us=Estimate(1.0, 0.5, 2.0))])
    path = report.write(found, tmp_path, page=None)[0]
    assert msgspec.json.decode(path.read_bytes(), type=Report) == found
