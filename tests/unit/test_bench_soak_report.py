"""Verdicts of a soak run, and how they read."""

from typing import Any

import msgspec
import pytest

from bench.intervals import Estimate
from bench.soak_judge import MIB, Growth
from bench.soak_report import Report, failures, left_over, progress, sentence, table
from bench.soak_watch import Sample

FLAT = Growth(
    measured_s=150.0,
    samples=150,
    slope=Estimate(0.5 * MIB, -2.0 * MIB, 3.0 * MIB),
    limit=25.0 * MIB,
    first_bytes=100.0 * MIB,
    last_bytes=100.1 * MIB,
    ok=True,
)


def sample(**members: Any) -> Sample:
    known: dict[str, Any] = dict.fromkeys(Sample.__struct_fields__, 0)
    return Sample(**known | {"rss_bytes": 55 * MIB, "tasks": 4, "fds": 21} | members)


def report(**members: Any) -> Report:
    known: dict[str, Any] = {
        "options": {"seconds": 300.0, "rate": 120.0, "workers": 1, "seed": 1},
        "visits": {"whole: complete": 90, "whole: refused": 6, "leaves before an answer: left": 4},
        "broken": [],
        "faults": {"status": 3, "reset": 2},
        "warm_up_s": 150.0,
        "growth": FLAT,
        "anon_growth": FLAT,
        "baseline": sample(),
        "end": sample(),
        "left_over": {},
        "grown": {"dict": 12},
        "lost_records": [],
        "samples": [sample(), sample(under_way=5, tasks=30, fds=60, rss_bytes=101 * MIB)],
    }
    return Report(**known | members)


def test_a_run_that_held() -> None:
    done = report().finished(0, {"info": 100}, [])
    assert done.failures == []
    assert sentence(done) == (
        "held: 5 minutes at 120 visits a second and 5 faults: of 100 visits 90 got a complete answer, 6 an error in shape, "
        "4 left, 0 broke; memory grew by +0.50 MiB/h (95 %: -2.00 to +3.00; limit 25.00); nothing is left over."
    )


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"visits": {"stream: broken": 2}, "broken": ["stream: closed"]}, "2 clients got neither"),
        ({"broken": ["stream: closed"]}, "stream: closed"),
        ({"left_over": {"tasks": "4 -> 5"}}, "tasks went 4 -> 5"),
        ({"lost_records": ['fastroute_sink_dropped_total{sink="log"} 3.0']}, "records were lost"),
        ({"growth": None}, "memory was not judged"),
        ({"growth": msgspec.structs.replace(FLAT, ok=False)}, "memory grows by +0.50 MiB/h"),
    ],
)
def test_what_fails_a_run(members: dict[str, Any], said: str) -> None:
    done = report(**members).finished(0, {}, [])
    assert any(said in failure for failure in done.failures)


def test_memory_that_grew_names_the_objects() -> None:
    leaking = report(growth=msgspec.structs.replace(FLAT, ok=False), grown={"fastroute.core.trail.Trail": 5000})
    assert any("fastroute.core.trail.Trail" in failure for failure in failures(leaking))


def test_the_sidecar_must_end_well_and_log_no_error() -> None:
    assert "the sidecar ended with -9" in report().finished(-9, {}, []).failures
    failed = report().finished(0, {"error": 2, "info": 5}, ["Traceback"]).failures
    assert failed == ["the sidecar logged 2 errors", "  Traceback"]
    assert report().finished(0, {"warning": 2}, ["a warning"]).failures == []


def test_a_failed_run_says_so_first() -> None:
    done = report(left_over={"fds": "21 -> 22"}).finished(0, {}, [])
    assert sentence(done).startswith("DID NOT HOLD: ")
    assert sentence(done).endswith("left over: fds.")
    assert "memory was not judged" in sentence(report(growth=None))


def test_only_more_than_before_is_left_over() -> None:
    assert left_over(sample(fds=20, tasks=4), sample()) == {}
    assert left_over(sample(in_flight=1, provider_sockets=2), sample()) == {"in_flight": "0 -> 1", "provider_sockets": "0 -> 2"}


def test_the_table_has_before_during_and_after() -> None:
    lines = table(report(end=sample(rss_bytes=99 * MIB)).finished(0, {}, [])).splitlines()
    cells = {line[:24].strip(): line[24:].split() for line in lines[1:-1]}
    assert cells["tasks"] == ["4", "30", "4"]
    assert cells["descriptors"] == ["21", "60", "21"]
    assert cells["RSS MiB"] == ["55.0", "101.0", "99.0"]
    assert lines[-1] == (
        "RSS over 150 s after 150 s of warm-up, n = 150: first third 100.00 MiB, last third 100.10 MiB; "
        "judged by the interval's lower end"
    )


def test_progress_is_one_line() -> None:
    line = progress(sample(at_s=16.7, visits=900), refused=3, broken=1)
    assert line.startswith("   17 s: 900 visits (3 refused, 1 broken)")
    assert "\n" not in line


def test_it_survives_json() -> None:
    done = report().finished(0, {}, [])
    assert msgspec.json.decode(msgspec.json.encode(done), type=Report) == done
