"""Histograms of latencies since the start, for export and the admin page. Never read on the request path.

A percentile of an `HdrHistogram` costs 55 us and more in Python; a record 1.6 us. Source: selection notes, finding 1.
"""

import math

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

LOWEST_MS, HIGHEST_MS, DIGITS = 1, 3_600_000, 2


class LatencyHistogram:
    """Milliseconds from 1 ms to 1 h, two digits; anything else is clamped."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(LOWEST_MS, HIGHEST_MS, DIGITS)

    def record_s(self, value_s: float) -> None:
        ms = value_s * 1000.0
        clamped = int(min(max(ms, LOWEST_MS), HIGHEST_MS)) if not math.isnan(ms) else HIGHEST_MS
        self._histogram.record_value(clamped)

    def to_dict(self) -> dict[str, object]:
        """Count, percentiles in ms (None where empty), and the whole histogram as HdrHistogram V2, base64."""
        count = int(self._histogram.get_total_count())
        percentiles = {f"p{q:g}": int(self._histogram.get_value_at_percentile(q)) if count else None for q in (50, 90, 99, 99.9)}
        return {"count": count, "ms": percentiles, "hdr_v2": self._histogram.encode().decode("ascii")}
