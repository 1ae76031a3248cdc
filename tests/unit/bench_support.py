"""Calls and rounds made to measure, for tests of the harness."""

from typing import Any

from bench.client import Call
from bench.driver import Driver
from bench.intervals import Estimate
from bench.rows import DIRECT, ROUTED, Added, Round, Row, added


def call(target: int, block: int, total_s: float, intended_s: float = 100.0, **members: Any) -> Call:
    """A call that went well: sent 0.1 ms late, first content halfway."""
    found = Call(target, block, intended_s, lambda _: None)
    found.sent_s, found.first_s, found.end_s = intended_s + 1e-4, intended_s + total_s / 2, intended_s + total_s
    found.ok = True
    for name, value in members.items():
        setattr(found, name, value)
    return found


def pairs(direct_s: list[float], routed_s: list[float]) -> list[Call]:
    """A direct and a routed call for each block, a millisecond apart."""
    both = enumerate(zip(direct_s, routed_s, strict=True))
    return [c for i, (a, b) in both for c in (call(DIRECT, i, a, 100 + i / 1000), call(ROUTED, i, b, 100 + i / 1000))]


def make_round(calls: list[Call] | None = None, **members: Any) -> Round:
    calls = calls or []
    known: dict[str, Any] = {
        "calls": calls,
        "start_s": 100.0,
        "latencies_s": [],
        "done": len(calls),
        "failures": {},
        "seconds": 2.0,
        "cpu_s": {7: 0.01},
        "waited_s": 0.001,
        "routed": sum(c.target == ROUTED for c in calls),
        "rss_idle_bytes": 50 << 20,
        "rss_peak_bytes": 60 << 20,
        "driver": Driver(0.03, 0.2, 0.4),
        "overflowed": False,
    }
    return Round(**(known | members))


def make_added(p50_ms: float, p99_ms: float, n: int = 1000) -> Added:
    """Overhead whose paired p50 and p99 are these, whatever the values behind it."""
    import msgspec

    found = added([0.001] * 10, [0.0012] * 10)
    assert found is not None
    p50, p99 = (Estimate(ms, ms * 0.9, ms * 1.1) for ms in (p50_ms, p99_ms))
    return msgspec.structs.replace(found, p50=p50, p99=p99, n=n)


def make_row(contender: str = "fastroute", **members: Any) -> Row:
    known: dict[str, Any] = {
        "scenario": "open-loop-1000",
        "contender": contender,
        "stream": False,
        "load": "whole, 1,000 requests/s",
        "workers": 1,
        "connections": 0,
        "rounds": 2,
        "n": 20_000,
        "errors": 0,
        "per_s": 1000.0,
        "cpu_us": Estimate(66.0, 64.0, 68.0),
        "latency_ms": {"p50": 0.5, "p90": 0.7, "p99": 1.2, "p99.9": 2.0, "max": 3.0},
        "total": None,
        "ttft": None,
        "chunk": None,
        "rss_mib": 60.0,
        "rss_peak_mib": 61.0,
        "per_stream_kib": None,
        "largest_worker_share": None,
        "saturation": None,
        "timeline": [],
        "driver": Driver(0.03, 0.2, 0.4),
    }
    return Row(**(known | members))
