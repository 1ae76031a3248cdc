"""The pages keep up with the code: metrics, failures, settings they name, links between them."""

import re
from pathlib import Path

import pytest

from fastroute.core.failures import Failure
from fastroute.telemetry import names

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


@pytest.mark.parametrize("metric", names.ALL, ids=lambda m: m.name)
def test_every_metric_is_in_the_operators_table_as_it_is_exported(metric: names.Metric) -> None:
    assert f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels)} | {metric.text} |" in OPERATIONS


def test_the_operators_page_names_no_metric_that_does_not_exist() -> None:
    assert set(re.findall(r"fastroute_\w+", OPERATIONS)) <= {m.name for m in names.ALL}


@pytest.mark.parametrize("failure", list(Failure))
def test_every_failure_has_a_line_of_advice(failure: Failure) -> None:
    advice = [line.split("|")[1] for line in OPERATIONS.splitlines() if line.startswith("| `failure:")]
    assert any(re.search(rf"\b{failure}\b", told) for told in advice)


def links(page: Path) -> list[str]:
    """Targets of the page's relative links, without anchors."""
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    return [t.split("#")[0] for t in targets if "://" not in t and not t.startswith("#")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    assert [t for t in links(page) if not (page.parent / t).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_source_files_that_a_page_names_exist(page: Path) -> None:
    """A path in code style that begins with one of our folders is a file, below the root or below `fastroute/`."""
    ours = {p.name for p in (ROOT / "fastroute").iterdir() if p.is_dir()} | {"fastroute", "tests", "docs", "configs"}
    named = re.findall(r"`([a-z_]+(?:/[\w.-]+)+\.(?:py|json|yaml|md))`", page.read_text())
    paths = [p for p in named if p.split("/")[0] in ours]
    assert [p for p in paths if not (ROOT / p).exists() and not (ROOT / "fastroute" / p).exists()] == []


def test_decisions_are_numbered_without_gaps_and_headed_by_their_number() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [p.name[:4] for p in pages] == [f"{n:04}" for n in range(1, len(pages) + 1)]
    for page in pages:
        assert page.read_text().startswith(f"# {page.name[:4]}: "), page.name
