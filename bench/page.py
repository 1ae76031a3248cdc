"""The report as one HTML file: no script, nothing from elsewhere; light or dark as the reader's system is."""

from collections.abc import Sequence
from html import escape

from bench import charts
from bench.report import Report, details, label, number
from bench.rows import Row

STYLE = """
:root {
  --ink: #1b1f24; --dim: #5b6572; --paper: #ffffff; --line: #d7dce2; --bad: #b3261e; --direct: #8a94a0;
  --s0: #2563eb; --s1: #b45309; --s2: #047857; --s3: #9333ea; --s4: #be123c; --s5: #0e7490; --s6: #4d7c0f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e9ed; --dim: #9aa5b1; --paper: #14171b; --line: #333a43; --bad: #f2b8b5; --direct: #7c8794;
    --s0: #7aa7ff; --s1: #f0a35c; --s2: #4fc79a; --s3: #c79bff; --s4: #ff8fa3; --s5: #67cbe0; --s6: #a9d36b;
  }
}
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif;
}
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .25rem; }
p { margin: .25rem 0; }
.dim { color: var(--dim); font-size: .9rem; }
.bad { color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .75rem 0; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { color: var(--dim); font-weight: 500; }
figure { margin: 1rem 0; }
figcaption { font-size: .9rem; color: var(--dim); }
svg { width: 100%; height: auto; max-width: 46rem; }
svg text { fill: var(--dim); font: 12px system-ui, sans-serif; }
svg .name { fill: var(--ink); }
svg .axis { stroke: var(--line); }
"""
HEADINGS = (
    "",
    "CPU us/request",
    "x nginx",
    "n",
    "errors",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "added p50 ms",
    "added p99 ms",
    "RSS MiB",
)


def html(found: Report) -> str:
    """The whole page."""
    machine = found.machine
    shape = f"{machine.cores} cores of {machine.cpu} ({machine.arch}), {machine.memory_gib:g} GiB, Python {machine.python}"
    commit = f"commit {found.commit}" + (" with changes" if found.changed else "")
    parts = [
        f"<h1>{escape(found.sentence)}</h1>",
        f'<p class="dim">{escape(found.at)}, {escape(commit)}, on {escape(shape)}.</p>',
    ]
    parts += [f'<p class="bad">Not measured: {escape(why)}</p>' for why in found.refused]
    for name in dict.fromkeys(row.scenario for row in found.rows):
        parts.append(_scenario(name, found))
    if found.notes:
        parts += ["<h2>Notes</h2>", *(f"<p>{escape(note)}</p>" for note in found.notes)]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>fastroute bench, {escape(found.at)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _scenario(name: str, found: Report) -> str:
    rows = [row for row in found.rows if row.scenario == name]
    says = found.scenarios.get(name, {}).get("says", "")
    parts = [f"<h2>{escape(name)}</h2>", f'<p class="dim">{escape(says)}</p>', _table(rows)]
    parts += [f'<p class="dim">{escape(text)}</p>' for text in details(rows)]
    return "\n".join(parts + _figures(rows))


def _table(rows: Sequence[Row]) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in HEADINGS)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(row, rows)) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cells(row: Row, beside: Sequence[Row]) -> list[str]:
    added = row.total
    return [
        label(row, beside),
        number(row.cpu_us.value if row.cpu_us else None, 1),
        number(row.x_nginx, 2),
        f"{row.n:,}",
        f"{row.errors:,}",
        f"{row.per_s:,.0f}",
        number(row.latency_ms.get("p50"), 2),
        number(row.latency_ms.get("p99"), 2),
        number(added.p50.value if added else None, 3),
        number(added.p99.value if added else None, 3),
        f"{row.rss_mib:.1f}",
    ]


def _figures(rows: Sequence[Row]) -> list[str]:
    found = []
    cpu = [charts.Bar(label(row, rows), row.cpu_us.value, row.cpu_us.lo, row.cpu_us.hi) for row in rows if row.cpu_us]
    if cpu:
        found.append(_figure(charts.bars(cpu, "us"), "CPU per request, microseconds; the line is the range of rounds."))
    if any(row.total for row in rows):
        found.append(_figure(charts.lines(_percentiles(rows), charts.PERCENTILES), "Latency in milliseconds by percentile."))
    if any(row.timeline for row in rows):
        found.append(
            _figure(charts.lines(_timelines(rows), charts.SECONDS), "p99 in milliseconds by intended start, in seconds.")
        )
    return found


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _percentiles(rows: Sequence[Row]) -> list[charts.Line]:
    timed = [(row, row.total) for row in rows if row.total is not None]
    direct = charts.Line("direct", [(charts.place(q), v) for q, v in timed[0][1].direct_ms.items() if q != "max"])
    routed = [
        charts.Line(row.contender, [(charts.place(q), v) for q, v in t.routed_ms.items() if q != "max"]) for row, t in timed
    ]
    return [direct, *routed]


def _timelines(rows: Sequence[Row]) -> list[charts.Line]:
    known = [row for row in rows if row.timeline]
    direct = charts.Line("direct", [(p.at_s, p.direct_p99_ms) for p in known[0].timeline if p.direct_p99_ms is not None])
    routed = [
        charts.Line(row.contender, [(p.at_s, p.routed_p99_ms) for p in row.timeline if p.routed_p99_ms is not None])
        for row in known
    ]
    return [line for line in [direct, *routed] if line.points]
