"""Charts as inline SVG, coloured by the page's variables. Pure text."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, LEFT, RIGHT, TOP, HEIGHT, BOTTOM = 720, 56, 130, 12, 280, 28
BAR = 26
COLOURS = 7
PERCENTILES = "percentiles"
SECONDS = "seconds"


class Bar(NamedTuple):
    """A value with its range."""

    name: str
    value: float
    lo: float
    hi: float


class Line(NamedTuple):
    """A named polyline; "direct" has a colour of its own."""

    name: str
    points: list[tuple[float, float]]


def place(percentile: str) -> float:
    """Where p50, p99, p99.9 lie on an axis that gives every nine the same room."""
    return -math.log10(1 - float(percentile[1:]) / 100)


def bars(values: Sequence[Bar], unit: str) -> str:
    """Horizontal bars with their values beside them."""
    top = max(max(b.value, b.hi) for b in values) or 1.0
    name_width = 150
    room = WIDTH - name_width - 90
    parts = []
    for i, bar in enumerate(values):
        y, width = i * BAR, room * bar.value / top
        lo, hi = (name_width + room * x / top for x in (bar.lo, bar.hi))
        parts += [
            f'<text class="name" x="0" y="{y + 17}">{escape(bar.name)}</text>',
            f'<rect x="{name_width}" y="{y + 4}" width="{width:.1f}" height="{BAR - 8}" fill="var(--s{i % COLOURS})"/>',
            f'<line x1="{lo:.1f}" x2="{hi:.1f}" y1="{y + BAR / 2}" y2="{y + BAR / 2}" stroke="var(--ink)" stroke-width="1.5"/>',
            f'<text x="{max(name_width + width, hi) + 6:.1f}" y="{y + 17}">{bar.value:,.1f} {escape(unit)}</text>',
        ]
    return _svg(len(values) * BAR, parts, "; ".join(f"{b.name} {b.value:.1f} {unit}" for b in values))


def lines(series: Sequence[Line], axis: str) -> str:
    """Lines over percentiles or seconds; the value axis is logarithmic."""
    xs = [x for line in series for x, _ in line.points]
    ys = [max(y, 1e-3) for line in series for _, y in line.points]
    scale = _Scale(min(xs), max(xs), math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)) + 1e-9))
    parts = _axes(scale, axis)
    for i, line in enumerate(series):
        colour = "var(--direct)" if line.name == "direct" else f"var(--s{(i - 1) % COLOURS})"
        path = " ".join(f"{scale.x(x):.1f},{scale.y(max(y, 1e-3)):.1f}" for x, y in line.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = TOP + 14 + 18 * i
        parts.append(f'<rect x="{WIDTH - RIGHT + 12}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text class="name" x="{WIDTH - RIGHT + 28}" y="{y}">{escape(line.name)}</text>')
    return _svg(HEIGHT, parts, ", ".join(line.name for line in series))


class _Scale(NamedTuple):
    left: float
    right: float
    bottom: int  # powers of ten
    top: int

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - self.left) / ((self.right - self.left) or 1.0)

    def y(self, value: float) -> float:
        share = (math.log10(value) - self.bottom) / ((self.top - self.bottom) or 1)
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share


def _axes(scale: _Scale, axis: str) -> list[str]:
    parts = []
    for power in range(scale.bottom, scale.top + 1):
        y = scale.y(10.0**power)
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    ticks = [(place(p), p) for p in ("p50", "p90", "p99", "p99.9")] if axis == PERCENTILES else _second_ticks(scale)
    parts += [
        f'<text x="{scale.x(x):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(text)}</text>'
        for x, text in ticks
        if scale.left <= x <= scale.right
    ]
    return parts


def _second_ticks(scale: _Scale) -> list[tuple[float, str]]:
    step = max(1, math.ceil((scale.right - scale.left) / 8))
    return [(float(s), f"{s} s") for s in range(0, math.ceil(scale.right) + 1, step)]


def _svg(height: float, parts: list[str], says: str) -> str:
    opening = f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(says, quote=True)}">'
    return opening + "".join(parts) + "</svg>"
