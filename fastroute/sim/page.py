"""A comparison as one HTML file: no script, nothing from elsewhere; light or dark as the reader's system is."""

from collections.abc import Callable, Sequence
from html import escape

from fastroute.sim.measures import Point
from fastroute.sim.report import Comparison, Summary
from fastroute.sim.table import FAULT_HEADINGS, HEADINGS, MISS_HEADINGS, about, cells, fault_cells, miss_cells

WIDTH, LEFT, RIGHT, TOP, HEIGHT, BOTTOM = 760, 64, 150, 14, 260, 28
COLOURS = 7
STYLE = """
:root {
  color-scheme: light dark; --ink: #1b1f24; --dim: #5b6572; --paper: #fff; --line: #d7dce2; --fault: #b3261e;
  --s0: #2563eb; --s1: #b45309; --s2: #047857; --s3: #9333ea; --s4: #be123c; --s5: #0e7490; --s6: #4d7c0f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e9ed; --dim: #9aa5b1; --paper: #14171b; --line: #333a43; --fault: #f2b8b5;
    --s0: #7aa7ff; --s1: #f0a35c; --s2: #4fc79a; --s3: #c79bff; --s4: #ff8fa3; --s5: #67cbe0; --s6: #a9d36b;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .25rem; }
.dim { color: var(--dim); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .75rem 0; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { color: var(--dim); font-weight: 500; }
svg { width: 100%; height: auto; max-width: 50rem; }
svg text { fill: var(--dim); font: 12px system-ui, sans-serif; }
svg .name { fill: var(--ink); }
"""

Value = Callable[[Point], float | None]


def html(found: Comparison) -> str:
    """The whole page."""
    best = " against ".join(escape(c.name) for c in found.configs[:4])
    parts = [
        f"<h1>{best}</h1>",
        f'<p class="dim">{escape(about(found))}. Intervals are 95 % over seeds. Simulated.</p>',
        _table(HEADINGS, [cells(c) for c in found.configs]),
        "<h2>Attainment over time</h2>",
        chart(found, lambda point: point.attainment, lambda v: f"{v:.0%}"),
        "<h2>Cost of a request over time</h2>",
        chart(found, lambda point: point.usd_per_request, lambda v: f"${v:.2g}"),
        '<p class="dim">Shaded: faults, as they fell in the first seed.</p>',
        *(part for config in found.configs for part in _details(config)),
    ]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>fastroute simulate</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _details(config: Summary) -> list[str]:
    phases = [[name, f"{n:,}", "-" if share is None else f"{share:.2%}"] for name, (n, share) in config.phases.items()]
    bins = [
        [f"{b.lo:g} to {b.hi:g}", f"{b.n:,}", f"{b.predicted:.3%}", f"{b.missed / b.n:.3%}"] for b in config.calibration if b.n
    ]
    return [
        f"<h2>{escape(config.name)}</h2>",
        _table(("phase", "requests", "attainment"), phases),
        _table(MISS_HEADINGS, miss_cells(config)),
        _table(FAULT_HEADINGS, fault_cells(config)),
        _table(("predicted P(miss)", "attempts", "predicted", "observed"), bins),
    ]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(h)}</th>" for h in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def chart(found: Comparison, value: Value, show: Callable[[float], str]) -> str:
    """One line per contender over virtual time, with the faults shaded."""
    series = [(c.name, [(p.at_s, v) for p in c.series if (v := value(p)) is not None]) for c in found.configs]
    values = [v for _, points in series for _, v in points]
    if not values:
        return '<p class="dim">Nothing to show.</p>'
    until_s = max(at_s for _, points in series for at_s, _ in points)
    low, high = min(values), max(values)
    low, high = (low, high) if high > low else (low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0))

    def x(at_s: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, at_s / until_s)

    def y(v: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (v - low) / (high - low)

    parts = [_shade(x, name, start_s, end_s) for name, start_s, end_s in found.shades if start_s < until_s]
    for i in range(5):
        v = low + (high - low) * i / 4
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}" stroke="var(--line)"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{escape(show(v))}</text>')
        at_s = until_s * i / 4
        parts.append(f'<text x="{x(at_s):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{at_s:,.0f} s</text>')
    for i, (name, points) in enumerate(series):
        parts += _line(i, name, " ".join(f"{x(at_s):.1f},{y(v):.1f}" for at_s, v in points))
    names = escape(", ".join(name for name, _ in series), quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{names}">{"".join(parts)}</svg>'


def _shade(x: Callable[[float], float], name: str, start_s: float, end_s: float) -> str:
    width = max(1.0, x(end_s) - x(start_s))
    tip = f"<title>{escape(name)}</title>"
    return (
        f'<rect x="{x(start_s):.1f}" y="{TOP}" width="{width:.1f}" height="{HEIGHT - BOTTOM - TOP}" '
        f'fill="var(--fault)" opacity="0.12">{tip}</rect>'
    )


def _line(i: int, name: str, path: str) -> list[str]:
    colour, y = f"var(--s{i % COLOURS})", TOP + 14 + 18 * i
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        f'<rect x="{WIDTH - RIGHT + 12}" y="{y - 9}" width="10" height="10" fill="{colour}"/>',
        f'<text class="name" x="{WIDTH - RIGHT + 28}" y="{y}">{escape(name)}</text>',
    ]
