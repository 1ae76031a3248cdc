"""The HTML report: well-formed, self-contained, escaped, light and dark."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

from bench_support import make_added, make_row

from bench import page, report
from bench.rows import Point, Row

NOW = datetime(2026, 1, 2, tzinfo=UTC)
VOID = {"meta", "rect", "line", "polyline"}  # elements without an end tag here


class Elements(HTMLParser):
    """Checks that tags nest; keeps what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def rendered(rows: list[Row], refused: list[str] | None = None) -> str:
    scenarios = {"open-loop-1000": {"says": "What <it> costs & why."}}
    return page.html(report.report(rows, ["nginx is left out"], refused or [], scenarios, NOW))


def parsed(text: str) -> Elements:
    found = Elements()
    found.feed(text)
    found.close()
    assert found.open == []
    return found


def example() -> list[Row]:
    timeline = [Point(i * 0.1, 100.0, 0.5, 1.0 + i, 0.1) for i in range(40)]
    return [
        make_row("nginx", total=make_added(0.12, 0.3), timeline=timeline),
        make_row(total=make_added(0.21, 0.6), timeline=timeline),
        make_row("nginx", scenario="cpu-whole", load="whole, full load"),
        make_row(scenario="cpu-whole", load="whole, full load"),
    ]


def test_the_page_is_well_formed_and_opens_with_the_sentence() -> None:
    text = rendered(example())
    found = parsed(text)
    assert found.seen.count("h1") == 1
    assert found.seen.count("table") == 2
    assert re.search(r"<h1>fastroute adds 0\.21 ms at p50", text)


def test_it_has_charts_of_cpu_percentiles_and_time() -> None:
    found = parsed(rendered(example()))
    assert found.seen.count("svg") == 4  # CPU twice, percentiles, timeline
    assert found.seen.count("polyline") == 6
    assert found.seen.count("figcaption") == 4


def test_nothing_comes_from_elsewhere() -> None:
    text = rendered(example())
    found = parsed(text)
    assert not {"script", "link", "img", "iframe"} & set(found.seen)
    assert not [a for a in found.attributes if a[0] in ("src", "href")]
    assert "url(" not in text
    assert "@import" not in text
    assert "http" not in text


def test_it_follows_the_readers_colours() -> None:
    text = rendered(example())
    assert "prefers-color-scheme: dark" in text
    used = set(re.findall(r"var\((--[\w-]+)\)", text))
    light, _, dark = text.partition("prefers-color-scheme: dark")
    for name in used:
        assert f"{name}:" in light
        assert f"{name}:" in dark


def test_every_chart_can_be_read_aloud() -> None:
    found = parsed(rendered(example()))
    labels = [value for name, value in found.attributes if name == "aria-label"]
    assert len(labels) == 4
    assert all(labels)


def test_text_is_escaped() -> None:
    text = rendered(example(), refused=["<script>alert(1)</script>"])
    assert "What &lt;it&gt; costs &amp; why." in text
    assert "<script>" not in text
    parsed(text)


def test_a_run_without_rows_still_says_why() -> None:
    text = rendered([], refused=["the driver's core was 99% busy"])
    parsed(text)
    assert "nothing was measured" in text
    assert "99% busy" in text
