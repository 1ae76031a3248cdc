"""Charts: geometry that can be checked."""

import re

import pytest

from bench.charts import PERCENTILES, SECONDS, Bar, Line, bars, lines, place


def numbers(pattern: str, text: str) -> list[float]:
    return [float(n) for n in re.findall(pattern, text)]


def test_bars_are_as_long_as_their_values() -> None:
    svg = bars([Bar("nginx", 20.0, 19.0, 21.0), Bar("fastroute", 60.0, 58.0, 62.0)], "us")
    short, long = numbers(r'<rect [^>]*width="([\d.]+)"', svg)
    assert long / short == pytest.approx(3.0, rel=0.01)
    assert ">20.0 us<" in svg
    assert ">fastroute<" in svg


def test_names_are_escaped() -> None:
    assert "&lt;b&gt;" in bars([Bar("<b>", 1.0, 1.0, 1.0)], "us")


def test_bars_of_zero() -> None:
    assert 'width="0.0"' in bars([Bar("a", 0.0, 0.0, 0.0)], "us")


def test_every_nine_has_the_same_room() -> None:
    assert place("p99.9") - place("p99") == pytest.approx(place("p99") - place("p90"))


def test_lines_rise_upwards_and_stay_inside() -> None:
    svg = lines(
        [Line("direct", [(0.3, 0.1), (1.0, 1.0), (2.0, 10.0)]), Line("fastroute", [(0.3, 0.2), (2.0, 20.0)])], PERCENTILES
    )
    first = re.findall(r'<polyline points="([^"]+)"', svg)[0]
    points = [tuple(map(float, p.split(","))) for p in first.split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    assert all(0 <= x <= 720 and 0 <= y <= 280 for x, y in points)
    assert ">p99<" in svg
    assert "var(--direct)" in svg
    assert "var(--s0)" in svg


def test_one_point_and_zeros_can_be_drawn() -> None:
    svg = lines([Line("a", [(1.0, 0.0)])], SECONDS)
    assert "nan" not in svg.lower()
    assert ">1 s<" in svg
