"""Histograms of latencies since the start, for export and the admin page. Never read on the request path.

Theory of operation. A record in an `HdrHistogram` costs 1.6 us in Python, a percentile 55 us and more. What it tells apart at
two digits is the leading 8 bits of a value, so a dictionary counts those, and becomes a histogram when somebody asks.
Source: selection notes, finding 1; Gil Tene, HdrHistogram.
"""

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

LOWEST_MS, HIGHEST_MS, DIGITS = 1, 3_600_000, 2
HIGHEST_S = HIGHEST_MS / 1000.0
LEADING_BITS = 8  # what two decimal digits need


class LatencyHistogram:
    """Milliseconds from 1 ms to 1 h, two digits; anything else is clamped."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def record_s(self, value_s: float) -> None:
        ms = int(value_s * 1000.0) if 0.001 <= value_s <= HIGHEST_S else LOWEST_MS if value_s < 0.001 else HIGHEST_MS
        shift = ms.bit_length() - LEADING_BITS
        if shift > 0:
            ms = ms >> shift << shift
        self._counts[ms] = self._counts.get(ms, 0) + 1

    def to_dict(self) -> dict[str, object]:
        """Count, percentiles in ms (None where empty), and the whole histogram as HdrHistogram V2, base64."""
        histogram = HdrHistogram(LOWEST_MS, HIGHEST_MS, DIGITS)
        for ms, times in self._counts.items():
            histogram.record_value(ms, times)
        count = int(histogram.get_total_count())
        percentiles = {f"p{q:g}": int(histogram.get_value_at_percentile(q)) if count else None for q in (50, 90, 99, 99.9)}
        return {"count": count, "ms": percentiles, "hdr_v2": histogram.encode().decode("ascii")}
