"""Histograms for export."""

import math

import pytest
from hdrh.histogram import HdrHistogram

from fastroute.stats.export import LatencyHistogram


def test_an_empty_histogram_has_no_percentile():
    shown = LatencyHistogram().to_dict()
    assert (shown["count"], shown["ms"]) == (0, {"p50": None, "p90": None, "p99": None, "p99.9": None})


def test_percentiles_are_within_two_digits():
    histogram = LatencyHistogram()
    for ms in range(1, 1001):
        histogram.record_s(ms / 1000)
    shown = histogram.to_dict()
    assert shown["ms"]["p50"] == pytest.approx(500, rel=0.01)
    assert shown["ms"]["p99"] == pytest.approx(990, rel=0.01)


def test_what_is_exported_can_be_read_back():
    histogram = LatencyHistogram()
    histogram.record_s(0.25)
    read = HdrHistogram.decode(histogram.to_dict()["hdr_v2"].encode())
    assert (read.get_total_count(), read.get_max_value()) == (1, pytest.approx(250, rel=0.01))


@pytest.mark.parametrize("odd", [0.0, -1.0, math.nan, math.inf, 1e9, 1e-9])
def test_values_out_of_range_are_clamped(odd):
    """Pitfall 13: nothing raises and nothing is lost."""
    histogram = LatencyHistogram()
    histogram.record_s(odd)
    assert histogram.to_dict()["count"] == 1
